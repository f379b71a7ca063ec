// What a model is shown of the scene: the sampled frames, and of a model its cells and whose they are.

import { NumberField } from "./fields";
import { CellsLayer } from "./picture";
import { boxAt, listedPeople } from "./scene";
import { toPixels } from "./geometry";
import { shownAddress } from "./server";
import type { Store } from "./store";
import { seconds } from "./store";

export function Model({ store }: { store: Store }) {
  const { coverage, kind } = store.document;
  const looked = store.looked.value;
  const sampled = store.sampled.value;
  const cells = looked?.cells;
  return (
    <div>
      {coverage === null ? (
        <p>
          A model is shown the {sampled.length === 1 ? "frame" : `${sampled.length} frames`} below. Start the editor with{" "}
          <code>--model MODEL</code> to see how a model gets them: resized and cropped, with the cell of each visual
          token, and which cells each box covers. No weights are loaded for this.
        </p>
      ) : (
        <>
          {cells && (
            <ul class="facts">
              {cells.facts.map((fact) => (
                <li key={fact}>{fact}.</li>
              ))}
            </ul>
          )}
          <div class="row">
            <NumberField
              label="Coverage: share of a cell that a box must cover"
              value={store.coverage.value}
              step={0.05}
              min={0.05}
              max={1}
              onValue={(value) => {
                if (value !== null) store.coverage.value = value;
              }}
            />
          </div>
          {store.coverage.value !== coverage && store.coverage.value !== null && (
            <p class="soft">
              The scene does not hold this number. Give it to the capture: <code>--coverage {store.coverage.value}</code>
            </p>
          )}
          {cells && <Counts store={store} owners={cells.owners} />}
        </>
      )}
      <ul class="strip" aria-label="Frames that the model is shown">
        {sampled.map(({ number, time }, at) => (
          <li key={number}>
            <button
              type="button"
              class="thumb"
              aria-pressed={store.frame.value === number}
              onClick={() => store.seek(number)}
            >
              <Thumb store={store} at={at} time={time} />
              <span>{kind === "image" ? "the image" : `${seconds(time)} s`}</span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Thumb({ store, at, time }: { store: Store; at: number; time: number }) {
  const { width, height, units } = store.document;
  const version = store.sampled.value.map(({ number }) => number).join(".");
  return (
    <span class="picture" style={{ aspectRatio: `${width} / ${height}` }}>
      <img src={shownAddress(at, version)} alt="" loading="lazy" />
      <svg viewBox={`0 0 ${width} ${height}`} aria-hidden="true">
        {store.grid.value && store.showCells.value && <CellsLayer store={store} frame={at} />}
        {store.scene.value.people.map((person) => {
          const own = boxAt(person, time);
          if (!own) return null;
          const [x, y, right, bottom] = toPixels(own, units, store.document);
          return (
            <g key={person.id} class="box">
              <rect class="halo" x={x} y={y} width={right - x} height={bottom - y} />
              <rect class="body" x={x} y={y} width={right - x} height={bottom - y} stroke={store.color(person.id)} />
            </g>
          );
        })}
      </svg>
    </span>
  );
}

/** How many cells are whose in each frame. A zero beside a box is a warning: nothing that is measured would be theirs. */
function Counts({ store, owners }: { store: Store; owners: number[][][] }) {
  const people = listedPeople(store.scene.value);
  if (!people.length) return null;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Covered cells">
      <table class="counts">
        <caption>Cells that each person's box covers, by frame</caption>
        <thead>
          <tr>
            <th scope="col">Person</th>
            {store.sampled.value.map(({ time, number }) => (
              <th key={number} scope="col">
                {seconds(time)} s
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {people.map((person, at) => (
            <tr key={person.id}>
              <th scope="row">
                <i class="swatch" style={{ background: store.tone(person.id) }} /> {person.name}
              </th>
              {store.sampled.value.map(({ time, number }, frame) => {
                const count = owners[frame]?.[at]?.length ?? 0;
                const visible = boxAt(person, time) !== null;
                return (
                  <td key={number} class={visible && count === 0 ? "none" : ""}>
                    {visible || count ? count : "–"}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
      <p class="soft">– not visible. A 0 means that no visual token of the frame counts as theirs.</p>
    </div>
  );
}

// People: their names, and when and where each of them is visible.

import { NumberField, TextField, Wrong } from "./fields";
import { toPixels } from "./geometry";
import { newPerson } from "./picture";
import type { Box, Person } from "./scene";
import {
  boxAt,
  copyOn,
  firstSeen,
  followName,
  keyframeAt,
  lastSeen,
  removeKeyframe,
  removePerson,
  removeSegment,
  renamePerson,
  segmentAt,
  setBox,
  setEnds,
  updatePerson,
} from "./scene";
import type { Store } from "./store";
import { seconds } from "./store";

export function People({ store }: { store: Store }) {
  const { people, turns } = store.scene.value;
  const chosen = store.person.value;
  return (
    <div>
      <p>
        Choose a person, or draw a box on the picture.{" "}
        {store.document.kind !== "image" && (
          <>
            A box holds until the next one that you set, and moves evenly between the two. At a cut, or where somebody
            leaves, press <i>Last seen here</i>.
          </>
        )}
      </p>
      <ul class="people" aria-label="People">
        {people.map((person) => {
          const said = turns.filter((turn) => turn.person === person.id).length;
          return (
            <li key={person.id}>
              <button
                type="button"
                class="person"
                aria-pressed={person === chosen}
                onClick={() => (store.selected.value = person.id)}
              >
                <i class="swatch" style={{ background: store.tone(person.id) }} />
                <b>{person.name || "(no name)"}</b>
                <span class="soft">
                  {person.segments.length ? "" : "no box, "}
                  {said} {said === 1 ? "turn" : "turns"}
                </span>
              </button>
            </li>
          );
        })}
        <li>
          <button type="button" onClick={() => newPerson(store, null)}>
            Add a person
          </button>
        </li>
      </ul>
      {chosen && <OnePerson key={chosen.id} store={store} person={chosen} />}
    </div>
  );
}

function OnePerson({ store, person }: { store: Store; person: Person }) {
  const path = store.personPath(person.id);
  const isListed = person.listed || person.segments.length > 0;
  const wrongName =
    (isListed ? store.problem(`${path}.name`) : "") || (person.name.trim() ? "" : "A person needs a name.");
  return (
    <section class="one" aria-label={person.name}>
      <div class="person-name">
        <TextField
          label="Name"
          value={person.name}
          problem={wrongName}
          onValue={(name) => store.edit((scene) => renamePerson(scene, person.id, name), `name ${person.id}`)}
          onLeave={(before, after) => store.edit((scene) => followName(scene, before, after), `name ${person.id}`)}
        />
        <button type="button" onClick={() => store.edit((scene) => removePerson(scene, person.id))}>
          Remove the person
        </button>
      </div>
      <Here store={store} person={person} path={path} />
      <Stretches store={store} person={person} path={path} />
    </section>
  );
}

const MOST_KEYS = 24; // buttons; imported tracks have a box for every frame

/** The times of the boxes that were set; of many the nearest before and after the frame that is shown. */
function Keys({ store, times }: { store: Store; times: number[] }) {
  const { start, end } = store.moment.value;
  const many = times.length > MOST_KEYS;
  const near = [times.findLast((t) => t < start), times.find((t) => t >= end)].filter((t) => t !== undefined);
  return (
    <>
      <span class="soft">
        {many ? `${times.length.toLocaleString("en")} boxes were set; the nearest others at` : "Boxes were set at"}
      </span>
      {(many ? near : times).map((t) => (
        <button key={t} type="button" class="small" onClick={() => store.seekTime(t)}>
          {seconds(t)} s
        </button>
      ))}
    </>
  );
}

const SIDES = ["Left", "Top", "Right", "Bottom"] as const;

/** The box at the frame that is shown. */
function Here({ store, person, path }: { store: Store; person: Person; path: string }) {
  const { document: opened } = store;
  const moment = store.moment.value;
  const box = boxAt(person, moment.start);
  const key = keyframeAt(person, moment);
  const segment = segmentAt(person, moment.start);
  const pixels = opened.units === "pixels";
  const change = (next: (own: Person) => Person, name: string | null = null) =>
    store.edit((scene) => updatePerson(scene, person.id, next), name);
  const place = segment && key ? `${path}.segments[${person.segments.indexOf(segment)}].keyframes[${segment.keyframes.indexOf(key)}]` : null;
  const has = (way: 1 | -1): boolean =>
    person.segments.some(({ start, end }) => (way > 0 ? start > moment.start : end <= moment.start));
  return (
    <fieldset class="here">
      <legend>
        {opened.kind === "image" ? "Box" : `At ${seconds(moment.start)} s`}{" "}
        <span class="soft">
          {box ? (opened.kind === "image" ? "" : key ? "a box was set here" : "between or after boxes that were set") : "not visible"}
        </span>
      </legend>
      {box && (
        <div class="row sides">
          {SIDES.map((label, side) => (
            <NumberField
              key={label}
              label={label}
              value={box[side] ?? 0}
              digits={pixels ? 1 : 4}
              step={pixels ? 1 : 0.01}
              problem={place ? store.problem(`${place}.xyxy[${side}]`) : ""}
              onValue={(value) => {
                if (value === null || value === box[side]) return;
                const next = box.map((old, at) => (at === side ? value : old)) as Box;
                change((own) => setBox(own, moment, next, opened.duration), `side ${person.id} ${store.frame.value}`);
              }}
            />
          ))}
          <span class="soft unit">{pixels ? "pixels" : sizeWords(toPixels(box, opened.units, opened))}</span>
        </div>
      )}
      {place && <Wrong text={store.problem(place)} />}
      {opened.kind !== "image" && (
        <div class="row buttons">
          <button type="button" disabled={!box && !has(1)} onClick={() => change((own) => firstSeen(own, moment))}>
            First seen here
          </button>
          <button type="button" disabled={!box && !has(-1)} onClick={() => change((own) => lastSeen(own, moment))}>
            Last seen here
          </button>
          {box && (
            <button type="button" onClick={() => change((own) => copyOn(own, moment))}>
              Copy to all frames that follow
            </button>
          )}
          {box && !key && (
            <button type="button" onClick={() => change((own) => setBox(own, moment, box, opened.duration))}>
              Set the box here
            </button>
          )}
          {key && (
            <button type="button" onClick={() => change((own) => removeKeyframe(own, moment))}>
              Delete this box
            </button>
          )}
        </div>
      )}
      {opened.kind === "image" && key && (
        <button type="button" onClick={() => change((own) => removeKeyframe(own, moment))}>
          Delete this box
        </button>
      )}
    </fieldset>
  );
}

const sizeWords = (box: Box): string =>
  `fractions of the frame; ${Math.round(box[2] - box[0])} × ${Math.round(box[3] - box[1])} pixels`;

/** When the person is visible, with the times of the boxes that were set. */
function Stretches({ store, person, path }: { store: Store; person: Person; path: string }) {
  if (store.document.kind === "image" || !person.segments.length) return null;
  const now = segmentAt(person, store.moment.value.start);
  return (
    <div class="stretches">
      <h3>When {person.name || "the person"} is visible</h3>
      {person.segments.map((segment, number) => {
        const own = `${path}.segments[${number}]`;
        const ends = (start: number | null, end: number | null) => {
          if (start === null || end === null || (start === segment.start && end === segment.end)) return;
          store.edit(
            (scene) => updatePerson(scene, person.id, (old) => setEnds(old, segment, start, end)),
            `ends ${person.id} ${number}`,
          );
        };
        return (
          <div key={number} class={`stretch${segment === now ? " now" : ""}`}>
            <div class="row">
              <NumberField
                label="From (s)"
                value={segment.start}
                step={0.1}
                min={0}
                problem={store.problem(`${own}.start`)}
                onValue={(start) => ends(start, segment.end)}
              />
              <NumberField
                label="Until (s)"
                value={segment.end}
                step={0.1}
                min={0}
                problem={store.problem(`${own}.end`)}
                onValue={(end) => ends(segment.start, end)}
              />
              <button
                type="button"
                onClick={() =>
                  store.edit((scene) => updatePerson(scene, person.id, (old) => removeSegment(old, segment)))
                }
              >
                Remove<span class="hidden"> what is visible from {seconds(segment.start)} s on</span>
              </button>
            </div>
            <div class="row keys">
              <Keys store={store} times={segment.keyframes.map(({ t }) => t)} />
            </div>
          </div>
        );
      })}
    </div>
  );
}

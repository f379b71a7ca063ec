// The frame with everybody's box: drawn, moved and resized by mouse, touch and keyboard.

import { useEffect, useRef, useState } from "preact/hooks";
import type { Grip } from "./geometry";
import { arrow, between, GRIPS, middle, moved, pulled, toPixels, toUnits } from "./geometry";
import type { Box, Person } from "./scene";
import { addPerson, boxAt, freshName, keyframeAt, newId, removeKeyframe, setBox, updatePerson } from "./scene";
import { frameAddress, shownAddress } from "./server";
import type { Store } from "./store";
import { seconds } from "./store";

const CLICK = 6; // px of the screen that a hand may tremble
const STEPS = 200; // arrow keys from one side of the frame to the other
const LETTER = 13; // px of the screen

type Drag =
  | { kind: "draw"; from: [number, number]; to: [number, number] }
  | { kind: "move"; id: number; from: [number, number]; box: Box }
  | { kind: "pull"; id: number; from: [number, number]; box: Box; grip: Grip };

export function Picture({ store }: { store: Store }) {
  const { document: opened } = store;
  const size = { width: opened.width, height: opened.height };
  const svg = useRef<SVGSVGElement>(null);
  const [scale, setScale] = useState(1); // px of the frame for one of the screen
  const [drag, setDrag] = useState<Drag | null>(null);
  const [loaded, setLoaded] = useState(-1);
  const moment = store.moment.value;
  const sample = store.sample.value;
  const hasCells = store.grid.value !== null && sample >= 0;
  const version = store.sampled.value.map(({ number }) => number).join(".");
  const address = hasCells && store.asGiven.value ? shownAddress(sample, version) : frameAddress(store.frame.value);

  useEffect(() => {
    const element = svg.current;
    if (!element) return;
    const watch = new ResizeObserver(() => setScale(size.width / (element.clientWidth || size.width)));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);

  const boxOf = (person: Person): Box | null => {
    const box = boxAt(person, moment.start);
    return box && toPixels(box, opened.units, size);
  };
  const change = (id: number, box: Box, name: string | null) =>
    store.edit(
      (scene) =>
        updatePerson(scene, id, (person) => setBox(person, moment, toUnits(box, opened.units, size), opened.duration)),
      name,
    );

  const chosen = store.person.value;
  const chosenBox = chosen && boxOf(chosen);
  /** Who gets a box that is drawn: the chosen person, or somebody new where that one has a box already. */
  const drawsNew = !chosen || chosenBox !== null;

  function point(event: PointerEvent): [number, number] {
    const bounds = svg.current?.getBoundingClientRect();
    if (!bounds) return [0, 0];
    return [
      ((event.clientX - bounds.left) / bounds.width) * size.width,
      ((event.clientY - bounds.top) / bounds.height) * size.height,
    ];
  }

  function begin(event: PointerEvent, next: Drag): void {
    if (event.button !== 0 || drag) return; // a second finger does nothing
    event.stopPropagation();
    store.playing.value = false;
    store.endGesture();
    svg.current?.setPointerCapture(event.pointerId);
    setDrag(next);
  }

  function go(event: PointerEvent): void {
    if (!drag) return;
    const at = point(event);
    if (drag.kind === "draw") {
      setDrag({ ...drag, to: at });
      return;
    }
    const [dx, dy] = [at[0] - drag.from[0], at[1] - drag.from[1]];
    if (Math.hypot(dx, dy) < 1) return;
    const box = drag.kind === "move" ? moved(drag.box, dx, dy, size) : pulled(drag.box, drag.grip, dx, dy, size);
    change(drag.id, box, "drag");
  }

  function end(event: PointerEvent): void {
    if (!drag) return;
    setDrag(null);
    store.endGesture();
    if (drag.kind !== "draw") return;
    const box = between(drag.from, point(event), size);
    if (Math.max(box[2] - box[0], box[3] - box[1]) < CLICK * scale) return;
    if (Math.min(box[2] - box[0], box[3] - box[1]) < 2) return;
    drawn(box);
  }

  function drawn(box: Box): void {
    if (!drawsNew && chosen) {
      change(chosen.id, box, null);
      store.said.value = `${chosen.name} has a box`;
    } else newPerson(store, box);
  }

  const people = [...store.scene.value.people]
    .flatMap((person) => {
      const box = boxOf(person);
      return box ? [{ person, box }] : [];
    })
    .sort((a, b) => Number(a.person === chosen) - Number(b.person === chosen) || area(b.box) - area(a.box));

  return (
    <div class="picture-holder">
      <div class="picture" style={{ aspectRatio: `${size.width} / ${size.height}` }}>
        <img
          src={address}
          alt={`Frame at ${seconds(moment.start)} s`}
          class={loaded === store.frame.value || store.playing.value ? "" : "late"}
          draggable={false}
          onLoad={() => setLoaded(store.frame.value)}
          onError={() => (store.failure.value = `The frame at ${seconds(moment.start)} s could not be read.`)}
        />
        <svg
          ref={svg}
          viewBox={`0 0 ${size.width} ${size.height}`}
          role="group"
          aria-label="Boxes on the frame"
          class={drag ? "dragging" : ""}
          onPointerDown={(event) => begin(event, { kind: "draw", from: point(event), to: point(event) })}
          onPointerMove={go}
          onPointerUp={end}
          onPointerCancel={() => setDrag(null)}
        >
          {hasCells && store.showCells.value && <CellsLayer store={store} frame={sample} />}
          {people.map(({ person, box }) => (
            <BoxShape
              key={person.id}
              store={store}
              person={person}
              box={box}
              scale={scale}
              chosen={person === chosen}
              onBegin={(event, grip) => {
                store.selected.value = person.id;
                const shared = { id: person.id, from: point(event), box };
                begin(event, grip ? { kind: "pull", ...shared, grip } : { kind: "move", ...shared });
              }}
              onArrow={(step, resizes) => {
                const next = resizes
                  ? pulled(box, { x: 1, y: 1 }, step[0], step[1], size)
                  : moved(box, step[0], step[1], size);
                change(person.id, next, `arrow ${person.id} ${store.frame.value}`);
              }}
            />
          ))}
          {drag?.kind === "draw" && <Rubber box={between(drag.from, drag.to, size)} />}
        </svg>
      </div>
      <p class="hint">
        {drawsNew
          ? "Drag on the picture to draw the box of a new person."
          : `Drag on the picture to draw the box of ${chosen?.name ?? ""}.`}{" "}
        <button
          type="button"
          class="small"
          onClick={() => {
            drawn(middle(size));
            requestAnimationFrame(() => svg.current?.querySelector<SVGElement>(".box.chosen")?.focus());
          }}
        >
          Add a box in the middle
        </button>
      </p>
    </div>
  );
}

const area = (box: Box): number => (box[2] - box[0]) * (box[3] - box[1]);

/** Somebody new with a box, chosen and ready to be named. */
export function newPerson(store: Store, box: Box | null): void {
  const { document: opened } = store;
  const size = { width: opened.width, height: opened.height };
  const person: Person = { id: newId(), name: freshName(store.scene.value), segments: [], listed: true };
  const seen = box
    ? setBox(person, store.moment.value, toUnits(box, opened.units, size), opened.duration)
    : person;
  store.edit((scene) => addPerson(scene, seen));
  store.selected.value = person.id;
  store.tab.value = "people";
  store.said.value = `${person.name} was added`;
  requestAnimationFrame(() => {
    const name = document.querySelector<HTMLInputElement>(".editor .person-name input");
    if (box && document.activeElement?.closest(".hint")) return; // the box was asked for by keyboard: it gets the focus
    name?.focus();
    name?.select();
  });
}

function Rubber({ box }: { box: Box }) {
  const [x, y, right, bottom] = box;
  return <rect class="rubber" x={x} y={y} width={right - x} height={bottom - y} />;
}

interface ShapeProps {
  store: Store;
  person: Person;
  box: Box;
  scale: number;
  chosen: boolean;
  onBegin: (event: PointerEvent, grip: Grip | null) => void;
  onArrow: (step: [number, number], resizes: boolean) => void;
}

function BoxShape({ store, person, box, scale, chosen, onBegin, onArrow }: ShapeProps) {
  const [x, y, right, bottom] = box;
  const color = store.color(person.id);
  const { width } = store.document;
  const moment = store.moment.value;
  const isKey = keyframeAt(person, moment) !== undefined;
  const [cx, cy] = [(x + right) / 2, (y + bottom) / 2];
  const letter = LETTER * scale;
  const name = person.name || "(no name)";
  const room = Math.min(name.length, 24) * letter * 0.6 + letter;
  const left = Math.min(Math.max(x, 0), Math.max(store.document.width - room, 0));
  const top = y > letter * 1.7 ? y - letter * 1.6 : Math.max(y, 0);
  const pixels = box.map((side) => Math.round(side));

  function onKeyDown(event: KeyboardEvent): void {
    const step = arrow(event.key, event.altKey ? 1 : Math.max(Math.round(width / STEPS), 1));
    if (step && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      onArrow(step, event.shiftKey);
    } else if (event.key === "Delete" || event.key === "Backspace") {
      event.preventDefault();
      if (isKey) {
        store.edit((scene) => updatePerson(scene, person.id, (own) => removeKeyframe(own, moment)));
        store.said.value = `The box that was set at ${seconds(moment.start)} s is gone`;
      } else store.said.value = "No box was set at this frame, so there is none to delete";
    }
  }

  return (
    <g
      class={`box${chosen ? " chosen" : ""}${isKey ? " key" : ""}`}
      tabIndex={0}
      role="button"
      aria-pressed={chosen}
      aria-label={`${name}: left ${pixels[0]}, top ${pixels[1]}, right ${pixels[2]}, bottom ${pixels[3]}. Arrow keys move the box, with Shift they resize it.`}
      data-person={person.name}
      data-box={pixels.join(",")}
      onFocus={() => (store.selected.value = person.id)}
      onKeyDown={onKeyDown}
      onKeyUp={() => store.endGesture()}
    >
      <rect class="halo" x={x} y={y} width={right - x} height={bottom - y} />
      <rect
        class="body"
        x={x}
        y={y}
        width={right - x}
        height={bottom - y}
        stroke={color}
        onPointerDown={(event) => onBegin(event, null)}
      />
      <g class="label" aria-hidden="true">
        <rect x={left} y={top} width={room} height={letter * 1.5} stroke={color} />
        <text x={left + letter * 0.45} y={top + letter * 1.1} font-size={letter}>
          {name.length > 24 ? `${name.slice(0, 23)}…` : name}
        </text>
      </g>
      {chosen &&
        GRIPS.map((grip) => {
          const [gx, gy] = [cx + (grip.x * (right - x)) / 2, cy + (grip.y * (bottom - y)) / 2];
          return (
            <g key={`${grip.x} ${grip.y}`} class={`grip ${cursor(grip)}`} onPointerDown={(event) => onBegin(event, grip)}>
              <circle class="reach" cx={gx} cy={gy} r={12 * scale} />
              <circle class="dot" cx={gx} cy={gy} r={5 * scale} fill={color} />
            </g>
          );
        })}
    </g>
  );
}

const cursor = ({ x, y }: Grip): string => (x === 0 ? "ns" : y === 0 ? "ew" : x === y ? "nwse" : "nesw");

/** The cells of a sampled frame: everybody's, the grid, and dark what the model is not shown. */
export function CellsLayer({ store, frame }: { store: Store; frame: number }) {
  const shown = store.grid.value?.frames[frame];
  const owners = store.looked.value?.cells?.owners[frame];
  if (!shown) return null;
  const { width, height } = store.document;
  const [left, top, right, bottom] = shown.region ?? [0, 0, 0, 0];
  const listed = store.scene.value.people.filter((person) => person.listed || person.segments.length);
  return (
    <g class="cells" aria-hidden="true">
      <path class="unseen" d={`M0 0H${width}V${height}H0zM${left} ${top}V${bottom}H${right}V${top}z`} />
      {listed.map((person, at) => (
        <path
          key={person.id}
          class="own"
          fill={store.color(person.id)}
          data-person={person.name}
          d={(owners?.[at] ?? []).map((cell) => outline(shown.cells[cell])).join("")}
        />
      ))}
      <path class="lines" d={shown.cells.map(outline).join("")} />
    </g>
  );
}

const outline = (cell: [number, number, number, number] | undefined): string =>
  cell ? `M${cell[0]} ${cell[1]}H${cell[2]}V${cell[3]}H${cell[0]}z` : "";

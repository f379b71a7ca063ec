// The scene that is edited, what is chosen, and what the server says of it, in one place.

import { batch, computed, effect, signal, untracked } from "@preact/signals";
import type { Moment, Person, Scene } from "./scene";
import { fromParts, listedPeople, rounded, toParts } from "./scene";
import type { Cells, FrameCells, Looked, Opened } from "./server";
import { look, Refused, save } from "./server";

export type Tab = "people" | "words" | "question" | "model";
const NOBODY = "#777777";
const MOST = 500; // steps that can be undone

export type Store = ReturnType<typeof store>;

export function store(document: Opened) {
  const first = fromParts(document.parts);
  const scene = signal<Scene>(first);
  const past = signal<Scene[]>([]);
  const future = signal<Scene[]>([]);
  let gesture: string | null = null;

  const frame = signal(0);
  const selected = signal<number | null>(first.people[0]?.id ?? null);
  const playing = signal(false);
  const tab = signal<Tab>("people");
  const asked = signal(0);
  const coverage = signal(document.coverage);
  const showCells = signal(true);
  const asGiven = signal(false); // sampled frames at the resolution of the model

  const looked = signal<Looked | null>(null);
  const grid = signal<{ key: string; frames: FrameCells[] } | null>(null);
  const waiting = signal(false);
  const failure = signal("");

  const saved = signal<Scene>(first);
  const path = signal(""); // where it was saved last
  const taken = signal(""); // why saving needs a word of the user
  const said = signal(""); // what a screen reader is told

  /** Change the scene. Changes with one name, one after another, are undone together. */
  function edit(change: (scene: Scene) => Scene, name: string | null = null): void {
    const next = change(scene.value);
    if (next === scene.value) return;
    batch(() => {
      if (name === null || name !== gesture) past.value = [...past.value, scene.value].slice(-MOST);
      future.value = [];
      scene.value = next;
    });
    gesture = name;
  }

  function step(from: typeof past, to: typeof past): void {
    const other = from.value.at(-1);
    if (!other) return;
    batch(() => {
      to.value = [...to.value, scene.value];
      from.value = from.value.slice(0, -1);
      scene.value = other;
      if (!other.people.some(({ id }) => id === selected.value)) selected.value = other.people[0]?.id ?? null;
    });
    gesture = null;
  }

  /** The frame that is shown, from its beginning to that of the next. */
  const moment = computed<Moment>(() => ({
    start: document.times[frame.value] ?? 0,
    end: document.times[frame.value + 1] ?? Math.max(document.duration ?? 0, document.times[frame.value] ?? 0) + 1e-9,
  }));

  // ---- asking the server: one question at a time, and always the newest scene

  let asking = false;
  let again = false;

  async function ask(): Promise<void> {
    if (asking) {
      again = true;
      return;
    }
    asking = true;
    waiting.value = true;
    do {
      again = false;
      const sent = scene.value;
      try {
        const answer = await look(toParts(sent), asked.value, coverage.value, grid.value?.key ?? null);
        batch(() => {
          failure.value = "";
          if (answer.cells) grid.value = geometry(answer.cells, grid.value);
          looked.value = answer;
        });
      } catch (error) {
        failure.value = error instanceof Refused ? error.message : String(error);
        if (error instanceof Refused && error.status === 0) break;
      }
    } while (again);
    asking = false;
    waiting.value = false;
  }

  effect(() => {
    // whatever the answer depends on
    void scene.value;
    void asked.value;
    void coverage.value;
    untracked(() => void ask());
  });

  async function store(replace: boolean): Promise<void> {
    const sent = scene.value;
    try {
      const answer = await save(toParts(sent), replace);
      batch(() => {
        failure.value = "";
        taken.value = answer.taken ?? "";
        if (answer.path === null) return;
        saved.value = sent;
        path.value = answer.path;
        said.value = `Saved to ${answer.path}`;
      });
    } catch (error) {
      failure.value = `Not saved. ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  const byId = computed(() => new Map(scene.value.people.map((person) => [person.id, person])));
  const palette = (id: number) => {
    const at = scene.value.people.findIndex((person) => person.id === id);
    return document.palette[at % document.palette.length];
  };
  const sampled = computed(() => looked.value?.sampled ?? []);

  return {
    document,
    scene,
    past,
    future,
    frame,
    moment,
    selected,
    playing,
    tab,
    asked,
    coverage,
    showCells,
    asGiven,
    looked,
    grid,
    waiting,
    failure,
    saved,
    path,
    taken,
    said,
    sampled,
    edit,
    /** The next change is a step of its own. */
    endGesture: () => {
      gesture = null;
    },
    undo: () => step(past, future),
    redo: () => step(future, past),
    save: store,
    person: computed<Person | null>(() => byId.value.get(selected.value ?? -1) ?? null),
    dirty: computed(() => scene.value !== saved.value),
    /** Number of the sampled frame that is shown, -1 if the model is not shown this one. */
    sample: computed(() => sampled.value.findIndex(({ number }) => number === frame.value)),
    /** Somebody's colour on a picture, which is the same on light and dark pages. */
    color: (id: number): string => palette(id)?.light ?? NOBODY,
    /** Somebody's colour on the page. */
    tone: (id: number | null): string => {
      const own = id === null ? undefined : palette(id);
      return own ? `light-dark(${own.light}, ${own.dark})` : NOBODY;
    },
    seek: (number: number) => {
      frame.value = Math.min(Math.max(Math.round(number), 0), document.times.length - 1);
    },
    /** The frame on screen at a moment. */
    seekTime: (t: number) => {
      frame.value = frameAt(document.times, t);
    },
    /** What is wrong with a field. */
    problem: (field: string): string =>
      looked.value?.problems.find(({ path: own }) => own === field || own.startsWith(`${field}[`))?.text ?? "",
    /** How the server calls the fields of a person. */
    personPath: (id: number): string => `people[${listedPeople(scene.value).findIndex((person) => person.id === id)}]`,
  };
}

export function frameAt(times: number[], t: number): number {
  let [low, high] = [0, times.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((times[middle] ?? 0) <= t + 1e-6) low = middle;
    else high = middle;
  }
  return low;
}

function geometry(cells: Cells, known: { key: string; frames: FrameCells[] } | null) {
  return cells.cells ? { key: cells.key, frames: cells.cells } : known;
}

/** A time as it is written everywhere: at most three decimals. */
export const seconds = (value: number): string => String(rounded(value, 3));

// What is chosen, in the address of the page: a link shows what its writer saw, and the back button goes one step back.

import { effect, signal } from "@preact/signals";
import { captureIds, choices, sameShown } from "./choices";
import type { ViewDocument } from "./document";
import { isChange } from "./shown";
import type { State, Store } from "./state";

/** Letters that need no escape in the part of an address after "#". */
const READABLE: [RegExp, string][] = [
  [/%3A/gi, ":"],
  [/%2C/gi, ","],
  [/%2F/gi, "/"],
];

/** The state as `layer=3&head=5&query=turn:1&frame=2&shown=change`. */
export function written(state: State, document: ViewDocument): string {
  const { shown, look, query } = state;
  const choice = choices(document).find((some) => sameShown(some.shown, shown));
  const parts: [string, string | null][] = [
    ["layer", look.layer === null ? "mean" : String(look.layer)],
    ["head", look.layer === null ? null : look.head === null ? "mean" : String(look.head)],
    ["query", query.kind === "group" ? query.name : `token:${query.position}`],
    ["frame", String(state.frame)],
    ["shown", choice ? choice.id : "between"],
    ["mix", "mix" in shown ? shown.mix.toFixed(2) : null],
    ["measure", state.measure],
    ["person", state.person],
    ["beside", state.beside === null ? null : (captureIds(document)[state.beside] ?? null)],
  ];
  return parts
    .filter((part): part is [string, string] => part[1] !== null && part[1] !== "")
    .map(([name, value]) => `${name}=${escaped(value)}`)
    .join("&");
}

function escaped(value: string): string {
  return READABLE.reduce((text, [code, letter]) => text.replace(code, letter), encodeURIComponent(value));
}

/** What a text asks for, and what of it cannot be. Names and values that are not known are left out, and said. */
function parsed(text: string, document: ViewDocument): { state: Partial<State>; ignored: string[] } {
  const state: Partial<State> = {};
  const ignored: string[] = [];
  const given = new Map(text.split("&").filter(Boolean).map(unescaped));
  const whole = (name: string): number | null => {
    const value = given.get(name) ?? "";
    return /^\d{1,9}$/.test(value) ? Number(value) : null;
  };
  const refuse = (name: string, why: string) => ignored.push(`${name}=${given.get(name)} (${why})`);

  if (given.has("shown")) {
    const id = given.get("shown");
    const choice = choices(document).find((some) => some.id === id);
    const mix = Number(given.get("mix") ?? NaN);
    const pair = choices(document).find((some) => isChange(some.shown))?.shown;
    if (choice) state.shown = choice.shown;
    else if (id === "between" && pair && isChange(pair) && mix >= 0 && mix <= 1) state.shown = { ...pair, mix };
    else refuse("shown", `known: ${choices(document).map((some) => some.id).join(", ")}`);
  }
  const shown = state.shown;
  const capture = document.captures[shown ? ("capture" in shown ? shown.capture : shown.to) : 0];
  if (!capture) return { state, ignored };

  if (given.get("layer") === "mean") state.look = { layer: null, head: null };
  else if (given.has("layer")) {
    const layer = whole("layer");
    const head = given.get("head") === "mean" || !given.has("head") ? null : whole("head");
    if (layer === null || !capture.layers.includes(layer)) refuse("layer", `recorded: ${capture.layers.join(", ")}`);
    else if (given.has("head") && given.get("head") !== "mean" && (head === null || head >= capture.heads)) {
      refuse("head", `heads are 0 to ${capture.heads - 1}`);
    } else state.look = { layer, head };
  } else if (given.has("head")) refuse("head", "a head needs a layer");

  if (given.has("query")) {
    const name = given.get("query") ?? "";
    const token = /^token:(\d{1,9})$/.exec(name);
    if (token) state.query = { kind: "token", position: Number(token[1]) };
    else if (capture.groups.some((group) => group.name === name)) state.query = { kind: "group", name };
    else refuse("query", "there are no such words");
    if (token && !capture.tokens.some((some) => some.position === Number(token[1]))) {
      delete state.query;
      refuse("query", "no word stands at this position");
    }
  }
  const stage = document.stages[capture.stage];
  if (given.has("frame")) {
    const frame = whole("frame");
    if (frame !== null && stage && frame < stage.frames.length) state.frame = frame;
    else refuse("frame", stage?.frames.length ? `frames are 0 to ${stage.frames.length - 1}` : "there are no frames");
  }
  if (given.has("measure")) {
    const id = given.get("measure") ?? "";
    // A server computes them while the page is open: then an id that is not known yet is kept
    if (!document.measures.length || document.measures.some((measure) => measure.id === id)) state.measure = id;
    else refuse("measure", "the grid does not have it");
  }
  if (given.has("person")) {
    const name = given.get("person") ?? "";
    if (stage?.people.some((person) => person.name === name)) state.person = name;
    else refuse("person", "nobody here has this name");
  }
  if (given.has("beside")) {
    const at = captureIds(document).indexOf(given.get("beside") ?? "");
    if (at >= 0 && document.captures.length > 1) state.beside = at;
    else refuse("beside", "there is no such capture");
  }
  const known = ["layer", "head", "query", "frame", "shown", "mix", "measure", "person", "beside"];
  for (const name of given.keys()) if (!known.includes(name)) refuse(name, "nothing is called so");
  return { state, ignored };
}

function unescaped(part: string): [string, string] {
  const at = part.indexOf("=");
  const [name, value] = at < 0 ? [part, ""] : [part.slice(0, at), part.slice(at + 1)];
  try {
    return [decodeURIComponent(name), decodeURIComponent(value.replaceAll("+", " "))];
  } catch {
    return [name, value];
  }
}

/** Where the text of the state is kept: the page's address, or a notebook's trait. */
export interface Place {
  read(): string;
  /** A step that one can go back, or (not `step`) a small change within it. */
  write(text: string, step: boolean): void;
  heard(listener: () => void): () => void;
}

export const pageAddress: Place = {
  read: () => window.location.hash.slice(1),
  write: (text, step) => {
    try {
      if (step) window.history.pushState(null, "", `#${text}`);
      else window.history.replaceState(null, "", `#${text}`);
    } catch {
      // some frames of notebooks have no address of their own: the viewer works without
    }
  },
  heard: (listener) => {
    window.addEventListener("popstate", listener);
    return () => window.removeEventListener("popstate", listener);
  },
};

const HURRY = 700; // ms: steps in quick succession (an arrow key held down) are one step for the back button

/** Keep a store and an address alike. Returns what of the address was ignored, and how to stop. */
export function bind(store: Store, document: ViewDocument, place: Place) {
  const first = store.state.peek();
  const ignored = signal<string[]>([]);
  let last = first;
  const load = () => {
    const text = place.read();
    if (text && !text.includes("=")) return; // a section of the page, not a state
    const { state, ignored: bad } = parsed(text, document);
    ignored.value = bad;
    const { beside } = text ? { beside: null } : first; // what an address does not name is not beside
    last = { ...first, beside, ...state, playing: false };
    store.set(last); // `last` first: what came from the address is not written to it
  };
  if (place.read()) load();
  let timer = 0;
  let moved = -Infinity;
  const stopWriting = effect(() => {
    const state = store.state.value;
    if (written(state, document) === written(last, document)) return;
    const now = performance.now();
    const hurried = now - moved < HURRY;
    const step = !hurried && written(steps(state), document) !== written(steps(last), document);
    if (written(steps(state), document) !== written(steps(last), document)) moved = now;
    last = state;
    window.clearTimeout(timer);
    if (step) place.write(written(state, document), true);
    else timer = window.setTimeout(() => place.write(written(store.state.peek(), document), false), 200);
  });
  const stopHearing = place.heard(load);
  return {
    ignored,
    close: () => {
      window.clearTimeout(timer);
      stopWriting();
      stopHearing();
    },
  };
}

/** A state without what is no step for the back button: the frame, and how far the slider is. */
function steps(state: State): State {
  const { shown } = state;
  return { ...state, frame: 0, shown: "mix" in shown ? { ...shown, mix: 0.5 } : shown };
}

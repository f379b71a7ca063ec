// What of a document can be shown: single captures, changes between captures of one stage, and what is shown first.

import type { CaptureView, Look, ViewDocument } from "./document";
import { nameOf } from "./shown";
import type { Source } from "./source";
import type { Query, Shown, State } from "./state";
import { floatsOf } from "./sources/packed";

export interface Choice {
  id: string; // as it stands in the address
  title: string;
  shown: Shown;
}

/** Each capture, and after it its change from the first one where both have the same stage and the same heads. */
export function choices(document: ViewDocument): Choice[] {
  const ids = captureIds(document);
  const [first] = document.captures;
  return document.captures.flatMap((capture, at) => {
    const own = { id: ids[at] ?? String(at + 1), title: nameOf(capture), shown: { capture: at } };
    if (at === 0 || !first || !comparable(first, capture)) return [own];
    const plain = at === 1;
    const change = {
      id: plain ? "change" : `change:${own.id}`,
      title: plain ? "change" : `${own.title}’s change`,
      shown: { from: 0, to: at },
    };
    return [own, change];
  });
}

/** Names of the captures in the address: their labels where these differ, else their numbers from 1. */
export function captureIds(document: ViewDocument): string[] {
  const labels = document.captures.map((capture) => capture.label);
  const distinct = new Set(labels).size === labels.length && labels.every(Boolean);
  return distinct ? labels : labels.map((_, at) => String(at + 1));
}

/** Whether a change between two captures has a meaning: the same people and frames, the same layers and heads. */
function comparable(a: CaptureView, b: CaptureView): boolean {
  return a.stage === b.stage && a.heads === b.heads && a.layers.join() === b.layers.join();
}

export function sameShown(a: Shown, b: Shown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** What a page shows first: what its document names, else the head with the highest number of the first measure. */
export function beginning(source: Source): State {
  const { document } = source;
  const [measure] = document.measures;
  const own: State = {
    shown: { capture: 0 },
    look: firstLook(source, measure?.id ?? ""),
    query: firstQuery(document.captures[0]),
    measure: measure?.id ?? "",
    frame: 0,
    person: null,
    playing: false,
    // A clip of its own stands beside the first: nothing of the two can be subtracted
    beside: otherStage(document),
  };
  return { ...own, ...named(source) };
}

/** What the document names, as far as it is there. */
function named(source: Source): Partial<State> {
  const { document } = source;
  const { shown, look, query, measure, frame, person } = document.first ?? {};
  const out: Partial<State> = {};
  if (shown && choices(document).some((choice) => sameShown(choice.shown, shown))) out.shown = shown;
  const at = out.shown ? ("capture" in out.shown ? out.shown.capture : out.shown.to) : 0;
  const capture = document.captures[at];
  const stage = document.stages[capture?.stage ?? 0];
  if (look && source.has(at, look)) out.look = look;
  if (query?.kind === "group" && capture?.groups.some(({ name }) => name === query.name)) out.query = query;
  if (query?.kind === "token" && capture?.tokens.some(({ position }) => position === query.position)) out.query = query;
  if (document.measures.some(({ id }) => id === measure)) Object.assign(out, { measure });
  if (frame !== undefined && stage?.frames[frame]) out.frame = frame;
  if (stage?.people.some(({ name }) => name === person)) Object.assign(out, { person });
  return out;
}

function otherStage(document: ViewDocument): number | null {
  const other = document.captures.findIndex((capture) => capture.stage !== document.captures[0]?.stage);
  return other < 0 ? null : other;
}

function firstLook(source: Source, measure: string): Look {
  const [capture] = source.document.captures;
  const packed = capture?.values[measure]?.value;
  let best: Look = { layer: null, head: null };
  if (!capture || !packed) return best;
  let highest = -Infinity;
  floatsOf(packed).forEach((value, at) => {
    const look = { layer: capture.layers[Math.floor(at / capture.heads)] ?? null, head: at % capture.heads };
    if (value > highest && source.has(0, look)) {
      highest = value;
      best = look;
    }
  });
  return best;
}

function firstQuery(capture: CaptureView | undefined): Query {
  const groups = capture?.groups ?? [];
  const group = groups.find((some) => some.name === "answer_position") ?? groups.at(-1);
  return { kind: "group", name: group?.name ?? "" };
}

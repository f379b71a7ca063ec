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
export function comparable(a: CaptureView, b: CaptureView): boolean {
  return a.stage === b.stage && a.heads === b.heads && a.layers.join() === b.layers.join();
}

export function sameShown(a: Shown, b: Shown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** What a page shows first: the head with the highest number of the first measure, and the words of the answer. */
export function beginning(source: Source): State {
  const { document } = source;
  const [measure] = document.measures;
  return {
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

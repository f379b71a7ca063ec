// Two captures side by side: a store for the second one, which follows the first where both have what is chosen.

import { effect } from "@preact/signals";
import { beginning } from "./choices";
import type { CaptureView, Look } from "./document";
import type { Source } from "./source";
import { type State, type Store, store } from "./state";

/** A store for a capture beside another store's. Returns it, and how to stop following. */
export function storeBeside(source: Source, first: Store, capture: number): { second: Store; stop: () => void } {
  const view = source.document.captures[capture];
  const second = store({ ...beginning(source), shown: { capture }, beside: null });
  const follow = (from: Store, to: Store, of: () => CaptureView | undefined, sameStage: () => boolean, known: State | null) => {
    let last = known; // only what changed is followed: each may show what the other does not have
    return effect(() => {
      const given = from.state.value;
      const own = to.state.peek();
      const moved = (name: keyof State) => !last || JSON.stringify(given[name]) !== JSON.stringify(last[name]);
      const other = of();
      const change: Partial<State> = {};
      if (moved("measure")) change.measure = given.measure;
      if (moved("look") && other && hasLook(other, given.look)) change.look = given.look;
      if (moved("query") && other && hasQuery(other, given)) change.query = given.query;
      if (sameStage()) {
        if (moved("frame")) change.frame = given.frame;
        if (moved("person")) change.person = given.person;
        if (given.playing) change.playing = false; // one of two plays, and the other follows frame by frame
      }
      last = given;
      const news = Object.entries(change).some(([name, value]) => JSON.stringify(own[name as keyof State]) !== JSON.stringify(value));
      if (news) to.set(change);
    });
  };
  const firstView = () => source.document.captures[first.capture.value];
  const sameStage = () => firstView()?.stage === view?.stage;
  const forth = follow(first, second, () => view, sameStage, null);
  const stops = [forth, follow(second, first, firstView, sameStage, second.state.peek())];
  return { second, stop: () => stops.forEach((stop) => stop()) };
}

function hasLook(capture: CaptureView, look: Look): boolean {
  if (look.layer !== null && !capture.layers.includes(look.layer)) return false;
  return look.head === null || look.head < capture.heads;
}

function hasQuery(capture: CaptureView, { query }: State): boolean {
  if (query.kind === "group") return capture.groups.some(({ name }) => name === query.name);
  return capture.tokens.some(({ position }) => position === query.position);
}

// What is chosen, in one place: every part of the viewer reads it and writes it, and the address holds it.

import { computed, signal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import type { Look } from "./document";

/** Whose attention is shown: a group of queries, one token, or (for a person) the words that look at the person. */
export type Query = { kind: "group"; name: string } | { kind: "token"; position: number };

/**
 * Of two captures of one stage: the one, the other, their change (to - from), or what lies between them (mix 0 is
 * `from`, 1 is `to`; the slider's way from one to the other, which is no measurement); of one capture always its index.
 */
export type Shown = { capture: number } | { from: number; to: number } | { from: number; to: number; mix: number };

export interface State {
  shown: Shown;
  look: Look;
  query: Query;
  measure: string; // id
  frame: number;
  /** The person whose lookers are shown: words are coloured by how much they look at this one. */
  person: string | null;
  playing: boolean;
  /** A capture that stands beside the one that is shown, with a stage of its own; null for none. */
  beside: number | null;
}

export type Store = ReturnType<typeof store>;

export function store(first: State) {
  const state = signal<State>(first);
  return {
    state,
    set: (change: Partial<State>) => {
      state.value = { ...state.value, ...change };
    },
    /** The capture whose own things (answer, tokens) are shown: of a change, the later one. */
    capture: computed(() => {
      const { shown } = state.value;
      if ("capture" in shown) return shown.capture;
      return "mix" in shown && shown.mix < 0.5 ? shown.from : shown.to;
    }),
  };
}

/** A part of what is chosen: whoever reads only this is not drawn anew when another part (such as the frame) changes. */
export function usePart<K extends keyof State>(store: Store, key: K): State[K] {
  return useMemo(() => computed(() => store.state.value[key]), [store, key]).value;
}

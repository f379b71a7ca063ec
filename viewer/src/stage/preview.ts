// What the pointer or the focus rests on: shown at once, and gone with it. What is chosen stays in the store.

import { computed, signal } from "@preact/signals";
import type { Query, Store } from "../state";

const PAUSE = 70; // ms that a pointer rests on a word before a source is asked

export type Preview = ReturnType<typeof make>;

const previews = new WeakMap<Store, Preview>();

/** The preview of a store, one for all parts of the viewer. */
export function previewOf(store: Store): Preview {
  const known = previews.get(store);
  if (known) return known;
  const made = make(store);
  previews.set(store, made);
  return made;
}

function make(store: Store) {
  const query = signal<Query | null>(null);
  const person = signal<string | null>(null);
  let timer = 0;
  return {
    /** Whose attention is shown now. */
    query: computed(() => query.value ?? store.state.value.query),
    /** Whose lookers are shown now. */
    person: computed(() => person.value ?? store.state.value.person),
    /** Whether a query is shown that is not chosen. */
    passing: computed(() => query.value !== null),
    showQuery(value: Query | null, pause = PAUSE) {
      clearTimeout(timer);
      if (pause) timer = setTimeout(() => (query.value = value), pause) as unknown as number;
      else query.value = value;
    },
    showPerson(value: string | null) {
      person.value = value;
    },
  };
}

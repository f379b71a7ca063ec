// Numbers that come later: what was asked last is shown, and what comes too late for it is dropped.

import { useLayoutEffect, useState } from "preact/hooks";

export interface Loaded<T> {
  /** The answer to what is asked now; null until it is here, or where there is none. */
  value: T | null;
  /** Whether the answer is on its way. */
  waiting: boolean;
  /** Why there is none, in words; empty without an error. */
  error: string;
}

/** Thrown by a source where a later question of the same kind replaced this one. */
export class Superseded extends Error {
  override name = "AbortError";
}

/**
 * The answer to `ask`, which is asked anew when `key` changes. While a new answer is on its way the earlier one is gone:
 * a number beside a new choice would be a wrong one.
 */
export function useLoaded<T>(ask: () => Promise<T | null>, key: string): Loaded<T> {
  const [loaded, setLoaded] = useState<Loaded<T> & { key: string }>({ key: "", value: null, waiting: true, error: "" });
  // Before the browser paints: an answer that is at hand (in the page, or asked before) is then there without a gap
  useLayoutEffect(() => {
    let current = true;
    ask().then(
      (value) => current && setLoaded({ key, value, waiting: false, error: "" }),
      (reason: unknown) => {
        if (!current || (reason instanceof Error && reason.name === "AbortError")) return;
        setLoaded({ key, value: null, waiting: false, error: reason instanceof Error ? reason.message : String(reason) });
      },
    );
    return () => {
      current = false;
    };
  }, [key]);
  return loaded.key === key ? loaded : { value: null, waiting: true, error: "" };
}

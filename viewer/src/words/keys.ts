// The words by keyboard: one is reached by the tab key, the others by the arrow keys.

import { useEffect } from "preact/hooks";

export const WORD = ".words-token";

/** The position of the word that something is in; -1 for none. */
export function positionAt(target: EventTarget | null): number {
  const element = target instanceof Element ? target.closest<HTMLElement>(WORD) : null;
  return element ? Number(element.dataset["position"]) : -1;
}

/** The word that a key goes to from the one that has the focus: along a run as its script goes, or to another run. */
export function wordAfter(event: KeyboardEvent, root: HTMLElement | null): HTMLElement | null {
  const from = (event.target as Element).closest<HTMLElement>(WORD);
  const run = from?.closest<HTMLElement>(".words-text");
  if (!from || !run || !root) return null;
  const own = [...run.querySelectorAll<HTMLElement>(WORD)];
  const at = own.indexOf(from);
  const onward = getComputedStyle(run).direction === "rtl" ? -1 : 1;
  const along: Record<string, HTMLElement | undefined> = {
    ArrowLeft: own[at - onward],
    ArrowRight: own[at + onward],
    Home: own[0],
    End: own.at(-1),
  };
  if (event.key in along) return along[event.key] ?? from;
  if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return null;
  const runs = [...root.querySelectorAll<HTMLElement>(".words-text")].filter((one) => one.offsetParent !== null);
  const next = runs[runs.indexOf(run) + (event.key === "ArrowUp" ? -1 : 1)];
  return next?.querySelector<HTMLElement>(WORD) ?? from;
}

/** The tab key reaches the chosen word, else the first; later the one that had the focus last. */
export function useRoving(root: { current: HTMLElement | null }, chosen: number, words: unknown): void {
  useEffect(() => {
    const all = [...(root.current?.querySelectorAll<HTMLElement>(WORD) ?? [])];
    const first = all.find((one) => Number(one.dataset["position"]) === chosen) ?? all[0];
    for (const one of all) one.tabIndex = one === first ? 0 : -1;
    const follow = (event: FocusEvent) => {
      const now = (event.target as Element).closest<HTMLElement>(WORD);
      if (!now) return;
      for (const one of all) if (one.tabIndex === 0 && one !== now) one.tabIndex = -1;
      now.tabIndex = 0;
    };
    const element = root.current;
    element?.addEventListener("focusin", follow);
    return () => element?.removeEventListener("focusin", follow);
  }, [chosen, words]);
}

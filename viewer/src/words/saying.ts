// A word and its numbers, as a sentence.

import type { CaptureView, Look, Stage } from "../document";
import { lookInWords } from "../grid/values";
import { number, percent, signed } from "../numbers";
import { isChange, wordOf } from "../shown";
import type { Source } from "../source";
import type { State } from "../state";
import { cellsOf } from "../stage/cells";
import { isEmbedded, visualKey, type Words } from "../stage/numbers";

/** A word as it is quoted. */
export function quoted(capture: CaptureView, position: number): string {
  return `“${wordOf(capture, position)}”`;
}

/** What is known of a word: how much of its attention is on the video or a person. */
export function saying(
  stage: Stage,
  capture: CaptureView,
  words: Words | null,
  position: number,
  state: Pick<State, "shown" | "look">,
  person: string | null,
): string {
  const word = quoted(capture, position);
  const whose = person === null ? "the video" : `the cells of ${person}`;
  const first = cellsOf(stage).positions[0];
  const row = words?.positions.get(position);
  const looks = row !== undefined && (words?.mass[row] ?? NaN) > 0; // some models let words look ahead
  if (first !== undefined && position < first && !looks) return `${word} comes before the video and cannot look at it.`;
  if (!words || row === undefined) return `${word}: how much it looks at ${whose} is not known.`;
  const [mass, lift] = [words.mass[row] ?? NaN, words.lifts[row] ?? NaN];
  if (Number.isNaN(mass) && isChange(state.shown)) {
    return `${word} has no change: the other capture has another word here, or the word cannot look at ${whose}.`;
  }
  if (Number.isNaN(mass)) return `${word}: how much it looks at ${whose} is not defined.`;
  if (isChange(state.shown)) {
    if (mass === 0) return `${word} does not change its attention on ${whose}.`;
    const more = Number.isNaN(lift) ? "" : ` (${signed(lift)} × uniform)`;
    return `${word} changes its attention on ${whose} by ${signed(100 * mass)} percentage points${more}.`;
  }
  const more = Number.isNaN(lift) ? "" : `, ${number(lift)} × uniform`;
  return `${word} puts ${percent(mass)} of its attention on ${whose}${more}.`;
}

/** Why no word has a colour. */
export function absent(source: Source, capture: CaptureView, look: Look, person: string | null): string {
  const whose = person === null ? "the video" : `the cells of ${person}`;
  if (visualKey(capture, person) < 0) return `How much each word looks at ${whose} is not in the capture.`;
  const at = source.document.captures.indexOf(capture);
  const more = isEmbedded(capture) ? ` attnscope view ${capture.name || "FILE"} shows every layer and head.` : "";
  if (!source.has(at, look))
    return `How much each word looks at ${whose} is not in this page (${lookInWords(look)}).${more}`;
  return `How much each word looks at ${whose} is not known (${lookInWords(look)}): that takes the reading masses.`;
}

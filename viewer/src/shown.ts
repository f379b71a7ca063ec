// What the choice "before, after, change or between" means for a table of numbers: one definition for all parts.

import type { CaptureView } from "./document";
import { number } from "./numbers";
import type { Table } from "./source";
import type { Shown } from "./state";

/** Names of rows: of the groups, or positions of the words. They are matched, since answers differ in length. */
type Names = (capture: number) => ArrayLike<string | number> | Promise<ArrayLike<string | number>>;

/**
 * The numbers to show: of one capture, the change from one to another, or what lies between.
 *
 * `ask` gives the table of a capture. With `names`, rows are those of the later capture, and a row that the earlier one
 * does not have is NaN, which is "not defined". Null where one of the captures has no table.
 */
export async function shownTable(
  ask: (capture: number) => Promise<Table | null>,
  shown: Shown,
  names?: Names,
): Promise<Table | null> {
  if ("capture" in shown) return ask(shown.capture);
  if ("mix" in shown && shown.mix <= 0) return ask(shown.from);
  if ("mix" in shown && shown.mix >= 1) return ask(shown.to);
  const [from, to] = await Promise.all([ask(shown.from), ask(shown.to)]);
  if (!from || !to) return null;
  const rows = names ? matched(await names(shown.from), await names(shown.to)) : null;
  if (from.columns !== to.columns || (!rows && from.rows !== to.rows)) {
    throw new Error("The two captures have different shapes, so that there is no change to show.");
  }
  const values = new Float32Array(to.values.length);
  for (let row = 0; row < to.rows; row += 1) {
    const other = rows ? (rows[row] ?? -1) : row;
    for (let column = 0; column < to.columns; column += 1) {
      const at = row * to.columns + column;
      const a = other < 0 ? NaN : (from.values[other * from.columns + column] ?? NaN);
      values[at] = between(a, to.values[at] ?? NaN, shown);
    }
  }
  return { rows: to.rows, columns: to.columns, values };
}

/** One number of two captures: their change, or what lies between. */
export function between(from: number, to: number, shown: { from: number; to: number } | { mix: number }): number {
  return "mix" in shown ? from + (to - from) * shown.mix : to - from;
}

function matched(from: ArrayLike<string | number>, to: ArrayLike<string | number>): number[] {
  const places = new Map(Array.from(from, (name, at) => [name, at] as const));
  return Array.from(to, (name) => places.get(name) ?? -1);
}

/** Whether what is shown is a change, whose scale is centred at 0. */
export function isChange(shown: Shown): shown is { from: number; to: number } {
  return !("capture" in shown) && !("mix" in shown);
}

/** A capture's name for a sentence: its label, else its file. */
export function nameOf(capture: CaptureView | undefined): string {
  return capture?.label || capture?.name || "";
}

/** A token's text for a sentence; of nothing but spaces their escapes. */
export function wordOf(capture: CaptureView | undefined, position: number): string {
  const text = capture?.tokens.find((token) => token.position === position)?.text ?? "";
  return text.trim() || JSON.stringify(text).slice(1, -1) || `position ${position}`;
}

/** What is shown, in words. */
export function shownInWords(captures: CaptureView[], shown: Shown): string {
  if ("capture" in shown) return nameOf(captures[shown.capture]);
  const [from, to] = [nameOf(captures[shown.from]), nameOf(captures[shown.to])];
  if ("mix" in shown) {
    if (shown.mix <= 0) return from;
    if (shown.mix >= 1) return to;
    return `${number(Math.round(100 * shown.mix))} % of the way from ${from} to ${to} (not a measurement)`;
  }
  return `change, ${to} minus ${from}`;
}

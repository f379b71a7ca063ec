// The numbers of the overlay that is shown, cell by cell, as CSV.

import { lookInWords } from "../grid/values";
import { nameOf, shownInWords, wordOf } from "../shown";
import type { Source } from "../source";
import { integersOf, floatsOf } from "../sources/packed";
import { liftOf, reasonOf, sameWord } from "../stage/numbers";
import type { Query, State } from "../state";
import { csv } from "./files";

/**
 * One line a cell: its place, and the lift of the chosen words on it in each capture that is shown, and its change.
 *
 * Throws where the overlay is not known.
 */
export async function overlayCsv(source: Source, state: State): Promise<string> {
  const { document } = source;
  const { shown, look, query } = state;
  const of = "capture" in shown ? [shown.capture] : [shown.from, shown.to];
  const stages = new Set(of.map((at) => document.captures[at]?.stage));
  const stage = document.stages[document.captures[of[0] ?? 0]?.stage ?? 0];
  if (!stage || stages.size !== 1) throw new Error("The two captures show different clips.");
  if (!sameWord(document, shown, query)) throw new Error(reasonOf(document, source, shown, query, look));
  const tables = await Promise.all(of.map((at) => liftOf(source, at, query, look)));
  const known = tables.flatMap((table) => (table ? [table.values] : []));
  if (known.length !== of.length) throw new Error(`The overlay of ${lookInWords(look)} is not known here.`);
  const [positions, first, last, box] = [
    integersOf(stage.cells.positions),
    integersOf(stage.cells.first),
    integersOf(stage.cells.last),
    floatsOf(stage.cells.box),
  ];
  const names = of.map((at) => nameOf(document.captures[at]) || "value");
  const titles = ["layer", "head", "query", "position", "frame_first", "frame_last", "x0", "y0", "x1", "y1"];
  titles.push(...names.map((name) => (of.length > 1 ? `lift ${name}` : "lift")));
  if (of.length > 1) titles.push("change");
  const rows = Array.from(positions, (position, at) => {
    const lifts = known.map((values) => values[at] ?? NaN);
    const change = lifts.length > 1 ? [(lifts[1] ?? NaN) - (lifts[0] ?? NaN)] : [];
    const place = [position, first[at] ?? NaN, last[at] ?? NaN, ...box.subarray(4 * at, 4 * at + 4)];
    return [look.layer ?? "mean", look.head ?? "mean", queryInWords(query), ...place, ...lifts, ...change];
  });
  return csv(titles, rows);
}

function queryInWords(query: Query): string {
  return query.kind === "group" ? query.name : `token:${query.position}`;
}

/** What a picture shows, in one line. */
export function captionOf(source: Source, state: State): string {
  const { document } = source;
  const at = "capture" in state.shown ? state.shown.capture : state.shown.to;
  const capture = document.captures[at];
  const { query } = state;
  const words =
    query.kind === "group"
      ? (capture?.groups.find(({ name }) => name === query.name)?.title ?? query.name)
      : `the word “${wordOf(capture, query.position)}” (position ${query.position})`;
  return `Attention of ${words}; ${lookInWords(state.look)}; ${shownInWords(document.captures, state.shown) || capture?.name || ""}`;
}

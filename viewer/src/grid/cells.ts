// The cells of the grid, in the order in which they are drawn: layer 0 at the bottom, as in the figures.

import type { Look, Measure, ViewDocument } from "../document";
import { changed, number, signed } from "../numbers";
import { isChange, nameOf } from "../shown";
import type { Source } from "../source";
import type { Shown } from "../state";
import { type Color, colorOf, isPale } from "./colors";
import { type Heads, headsOf, layerValues, lookInWords, mean, type Scale } from "./values";

export const SIGNIFICANT = 0.05;

export interface CellData {
  look: Look;
  name: string; // "3.5", "3.mean" or "mean.mean"
  value: number;
  color: Color;
  title: string; // "Layer 3, head 5"
  facts: string[]; // the number first
  dot: boolean; // q <= 0.05
  active: boolean; // a correction acts in it
  absent: boolean; // the page does not have its overlay
  /** Marked by where its overlay is: what most heads have in common is no mark. */
  place: "absent" | "held" | "";
  classes: string;
}

/** Rows of the grid from the top, the last with the one cell of the mean of all. */
export function cellsOf(source: Source, shown: Shown, measure: Measure, heads: Heads, scale: Scale): CellData[][] {
  const describe = describer(source.document, shown, measure, heads);
  const of = "capture" in shown ? [shown.capture] : [shown.from, shown.to];
  const cell = (look: Look, value: number, facts: string[], marks: { dot: boolean; active: boolean }): CellData => {
    const absent = !of.every((capture) => source.has(capture, look));
    const title = sentence(lookInWords(look));
    const more = [marks.active ? "the correction acts here" : "", absent ? "its overlay is not in this page" : ""];
    const color = colorOf(value, scale);
    return { look, name: cellName(look), value, color, title, facts: [...facts, ...more.filter(Boolean)], ...marks, absent, place: "", classes: "" };
  };
  const unmarked = { dot: false, active: false };
  const rows = heads.layers.map((layer, row) => {
    const cells = Array.from({ length: heads.heads }, (_, head) => {
      const at = row * heads.heads + head;
      const marks = { dot: (heads.q?.[at] ?? NaN) <= SIGNIFICANT, active: heads.active.has(at) };
      return cell({ layer, head }, heads.values[at] ?? NaN, describe(at), marks);
    });
    const middle = mean(layerValues(heads, row));
    cells.push(cell({ layer, head: null }, middle.value, meanFacts(middle, heads.heads, shown), unmarked));
    return cells;
  });
  const middle = mean(heads.values);
  const all = cell({ layer: null, head: null }, middle.value, meanFacts(middle, heads.values.length, shown), unmarked);
  const out = [...rows.reverse(), [all]];
  const cells = out.flat();
  const absent = cells.filter((one) => one.absent).length;
  const few = absent <= cells.length / 2;
  for (const one of cells) {
    one.place = few ? (one.absent ? "absent" : "") : one.absent || absent === cells.length ? "" : "held";
    one.classes = classesOf(one);
  }
  return out;
}

function classesOf({ color, active, place, look }: CellData): string {
  const tones = [isPale(color.light) ? "pale" : "", isPale(color.dark) ? "dark-pale" : ""];
  const marks = [active ? "active" : "", place, look.head === null ? "mean" : ""];
  return ["cell", ...tones, ...marks].filter(Boolean).join(" ");
}

/** The facts of a head: its number, those that it is made from, p and q. */
function describer(document: ViewDocument, shown: Shown, measure: Measure, heads: Heads): (at: number) => string[] {
  if ("capture" in shown) {
    return (at) => {
      const facts = [valueInWords(heads.values[at])];
      if (heads.p) facts.push(`p ${number(heads.p[at])}`);
      if (heads.q) facts.push(`q ${number(heads.q[at])}`);
      return facts;
    };
  }
  const [from, to] = [document.captures[shown.from], document.captures[shown.to]];
  const [a, b] = [headsOf(from, measure.id)?.values, headsOf(to, measure.id)?.values];
  return (at) => {
    const first = isChange(shown) ? `change ${changed(a?.[at], b?.[at])}` : `between: ${valueInWords(heads.values[at])}`;
    return [first, `${nameOf(from)} ${number(a?.[at])}`, `${nameOf(to)} ${number(b?.[at])}`];
  };
}

function meanFacts(middle: { value: number; n: number }, of: number, shown: Shown): string[] {
  const value = isChange(shown) ? `change ${signed(middle.value)}` : valueInWords(middle.value);
  const n = middle.n === of ? `mean of ${of} heads` : `mean of the ${middle.n} of ${of} heads where it is defined`;
  return [value, n];
}

function valueInWords(value: number | undefined): string {
  return value === undefined || Number.isNaN(value) ? "not defined" : number(value);
}

export function cellName(look: Look): string {
  return `${look.layer ?? "mean"}.${look.head ?? "mean"}`;
}

export function sentence(text: string): string {
  return `${text[0]?.toUpperCase() ?? ""}${text.slice(1)}`;
}

/** The cell that a key leads to; null where the key means nothing here. */
export function stepped(event: KeyboardEvent, rows: CellData[][], at: number, column: number): CellData | null {
  if (event.altKey || event.metaKey) return null;
  const last = rows.length - 1;
  const width = (rows[0]?.length ?? 1) - 1;
  const from = at === last ? width : column; // the cell of all heads stands below the means
  const to = (row: number, place: number) => {
    const line = rows[Math.min(Math.max(row, 0), last)];
    return line?.[Math.min(Math.max(place, 0), line.length - 1)] ?? null;
  };
  switch (event.key) {
    case "ArrowLeft":
      return to(at, column - 1);
    case "ArrowRight":
      return to(at, column + 1);
    case "ArrowUp":
      return to(at - 1, from);
    case "ArrowDown":
      return to(at + 1, from);
    case "Home":
      return event.ctrlKey ? to(0, 0) : to(at, 0);
    case "End":
      return event.ctrlKey ? to(last, 0) : to(at, width);
    case "PageUp":
      return to(at - 5, from);
    case "PageDown":
      return to(Math.min(at + 5, last - 1), from);
    default:
      return null;
  }
}

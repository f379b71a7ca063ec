// The grid as a drawing: what a paper takes, with its scale, its marks and their meaning.

import type { Measure } from "../document";
import { cellsOf } from "../grid/cells";
import { colorAt, isPale } from "../grid/colors";
import { ends, marks } from "../grid/legend";
import { scaleOf, shownHeads } from "../grid/values";
import { isChange, shownInWords } from "../shown";
import type { Source } from "../source";
import type { Shown } from "../state";

const [LEFT, TOP, GAP] = [44, 58, 6];
const FONT = "font-family='system-ui, Helvetica, Arial, sans-serif'";

/** The grid of what is shown, as SVG; null where a capture does not have the measure. */
export function gridSvg(source: Source, shown: Shown, measure: Measure): string | null {
  const heads = shownHeads(source.document, shown, measure.id);
  if (!heads) return null;
  const scale = scaleOf(source.document, shown, measure);
  const rows = cellsOf(source, shown, measure, heads, scale);
  const size = Math.max(9, Math.min(28, 560 / Math.max(heads.heads, heads.layers.length)));
  const wide = size * (heads.heads + 1) + GAP;
  const tall = size * rows.length + GAP;
  const width = Math.max(LEFT + wide + 16, 420);
  const parts: string[] = [];
  const text = (x: number, y: number, words: string, extra = "") => parts.push(`<text x='${round(x)}' y='${round(y)}' ${extra}>${escaped(words)}</text>`);
  text(LEFT, 22, measure.title, "font-size='15' font-weight='600'");
  text(LEFT, 40, shownInWords(source.document.captures, shown), "font-size='12' fill='#5b6670'");
  rows.forEach((row, at) => {
    const last = at === rows.length - 1;
    const y = TOP + at * size + (last ? GAP : 0);
    const every = Math.ceil(heads.layers.length / 14);
    if (last) text(LEFT - 6, y + size * 0.7, "all", "text-anchor='end' font-size='10'");
    else if ((rows.length - 2 - at) % every === 0) text(LEFT - 6, y + size * 0.7, String(row[0]?.look.layer), "text-anchor='end' font-size='10'");
    row.forEach((cell) => {
      const column = cell.look.head ?? heads.heads;
      const x = LEFT + column * size + (cell.look.head === null ? GAP : 0);
      const frame = cell.active ? " stroke='#0d7a50' stroke-width='1.5'" : "";
      const side = size - (cell.active ? 2 : 1);
      const inset = cell.active ? 0.5 : 0;
      const title = `<title>${escaped(`${cell.title}: ${cell.facts.join("; ")}`)}</title>`;
      parts.push(`<rect x='${round(x + inset)}' y='${round(y + inset)}' width='${round(side)}' height='${round(side)}' fill='${cell.color.light}'${frame}>${title}</rect>`);
      if (cell.dot) {
        const fill = isPale(cell.color.light) ? "#1c2126" : "#ffffff";
        parts.push(`<circle cx='${round(x + (size - 1) / 2)}' cy='${round(y + (size - 1) / 2)}' r='${round(size * 0.16)}' fill='${fill}'/>`);
      }
    });
  });
  const below = TOP + tall;
  const every = Math.ceil(heads.heads / 14);
  for (let head = 0; head < heads.heads; head += every) {
    text(LEFT + (head + 0.5) * size, below + 13, String(head), "text-anchor='middle' font-size='10'");
  }
  text(LEFT + wide - size / 2, below + 13, "mean", "text-anchor='middle' font-size='10'");
  text(LEFT + (wide - size) / 2, below + 29, "head (rows: layers)", "text-anchor='middle' font-size='11' fill='#5b6670'");
  const bar = below + 42;
  const long = Math.min(320, width - LEFT - 16);
  const stops = Array.from({ length: 21 }, (_, at) => `<stop offset='${at * 5}%' stop-color='${colorAt(at / 20, scale).light}'/>`);
  parts.push(`<defs><linearGradient id='scale'>${stops.join("")}</linearGradient></defs>`);
  parts.push(`<rect x='${LEFT}' y='${bar}' width='${long}' height='9' fill='url(#scale)'/>`);
  const labels = ends(scale);
  labels.forEach((label, at) => {
    const share = at / (labels.length - 1);
    const anchor = share === 0 ? "start" : share === 1 ? "end" : "middle";
    text(LEFT + share * long, bar + 22, label, `text-anchor='${anchor}' font-size='10'`);
  });
  const said = marks({ scale, measure, heads, places: new Set(), absent: false, change: isChange(shown) }).flatMap((mark) => lines(mark, Math.floor((width - LEFT) / 5.6)));
  said.forEach((line, at) => text(LEFT, bar + 40 + 14 * at, line, "font-size='10.5' fill='#5b6670'"));
  const height = bar + 40 + 14 * said.length;
  return (
    `<svg xmlns='http://www.w3.org/2000/svg' width='${round(width)}' height='${round(height)}' viewBox='0 0 ${round(width)} ${round(height)}' ${FONT} fill='#1c2126'>` +
    `<rect width='100%' height='100%' fill='#ffffff'/>${parts.join("")}</svg>\n`
  );
}

/** A text in lines of at most so many letters. */
export function lines(text: string, most: number): string[] {
  const out: string[] = [];
  for (const word of text.split(" ")) {
    const last = out.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= most) out[out.length - 1] = `${last} ${word}`;
    else out.push(word);
  }
  return out;
}

function round(value: number): number {
  return Math.round(100 * value) / 100;
}

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

function escaped(text: string): string {
  // Letters that XML does not allow would make the whole drawing unreadable
  return text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd").replace(/[&<>"']/g, (letter) => ENTITIES[letter] ?? letter);
}

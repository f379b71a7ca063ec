// The grid of layers and heads: one number for each, and the choice of the head that everything else shows.

import { useRef, useState } from "preact/hooks";
import type { Look, Measure } from "../document";
import { number, signed } from "../numbers";
import { isChange, nameOf } from "../shown";
import type { Source } from "../source";
import type { Store } from "../state";
import { type Color, colorAt, colorOf, isPale } from "./colors";
import { type Heads, headsOf, layerValues, lookInWords, mean, sameLook, type Scale, scaleOf, shownHeads } from "./values";

export const SIGNIFICANT = 0.05;

interface CellData {
  look: Look;
  color: Color;
  words: string; // all that is known of it
  dot: boolean;
  active: boolean;
  absent: boolean; // the page does not have its overlay
}

export function Grid({ source, store, measure }: { source: Source; store: Store; measure: Measure }) {
  const { shown, look } = store.state.value;
  const { document } = source;
  const [hovered, setHovered] = useState<{ cell: CellData; x: number; y: number } | null>(null);
  const table = useRef<HTMLDivElement>(null);
  const heads = shownHeads(document, shown, measure.id);
  if (!heads) {
    return <p class="soft">{missing(source, store, measure)}</p>;
  }
  const scale = scaleOf(document, shown, measure);
  const rows = cellsOf(source, store, measure, heads, scale);
  const all = rows.flat();
  const chosen = all.find((cell) => sameLook(cell.look, look));
  const focus = chosen ?? all[0];
  const absent = all.some((cell) => cell.absent);

  const choose = (cell: CellData) => store.set({ look: cell.look });
  const move = (event: KeyboardEvent) => {
    const at = rows.findIndex((row) => row.some((cell) => cell === focus));
    const column = rows[at]?.indexOf(focus as CellData) ?? 0;
    const next = stepped(event, rows, at, column);
    if (!next) return;
    event.preventDefault();
    choose(next);
    const name = nameOfCell(next.look);
    requestAnimationFrame(() => table.current?.querySelector<HTMLElement>(`[data-look="${name}"]`)?.focus());
  };
  const point = (event: MouseEvent, cell: CellData) => {
    const box = table.current?.getBoundingClientRect();
    if (box) setHovered({ cell, x: event.clientX - box.left, y: event.clientY - box.top });
  };
  const label = labelled(heads.heads, 8);
  const tall = labelled(heads.layers.length, 10);
  return (
    <div class="heads">
      <div class="heads-scroll">
        <div
          class="heads-grid"
          role="grid"
          aria-label={`${measure.title}, by layer and head. Arrow keys choose a head.`}
          ref={table}
          style={{ "--columns": String(heads.heads + 1) }}
          onKeyDown={move}
          onMouseLeave={() => setHovered(null)}
        >
          {rows.map((row, at) => (
            <div role="row" class={at === rows.length - 1 ? "heads-row heads-all" : "heads-row"} key={at}>
              <span role="rowheader" class="heads-number" aria-label={rowName(row)}>
                {at === rows.length - 1 ? "all" : tall(heads.layers.length - 1 - at) ? row[0]?.look.layer : ""}
              </span>
              {row.map((cell) => (
                <Cell
                  key={nameOfCell(cell.look)}
                  cell={cell}
                  chosen={cell === chosen}
                  focusable={cell === focus}
                  onChoose={choose}
                  onPoint={point}
                />
              ))}
            </div>
          ))}
          <div class="heads-row" aria-hidden="true">
            <span class="heads-number">head</span>
            {Array.from({ length: heads.heads }, (_, head) => (
              <span class="heads-number" key={head}>
                {label(head) ? head : ""}
              </span>
            ))}
            <span class="heads-number">mean</span>
          </div>
          {hovered && (
            <div class="tip" role="tooltip" style={{ left: `${hovered.x}px`, top: `${hovered.y}px` }}>
              {hovered.cell.words}
            </div>
          )}
        </div>
      </div>
      <p class="heads-chosen">{(hovered?.cell ?? chosen)?.words ?? lookInWords(look)}</p>
      <Legend scale={scale} measure={measure} heads={heads} absent={absent} change={isChange(shown)} />
    </div>
  );
}

function Cell(props: {
  cell: CellData;
  chosen: boolean;
  focusable: boolean;
  onChoose: (cell: CellData) => void;
  onPoint: (event: MouseEvent, cell: CellData) => void;
}) {
  const { cell, chosen, focusable } = props;
  const classes = ["cell"];
  if (cell.active) classes.push("active");
  if (cell.absent) classes.push("absent");
  if (cell.look.head === null) classes.push("mean");
  classes.push(isPale(cell.color.light) ? "pale" : "deep", isPale(cell.color.dark) ? "dark-pale" : "dark-deep");
  return (
    <div
      role="gridcell"
      class={classes.join(" ")}
      tabIndex={focusable ? 0 : -1}
      aria-selected={chosen}
      aria-label={cell.words}
      data-look={nameOfCell(cell.look)}
      style={{ "--light": cell.color.light, "--dark": cell.color.dark }}
      onClick={() => props.onChoose(cell)}
      onKeyDown={(event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        props.onChoose(cell);
      }}
      onMouseMove={(event) => props.onPoint(event, cell)}
    >
      {cell.dot && <i />}
    </div>
  );
}

function Legend(props: { scale: Scale; measure: Measure; heads: Heads; absent: boolean; change: boolean }) {
  const { scale, measure, heads, absent, change } = props;
  const steps = Array.from({ length: 21 }, (_, at) => colorAt(at / 20, scale));
  const gradient = (name: keyof Color) => `linear-gradient(to right, ${steps.map((color) => color[name]).join(", ")})`;
  const text = change ? signed : number;
  const unit = measure.unit === "1" ? "share" : measure.unit;
  return (
    <div class="legend">
      <div class="legend-scale" style={{ "--light": gradient("light"), "--dark": gradient("dark") }} />
      <div class="legend-ends">
        <span>{text(scale.low)}</span>
        {scale.center !== null && <span>{number(scale.center)}{change ? "" : measure.chance ? " (chance)" : ""}</span>}
        <span>{text(scale.high)}</span>
      </div>
      <p class="soft">
        {change ? `Change in ${unit}.` : `Unit: ${unit}.`}
        {heads.values.some(Number.isNaN) && " Grey: the number is not defined."}
        {heads.q && ` A dot marks q ≤ ${SIGNIFICANT}: the number is unlikely to be chance, also among so many heads.`}
        {change && " A change has no p and q of its own."}
        {heads.active.size > 0 && ` A frame marks the ${heads.active.size} heads that the correction acts in.`}
        {heads.allActive && " The correction acts in all heads."}
        {absent && " A cut corner marks a head whose overlay is not in this page; its number is. `attnscope view` shows every head."}
      </p>
    </div>
  );
}

function cellsOf(source: Source, store: Store, measure: Measure, heads: Heads, scale: Scale): CellData[][] {
  const { shown } = store.state.value;
  const { captures } = source.document;
  const shownCaptures = "capture" in shown ? [shown.capture] : [shown.from, shown.to];
  const has = (look: Look) => shownCaptures.every((capture) => source.has(capture, look));
  const text = isChange(shown) ? signed : number;
  const both = "capture" in shown ? [] : shownCaptures.map((at) => ({ at, heads: headsOf(captures[at], measure.id) }));
  const cell = (look: Look, value: number, extra: Partial<CellData> & { more?: string }): CellData => {
    const absent = !has(look);
    const name = lookInWords(look);
    const words = [`${name[0]?.toUpperCase()}${name.slice(1)}: ${Number.isNaN(value) ? "not defined" : text(value)}`];
    if (extra.more) words.push(extra.more);
    if (extra.active) words.push("the correction acts here");
    if (absent) words.push("its overlay is not in this page");
    return { look, color: colorOf(value, scale), dot: false, active: false, ...extra, absent, words: words.join("; ") };
  };
  const rows = heads.layers.map((layer, row) => {
    const cells = Array.from({ length: heads.heads }, (_, head) => {
      const at = row * heads.heads + head;
      const more: string[] = both.map(({ at: capture, heads: of }) => `${nameOf(captures[capture])} ${number(of?.values[at])}`);
      if (heads.p) more.push(`p ${number(heads.p[at])}`);
      if (heads.q) more.push(`q ${number(heads.q[at])}`);
      const q = heads.q?.[at] ?? NaN;
      return cell({ layer, head }, heads.values[at] ?? NaN, {
        more: more.join(", "),
        dot: q <= SIGNIFICANT,
        active: heads.active.has(at),
      });
    });
    const middle = mean(layerValues(heads, row));
    cells.push(cell({ layer, head: null }, middle.value, { more: `of ${middle.n} heads` }));
    return cells;
  });
  const middle = mean(heads.values);
  const total = cell({ layer: null, head: null }, middle.value, { more: `of ${middle.n} heads` });
  return [...rows.reverse(), [total]]; // layer 0 at the bottom, as in the figures
}

/** The cell that a key leads to; null where the key means nothing here. */
function stepped(event: KeyboardEvent, rows: CellData[][], at: number, column: number): CellData | null {
  const last = rows.length - 1;
  const width = (rows[0]?.length ?? 1) - 1;
  const from = at === last ? width : column; // the cell of all heads stands below the means
  const to = (row: number, place: number) => {
    const line = rows[Math.min(Math.max(row, 0), last)];
    return line?.[Math.min(Math.max(place, 0), line.length - 1)] ?? null;
  };
  switch (event.key) {
    case "ArrowLeft":
      return at === last ? to(last, 0) : to(at, column - 1);
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
      return to(at + 5, from);
    default:
      return null;
  }
}

function missing(source: Source, store: Store, measure: Measure): string {
  const { shown } = store.state.value;
  const { captures } = source.document;
  const without = ("capture" in shown ? [shown.capture] : [shown.from, shown.to]).filter(
    (at) => !captures[at]?.values[measure.id],
  );
  const names = without.map((at) => `“${nameOf(captures[at])}”`).join(" and ");
  return `${names || "This capture"} has no numbers by head for “${measure.title}”. Choose another measure.`;
}

function rowName(row: CellData[]): string {
  const layer = row[0]?.look.layer;
  return layer === null || layer === undefined ? "all layers" : `layer ${layer}`;
}

export function nameOfCell(look: Look): string {
  return `${look.layer ?? "mean"}.${look.head ?? "mean"}`;
}

/** Which of `size` numbers get a label, at most about `most` of them. */
function labelled(size: number, most: number): (at: number) => boolean {
  const step = Math.max(1, Math.ceil(size / most));
  return (at) => at % step === 0;
}

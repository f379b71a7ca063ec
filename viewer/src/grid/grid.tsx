// The grid of layers and heads: one number for each, and the choice of the head that everything else shows.

import { type Signal, useSignal } from "@preact/signals";
import { Component } from "preact";
import { useMemo, useRef } from "preact/hooks";
import type { Measure } from "../document";
import { isChange, nameOf, shownInWords } from "../shown";
import type { Source } from "../source";
import { type Shown, type Store, usePart } from "../state";
import { type CellData, cellName, cellsOf, stepped } from "./cells";
import { ScaleLegend } from "./legend";
import { lookInWords, scaleOf, shownHeads } from "./values";

interface Hovered {
  cell: CellData;
  x: number;
  y: number;
}

export function Grid({ source, store, measure }: { source: Source; store: Store; measure: Measure }) {
  const shown = usePart(store, "shown");
  const look = usePart(store, "look");
  const hovered = useSignal<Hovered | null>(null);
  const whole = useRef<HTMLDivElement>(null);
  const computed = source.progress?.value; // numbers may come later
  const change = isChange(shown);
  const pair = change ? `${shown.from} ${shown.to}` : "";
  const scale = useMemo(() => scaleOf(source.document, shown, measure), [source, pair, measure, computed]);
  const { heads, rows } = useMemo(() => {
    const heads = shownHeads(source.document, shown, measure.id);
    return { heads, rows: heads ? cellsOf(source, shown, measure, heads, scale) : [] };
  }, [source, shown, measure, computed, scale]);
  if (!heads) return <p class="soft">{missing(source, shown, measure)}</p>;
  const name = cellName(look);
  const all = rows.flat();
  const chosen = all.find((cell) => cell.name === name);
  const focus = chosen ?? all[0];

  const choose = (cell: CellData) => store.set({ look: cell.look });
  const move = (event: KeyboardEvent) => {
    const at = rows.findIndex((row) => row.includes(focus as CellData));
    const next = at < 0 ? null : stepped(event, rows, at, rows[at]?.indexOf(focus as CellData) ?? 0);
    if (!next) return;
    event.preventDefault();
    hovered.value = null;
    choose(next);
    requestAnimationFrame(() => whole.current?.querySelector<HTMLElement>(`[data-look="${next.name}"]`)?.focus());
  };
  const point = (event: PointerEvent, cell: CellData) => {
    if (event.pointerType !== "mouse") return; // a finger has no way to leave
    const box = whole.current?.getBoundingClientRect();
    if (box) hovered.value = { cell, x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const numbered = labelled(heads.heads, 10);
  const layered = labelled(heads.layers.length, 14);
  return (
    <div class="heads" ref={whole}>
      <div class="heads-scroll">
        <div
          class="heads-grid"
          role="grid"
          aria-label={`${measure.title}, ${shownInWords(source.document.captures, shown)}: layers by heads. Arrow keys choose a head.`}
          style={{ "--columns": String(heads.heads + 1) }}
          onKeyDown={move}
          onPointerLeave={() => {
            hovered.value = null;
          }}
        >
          {rows.map((row, at) => {
            const layer = row[0]?.look.layer;
            const last = at === rows.length - 1;
            return (
              <div role="row" class={last ? "heads-row heads-all" : "heads-row"} key={last ? "all" : layer}>
                <span role="rowheader" class="heads-number" aria-label={last ? "all layers" : `layer ${layer}`}>
                  {last ? "all" : layered(rows.length - 2 - at) ? layer : ""}
                </span>
                {row.map((cell) => (
                  <Cell key={cell.name} cell={cell} chosen={cell === chosen} focusable={cell === focus} onChoose={choose} onPoint={point} />
                ))}
              </div>
            );
          })}
          <div class="heads-row" aria-hidden="true">
            <span class="heads-number" />
            {Array.from({ length: heads.heads }, (_, head) => (
              <span class="heads-number" key={head}>
                {numbered(head) ? head : ""}
              </span>
            ))}
            <span class="heads-number">mean</span>
          </div>
        </div>
      </div>
      <p class="heads-axes soft">Rows are layers and columns are heads. Choose a cell to see where this head looks.</p>
      <Tip hovered={hovered} />
      <p class="heads-chosen">
        <b>{`${measure.title}, ${lookInWords(look)}:`}</b>{" "}
        {chosen ? chosen.facts.join("; ") : "this capture does not have it"}.{" "}
        <button type="button" class="heads-show" onClick={() => showFrames(whole.current)}>
          Show it on the frames
        </button>
      </p>
      <ScaleLegend scale={scale} measure={measure} heads={heads} places={new Set(all.map((cell) => cell.place))} absent={all.every((cell) => cell.absent)} change={change} />
    </div>
  );
}

interface CellProps {
  cell: CellData;
  chosen: boolean;
  focusable: boolean;
  onChoose: (cell: CellData) => void;
  onPoint: (event: PointerEvent, cell: CellData) => void;
}

/** One head. Of thousands only those are drawn anew that look different. */
class Cell extends Component<CellProps> {
  override shouldComponentUpdate({ cell, chosen, focusable }: CellProps): boolean {
    return cell !== this.props.cell || chosen !== this.props.chosen || focusable !== this.props.focusable;
  }

  override render({ cell, chosen, focusable, onChoose, onPoint }: CellProps) {
    return (
      <div
        role="gridcell"
        class={cell.classes}
        tabIndex={focusable ? 0 : -1}
        aria-selected={chosen}
        aria-label={`${cell.title}: ${cell.facts.join("; ")}`}
        data-look={cell.name}
        style={{ "--light": cell.color.light, "--dark": cell.color.dark }}
        onClick={() => onChoose(cell)}
        onKeyDown={(event) => {
          if (event.key !== "Enter" && event.key !== " ") return;
          event.preventDefault();
          onChoose(cell);
        }}
        onPointerMove={(event) => onPoint(event, cell)}
      >
        {cell.dot && <i />}
      </div>
    );
  }
}

/** What the pointer rests on. The chosen cell's numbers stand below the grid, for fingers and keys. */
function Tip({ hovered }: { hovered: Signal<Hovered | null> }) {
  if (!hovered.value) return null;
  const { cell, x, y } = hovered.value;
  return (
    <div class="heads-tip" role="tooltip" style={{ left: `${x}px`, top: `${y}px` }}>
      <b>{cell.title}</b>
      {cell.facts.map((fact) => (
        <span key={fact}>{fact}</span>
      ))}
    </div>
  );
}

/** Where frames and grid do not stand side by side, as on a phone. */
function showFrames(from: HTMLElement | null): void {
  const column = from?.closest(".even > .column") ?? from?.closest(".attnscope");
  column?.querySelector(".stage-frame")?.scrollIntoView({ block: "center" });
}

function missing(source: Source, shown: Shown, measure: Measure): string {
  const { captures } = source.document;
  const of = "capture" in shown ? [shown.capture] : [shown.from, shown.to];
  const names = of.filter((at) => !captures[at]?.values[measure.id]).map((at) => `“${nameOf(captures[at])}”`);
  return `${names.join(" and ") || "This capture"} has no numbers by head for “${measure.title}”. Choose another number.`;
}

/** Which of `size` numbers get a label, at most about `most` of them. */
function labelled(size: number, most: number): (at: number) => boolean {
  const step = [1, 2, 4, 5, 10, 20].find((some) => size / some <= most) ?? Math.ceil(size / most);
  return (at) => at % step === 0;
}

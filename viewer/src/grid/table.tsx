// All heads as a table: the same numbers as the grid's, to be sorted, filtered and saved.

import { useState } from "preact/hooks";
import type { Measure } from "../document";
import { csv, save, saveName } from "../export/files";
import { count, exact, number, signed } from "../numbers";
import { isChange, nameOf } from "../shown";
import type { Source } from "../source";
import type { Store } from "../state";
import { headsOf, sameLook } from "./values";

const FIRST = 50; // rows before "show all"

interface HeadRow {
  layer: number;
  head: number;
  values: number[]; // of each column after layer and head
}

interface Column {
  title: string;
  text: (value: number) => string;
}

/** The columns and rows of the table of a measure. */
export function headRows(source: Source, store: Store, measure: Measure): { columns: Column[]; rows: HeadRow[] } {
  const { shown } = store.state.value;
  const { captures } = source.document;
  const of = "capture" in shown ? [shown.capture] : [shown.from, shown.to];
  const known = of.map((at) => ({ name: nameOf(captures[at]), heads: headsOf(captures[at], measure.id) }));
  const first = known[0]?.heads;
  if (!first || known.some(({ heads }) => !heads)) return { columns: [], rows: [] };
  const single = known.length === 1;
  const columns: Column[] = [];
  const parts: ((at: number) => number)[] = [];
  for (const { name, heads } of known) {
    columns.push({ title: single ? "value" : name, text: (value) => number(value) });
    parts.push((at) => heads?.values[at] ?? NaN);
  }
  if (!single) {
    columns.push({ title: "change", text: (value) => signed(value) });
    parts.push((at) => (parts[1]?.(at) ?? NaN) - (parts[0]?.(at) ?? NaN));
  }
  for (const { name, heads } of known) {
    for (const kind of ["p", "q"] as const) {
      const numbers = heads?.[kind];
      if (!numbers) continue;
      columns.push({ title: single ? kind : `${kind}, ${name}`, text: (value) => number(value) });
      parts.push((at) => numbers[at] ?? NaN);
    }
  }
  const rows = first.layers.flatMap((layer, row) =>
    Array.from({ length: first.heads }, (_, head) => ({
      layer,
      head,
      values: parts.map((part) => part(row * first.heads + head)),
    })),
  );
  return { columns, rows };
}

export function HeadTable({ source, store, measure }: { source: Source; store: Store; measure: Measure }) {
  const { shown, look } = store.state.value;
  const change = isChange(shown);
  const single = "capture" in shown;
  const { columns, rows } = headRows(source, store, measure);
  const main = single ? 2 : 4; // of all columns: the value, or the change
  const [sorted, setSorted] = useState<{ by: number; down: boolean } | null>(null);
  const [layer, setLayer] = useState<number | null>(null);
  const [whole, setWhole] = useState(false);
  if (!rows.length) return null;

  const titles = ["layer", "head", ...columns.map((column) => column.title)];
  const by = sorted && sorted.by < titles.length ? sorted : { by: main, down: true };
  const key = (row: HeadRow) => (by.by === 0 ? row.layer : by.by === 1 ? row.head : (row.values[by.by - 2] ?? NaN));
  const bySize = !single && by.by === 4; // a change is ordered by its size
  const kept = rows.filter((row) => layer === null || row.layer === layer);
  const ordered = [...kept].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y)); // last, either way
    const [s, t] = bySize ? [Math.abs(x), Math.abs(y)] : [x, y];
    return (by.down ? t - s : s - t) || a.layer - b.layer || a.head - b.head;
  });
  const visible = whole ? ordered : ordered.slice(0, FIRST);
  const layers = [...new Set(rows.map((row) => row.layer))];
  const download = () => {
    const lines = ordered.map((row) => [row.layer, row.head, ...row.values]);
    save(csv(titles, lines), saveName(source.document.title, "heads", measure.id) + ".csv", "text/csv");
  };
  return (
    <section class="head-table">
      <h3>Table of heads</h3>
      <div class="bar">
        <label>
          Layer{" "}
          <select value={layer ?? ""} onChange={(event) => setLayer(event.currentTarget.value === "" ? null : Number(event.currentTarget.value))}>
            <option value="">all</option>
            {layers.map((one) => (
              <option value={one} key={one}>
                {one}
              </option>
            ))}
          </select>
        </label>
        <button type="button" onClick={download}>
          Save table (CSV)
        </button>
      </div>
      <div class="table-scroll" tabIndex={0} role="region" aria-label="Table of heads">
        <table>
          <caption class="hidden">
            {measure.title} of {count(kept.length)} heads{change ? ", ordered by the size of the change" : ""}
          </caption>
          <thead>
            <tr>
              {titles.map((title, at) => (
                <th
                  key={title}
                  scope="col"
                  class="num"
                  aria-sort={at === by.by ? (by.down ? "descending" : "ascending") : "none"}
                >
                  <button type="button" onClick={() => setSorted({ by: at, down: at === by.by ? !by.down : at > 1 && !/^[pq]/.test(title) })}>
                    {title}
                    <span aria-hidden="true">{at === by.by ? (by.down ? " ↓" : " ↑") : ""}</span>
                  </button>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {visible.map((row) => {
              const own = { layer: row.layer, head: row.head };
              const chosen = sameLook(own, look);
              return (
                <tr key={`${row.layer}.${row.head}`} class={chosen ? "chosen" : ""} onClick={() => store.set({ look: own })}>
                  <td class="num">{row.layer}</td>
                  <td class="num">
                    <button type="button" aria-label={`Show layer ${row.layer}, head ${row.head}`} aria-pressed={chosen}>
                      {row.head}
                    </button>
                  </td>
                  {row.values.map((value, at) => (
                    <td class="num" key={at} title={exact(value)}>
                      {columns[at]?.text(value)}
                    </td>
                  ))}
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
      {ordered.length > FIRST && (
        <button type="button" onClick={() => setWhole(!whole)}>
          {whole ? `Show the first ${FIRST}` : `Show all ${count(ordered.length)} heads`}
        </button>
      )}
    </section>
  );
}

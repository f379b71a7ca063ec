// All heads as a table: the same numbers as the grid's, to be sorted, filtered and saved.

import { useMemo, useState } from "preact/hooks";
import type { Measure, ViewDocument } from "../document";
import { csv, save, saveName } from "../export/files";
import { changed, count, exact, number } from "../numbers";
import { nameOf } from "../shown";
import type { Source } from "../source";
import { type Shown, type Store, usePart } from "../state";
import { headsOf, sameLook } from "./values";

const FIRST = 50; // rows before "show all"

interface Column {
  title: string;
  kind: "value" | "change" | "p" | "q";
  /** Its number of a head, from the head's place. */
  at: (place: number) => number;
  text: (place: number) => string;
}

interface HeadRow {
  layer: number;
  head: number;
  place: number; // layer by layer
}

/** The columns and rows of a measure; none where a capture does not have it. */
function headTable(document: ViewDocument, shown: Shown, measure: Measure): { columns: Column[]; rows: HeadRow[] } {
  const of = "capture" in shown ? [shown.capture] : [shown.from, shown.to];
  const known = of.map((at) => ({ name: nameOf(document.captures[at]), heads: headsOf(document.captures[at], measure.id) }));
  const first = known[0]?.heads;
  if (!first || known.some(({ heads }) => heads?.values.length !== first.values.length)) return { columns: [], rows: [] };
  const single = known.length === 1;
  const plain = (title: string, kind: Column["kind"], numbers: Float32Array): Column => ({
    title,
    kind,
    at: (place) => numbers[place] ?? NaN,
    text: (place) => number(numbers[place]),
  });
  const columns = known.map(({ name, heads }) => plain(single ? "value" : name, "value", heads?.values ?? first.values));
  const [a, b] = columns;
  if (a && b) {
    const at = (place: number) => b.at(place) - a.at(place);
    columns.push({ title: "change", kind: "change", at, text: (place) => changed(a.at(place), b.at(place)) });
  }
  for (const { name, heads } of known) {
    for (const kind of ["p", "q"] as const) {
      const numbers = heads?.[kind];
      if (numbers) columns.push(plain(single ? kind : `${kind} ${name}`, kind, numbers));
    }
  }
  const rows = first.layers.flatMap((layer, row) =>
    Array.from({ length: first.heads }, (_, head) => ({ layer, head, place: row * first.heads + head })),
  );
  return { columns, rows };
}

interface Order {
  title: string;
  down: boolean;
}

/** Rows in an order; what is not defined comes last, either way. A change is ordered by its size. */
function ordered(rows: HeadRow[], columns: Column[], order: Order): HeadRow[] {
  const column = columns.find((one) => one.title === order.title);
  const key = (row: HeadRow) => {
    if (!column) return order.title === "head" ? row.head : row.layer;
    const value = column.at(row.place);
    return column.kind === "change" ? Math.abs(value) : value;
  };
  return [...rows].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y)) || a.place - b.place;
    return (order.down ? y - x : x - y) || a.place - b.place;
  });
}

export function HeadTable({ source, store, measure }: { source: Source; store: Store; measure: Measure }) {
  const shown = usePart(store, "shown");
  const look = usePart(store, "look");
  const [chosenOrder, setOrder] = useState<Order | null>(null);
  const [layer, setLayer] = useState<number | null>(null);
  const [whole, setWhole] = useState(false);
  const computed = source.progress?.value;
  const pair = "capture" in shown ? shown.capture : `${shown.from} ${shown.to}`; // the slider's way changes no number here
  const { columns, rows } = useMemo(() => headTable(source.document, shown, measure), [source, pair, measure, computed]);
  const titles = ["layer", "head", ...columns.map(({ title }) => title)];
  const main = columns.find(({ kind }) => kind === "change") ?? columns[0];
  const order = chosenOrder && titles.includes(chosenOrder.title) ? chosenOrder : { title: main?.title ?? "", down: true };
  const kept = useMemo(
    () => ordered(rows.filter((row) => layer === null || row.layer === layer), columns, order),
    [rows, columns, layer, order.title, order.down],
  );
  if (!main) return null;
  const visible = whole ? kept : kept.slice(0, FIRST);
  const layers = [...new Set(rows.map((row) => row.layer))];
  const sort = (title: string) => {
    const kind = columns.find((column) => column.title === title)?.kind;
    const down = order.title === title ? !order.down : kind === "value" || kind === "change"; // small p and q first
    setOrder({ title, down });
  };
  return (
    <section class="head-table" aria-label="Table of heads">
      <h3>Table of heads</h3>
      <div class="choices">
        <label class="inline">
          <span>Layer</span>
          <select value={layer ?? ""} onChange={(event) => setLayer(event.currentTarget.value === "" ? null : Number(event.currentTarget.value))}>
            <option value="">all</option>
            {layers.map((one) => (
              <option value={one} key={one}>
                {one}
              </option>
            ))}
          </select>
        </label>
        <button type="button" onClick={() => saveTable(source.document, shown, measure, kept)}>
          Save the table (CSV)
        </button>
      </div>
      <p class="soft">
        {measure.title}: {count(kept.length)} heads
        {main.kind === "change" ? "; a change is sorted by its size, whichever its sign" : ""}.
      </p>
      <div class="table-scroll" tabIndex={0} role="region" aria-label="Rows of the table of heads">
        <table>
          <thead>
            <tr>
              {titles.map((title) => (
                <th key={title} scope="col" aria-sort={order.title !== title ? "none" : order.down ? "descending" : "ascending"}>
                  <button type="button" onClick={() => sort(title)}>
                    {title}
                    <span aria-hidden="true">{order.title !== title ? "" : order.down ? " ↓" : " ↑"}</span>
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
                <tr key={row.place} class={chosen ? "chosen" : ""} onClick={() => store.set({ look: own })}>
                  <td>{row.layer}</td>
                  <td>
                    <button type="button" aria-label={`Show layer ${row.layer}, head ${row.head}`} aria-pressed={chosen}>
                      {row.head}
                    </button>
                  </td>
                  {columns.map((column) => (
                    <td key={column.title} title={exact(column.at(row.place))}>
                      {column.text(row.place)}
                    </td>
                  ))}
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
      {kept.length > FIRST && (
        <button type="button" aria-expanded={whole} onClick={() => setWhole(!whole)}>
          {whole ? `Show the first ${FIRST}` : `Show all ${count(kept.length)} heads`}
        </button>
      )}
    </section>
  );
}

/** Save the numbers in full, rows as they stand on the page (by default layer by layer). Returns the name of the file. */
export function saveTable(document: ViewDocument, shown: Shown, measure: Measure, order?: HeadRow[]): string {
  const { columns, rows } = headTable(document, shown, measure);
  const titles = ["measure", "layer", "head", ...columns.map(({ title }) => title)];
  const lines = (order ?? rows).map((row) => [measure.id, row.layer, row.head, ...columns.map((column) => column.at(row.place))]);
  const name = `${saveName(document.title, "heads", measure.id)}.csv`;
  save(csv(titles, lines), name, "text/csv");
  return name;
}

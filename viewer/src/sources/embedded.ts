// The numbers that stand in the page itself.

import type { CaptureView, Look, ViewDocument } from "../document";
import type { Row, Source, Table } from "../source";
import { floatsOf, integersOf, slice } from "./packed";

const same = (a: Look, b: Look) => a.layer === b.layer && a.head === b.head;

export class EmbeddedSource implements Source {
  constructor(readonly document: ViewDocument) {}

  has(capture: number, look: Look): boolean {
    return this.place(capture, look) >= 0;
  }

  async maps(capture: number, look: Look): Promise<Table | null> {
    return this.table(capture, look, "maps");
  }

  async masses(capture: number, look: Look): Promise<Table | null> {
    return this.table(capture, look, "masses");
  }

  async uniform(capture: number, look: Look): Promise<Table | null> {
    const packed = this.views(capture)?.uniform;
    const at = this.place(capture, look);
    return packed && at >= 0 ? slice(floatsOf(packed), packed.shape, packed.shape[0] === 1 ? 0 : at) : null;
  }

  async queries(capture: number): Promise<Int32Array> {
    const views = this.views(capture);
    return views ? integersOf(views.queries) : new Int32Array();
  }

  async row(capture: number, position: number, look: Look): Promise<Row | null> {
    const rows = this.views(capture)?.rows;
    const at = rows ? rows.looks.findIndex((known) => same(known, look)) : -1;
    const query = rows ? integersOf(rows.queries).indexOf(position) : -1;
    if (!rows || at < 0 || query < 0) return null;
    const table = slice(floatsOf(rows.values), rows.values.shape, at);
    return { lift: table.values.subarray(query * table.columns, (query + 1) * table.columns), keys: null };
  }

  private views(capture: number): CaptureView["views"] {
    return this.document.captures[capture]?.views;
  }

  private place(capture: number, look: Look): number {
    return this.views(capture)?.looks.findIndex((known) => same(known, look)) ?? -1;
  }

  private table(capture: number, look: Look, kind: "maps" | "masses"): Table | null {
    const packed = this.views(capture)?.[kind];
    const at = this.place(capture, look);
    return packed && at >= 0 ? slice(floatsOf(packed), packed.shape, at) : null;
  }
}

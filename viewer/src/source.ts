// Where numbers come from: the document itself, attnscope's server, or a notebook's kernel.

import type { Signal } from "@preact/signals";
import type { Look, ViewDocument } from "./document";

/** A table of numbers with two axes. */
export interface Table {
  rows: number;
  columns: number;
  values: Float32Array; // row-major
}

/** The attention of one query token. */
export interface Row {
  lift: Float32Array; // [T] on each cell of the stage, over what uniform attention would give
  keys: Float32Array | null; // [P] attention on every position; null where only cells are known
}

export interface Source {
  readonly document: ViewDocument;
  /** What a look can be: all that `grid` offers on a server, only those in the page otherwise. */
  has(capture: number, look: Look): boolean;
  /** Lift of each group on each cell, [groups, T]; null where the capture has no maps of the look. */
  maps(capture: number, look: Look): Promise<Table | null>;
  /** Mass of each word on each set of keys, [queries, keys]; null likewise. */
  masses(capture: number, look: Look): Promise<Table | null>;
  /** What uniform attention would put there, [queries, keys]; null where it is not known. */
  uniform(capture: number, look: Look): Promise<Table | null>;
  /** Positions of the rows of `masses` and `uniform`. */
  queries(capture: number): Promise<Int32Array>;
  /** One token's row; null where it is not known (no `qk`, or a look that is not in the page). */
  row(capture: number, position: number, look: Look): Promise<Row | null>;
  /** Numbers by head that are still being computed; null where all are here. When it changes, `document` has more. */
  readonly progress?: Signal<Progress | null>;
}

export interface Progress {
  done: number;
  total: number;
  what: string; // in words, for example "speaker consistency"
  error: string; // why no more will come; empty while they do
}

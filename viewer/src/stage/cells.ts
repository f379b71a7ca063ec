// The cells of a stage: which a frame shows, and which one lies at a point.

import type { Frame, Stage } from "../document";
import { floats, integers, once } from "../sources/packed";

export interface Cells {
  count: number;
  positions: Int32Array; // in the prompt
  first: Int32Array;
  last: Int32Array;
  box: Float32Array; // [T * 4] x0 y0 x1 y1
  /** Cells that each frame shows. */
  at: Int32Array[];
}

/** A stage's cells, unpacked once. */
export const cellsOf = once((stage: Stage): Cells => {
  const positions = integers(stage.cells.positions);
  const first = integers(stage.cells.first);
  const last = integers(stage.cells.last);
  const shown: number[][] = stage.frames.map(() => []);
  for (let cell = 0; cell < positions.length; cell += 1) {
    for (let frame = Math.max(0, first[cell] ?? 0); frame <= (last[cell] ?? -1); frame += 1) shown[frame]?.push(cell);
  }
  return {
    count: positions.length,
    positions,
    first,
    last,
    box: floats(stage.cells.box),
    at: shown.map((cells) => Int32Array.from(cells)),
  };
});

export type Box = [x0: number, y0: number, x1: number, y1: number];

export function boxOf(cells: Cells, cell: number): Box {
  return Array.from(cells.box.subarray(4 * cell, 4 * cell + 4)) as Box;
}

/** The cells of a frame, the smaller number first: where two overlap, the larger is drawn over it. */
export function inOrder(cells: Cells, frame: number, values: Float32Array): Int32Array {
  const here = cells.at[frame] ?? new Int32Array();
  return here.slice().sort((a, b) => rank(values[a]) - rank(values[b]));
}

function rank(value: number | undefined): number {
  return value === undefined || Number.isNaN(value) ? -Infinity : value;
}

/** The mean of a frame's cells: the lift of all of them together; NaN where no cell has a number. */
export function frameMeans(cells: Cells, values: Float32Array): Float32Array {
  return Float32Array.from(cells.at, (here) => {
    const known = Array.from(here, (cell) => values[cell] ?? NaN).filter((value) => !Number.isNaN(value));
    return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : NaN;
  });
}

/** The cell whose number is farthest from 0; -1 where none has a number. */
export function extreme(values: Float32Array): number {
  let best = -1;
  values.forEach((value, cell) => {
    if (!Number.isNaN(value) && (best < 0 || Math.abs(value) > Math.abs(values[best] ?? 0))) best = cell;
  });
  return best;
}

/** The cell that is seen at a point: of several, the one drawn last; -1 where there is none. */
export function cellAt(cells: Cells, frame: number, values: Float32Array | null, x: number, y: number): number {
  let found = -1;
  for (const cell of cells.at[frame] ?? []) {
    if (!within(boxOf(cells, cell), x, y)) continue;
    if (found < 0 || (values && rank(values[cell]) >= rank(values[found]))) found = cell;
  }
  return found;
}

/** The next cell in a direction, as arrow keys move: the nearest whose middle lies that way. */
export function neighbour(cells: Cells, frame: number, from: number, dx: number, dy: number): number {
  const [x, y] = middle(boxOf(cells, from));
  let best = from;
  let least = Infinity;
  for (const cell of cells.at[frame] ?? []) {
    const [cx, cy] = middle(boxOf(cells, cell));
    const along = (cx - x) * dx + (cy - y) * dy;
    const across = Math.abs((cx - x) * dy) + Math.abs((cy - y) * dx);
    if (along > 1e-3 && along + 3 * across < least) [best, least] = [cell, along + 3 * across];
  }
  return best;
}

/** The person whose box is at a point; of several, the one with the smallest. */
export function personAt(frame: Frame | undefined, x: number, y: number): string | null {
  const here = Object.entries(frame?.boxes ?? {}).filter(([, box]) => within(box, x, y));
  here.sort(([, a], [, b]) => area(a) - area(b));
  return here[0]?.[0] ?? null;
}

/** Which share of a cell the people's boxes cover in a frame; only those that cover some. */
export function covering(frame: Frame | undefined, box: Box): { name: string; share: number }[] {
  const size = area(box);
  return Object.entries(frame?.boxes ?? {}).flatMap(([name, other]) => {
    const wide = Math.min(box[2], other[2]) - Math.max(box[0], other[0]);
    const high = Math.min(box[3], other[3]) - Math.max(box[1], other[1]);
    return wide > 0 && high > 0 && size > 0 ? [{ name, share: (wide * high) / size }] : [];
  });
}

function within([x0, y0, x1, y1]: Box, x: number, y: number): boolean {
  return x >= x0 && x < x1 && y >= y0 && y < y1;
}

function area([x0, y0, x1, y1]: Box): number {
  return (x1 - x0) * (y1 - y0);
}

function middle([x0, y0, x1, y1]: Box): [number, number] {
  return [(x0 + x1) / 2, (y0 + y1) / 2];
}

// Boxes in pixels of the frame, and what dragging or an arrow key makes of them.

import type { Box } from "./scene";
import { rounded } from "./scene";

export interface Size {
  width: number;
  height: number;
}

/** Where a box is held: by its middle, or by an edge or corner. */
export type Grip = { x: -1 | 0 | 1; y: -1 | 0 | 1 };

export const GRIPS: Grip[] = [
  { x: -1, y: -1 },
  { x: 0, y: -1 },
  { x: 1, y: -1 },
  { x: 1, y: 0 },
  { x: 1, y: 1 },
  { x: 0, y: 1 },
  { x: -1, y: 1 },
  { x: -1, y: 0 },
];

const LEAST = 2; // px of a side

export const toPixels = (box: Box, units: "pixels" | "fraction", size: Size): Box =>
  units === "pixels" ? box : [box[0] * size.width, box[1] * size.height, box[2] * size.width, box[3] * size.height];

/** In the scene's units, as exact as a hand is: whole pixels, or four decimals of a fraction. */
export const toUnits = (box: Box, units: "pixels" | "fraction", size: Size): Box =>
  units === "pixels"
    ? (box.map((side) => Math.round(side)) as Box)
    : ([box[0] / size.width, box[1] / size.height, box[2] / size.width, box[3] / size.height].map((side) =>
        rounded(side, 4),
      ) as Box);

const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), Math.max(low, high));

/** A box moved as a whole; one that lies inside the frame stays inside. */
export function moved(box: Box, dx: number, dy: number, size: Size): Box {
  const inside = box[0] >= 0 && box[1] >= 0 && box[2] <= size.width && box[3] <= size.height;
  const x = inside ? clamp(dx, -box[0], size.width - box[2]) : dx;
  const y = inside ? clamp(dy, -box[1], size.height - box[3]) : dy;
  return [box[0] + x, box[1] + y, box[2] + x, box[3] + y];
}

/** A box with an edge or corner pulled; it does not turn inside out, and is not pulled out of the frame. */
export function pulled(box: Box, grip: Grip, dx: number, dy: number, size: Size): Box {
  const [left, top, right, bottom] = box;
  return [
    grip.x < 0 ? clamp(left + dx, Math.min(0, left), right - LEAST) : left,
    grip.y < 0 ? clamp(top + dy, Math.min(0, top), bottom - LEAST) : top,
    grip.x > 0 ? clamp(right + dx, left + LEAST, Math.max(size.width, right)) : right,
    grip.y > 0 ? clamp(bottom + dy, top + LEAST, Math.max(size.height, bottom)) : bottom,
  ];
}

/** The box between two points, inside of the frame. */
export function between(a: [number, number], b: [number, number], size: Size): Box {
  const x = [clamp(a[0], 0, size.width), clamp(b[0], 0, size.width)].sort((p, q) => p - q);
  const y = [clamp(a[1], 0, size.height), clamp(b[1], 0, size.height)].sort((p, q) => p - q);
  return [x[0] ?? 0, y[0] ?? 0, x[1] ?? 0, y[1] ?? 0];
}

/** Where a box begins that no hand has drawn: in the middle, a quarter as wide and half as high as the frame. */
export const middle = (size: Size): Box => [
  Math.round(size.width * 0.375),
  Math.round(size.height * 0.25),
  Math.round(size.width * 0.625),
  Math.round(size.height * 0.75),
];

/** What an arrow key does, in pixels of the frame; null for another key. */
export function arrow(key: string, step: number): [number, number] | null {
  const ways: Record<string, [number, number]> = {
    ArrowLeft: [-step, 0],
    ArrowRight: [step, 0],
    ArrowUp: [0, -step],
    ArrowDown: [0, step],
  };
  return ways[key] ?? null;
}

// One frame on a canvas: the picture, the cells over it, the people's boxes and names.

import type { Frame, Person, Stage } from "../document";
import { type Box, boxOf, type Cells, inOrder } from "./cells";
import type { Overlay } from "./numbers";
import { colorOf } from "./scale";

export interface Painting {
  stage: Stage;
  cells: Cells;
  frame: number;
  image: HTMLImageElement | HTMLVideoElement | null;
  grey: boolean;
  overlay: Overlay | null;
  colors: string[]; // of the overlay's scale
}

export interface Tag {
  person: Person;
  text: string;
  chosen: boolean;
}

const layer = typeof document === "undefined" ? null : document.createElement("canvas");

/** The picture with its cells, over the whole canvas. */
export function paintFrame(context: CanvasRenderingContext2D, painting: Painting): void {
  const { width, height } = context.canvas;
  context.globalCompositeOperation = "source-over";
  context.fillStyle = "#8b9096";
  context.fillRect(0, 0, width, height);
  if (painting.image) {
    context.drawImage(painting.image, 0, 0, width, height);
    if (painting.grey) {
      context.globalCompositeOperation = "saturation";
      context.fillStyle = "#808080";
      context.fillRect(0, 0, width, height);
      context.globalCompositeOperation = "source-over";
    }
  }
  const overlay = layer?.getContext("2d");
  if (!painting.overlay || !layer || !overlay) return;
  if (layer.width !== width || layer.height !== height) [layer.width, layer.height] = [width, height];
  else overlay.clearRect(0, 0, width, height);
  const { values, scale } = painting.overlay;
  for (const cell of inOrder(painting.cells, painting.frame, values)) {
    const color = colorOf(painting.colors, scale, values[cell] ?? NaN);
    const [x, y, w, h] = pixels(boxOf(painting.cells, cell), painting.stage, width, height);
    overlay.clearRect(x, y, w, h); // of two cells at one place the larger number is seen, not a mixture
    if (color) {
      overlay.fillStyle = color;
      overlay.fillRect(x, y, w, h);
    } else hatch(overlay, x, y, w, h);
  }
  context.drawImage(layer, 0, 0);
}

/** A cell without a number: two strokes across it, so that it is not taken for a small number. */
function hatch(context: CanvasRenderingContext2D, x: number, y: number, w: number, h: number): void {
  context.strokeStyle = "rgb(128 128 128 / 0.8)";
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(x, y + h);
  context.lineTo(x + w, y);
  context.stroke();
}

function pixels([x0, y0, x1, y1]: Box, stage: Stage, width: number, height: number): [number, number, number, number] {
  const [left, top] = [Math.round((x0 / stage.width) * width), Math.round((y0 / stage.height) * height)];
  const [right, bottom] = [Math.round((x1 / stage.width) * width), Math.round((y1 / stage.height) * height)];
  return [left, top, Math.max(1, right - left), Math.max(1, bottom - top)];
}

/** A cell's outline: the one that the pointer or the arrow keys are on. */
export function paintCursor(
  context: CanvasRenderingContext2D,
  cells: Cells,
  cell: number,
  stage: Stage,
  ratio: number,
): void {
  const { width, height } = context.canvas;
  const [x, y, w, h] = pixels(boxOf(cells, cell), stage, width, height);
  for (const [color, line] of [
    ["#000", 4],
    ["#fff", 2],
  ] as const) {
    context.strokeStyle = color;
    context.lineWidth = line * ratio;
    context.strokeRect(x, y, w, h);
  }
}

/** The people's boxes with their names; the chosen one's is thick. */
export function paintPeople(
  context: CanvasRenderingContext2D,
  stage: Stage,
  frame: Frame,
  tags: Tag[],
  dark: boolean,
  ratio: number,
): void {
  const { width, height } = context.canvas;
  const here = tags.flatMap((tag) => {
    const box = frame.boxes[tag.person.name];
    return box ? [{ tag, place: pixels(box, stage, width, height) }] : [];
  });
  for (const { tag, place } of here) {
    const strokes = tag.chosen ? [6, 4] : [3.5, 1.75];
    context.setLineDash([]);
    context.lineWidth = (strokes[0] ?? 0) * ratio;
    context.strokeStyle = dark ? "rgb(0 0 0 / 0.8)" : "rgb(255 255 255 / 0.85)";
    context.strokeRect(...place);
    context.lineWidth = (strokes[1] ?? 0) * ratio;
    context.strokeStyle = dark ? tag.person.dark : tag.person.color;
    context.strokeRect(...place);
  }
  const taken: [number, number, number, number][] = [];
  const line = 18 * ratio;
  context.textBaseline = "middle";
  here.sort((a, b) => Number(b.tag.chosen) - Number(a.tag.chosen));
  for (const { tag, place } of here) {
    context.font = `${tag.chosen ? 700 : 600} ${12.5 * ratio}px system-ui, "Noto Sans", "DejaVu Sans", sans-serif`;
    const text = fitted(context, tag.text, Math.max(width * 0.45, 60 * ratio));
    const wide = context.measureText(text).width + 8 * ratio;
    const [x, y] = spot(place, wide, line, width, height, taken);
    taken.push([x, y, wide, line]);
    context.fillStyle = dark ? tag.person.dark : tag.person.color;
    context.fillRect(x, y, wide, line);
    context.fillStyle = dark ? "#0c0f12" : "#fff";
    context.fillText(text, x + 4 * ratio, y + line / 2 + 0.5 * ratio);
  }
}

/** A text with its middle left out where it is too wide: names differ at either end. */
function fitted(context: CanvasRenderingContext2D, text: string, most: number): string {
  const letters = [...text];
  let out = text;
  for (let kept = letters.length - 1; kept > 4 && context.measureText(out).width > most; kept -= 1) {
    out = `${letters.slice(0, Math.ceil(kept / 2)).join("")}…${letters.slice(-Math.floor(kept / 2)).join("")}`;
  }
  return out;
}

/** Where a name stands so that it covers no other: over its box, else inside it, else under it. */
function spot(
  [x, y, w, h]: [number, number, number, number],
  wide: number,
  line: number,
  width: number,
  height: number,
  taken: [number, number, number, number][],
): [number, number] {
  let best: [number, number] = [x, y];
  let least = Infinity;
  for (const top of [y - line, y, y + h - line, y + h]) {
    for (const left of [x, x + w - wide]) {
      const at: [number, number] = [clamp(left, 0, width - wide), clamp(top, 0, height - line)];
      const moved = at[0] !== left || at[1] !== top ? 1 : 0;
      const covered = taken.reduce((sum, other) => sum + shared([...at, wide, line], other), 0);
      if (covered * 1e3 + moved < least) [best, least] = [at, covered * 1e3 + moved];
    }
  }
  return best;
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), Math.max(low, high));
}

function shared(a: [number, number, number, number], b: [number, number, number, number]): number {
  const wide = Math.min(a[0] + a[2], b[0] + b[2]) - Math.max(a[0], b[0]);
  const high = Math.min(a[1] + a[3], b[1] + b[3]) - Math.max(a[1], b[1]);
  return wide > 0 && high > 0 ? wide * high : 0;
}

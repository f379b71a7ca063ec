// The numbers of the grid and the table of heads: those of the document, or their change.

import type { CaptureView, Look, Measure, ViewDocument } from "../document";
import { between, isChange } from "../shown";
import type { Shown } from "../state";
import { floatsOf } from "../sources/packed";

/** Numbers by head, row-major [layers, heads]; NaN is not defined. */
export interface Heads {
  layers: number[];
  heads: number;
  values: Float32Array;
  p: Float32Array | null; // of one capture: a change has none
  q: Float32Array | null;
  /** Heads in which a correction acted; empty where it acted in none or in all, since a mark on all marks none. */
  active: Set<number>;
  allActive: boolean;
}

export function headsOf(capture: CaptureView | undefined, measure: string): Heads | null {
  const found = capture?.values[measure];
  if (!capture || !found) return null;
  const places = new Set(
    capture.active.map(([layer, head]) => capture.layers.indexOf(layer) * capture.heads + head).filter((at) => at >= 0),
  );
  const allActive = places.size > 0 && places.size === capture.layers.length * capture.heads;
  return {
    layers: capture.layers,
    heads: capture.heads,
    values: floatsOf(found.value),
    p: found.p ? floatsOf(found.p) : null,
    q: found.q ? floatsOf(found.q) : null,
    active: allActive ? new Set() : places,
    allActive,
  };
}

/** The numbers of what is shown; null where a capture does not have the measure. */
export function shownHeads(document: ViewDocument, shown: Shown, measure: string): Heads | null {
  if ("capture" in shown) return headsOf(document.captures[shown.capture], measure);
  const from = headsOf(document.captures[shown.from], measure);
  const to = headsOf(document.captures[shown.to], measure);
  if (!from || !to || from.values.length !== to.values.length) return null;
  const values = to.values.map((value, at) => between(from.values[at] ?? NaN, value, shown));
  return { ...to, values, p: null, q: null };
}

/** The mean of the numbers that are defined, and how many they are. */
export function mean(values: Iterable<number>): { value: number; n: number } {
  let sum = 0;
  let n = 0;
  for (const value of values) {
    if (Number.isNaN(value)) continue;
    sum += value;
    n += 1;
  }
  return { value: n ? sum / n : NaN, n };
}

export function layerValues(heads: Heads, row: number): Float32Array {
  return heads.values.subarray(row * heads.heads, (row + 1) * heads.heads);
}

/** A colour scale: its ends, its middle where it has one, and whether equal steps of colour are equal factors. */
export interface Scale {
  low: number;
  high: number;
  center: number | null;
  change: boolean;
  ratio: boolean;
  /** Whether numbers lie beyond the ends, whose colours they have. */
  below: boolean;
  above: boolean;
}

const LEAST_CHANGE = 0.05; // of the largest number: where the colours of a change end at least; as in the figures
const LEAST = 1; // octaves from the middle of a ratio's scale to its ends, as in the overlays
const MOST = 6;

/** The scale of what is shown: captures share one, and a change is centred at 0. */
export function scaleOf(document: ViewDocument, shown: Shown, measure: Measure): Scale {
  const plain = { change: false, ratio: false, below: false, above: false };
  const finite = document.captures.flatMap((capture) =>
    Array.from(headsOf(capture, measure.id)?.values ?? []).filter(Number.isFinite),
  );
  if (isChange(shown)) {
    const change = Array.from(shownHeads(document, shown, measure.id)?.values ?? []).filter(Number.isFinite);
    const reach = Math.max(farthest(change, 0), LEAST_CHANGE * farthest(finite, 0), 1e-6);
    return { ...plain, low: -reach, high: reach, center: 0, change: true };
  }
  const { center } = measure;
  if (center === 1 && finite.every((value) => value >= 0) && finite.some((value) => value > 0)) return ratioScale(finite);
  if (center !== null) {
    const reach = Math.max(farthest(finite, center), 0.1 * Math.abs(center), 1e-6); // rounding is no difference to colour
    return { ...plain, low: center - reach, high: center + reach, center };
  }
  const low = finite.reduce((least, value) => Math.min(least, value), 0);
  const high = finite.reduce((most, value) => Math.max(most, value), 0);
  return { ...plain, low, high: high > low ? high : low + 1, center: null };
}

function farthest(values: number[], from: number): number {
  return values.reduce((size, value) => Math.max(size, Math.abs(value - from)), 0);
}

/** Multiples of chance: ends are a factor of 2, 4, 8 ... from 1. Twice as much is as far from it as half as much. */
function ratioScale(finite: number[]): Scale {
  const sorted = [...finite].sort((a, b) => a - b);
  const most = sorted.at(-1) ?? 1;
  const middle = sorted[Math.floor(sorted.length / 2)] ?? 1;
  const octaves = Math.max(most > 0 ? Math.log2(most) : 0, middle > 0 ? -Math.log2(middle) : 0);
  const reach = Math.min(Math.max(Math.ceil(octaves - 1e-9), LEAST), MOST);
  const [low, high] = [2 ** -reach, 2 ** reach];
  const [below, above] = [(sorted[0] ?? 1) < low, most > high];
  return { low, high, center: 1, change: false, ratio: true, below, above };
}

/** How far along a scale a number is, 0 to 1; NaN where it is not defined. */
export function along(value: number, scale: Scale): number {
  if (Number.isNaN(value)) return NaN;
  const share = scale.ratio
    ? (Math.log2(value) - Math.log2(scale.low)) / (Math.log2(scale.high) - Math.log2(scale.low))
    : (value - scale.low) / (scale.high - scale.low);
  return Math.min(Math.max(share, 0), 1);
}

export function sameLook(a: Look, b: Look): boolean {
  return a.layer === b.layer && a.head === b.head;
}

/** A look in words. */
export function lookInWords(look: Look): string {
  if (look.layer === null) return "mean of all heads";
  return look.head === null ? `layer ${look.layer}, mean of its heads` : `layer ${look.layer}, head ${look.head}`;
}

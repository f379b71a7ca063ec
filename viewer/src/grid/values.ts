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

/** Ends of a colour scale, and where its middle is; a sequential scale has none. */
export interface Scale {
  low: number;
  high: number;
  center: number | null;
  change: boolean;
}

const LEAST_CHANGE = 0.05; // of the largest number: where the colours of a change end at least; as in the figures

/** The scale of what is shown: captures share one, and a change is centred at 0. */
export function scaleOf(document: ViewDocument, shown: Shown, measure: Measure): Scale {
  const all = document.captures.map((capture) => headsOf(capture, measure.id)?.values ?? new Float32Array());
  const finite = all.flatMap((values) => Array.from(values).filter(Number.isFinite));
  if (isChange(shown)) {
    const change = shownHeads(document, shown, measure.id)?.values ?? new Float32Array();
    const largest = finite.reduce((size, value) => Math.max(size, Math.abs(value)), 0);
    const reach = change.reduce((size, value) => (Number.isFinite(value) ? Math.max(size, Math.abs(value)) : size), LEAST_CHANGE * largest);
    return { low: -Math.max(reach, 1e-6), high: Math.max(reach, 1e-6), center: 0, change: true };
  }
  if (measure.center !== null) {
    const { center } = measure;
    const farthest = finite.reduce((size, value) => Math.max(size, Math.abs(value - center)), 0);
    const reach = Math.max(farthest, 0.1 * Math.abs(center), 1e-6); // rounding is not a difference to colour
    return { low: center - reach, high: center + reach, center, change: false };
  }
  const low = finite.reduce((least, value) => Math.min(least, value), 0);
  const high = finite.reduce((most, value) => Math.max(most, value), 0);
  return { low, high: high > low ? high : low + 1, center: null, change: false };
}

export function sameLook(a: Look, b: Look): boolean {
  return a.layer === b.layer && a.head === b.head;
}

/** A look in words. */
export function lookInWords(look: Look): string {
  if (look.layer === null) return "mean of all heads";
  return look.head === null ? `layer ${look.layer}, mean of its heads` : `layer ${look.layer}, head ${look.head}`;
}

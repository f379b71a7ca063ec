// How a number is coloured: over frames and behind words, with the colours and the rules of the static figures.
//
// A multiple of uniform attention is coloured about 1, in octaves; a change about 0; a share of attention from 0.

import { number } from "../numbers";

export type Kind = "ratio" | "change" | "share";

export interface Scale {
  kind: Kind;
  low: number;
  high: number;
  /** Whether numbers lie beyond the ends, whose colours they then have. */
  below: boolean;
  above: boolean;
}

export interface Tick {
  value: number;
  text: string;
}

type Color = [number, number, number];

const TOP = 99.5; // percentile at which a scale ends: a sink would leave all else pale
const LEAST = 1; // octaves from the middle to an end: near-uniform attention stays pale
const MOST = 6;
const LEAST_CHANGE = 0.05; // of the largest number: where a change's colours end at least
const FAINT = 0.06; // opacity at the middle, and at the ends
const STRONG = 0.75;
const LESS = 0.22; // at the lower end of a ratio: most tokens get little attention
const STEPS = 64; // colours on each side of the middle

// ColorBrewer's RdBu and PuOr, reversed: safe for colour-blind readers; and one hue for shares
const RATIO = [
  "#053061",
  "#2166ac",
  "#4393c3",
  "#92c5de",
  "#d1e5f0",
  "#f7f7f7",
  "#fddbc7",
  "#f4a582",
  "#d6604d",
  "#b2182b",
  "#67001f",
];
const CHANGE = [
  "#2d004b",
  "#542788",
  "#8073ac",
  "#b2abd2",
  "#d8daeb",
  "#f7f7f7",
  "#fee0b6",
  "#fdb863",
  "#e08214",
  "#b35806",
  "#7f3b08",
];
const SHARE = ["#0b8a6a", "#0b8a6a"]; // its strength is the number: it reads the same on a light and on a dark page

const STOPS: Record<Kind, Color[]> = { ratio: RATIO.map(rgb), change: CHANGE.map(rgb), share: SHARE.map(rgb) };

function rgb(hex: string): Color {
  const value = Number.parseInt(hex.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

/** The number that a share of the numbers lies below, as numpy's percentile gives it; NaN of none. */
function percentile(sorted: Float32Array, share: number): number {
  if (!sorted.length) return NaN;
  const place = (share / 100) * (sorted.length - 1);
  const at = Math.floor(place);
  const low = sorted[at] ?? NaN;
  const high = sorted[Math.min(at + 1, sorted.length - 1)] ?? NaN;
  return low + (high - low) * (place - at);
}

function known(values: Float32Array[]): Float32Array {
  let count = 0;
  const all = new Float32Array(values.reduce((sum, some) => sum + some.length, 0));
  for (const some of values) for (const value of some) if (Number.isFinite(value)) all[count++] = value;
  return all.subarray(0, count).sort();
}

/** A scale of ratios, symmetric about 1: its ends are a factor of 2, 4, 8 ... from it. */
export function ratioScale(...values: Float32Array[]): Scale {
  const sorted = known(values);
  const least = sorted[0] ?? 1;
  const most = sorted.at(-1) ?? 1;
  let reach = LEAST;
  if (most > 0) {
    const above = percentile(sorted, TOP);
    const middle = percentile(sorted, 50);
    const octaves = Math.max(above > 0 ? Math.log2(above) : 0, middle > 0 ? -Math.log2(middle) : 0);
    reach = Math.min(Math.max(Math.ceil(octaves - 1e-9), LEAST), MOST);
    if (reach === MOST - 1) reach = MOST; // ends that have a number of their own: every second octave
  }
  const [low, high] = [2 ** -reach, 2 ** reach];
  return { kind: "ratio", low, high, below: least < low, above: most > high };
}

/** A scale of changes about 0, which ends no earlier than at a part of the largest number that changed. */
export function changeScale(change: Float32Array, ...of: Float32Array[]): Scale {
  const sizes = known([change.map(Math.abs)]);
  const largest = percentile(known(of), TOP) || 0;
  const reach = Math.max(percentile(sizes, TOP) || 0, LEAST_CHANGE * Math.abs(largest)) || 1;
  const sorted = known([change]);
  return {
    kind: "change",
    low: -reach,
    high: reach,
    below: (sorted[0] ?? 0) < -reach,
    above: (sorted.at(-1) ?? 0) > reach,
  };
}

/** A scale of shares of attention, from 0 to the largest. */
export function shareScale(...values: Float32Array[]): Scale {
  const most = known(values).at(-1) ?? 0;
  return { kind: "share", low: 0, high: most > 0 ? most : 1, below: false, above: false };
}

/** Where a number lies, 0 to 1; its end's place beyond an end, and NaN where there is no number. */
export function level(scale: Scale, value: number): number {
  if (!Number.isFinite(value)) return NaN;
  const inside = Math.min(Math.max(value, scale.low), scale.high);
  if (scale.kind !== "ratio") return (inside - scale.low) / (scale.high - scale.low);
  return Math.log(inside / scale.low) / Math.log(scale.high / scale.low);
}

/** Colour and opacity at a place of a scale. */
function shade(kind: Kind, at: number): [...Color, number] {
  const stops = STOPS[kind];
  const place = at * (stops.length - 1);
  const before = Math.min(Math.floor(place), stops.length - 2);
  const [a, b] = [stops[before] as Color, stops[before + 1] as Color];
  const mixed = a.map((part, i) => Math.round(part + ((b[i] as number) - part) * (place - before))) as Color;
  if (kind === "share") return [...mixed, FAINT + (STRONG - FAINT) * at];
  const distance = 2 * at - 1;
  const end = kind === "ratio" && distance < 0 ? LESS : STRONG;
  return [...mixed, FAINT + (end - FAINT) * Math.abs(distance)];
}

/** The colours of a scale as CSS, by steps; `strength` 1 is as the figures have them. */
export function palette(kind: Kind, strength: number): string[] {
  return Array.from({ length: 2 * STEPS + 1 }, (_, i) => {
    const [r, g, b, alpha] = shade(kind, i / (2 * STEPS));
    return `rgb(${r} ${g} ${b} / ${Math.min(1, alpha * strength).toFixed(3)})`;
  });
}

/** A number's colour in a palette; undefined where there is no number, which is then not coloured at all. */
export function colorOf(colors: string[], scale: Scale, value: number): string | undefined {
  const at = level(scale, value);
  return Number.isNaN(at) ? undefined : colors[Math.round(at * (colors.length - 1))];
}

/** Numbers beside a scale: its ends and its middle among them, five at most, which fit beside each other on a phone. */
export function ticks(scale: Scale): Tick[] {
  if (scale.kind === "ratio") {
    const reach = Math.round(Math.log2(scale.high));
    const step = reach <= 2 ? 1 : reach % 2 ? reach : reach / 2;
    const out: Tick[] = [];
    for (let n = -reach; n <= reach; n += step)
      out.push({ value: 2 ** n, text: n < 0 ? `1/${2 ** -n}` : String(2 ** n) });
    return out;
  }
  const places = scale.kind === "share" ? [0, 0.5, 1] : [0, 0.25, 0.5, 0.75, 1];
  return places.map((at) => {
    const value = scale.low + (scale.high - scale.low) * at;
    if (scale.kind === "share") return { value, text: `${number(Math.round(1e4 * value) / 100)} %` };
    const text = number(value, 2);
    return { value, text: value > 0 ? `+${text}` : text };
  });
}

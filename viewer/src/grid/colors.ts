// Colours of the grid: the same scales as the figures' on light pages, with a dark middle on dark ones.

import { along, type Scale } from "./values";

type Rgb = [number, number, number];

const hex = (text: string): Rgb[] =>
  text.split(" ").map((one) => [0, 2, 4].map((at) => parseInt(one.slice(at, at + 2), 16)) as Rgb);

// ColorBrewer's RdBu and PuOr, reversed, and matplotlib's viridis
const DIVERGING = hex("053061 2166ac 4393c3 92c5de d1e5f0 f7f7f7 fddbc7 f4a582 d6604d b2182b 67001f");
const CHANGE = hex("2d004b 542788 8073ac b2abd2 d8daeb f7f7f7 fee0b6 fdb863 e08214 b35806 7f3b08");
const SEQUENTIAL = hex("440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725");
const DARK_DIVERGING = hex("9fd0ff 5aa9ee 3279b8 24507a 222f3d 1f252b 3d2929 7a3a33 b5534a ea7d6e ffb3a6");
const DARK_CHANGE = hex("d9c8ff ab92e6 7c63b8 52447e 2e2b42 1f252b 3b2f1f 6f4f1c a8721c e09a33 ffce85");
export const UNDEFINED = { light: "#d9d9d9", dark: "#4a525a" };

export interface Color {
  light: string;
  dark: string;
}

function pick(stops: Rgb[], share: number): string {
  const place = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const at = Math.min(Math.floor(place), stops.length - 2);
  const [low, high] = [stops[at] ?? [0, 0, 0], stops[at + 1] ?? [0, 0, 0]];
  const mixed = low.map((value, i) => Math.round(value + ((high[i] ?? 0) - value) * (place - at)));
  return `rgb(${mixed.join(" ")})`;
}

/** The colour of a number; of one that is not defined the grey that stands for it. */
export function colorOf(value: number, scale: Scale): Color {
  return Number.isNaN(value) ? UNDEFINED : colorAt(along(value, scale), scale);
}

/** The colour at a share of the scale's way from its low to its high end. */
export function colorAt(share: number, scale: Scale): Color {
  if (scale.change) return { light: pick(CHANGE, share), dark: pick(DARK_CHANGE, share) };
  if (scale.center !== null) return { light: pick(DIVERGING, share), dark: pick(DARK_DIVERGING, share) };
  return { light: pick(SEQUENTIAL, share), dark: pick(SEQUENTIAL, share) };
}

/** Whether dark marks are seen on it better than white ones. */
export function isPale(color: string): boolean {
  const [r = 0, g = 0, b = 0] = (color.match(/\d+/g) ?? []).map(Number);
  return color.startsWith("#") ? color === UNDEFINED.light : 0.299 * r + 0.587 * g + 0.114 * b > 130;
}

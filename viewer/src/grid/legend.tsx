// The colour scale of the grid: its ends, its middle, its unit, and every mark in words.

import type { Measure } from "../document";
import { number, signed, unitInWords } from "../numbers";
import { type CellData, SIGNIFICANT } from "./cells";
import { type Color, colorAt } from "./colors";
import type { Heads, Scale } from "./values";

const STEPS = 32;

interface Props {
  scale: Scale;
  measure: Measure;
  heads: Heads;
  change: boolean;
  /** How cells are marked by where their overlay is. */
  places: Set<CellData["place"]>;
  /** Whether the page has no overlay at all. */
  absent: boolean;
}

export function ScaleLegend(props: Props) {
  const { scale } = props;
  const colors = Array.from({ length: STEPS + 1 }, (_, at) => colorAt(at / STEPS, scale));
  const gradient = (name: keyof Color) => `linear-gradient(to right, ${colors.map((color) => color[name]).join(", ")})`;
  return (
    <div class="heads-legend">
      <div class="heads-scale" aria-hidden="true" style={{ "--light": gradient("light"), "--dark": gradient("dark") }} />
      <div class="heads-ends">
        {ends(scale).map((end) => (
          <span key={end}>{end}</span>
        ))}
      </div>
      <ul class="soft">
        {marks(props).map((mark) => (
          <li key={mark}>{mark}</li>
        ))}
      </ul>
    </div>
  );
}

/** The numbers at the ends of the scale and in its middle. */
export function ends(scale: Scale): string[] {
  const text = scale.change ? signed : scale.ratio ? fraction : number;
  const low = `${scale.below ? "≤ " : ""}${text(scale.low)}`;
  const high = `${scale.above ? "≥ " : ""}${text(scale.high)}`;
  if (scale.center === null) return [low, high];
  return [low, scale.change ? "0" : `${number(scale.center)} (chance)`, high];
}

/** An end of a ratio's scale, which is a power of 2. */
function fraction(value: number): string {
  return value < 1 ? `1/${number(1 / value)}` : number(value);
}

/** What colours and marks mean, a sentence each. */
export function marks({ scale, measure, heads, places, absent, change }: Props): string[] {
  const unit = measure.center === 1 && measure.unit === "1" ? "multiples of chance, which is 1" : unitInWords(measure.unit);
  const out = [change ? `The colour is the change. Unit: ${unit}.` : `Unit: ${unit}.`];
  if (scale.ratio) out[0] = "A multiple of chance, which is 1: 2 is twice as much, and 1/2 half as much.";
  if (heads.values.some(Number.isNaN)) out.push("Grey: the number is not defined.");
  if (change) out.push("A change has no p and q of its own.");
  else if (heads.q) out.push(`A dot marks q ≤ ${SIGNIFICANT}: of the heads with a dot, about 5 % at most are expected to be chance.`);
  if (heads.active.size) out.push(`A frame marks the ${heads.active.size} heads in which the correction acts.`);
  if (heads.allActive) out.push("The correction acts in all heads.");
  const every = "attnscope view shows that of every head.";
  if (places.has("absent")) out.push(`A cut corner marks heads whose overlay is not in this page; ${every}`);
  if (places.has("held")) out.push(`A bar marks the heads whose overlay is in this page; ${every}`);
  if (absent) out.push(`This page has the overlay of no head; ${every}`);
  return out;
}

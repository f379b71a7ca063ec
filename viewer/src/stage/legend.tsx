// A scale with its numbers, its unit, and what its colours mean.

import type { CaptureView } from "../document";
import { nameOf } from "../shown";
import type { Shown } from "../state";
import { level, palette, type Scale, ticks } from "./scale";

interface Props {
  scale: Scale;
  strength: number;
  /** What the numbers are, such as "attention on each cell". */
  what: string;
  unit: string;
  /** What the colours of a change mean. */
  means?: string | undefined;
  /** Whether the colours lie over pictures, which are grey here. */
  overPicture?: boolean;
}

export function Legend({ scale, strength, what, unit, means, overPicture }: Props) {
  const colors = palette(scale.kind, strength);
  return (
    <div class="stage-legend">
      <span class="stage-what">
        {what} <span class="stage-unit">({unit})</span>
      </span>
      <span class={`stage-bar${overPicture ? " over" : ""}`} aria-hidden="true">
        <span style={{ background: `linear-gradient(to right, ${colors.join(", ")})` }} />
      </span>
      <span class="stage-numbers">
        {ticks(scale).map(({ value, text }) => {
          const at = level(scale, value);
          const beyond = (at === 0 && scale.below && "≤ ") || (at === 1 && scale.above && "≥ ") || "";
          return (
            <span key={value} style={{ left: `${100 * at}%` }} class={at === 0 ? "first" : at === 1 ? "last" : ""}>
              {beyond + text}{" "}
            </span>
          );
        })}
      </span>
      <span class="stage-means">{means ?? MEANS[scale.kind]}</span>
    </div>
  );
}

const MEANS = {
  ratio: "Red: more than uniform attention (1). Blue: less.",
  change: "Orange: more. Purple: less. 0: no change.",
  share: "The stronger the colour, the more attention.",
};

/** What the colours of a change mean, with the captures' names. */
export function changeMeans(captures: CaptureView[], shown: Shown): string | undefined {
  if (!("from" in shown)) return undefined;
  const [from, to] = [nameOf(captures[shown.from]), nameOf(captures[shown.to])];
  return `Orange: more in “${to}” than in “${from}”. Purple: less. 0: no change.`;
}

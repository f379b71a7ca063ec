// A scale with its numbers, its unit, and what its colours mean.

import { palette, type Scale, ticks, level } from "./scale";

interface Props {
  scale: Scale;
  strength: number;
  /** What the numbers are, such as "attention on each cell". */
  what: string;
  unit: string;
  /** Whether the colours lie over pictures, which are grey here. */
  overPicture?: boolean;
}

export function Legend({ scale, strength, what, unit, overPicture }: Props) {
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
        {ticks(scale, 7).map(({ value, text }) => {
          const at = level(scale, value);
          const beyond = (at === 0 && scale.below && "≤ ") || (at === 1 && scale.above && "≥ ") || "";
          return (
            <span key={value} style={{ left: `${100 * at}%` }} class={at === 0 ? "first" : at === 1 ? "last" : ""}>
              {beyond + text}{" "}
            </span>
          );
        })}
      </span>
      <span class="stage-means">{MEANS[scale.kind]}</span>
    </div>
  );
}

const MEANS = {
  ratio: "Red: more than uniform attention (1). Blue: less.",
  change: "Orange: more than before. Purple: less. 0: no change.",
  share: "The darker, the more attention.",
};

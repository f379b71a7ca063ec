// The numbers of a cell: of the one that is chosen or pointed at, and of the one with the most attention.

import { useMemo } from "preact/hooks";
import type { Stage } from "../document";
import { number, percent, signed } from "../numbers";
import { boxOf, cellsOf, covering, extreme } from "./cells";
import type { Overlay } from "./numbers";
import { moment } from "./time";

const HINT = "Point at a cell of the frame, or tap it, to read its number.";

interface Props {
  stage: Stage;
  frame: number;
  cell: number;
  overlay: Overlay | null;
  change: boolean;
  pinned: boolean;
  onCell: (frame: number, cell: number) => void;
}

/** The numbers of a cell; said to a screen reader when it was chosen, not while a pointer passes. */
export function Readout({ stage, frame, cell, overlay, change, pinned, onCell }: Props) {
  const cells = cellsOf(stage);
  const text = cell < 0 ? null : cellText(stage, frame, cell, overlay, change);
  const top = useMemo(() => (overlay ? extreme(overlay.values) : -1), [overlay]);
  const least = top >= 0 && overlay?.values[top] === 0; // there is none, or no change of it
  const first = Math.max(0, cells.first[top] ?? 0);
  return (
    <div class="stage-readout">
      {text && (
        <p>
          <b>{text[0]}</b> {text[1]}
        </p>
      )}
      {!text && (
        <p class="stage-soft">
          {cells.count
            ? HINT
            : "No token of this prompt has a place on the frames, so that nothing can be drawn on them."}
        </p>
      )}
      {!text && least && <p>{change ? "No cell changes." : "No cell gets any attention."}</p>}
      {!text && top >= 0 && !least && (
        <p>
          The cell {change ? "that changes most" : "with the most attention"} has{" "}
          {cellText(stage, first, top, overlay, change).filter(Boolean).join(": ")}{" "}
          <button type="button" class="stage-link" onClick={() => onCell(first, top)}>
            Show it
          </button>
        </p>
      )}
      <span class="stage-said" aria-live="polite">
        {pinned && text ? text.join(" ") : ""}
      </span>
    </div>
  );
}

/** A cell's number; and its frames, its time and who covers it. */
export function cellText(
  stage: Stage,
  frame: number,
  cell: number,
  overlay: Overlay | null,
  change: boolean,
): [string, string] {
  const cells = cellsOf(stage);
  const value = overlay?.values[cell];
  const lift =
    value === undefined
      ? "number not known"
      : Number.isNaN(value)
        ? "not defined"
        : `${change ? signed(value) : number(value)} × uniform`;
  const [first, last] = [cells.first[cell] ?? frame, cells.last[cell] ?? frame];
  const one = first === last;
  const where = stage.kind === "image" ? "" : one ? `frame ${first + 1}, ` : `frames ${first + 1}–${last + 1}, `;
  const [start, end] = [moment(stage.frames[first]?.time ?? 0), moment(stage.frames[last]?.time ?? 0)];
  const when = stage.kind === "image" ? "" : one ? start : `${start.replace(/ s$/, "")}–${end}`;
  const who = covering(stage.frames[frame], boxOf(cells, cell)).map(
    ({ name, share }) => `${name}’s box covers ${percent(share)} of it`,
  );
  const covered = who.length ? who.join(", ") : stage.people.length ? "nobody’s box covers it" : "";
  const rest = [`${where}${when}`, covered].filter(Boolean).join("; ");
  return [lift, rest && `${rest}.`];
}

// What happens when: how much each frame is looked at, who speaks, and where the frames are. A click seeks.

import type { Signal } from "@preact/signals";
import { Fragment } from "preact";
import { memo } from "preact/compat";
import { useCallback, useMemo } from "preact/hooks";
import type { Frame, Person, Stage, Turn } from "../document";
import { number, signed } from "../numbers";
import { cellsOf, frameMeans } from "./cells";
import type { Overlay } from "./numbers";
import { colorVariables } from "./people";
import { colorOf } from "./scale";
import { extent, frameNear, moment, span, spanText } from "./time";

const INSTANT = 0.08; // s that a turn without an end is drawn for

interface Props {
  stage: Stage;
  clock: Signal<number>;
  frame: number;
  live: Turn[][]; // at each frame
  overlay: Overlay | null;
  colors: string[];
  change: boolean;
  onFrame: (frame: number) => void;
}

type Place = (time: number) => number; // in percent of the line

export function Timeline({ stage, clock, frame, live, overlay, colors, change, onFrame }: Props) {
  const timed = useMemo(() => stage.turns.filter((turn) => span(turn)[0] !== null), [stage]);
  const lanes = useMemo(() => lanesOf(stage, timed), [stage, timed]);
  const [first, last] = useMemo(() => extent(timed, stage.frames), [stage, timed]);
  const place = useCallback((time: number) => (100 * (time - first)) / (last - first), [first, last]);
  if (stage.frames.length < 2) return null;
  const seek = (event: MouseEvent) => {
    const area = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const time = first + ((event.clientX - area.left) / area.width) * (last - first);
    onFrame(frameNear(stage.frames, time));
  };
  // the scrubber and the transcript give the same by keyboard and to a screen reader
  const track = {
    onClick: seek,
    onPointerMove: (event: PointerEvent) => event.buttons === 1 && seek(event),
    "aria-hidden": true,
  };
  const untimed = stage.turns.length - timed.length;
  return (
    <div class="stage-line">
      <div class="stage-lanes">
        <span class="stage-who general" title="The mean of each frame’s cells, over uniform attention">
          attention
        </span>
        <div {...track} class={`stage-track stage-strength${overlay ? "" : " unknown"}`}>
          {overlay && <Strength stage={stage} overlay={overlay} colors={colors} change={change} place={place} />}
          <Playhead clock={clock} place={place} />
        </div>
        {lanes.map(({ person, name, turns }) => (
          <Fragment key={name}>
            <span class="stage-who" dir="auto" style={colorVariables(person)} title={name}>
              {name}
            </span>
            <div {...track} class="stage-track">
              <Turns
                turns={turns}
                person={person}
                live={live[frame]?.find((turn) => turns.includes(turn))}
                place={place}
              />
              <Playhead clock={clock} place={place} />
            </div>
          </Fragment>
        ))}
        <span />
        <div {...track} class="stage-track stage-ticks">
          <Ticks frames={stage.frames} place={place} />
          <span class="now" style={{ left: `${place(stage.frames[frame]?.time ?? first)}%` }} />
          <small style={{ left: 0 }}>{moment(first)}</small>
          <small style={{ right: 0 }}>{moment(last)}</small>
        </div>
      </div>
      {untimed > 0 && (
        <p class="stage-note">
          {untimed} of {stage.turns.length} turns {untimed === 1 ? "has" : "have"} no time and{" "}
          {untimed === 1 ? "stands" : "stand"} only in the transcript.
        </p>
      )}
    </div>
  );
}

interface TurnsProps {
  turns: Turn[];
  person: Person | undefined;
  live: Turn | undefined;
  place: Place;
}

/** A person's turns; a lane changes only when one of its turns begins or ends. */
const Turns = memo(function Turns({ turns, person, live, place }: TurnsProps) {
  return (
    <>
      {turns.map((turn) => {
        const [start, end] = span(turn) as [number, number];
        const [left, right] = [place(start), place(Math.max(end, start + INSTANT))];
        return (
          <span
            key={turn.index}
            class={`stage-turn${turn === live ? " live" : ""}`}
            title={`${spanText(turn)}: ${turn.text}`}
            style={{ ...colorVariables(person), left: `${left}%`, width: `${right - left}%` }}
          />
        );
      })}
    </>
  );
});

const Ticks = memo(function Ticks({ frames, place }: { frames: Frame[]; place: Place }) {
  return (
    <>
      {frames.map((frame, at) => (
        <span key={at} style={{ left: `${place(frame.time)}%` }} />
      ))}
    </>
  );
});

interface StrengthProps {
  stage: Stage;
  overlay: Overlay;
  colors: string[];
  change: boolean;
  place: Place;
}

/** How much each frame is looked at: from the middle before it to the middle after it. */
const Strength = memo(function Strength({ stage, overlay, colors, change, place }: StrengthProps) {
  const means = useMemo(() => frameMeans(cellsOf(stage), overlay.values), [stage, overlay]);
  const times = stage.frames.map((frame) => frame.time);
  return (
    <>
      {times.map((time, at) => {
        const left = place((time + (times[at - 1] ?? time)) / 2);
        const right = place((time + (times[at + 1] ?? time)) / 2);
        const value = means[at] ?? NaN;
        const text = `${moment(time)}: ${change ? signed(value) : number(value)} × uniform on the frame’s cells together`;
        const color = colorOf(colors, overlay.scale, value);
        return (
          <span
            key={at}
            title={text}
            style={{ left: `${left}%`, width: `${right - left}%`, background: color ?? "none" }}
          />
        );
      })}
    </>
  );
});

function Playhead({ clock, place }: { clock: Signal<number>; place: Place }) {
  return <span class="stage-head" style={{ left: `${Math.min(100, place(clock.value))}%` }} />;
}

function lanesOf(stage: Stage, turns: Turn[]): { person: Person | undefined; name: string; turns: Turn[] }[] {
  const names = [...stage.people.map(({ name }) => name), null];
  return names.flatMap((name) => {
    const own = turns.filter((turn) => turn.speaker === name);
    const person = stage.people.find((one) => one.name === name);
    return own.length ? [{ person, name: name ?? "no name", turns: own }] : [];
  });
}

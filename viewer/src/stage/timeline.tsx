// What happens when: how much each frame is looked at, who speaks (a row a person, turns as bars), frames as ticks. A click seeks.

import type { Signal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import type { Person, Stage, Turn } from "../document";
import { number, signed } from "../numbers";
import type { Store } from "../state";
import { cellsOf, frameMeans } from "./cells";
import type { Overlay } from "./numbers";
import { colorVariables } from "./people";
import { colorOf } from "./scale";
import { extent, frameNear, moment, span, spanText } from "./time";

const INSTANT = 0.08; // s that a turn without an end is drawn for

interface Props {
  stage: Stage;
  store: Store;
  clock: Signal<number>;
  live: Turn[]; // at the frame that is shown
  overlay: Overlay | null;
  colors: string[];
  change: boolean;
}

export function Timeline({ stage, store, clock, live, overlay, colors, change }: Props) {
  const timed = stage.turns.filter((turn) => span(turn)[0] !== null);
  if (stage.frames.length < 2) return null;
  const [first, last] = extent(timed, stage.frames);
  const place = (time: number) => (100 * (time - first)) / (last - first);
  const lanes = lanesOf(stage, timed);
  const seek = (event: MouseEvent) => {
    const area = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const time = first + ((event.clientX - area.left) / area.width) * (last - first);
    store.set({ frame: frameNear(stage.frames, time), playing: false });
  };
  const drag = (event: PointerEvent) => {
    if (event.buttons !== 1) return;
    seek(event);
  };
  const untimed = stage.turns.length - timed.length;
  return (
    <div class="stage-line">
      <div class="stage-lanes">
        {overlay && (
          <>
            <span class="stage-who plain">attention</span>
            <div class="stage-track stage-strength" onClick={seek} onPointerMove={drag} aria-hidden="true">
              <Strength stage={stage} overlay={overlay} colors={colors} change={change} place={place} />
              <Playhead clock={clock} place={place} />
            </div>
          </>
        )}
        {lanes.map(({ person, name, turns }) => (
          <>
            <span class="stage-who" dir="auto" style={colorVariables(person)} title={name}>
              {name}
            </span>
            {/* The scrubber and the transcript give the same by keyboard */}
            <div class="stage-track" onClick={seek} onPointerMove={drag} aria-hidden="true">
              {turns.map((turn) => {
                const [start, end] = span(turn) as [number, number];
                const wide = Math.max(end, start + INSTANT) - start;
                return (
                  <span
                    key={turn.index}
                    class={`stage-turn${live.includes(turn) ? " live" : ""}`}
                    title={`${spanText(turn)}: ${turn.text}`}
                    style={{ ...colorVariables(person), left: `${place(start)}%`, width: `${place(first + wide)}%` }}
                  />
                );
              })}
              <Playhead clock={clock} place={place} />
            </div>
          </>
        ))}
        <span />
        <div class="stage-track stage-ticks" onClick={seek} onPointerMove={drag} aria-hidden="true">
          {stage.frames.map((frame, at) => (
            <span key={at} class={at === store.state.value.frame ? "now" : ""} style={{ left: `${place(frame.time)}%` }} />
          ))}
          <small style={{ left: 0 }}>{moment(first)}</small>
          <small style={{ right: 0 }}>{moment(last)}</small>
        </div>
      </div>
      {untimed > 0 && (
        <p class="stage-note">
          {untimed} of {stage.turns.length} turns {untimed === 1 ? "has" : "have"} no time and {untimed === 1 ? "is" : "are"} only in the transcript.
        </p>
      )}
    </div>
  );
}

/** How much each frame is looked at: from the middle before it to the middle after it. */
function Strength({ stage, overlay, colors, change, place }: Pick<Props, "stage" | "colors" | "change"> & { overlay: Overlay; place: (time: number) => number }) {
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
        return <span key={at} title={text} style={{ left: `${left}%`, width: `${right - left}%`, background: color ?? "none" }} />;
      })}
    </>
  );
}

function Playhead({ clock, place }: { clock: Signal<number>; place: (time: number) => number }) {
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

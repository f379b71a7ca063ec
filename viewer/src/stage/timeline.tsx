// Who speaks when: a row for each person who speaks, turns as bars, frames as ticks. A click seeks.

import type { Signal } from "@preact/signals";
import type { Person, Stage, Turn } from "../document";
import type { Store } from "../state";
import { colorVariables } from "./people";
import { extent, frameNear, moment, span, spanText } from "./time";

const INSTANT = 0.08; // s that a turn without an end is drawn for

interface Props {
  stage: Stage;
  store: Store;
  clock: Signal<number>;
  live: Turn[]; // at the frame that is shown
}

export function Timeline({ stage, store, clock, live }: Props) {
  const timed = stage.turns.filter((turn) => span(turn)[0] !== null);
  if (!timed.length || stage.frames.length < 2) return null;
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

function Playhead({ clock, place }: { clock: Signal<number>; place: (time: number) => number }) {
  return <span class="stage-head" style={{ left: `${place(clock.value)}%` }} />;
}

function lanesOf(stage: Stage, turns: Turn[]): { person: Person | undefined; name: string; turns: Turn[] }[] {
  const names = [...stage.people.map(({ name }) => name), null];
  return names.flatMap((name) => {
    const own = turns.filter((turn) => turn.speaker === name);
    const person = stage.people.find((one) => one.name === name);
    return own.length ? [{ person, name: name ?? "no name", turns: own }] : [];
  });
}

// Play, pause, and the frame that is shown at a moment.

import { type Signal, signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import type { Stage } from "../document";
import { type Store, usePart } from "../state";
import { frameDue, moment, playedUntil } from "./time";

/** Whether the reader asked for little motion. */
export function still(): boolean {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/**
 * The moment that is shown, in seconds: it runs while the frames are played, each at its own time, or with the clip's own
 * time where there is one. With little motion asked for, it goes from frame to frame.
 */
export function useClock(stage: Stage, store: Store, clip: HTMLVideoElement | null): Signal<number> {
  const clock = useMemo(() => signal(0), [store]);
  const playing = usePart(store, "playing");
  const frame = usePart(store, "frame");
  const time = stage.frames[frame]?.time ?? 0;
  useEffect(() => {
    if (!playing || frameDue(stage.frames, clock.value) !== frame) clock.value = time;
  }, [frame, playing, time]);
  useEffect(() => {
    if (!playing) return;
    const shown = () => store.state.peek().frame;
    const at = (number: number) => stage.frames[number]?.time ?? 0;
    const again = shown() >= stage.frames.length - 1;
    let now = again ? (clip ? 0 : at(0)) : at(shown());
    let due = frameDue(stage.frames, now);
    store.set({ frame: due });
    if (clip) {
      clip.currentTime = now;
      clip.play().catch(() => {}); // its error event says why; the frames are played without it
    }
    let before = 0;
    let request = requestAnimationFrame(function step(stamp) {
      if (shown() !== due) {
        now = at(shown()); // somebody sought
        if (clip) clip.currentTime = now;
      } else if (clip && !clip.error) {
        if (!clip.seeking) now = clip.currentTime;
      } else if (before) now += Math.min(stamp - before, 250) / 1000; // a page that slept goes on where it was
      before = stamp;
      if (clip && !clip.error ? clip.ended : now >= playedUntil(stage.frames)) {
        store.set({ playing: false });
        return;
      }
      due = frameDue(stage.frames, now);
      if (due !== shown()) store.set({ frame: due });
      clock.value = still() ? at(due) : now;
      request = requestAnimationFrame(step);
    });
    return () => {
      cancelAnimationFrame(request);
      clip?.pause();
    };
  }, [playing, stage, store, clip]);
  return clock;
}

export function Player({ stage, store }: { stage: Stage; store: Store }) {
  const playing = usePart(store, "playing");
  const frame = usePart(store, "frame");
  const last = stage.frames.length - 1;
  if (last < 1) return null;
  const time = moment(stage.frames[frame]?.time ?? 0);
  const go = (to: number) => store.set({ frame: Math.min(Math.max(to, 0), last), playing: false });
  return (
    <div class="stage-player" role="group" aria-label="Frames in time">
      <button
        type="button"
        class="stage-button"
        aria-label={playing ? "Pause" : "Play"}
        onClick={() => store.set({ playing: !playing })}
      >
        <Sign path={playing ? "M6 4h4v16H6zM14 4h4v16h-4z" : "M7 4l13 8-13 8z"} />
      </button>
      <button
        type="button"
        class="stage-button"
        aria-label="Previous frame"
        disabled={frame <= 0}
        onClick={() => go(frame - 1)}
      >
        <Sign path="M15.5 4.5L8 12l7.5 7.5 1.8-1.8L11.6 12l5.7-5.7z" />
      </button>
      <button
        type="button"
        class="stage-button"
        aria-label="Next frame"
        disabled={frame >= last}
        onClick={() => go(frame + 1)}
      >
        <Sign path="M8.5 4.5L16 12l-7.5 7.5-1.8-1.8L12.4 12 6.7 6.3z" />
      </button>
      <input
        type="range"
        class="stage-scrubber"
        aria-label="Frame"
        aria-valuetext={`frame ${frame + 1} of ${last + 1}, ${time}`}
        min={0}
        max={last}
        step={1}
        value={frame}
        onInput={(event) => go(Number(event.currentTarget.value))}
      />
      <span class="stage-now" aria-hidden="true">
        <b>{time}</b> frame {frame + 1} of {last + 1}
      </span>
    </div>
  );
}

function Sign({ path }: { path: string }) {
  return (
    <svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true">
      <path d={path} fill="currentColor" />
    </svg>
  );
}

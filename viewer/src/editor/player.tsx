// Going through the frames: one by one, to those that a model is shown, or as time passes.

import type { Signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { frameAddress } from "./server";
import type { Store } from "./store";
import { frameAt, seconds } from "./store";

export function Player({ store }: { store: Store }) {
  const { times, sound, kind } = store.document;
  const frame = store.frame.value;
  const sample = store.sample.value;
  const sampled = store.sampled.value;
  const audio = useRef<HTMLAudioElement>(null);
  const playing = store.playing.value;

  useEffect(() => {
    if (!playing) return;
    if (store.frame.value >= times.length - 1) store.frame.value = 0;
    let request = 0;
    let start = 0;
    const from = times[store.frame.value] ?? 0;
    const heard = audio.current;
    if (heard && sound !== null) {
      heard.currentTime = from + sound;
      heard.play().catch(() => {}); // a browser that cannot decode the sound shows the pictures all the same
    }
    const tick = (now: number) => {
      start ||= now;
      const next = frameAt(times, from + (now - start) / 1000);
      const ahead = new Image();
      ahead.src = frameAddress(Math.min(next + 2, times.length - 1));
      store.frame.value = next;
      if (next >= times.length - 1) store.playing.value = false;
      else request = requestAnimationFrame(tick);
    };
    request = requestAnimationFrame(tick);
    return () => {
      cancelAnimationFrame(request);
      heard?.pause();
    };
  }, [playing]);

  if (kind === "image") {
    return (
      <div class="player">
        <p class="where">This is an image: one frame, without time.</p>
        <Toggles store={store} />
      </div>
    );
  }
  const toSampled = (way: 1 | -1) => {
    const numbers = sampled.map(({ number }) => number);
    const next = way > 0 ? numbers.find((number) => number > frame) : numbers.findLast((number) => number < frame);
    if (next !== undefined) store.seek(next);
  };
  const where =
    sample >= 0
      ? `The model is shown this frame (${sample + 1} of ${sampled.length}).`
      : sampled.length
        ? `The model is not shown this frame; it is shown ${sampled.length} of ${times.length.toLocaleString("en")}.`
        : "";
  return (
    <div class="player">
      <div class="buttons">
        <button type="button" onClick={() => toSampled(-1)} title="The frame before that the model is shown ([)">
          <Icon name="first" />
          <span class="hidden">Previous frame that the model is shown</span>
        </button>
        <button type="button" onClick={() => store.seek(frame - 1)} title="One frame back (,)">
          <Icon name="back" />
          <span class="hidden">One frame back</span>
        </button>
        <button type="button" class="play" onClick={() => (store.playing.value = !playing)}>
          {playing ? "Pause" : "Play"}
        </button>
        <button type="button" onClick={() => store.seek(frame + 1)} title="One frame on (.)">
          <Icon name="on" />
          <span class="hidden">One frame on</span>
        </button>
        <button type="button" onClick={() => toSampled(1)} title="The next frame that the model is shown (])">
          <Icon name="last" />
          <span class="hidden">Next frame that the model is shown</span>
        </button>
        <span class="clock">
          {seconds(times[frame] ?? 0)} s <span class="soft">· frame {frame.toLocaleString("en")}</span>
        </span>
      </div>
      <input
        type="range"
        class="scrubber"
        min={0}
        max={times.length - 1}
        value={frame}
        aria-label="Frame"
        aria-valuetext={`${seconds(times[frame] ?? 0)} seconds`}
        onInput={(event) => {
          store.playing.value = false;
          store.seek(Number(event.currentTarget.value));
        }}
      />
      <p class={`where${sample >= 0 ? " shown" : ""}`}>{where}</p>
      <Toggles store={store} />
      {sound !== null && <audio ref={audio} src="editor/sound" preload="auto" />}
    </div>
  );
}

function Toggles({ store }: { store: Store }) {
  if (!store.grid.value) return null;
  return (
    <div class="row toggles">
      <Toggle of={store.showCells} label="Cells" />
      <Toggle of={store.asGiven} label="As sharp as the model gets it" />
    </div>
  );
}

function Toggle({ of, label }: { of: Signal<boolean>; label: string }) {
  return (
    <label class="check">
      <input type="checkbox" checked={of.value} onChange={(event) => (of.value = event.currentTarget.checked)} />
      <span>{label}</span>
    </label>
  );
}

const ICONS = { first: "M4 3v10M13 3 6 8l7 5z", back: "M12 3 5 8l7 5z", on: "M4 3l7 5-7 5z", last: "M12 3v10M3 3l7 5-7 5z" };

function Icon({ name }: { name: keyof typeof ICONS }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      <path d={ICONS[name]} fill="currentColor" stroke="currentColor" stroke-width="1.6" stroke-linejoin="round" />
    </svg>
  );
}

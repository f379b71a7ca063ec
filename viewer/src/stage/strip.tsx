// All frames as small pictures with the overlay; one is drawn only when it is scrolled into view.

import { memo } from "preact/compat";
import { useEffect, useRef, useState } from "preact/hooks";
import type { CaptureView, Stage } from "../document";
import type { Cells } from "./cells";
import { addressOf, useImage } from "./images";
import type { Overlay } from "./numbers";
import { paintFrame } from "./paint";
import { moment } from "./time";

const WIDE = 112; // CSS pixels

interface Props {
  stage: Stage;
  cells: Cells;
  capture: CaptureView | undefined;
  frame: number;
  overlay: Overlay | null;
  colors: string[];
  grey: boolean;
  spoken: string[]; // who speaks at each frame
  onFrame: (frame: number) => void;
}

export const Strip = memo(function Strip(props: Props) {
  const { stage, frame, onFrame } = props;
  const list = useRef<HTMLDivElement>(null);
  const focus = (at: number) => {
    onFrame(at);
    (list.current?.children[at] as HTMLElement | undefined)?.focus({ preventScroll: true });
  };
  useEffect(() => {
    const element = list.current;
    const chosen = element?.children[frame] as HTMLElement | undefined;
    if (!element || !chosen) return; // only the strip is scrolled, never the page
    const left = chosen.offsetLeft - element.offsetLeft;
    if (left < element.scrollLeft || left + chosen.offsetWidth > element.scrollLeft + element.clientWidth) {
      element.scrollLeft = left - (element.clientWidth - chosen.offsetWidth) / 2;
    }
  }, [frame]);
  const onKeyDown = (event: KeyboardEvent) => {
    const last = stage.frames.length - 1;
    const to = { ArrowLeft: frame - 1, ArrowRight: frame + 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    focus(Math.min(Math.max(to, 0), last));
  };
  return (
    <div
      class="stage-strip"
      role="listbox"
      aria-label="Frames"
      aria-orientation="horizontal"
      ref={list}
      onKeyDown={onKeyDown}
    >
      {stage.frames.map((_, at) => (
        <Thumb
          {...props}
          key={at}
          at={at}
          chosen={at === frame}
          frame={0}
          spoken={NOBODY}
          who={props.spoken[at] ?? ""}
        />
      ))}
    </div>
  );
});

const NOBODY: string[] = [];

const Thumb = memo(function Thumb(props: Props & { at: number; chosen: boolean; who: string }) {
  const { stage, at, chosen, who } = props;
  const option = useRef<HTMLDivElement>(null);
  const seen = useSeen(option);
  const time = stage.kind === "image" ? "" : moment(stage.frames[at]?.time ?? 0);
  return (
    <div
      ref={option}
      role="option"
      aria-selected={chosen}
      aria-label={`Frame ${at + 1}${time && `, ${time}`}${who && `, ${who} speaks`}`}
      tabIndex={chosen ? 0 : -1}
      class="stage-thumb"
      style={{ "--wide": `${WIDE}px`, "--shape": stage.width / stage.height }}
      onClick={() => props.onFrame(at)}
    >
      {seen ? <Small {...props} /> : <span class="stage-small" />}
      <span class="stage-time">{time || `frame ${at + 1}`}</span>
    </div>
  );
});

function Small(props: Props & { at: number }) {
  const { stage, cells, capture, overlay, colors, grey, at } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  const { image } = useImage(addressOf(stage, capture, at));
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (context) paintFrame(context, { stage, cells, frame: at, image, grey, overlay, colors });
  }, [stage, image, overlay, colors, grey]);
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const [width, height] = [WIDE * ratio, Math.round(((WIDE * stage.height) / stage.width) * ratio)];
  return <canvas class="stage-small" ref={canvas} width={width} height={height} aria-hidden="true" />;
}

/** Whether an element is in view, or nearly. */
function useSeen(ref: { current: HTMLElement | null }): boolean {
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    const element = ref.current;
    if (!element) return;
    const watch = new IntersectionObserver((entries) => setSeen(entries.some((entry) => entry.isIntersecting)), {
      rootMargin: "100px 300px",
    });
    watch.observe(element);
    const printed = () => setSeen(true); // paper shows all frames
    addEventListener("beforeprint", printed);
    return () => {
      watch.disconnect();
      removeEventListener("beforeprint", printed);
    };
  }, []);
  return seen;
}

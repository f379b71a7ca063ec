// The frame that is shown at full size: drawn on one canvas, with a pointer or arrow keys on its cells.

import { effect, type Signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { CaptureView, Stage } from "../document";
import { boxOf, type Cells, cellAt, neighbour, personAt } from "./cells";
import { addressOf, preload, useImage } from "./images";
import type { Overlay } from "./numbers";
import { paintCursor, paintFrame, paintPeople, type Tag } from "./paint";
import { still } from "./player";
import { moment } from "./time";

const AHEAD = 3; // frames whose pictures are asked for before they are shown

interface Props {
  stage: Stage;
  cells: Cells;
  capture: CaptureView | undefined;
  frame: number;
  overlay: Overlay | null;
  colors: string[];
  grey: boolean;
  tags: Tag[];
  /** The clip, whose pictures are drawn while it plays. */
  clip: HTMLVideoElement | null;
  clock: Signal<number>;
  dark: boolean;
  cell: number; // that is read out; -1: none
  pinned: number; // that was chosen
  text: string; // its numbers
  /** `chosen` where it was clicked, tapped or reached by a key, else the pointer passes. */
  onCell: (cell: number, chosen: boolean) => void;
  onPerson: (person: string | null) => void;
}

const KEYS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

export function Picture(props: Props) {
  const { stage, cells, capture, frame, overlay, cell, clip } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useWidth(canvas);
  const address = addressOf(stage, capture, frame);
  const { image, failed } = useImage(address);
  const drawn = useRef<HTMLImageElement | null>(null);

  useEffect(() => {
    preload(Array.from({ length: AHEAD }, (_, i) => addressOf(stage, capture, frame + 1 + i)));
  }, [stage, capture, frame]);

  const draw = () => {
    const element = canvas.current;
    const context = element?.getContext("2d");
    if (!element || !context || !width) return;
    const moving = clip && !clip.paused && clip.readyState >= 2 && !still();
    // the earlier frame stays until this one can be drawn
    if (!moving && address && !image && !failed && drawn.current) return;
    drawn.current = image;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const size: [number, number] = [
      Math.round(width * ratio),
      Math.round(((width * stage.height) / stage.width) * ratio),
    ];
    if (element.width !== size[0] || element.height !== size[1]) [element.width, element.height] = size;
    paintFrame(context, {
      stage,
      cells,
      frame,
      image: moving ? clip : image,
      grey: props.grey,
      overlay,
      colors: props.colors,
    });
    const here = stage.frames[frame];
    if (here) paintPeople(context, stage, here, props.tags, props.dark, ratio);
    if (cell >= 0) paintCursor(context, cells, cell, stage, ratio);
  };
  const latest = useRef(draw);
  latest.current = draw;
  useLayoutEffect(draw);
  useEffect(() => {
    if (!clip) return;
    return effect(() => {
      if (props.clock.value >= 0 && !clip.paused) latest.current();
    });
  }, [clip, props.clock]);

  const at = (event: MouseEvent): [number, number] => {
    const area = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const across = (event.clientX - area.left) / area.width;
    return [across * stage.width, ((event.clientY - area.top) / area.height) * stage.height];
  };
  const under = (event: MouseEvent) => cellAt(cells, frame, overlay?.values ?? null, ...at(event));
  const onKeyDown = (event: KeyboardEvent) => {
    const step = KEYS[event.key];
    if (event.key === "Escape") props.onCell(-1, true);
    else if (step && !event.altKey && !event.ctrlKey && !event.metaKey) {
      const first = cells.at[frame]?.[0] ?? -1;
      const start = cell >= 0 && cells.at[frame]?.includes(cell) ? cell : -1;
      props.onCell(start < 0 ? first : neighbour(cells, frame, start, ...step), true);
    } else return;
    event.preventDefault();
  };
  const time = stage.kind === "image" ? "" : `, ${moment(stage.frames[frame]?.time ?? 0)}`;
  return (
    <div class="stage-frame" style={{ "--shape": stage.width / stage.height }}>
      <div
        role="application"
        tabIndex={0}
        class="stage-cells"
        aria-label={`Frame ${frame + 1} of ${stage.frames.length}${time}. Arrow keys go from cell to cell and read its numbers; Escape leaves the cell.`}
        onKeyDown={onKeyDown}
        onClick={(event) => {
          const clicked = under(event);
          props.onCell(clicked === props.pinned ? -1 : clicked, true);
        }}
        onPointerMove={(event) => {
          if (event.pointerType !== "mouse") return;
          props.onCell(under(event), false);
          props.onPerson(personAt(stage.frames[frame], ...at(event)));
        }}
        onPointerLeave={() => {
          props.onCell(-1, false);
          props.onPerson(null);
        }}
      >
        <canvas ref={canvas} class="stage-picture" aria-hidden="true" />
      </div>
      {cell >= 0 && <Tip stage={stage} cells={cells} cell={cell} text={props.text} />}
      {!address && <p class="stage-absent">The page leaves out the picture of this frame.</p>}
      {failed && <p class="stage-absent">The picture of this frame cannot be shown.</p>}
    </div>
  );
}

/** A cell's numbers, over the cell, or under it where there is no room. */
function Tip({ stage, cells, cell, text }: { stage: Stage; cells: Cells; cell: number; text: string }) {
  const [x0, y0, x1, y1] = boxOf(cells, cell);
  const high = y0 < stage.height / 4;
  const middle = (x0 + x1) / 2 / stage.width;
  const style = {
    ...(high ? { top: `${(100 * y1) / stage.height}%` } : { bottom: `${100 - (100 * y0) / stage.height}%` }),
    ...(middle < 0.5 ? { left: `${(100 * x0) / stage.width}%` } : { right: `${100 - (100 * x1) / stage.width}%` }),
  };
  return (
    <div class="stage-tip" style={style} aria-hidden="true">
      {text}
    </div>
  );
}

/** An element's width in CSS pixels, followed. */
function useWidth(ref: { current: HTMLElement | null }): number {
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const element = ref.current?.parentElement;
    if (!element) return;
    const watch = new ResizeObserver(() => setWidth(element.clientWidth));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
  return width;
}

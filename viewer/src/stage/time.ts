// Frames and turns in time: which turns are being said at a frame, and which frame is shown at a moment.

import type { Frame, Turn } from "../document";
import { number } from "../numbers";

/**
 * The turns that are live at each frame, by the rule of attnscope's tables: the frames inside [start, end], else the one
 * nearest to it. A turn without any time is live at no frame: when it is said is not known.
 */
export function turnsLive(turns: Turn[], frames: Frame[]): Turn[][] {
  const live: Turn[][] = frames.map(() => []);
  for (const turn of turns) {
    const [first, last] = span(turn);
    if (first === null || last === null) continue;
    let inside = frames.flatMap(({ time }, at) => (time >= first && time <= last ? [at] : []));
    if (!inside.length) inside = nearest(frames, first, last);
    for (const at of inside) live[at]?.push(turn);
  }
  return live;
}

function nearest(frames: Frame[], first: number, last: number): number[] {
  let best = -1;
  let least = Infinity;
  frames.forEach(({ time }, at) => {
    const distance = Math.max(first - time, time - last);
    if (distance < least) [best, least] = [at, distance];
  });
  return best < 0 ? [] : [best];
}

/** First and last second of a turn; with only one of the two it is that instant. */
export function span(turn: Turn): [number, number] | [null, null] {
  const times = [turn.start, turn.end].filter((time) => time !== null);
  return times.length ? [Math.min(...times), Math.max(...times)] : [null, null];
}

/** The frame nearest to a moment; the earlier of two. */
export function frameNear(frames: Frame[], time: number): number {
  let best = 0;
  frames.forEach((frame, at) => {
    if (Math.abs(frame.time - time) < Math.abs((frames[best]?.time ?? Infinity) - time)) best = at;
  });
  return best;
}

/** The frame on screen at a moment of playing: the last that is due. */
export function frameDue(frames: Frame[], time: number): number {
  let due = 0;
  frames.forEach((frame, at) => {
    if (frame.time <= time) due = at;
  });
  return due;
}

/** When playing ends: the last frame stays as long as one does on average. */
export function playedUntil(frames: Frame[]): number {
  const first = frames[0]?.time ?? 0;
  const last = frames.at(-1)?.time ?? 0;
  return last + (frames.length > 1 ? (last - first) / (frames.length - 1) : 1);
}

/** First and last second that a time line shows: all frames and turns. */
export function extent(turns: Turn[], frames: Frame[]): [number, number] {
  const times = [
    ...frames.map((frame) => frame.time),
    ...turns.flatMap((turn) => span(turn).filter((time) => time !== null)),
  ];
  if (!times.length) return [0, 1];
  const [first, last] = [Math.min(0, ...times), Math.max(...times)];
  return last > first ? [first, last] : [first, first + 1];
}

/** A moment as a reader wants it: "3.25 s", "2:07.5". */
export function moment(time: number): string {
  if (time < 60) return `${number(Math.round(time * 100) / 100, 4)} s`;
  const minutes = Math.floor(time / 60);
  const seconds = time - 60 * minutes;
  return `${minutes}:${seconds < 10 ? "0" : ""}${seconds.toFixed(1)}`;
}

/** From when to when a turn is said; empty where that is not known. */
export function spanText(turn: Turn): string {
  const [first, last] = span(turn);
  if (first === null || last === null) return "";
  return first === last ? `at ${moment(first)}` : `${moment(first).replace(/ s$/, "")}–${moment(last)}`;
}

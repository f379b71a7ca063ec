// The frame that is shown as a picture, with its legend and a caption that says what it is.

import type { Source } from "../source";
import { overlay, reasonOf } from "../stage/numbers";
import { level, palette, ticks } from "../stage/scale";
import type { State } from "../state";
import { captionOf } from "./overlay";
import { lines } from "./svg";

const FACE = 'system-ui, -apple-system, "Segoe UI", Roboto, Helvetica, Arial, sans-serif';
const MEANS = {
  ratio: "attention on each cell, times what uniform attention would give (1)",
  change: "change of attention on each cell, in multiples of uniform attention (0: no change)",
  share: "share of the attention",
};

/** Throws where no frame is drawn. */
export async function framePng(source: Source, state: State, picture: HTMLCanvasElement | null): Promise<Blob> {
  if (!picture || !picture.width) throw new Error("No frame is drawn here.");
  const { document: view } = source;
  const width = Math.max(picture.width, 640);
  const unit = width / 800; // everything below is laid out for a width of 800
  const capture = view.captures["capture" in state.shown ? state.shown.capture : state.shown.to];
  const stage = view.stages[capture?.stage ?? 0];
  const time = stage?.kind === "image" ? "" : `Frame ${state.frame + 1} of ${stage?.frames.length}, ${stage?.frames[state.frame]?.time.toFixed(2)} s. `;
  const answer = capture?.answer ? `The model answers “${capture.answer}”${capture.verdict ? ` (${capture.verdict})` : ""}.` : "";
  const title = lines(captionOf(source, state), 90);
  const from = `${capture?.name ?? ""} · ${capture?.model ?? ""} · drawn by attnscope`;
  const { shown, query, look } = state;
  const known = await overlay(source, shown, query, look).catch(() => null);
  const why = known ? [] : lines(`No attention is drawn. ${reasonOf(view, source, shown, query, look)}`, 104);
  const said = [...title, ...why, ...lines(`${time}${answer}`, 104), ...lines(from, 104)];
  const scaled = (picture.height * width) / picture.width;
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = Math.ceil(scaled + unit * ((known ? 58 : 8) + 20 * said.length + 14));
  const context = canvas.getContext("2d");
  if (!context) throw new Error("The browser gives no canvas.");
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture, 0, 0, width, scaled);
  context.fillStyle = "#1c2126";
  context.textBaseline = "top";
  let top = scaled + unit * 10;
  if (known) {
    const { scale } = known;
    const [left, long] = [unit * 16, unit * 340];
    const colors = palette(scale.kind, 1);
    const gradient = context.createLinearGradient(left, 0, left + long, 0);
    colors.forEach((color, at) => gradient.addColorStop(at / (colors.length - 1), color));
    context.fillStyle = "#8a8a8a"; // the colours lie over grey frames
    context.fillRect(left, top, long, unit * 12);
    context.fillStyle = gradient;
    context.fillRect(left, top, long, unit * 12);
    context.fillStyle = "#1c2126";
    context.font = `${unit * 12}px ${FACE}`;
    for (const { value, text } of ticks(scale)) {
      const at = level(scale, value);
      context.textAlign = at === 0 ? "left" : at === 1 ? "right" : "center";
      const beyond = (at === 0 && scale.below && "≤ ") || (at === 1 && scale.above && "≥ ") || "";
      context.fillText(beyond + text, left + at * long, top + unit * 16);
    }
    context.textAlign = "left";
    lines(MEANS[scale.kind], 56).forEach((line, at) => context.fillText(line, left + long + unit * 20, top + unit * 16 * at));
    top += unit * 48;
  }
  said.forEach((line, at) => {
    context.font = `${at < title.length ? "600 " : ""}${unit * 14}px ${FACE}`;
    context.fillStyle = at < title.length ? "#1c2126" : "#5b6670";
    context.fillText(line, unit * 16, top + unit * 20 * at);
  });
  return new Promise((done, failed) => {
    canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error("The browser makes no picture of it."))), "image/png");
  });
}

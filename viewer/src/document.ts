// What the viewer shows: the document that attnscope/report/viewer/document.py writes.
//
// One document holds one or several captures. Numbers are the capture's own; a `Packed` array is float32 unless it says
// float16, and then the page says so. Names and texts come from users and models: they are shown as text, never as HTML.

import type { State } from "./state";

/** Numbers, row-major: base64 of little-endian bytes. NaN means "not defined". */
export interface Packed {
  dtype: "float32" | "float16" | "int32";
  shape: number[];
  data: string;
  /** The bytes are a zlib stream: first the first bytes of all numbers, then the second ones, and so on. */
  codec?: "deflate";
}

/** A head, or means: of a layer's heads (head null), of all layers and heads (both null). */
export interface Look {
  layer: number | null;
  head: number | null;
}

export interface ViewDocument {
  version: 1;
  title: string;
  /** What the people were shown; captures of one prompt share a stage. */
  stages: Stage[];
  /** One capture; or before and after; or before, after and control; or any captures side by side. */
  captures: CaptureView[];
  /** What the grid of heads and the table of heads can show, in order; the first is shown first. */
  measures: Measure[];
  /** Sentences about what the document leaves out for the sake of its size; may be empty. */
  notes: string[];
  /** What is shown first, where the page has something to say about it; the address of the page wins. */
  first?: Partial<Pick<State, "shown" | "look" | "query" | "measure" | "frame" | "person">>;
}

export interface Stage {
  kind: "video" | "image" | "folder";
  width: number; // of the source, px; boxes and cells are in these
  height: number;
  people: Person[];
  turns: Turn[];
  frames: Frame[];
  /** Cells of the visual tokens that have a place, T of them. */
  cells: {
    positions: Packed; // int32 [T]
    first: Packed; // int32 [T], first frame that the token shows
    last: Packed; // int32 [T]
    box: Packed; // float32 [T, 4], x0 y0 x1 y1
  };
  question: string | null;
  expected: string | null;
  /** Address of the clip itself, with its sound; only on a server that was given it. */
  video?: string;
}

export interface Person {
  name: string;
  color: string; // on light pages, readable as text on white
  dark: string; // on dark pages
}

export interface Turn {
  index: number;
  speaker: string | null;
  text: string;
  start: number | null; // s
  end: number | null;
}

export interface Frame {
  time: number; // s
  image: string | null; // data URI, or an address below the server's token; null where it is left out
  boxes: Record<string, [number, number, number, number]>; // visible people
}

export interface CaptureView {
  /** File name, and "before", "after", "control" or "" for what it is. */
  name: string;
  label: string;
  model: string;
  stage: number; // index into `stages`
  answer: string | null;
  verdict: "right" | "wrong" | "";
  options: { text: string; share: number | null; expected: boolean }[];
  layers: number[]; // numbers of the recorded layers in the model
  heads: number;
  /** Every token that is shown as text: all but the visual ones. */
  tokens: Token[];
  /** Groups of queries with a map: "turn:0", "speaker:Ann", "question", "answer_position", "generated:0". */
  groups: Group[];
  /** Sets of keys on which the mass of each word is known: "visual", "text", "visual:Ann", "text:Ann", ... */
  keys: Key[];
  /** Numbers by head: measure id -> float32 [layers, heads], and its p and q where it has them. */
  values: Record<string, { value: Packed; p?: Packed; q?: Packed }>;
  /** Pictures that its model was shown, frame by frame, where they are others than those of the stage (a correction drew
   * on them); null where one is left out. */
  images?: (string | null)[];
  /** Heads in which a correction acted. */
  active: [layer: number, head: number][];
  /** Whether the source computes the row of any token in any head (a capture with `qk` or `full`, on a server). */
  exact: boolean;
  /** What is inside the document; a source that asks a server has none of it. */
  views?: {
    looks: Look[]; // V of them
    maps: Packed; // [V, groups, T]: lift, attention over what uniform attention would give
    masses: Packed; // [V, queries, keys]: share of the query's attention
    queries: Packed; // int32 [queries]: positions of the words that `masses` has
    /** What uniform attention would put on the keys: the share that they are of the keys that each query may see, a mean
     * over the layers of the look. mass / uniform = lift; 0 where the query may see none of them. V is 1 where all looks
     * have the same; absent where it is not known. */
    uniform?: Packed; // [V, queries, keys]
    /** Rows of single words, of few looks; absent where the capture has no queries and keys. */
    rows?: { looks: Look[]; queries: Packed; values: Packed }; // [looks, queries, T]: lift; queries: their positions
  };
}

export interface Token {
  position: number;
  text: string;
  role: string; // system, template, transcript, history, question, answer
  modality: string;
  turn: number; // -1: none
  speaker: string; // "": none
}

export interface Group {
  name: string;
  title: string; // "the words of Ann"
  positions: number[]; // of its queries
}

export interface Key {
  name: string;
  title: string;
  person: string | null;
  kind: "visual" | "text" | "other";
  size: number; // number of keys, seen or not: what uniform attention would give is in `views.uniform`
}

export interface Measure {
  id: string;
  title: string;
  definition: string;
  unit: string;
  source: string; // paper, code, 2nd, ours
  center: number | null; // chance or uniform, where the colour scale is centred
  chance: string; // in words
  person: string | null; // whom it is about
}

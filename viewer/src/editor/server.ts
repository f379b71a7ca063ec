// What the editor asks attnscope's server; all addresses are relative to the page, whose address holds the token.

import type { Parts } from "./scene";

export interface Opened {
  title: string;
  is_new: boolean;
  target: string; // where the scene is saved
  replaces: boolean; // whether that is the opened file
  kind: "video" | "image" | "folder";
  width: number;
  height: number;
  duration: number | null; // s
  times: number[]; // of all frames, s
  units: "pixels" | "fraction";
  parts: Parts;
  questions: string[]; // ids, of a scene with several
  kept: string[]; // fields that are saved as they are
  notes: string[];
  palette: { light: string; dark: string }[];
  coverage: number | null; // null: no model was given
  model: string | null;
  settings: Record<string, number | string>; // options of a capture that takes the same frames
  sound: number | null; // s from the beginning of the file to the first frame; null: no sound
}

export interface Problem {
  path: string;
  text: string;
}

export interface Finding {
  kind: string;
  text: string;
  speakers: string[];
  turns: number[];
  frames: number[]; // of the sampled ones
}

export interface FrameCells {
  cells: [number, number, number, number][]; // px of the source
  region: [number, number, number, number] | null;
  size: [number, number] | null;
}

export interface Cells {
  key: string;
  model: string;
  coverage: number;
  facts: string[];
  cells: FrameCells[] | null; // null: those of the key that the page has
  owners: number[][][]; // frame, person, numbers of cells
}

/** What is wrong with a scene, and what a model is shown of it; of a scene that is wrong, `problems` alone. */
export interface Looked {
  problems: Problem[];
  saves: boolean;
  findings?: Finding[];
  question?: { text: string; name: string | null }[];
  about?: string[];
  sampled?: { number: number; time: number }[];
  cells?: Cells | null;
}

export class Refused extends Error {
  constructor(
    readonly status: number,
    reason: string,
  ) {
    super(reason);
  }
}

async function json<T>(answer: Response): Promise<T> {
  if (answer.ok) return (await answer.json()) as T;
  const text = await answer.text();
  let reason = text.trim() || `The server answered ${answer.status}.`;
  try {
    reason = String((JSON.parse(text) as { reason: unknown }).reason);
  } catch {
    // not an answer of the editor: its text is shown as it is
  }
  throw new Refused(answer.status, reason);
}

async function ask<T>(address: string, sent?: unknown): Promise<T> {
  const init =
    sent === undefined
      ? {}
      : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(sent) };
  try {
    return await json<T>(await fetch(address, init));
  } catch (error) {
    if (error instanceof Refused) throw error;
    throw new Refused(0, "attnscope's server does not answer. Is it still running?");
  }
}

export const opened = (): Promise<Opened> => ask("editor/document");

export const look = (parts: Parts, asked: number, coverage: number | null, known: string | null): Promise<Looked> =>
  ask("editor/look", { parts, asked, coverage, known });

/** Where the scene was saved; or why there is a file that is replaced only if the user says so. */
export const save = (parts: Parts, replace: boolean): Promise<{ path: string; taken: null } | { path: null; taken: string }> =>
  ask("editor/save", { parts, replace });

export const frameAddress = (number: number): string => `editor/frame?number=${number}`;

/** A sampled frame as the model gets it; `version` names what was sampled, since another question may sample others. */
export const shownAddress = (frame: number, version: string): string => `editor/shown?frame=${frame}&v=${version}`;

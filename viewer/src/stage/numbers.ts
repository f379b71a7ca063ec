// The numbers behind the stage and the words, from the source alone: cells, people and words, of what is shown.

import type { CaptureView, Key, Look, ViewDocument } from "../document";
import { lookInWords } from "../grid/values";
import { type Loaded, useLoaded } from "../loading";
import { isChange, nameOf, shownTable, wordOf } from "../shown";
import type { Source, Table } from "../source";
import type { Query, Shown } from "../state";
import { changeScale, ratioScale, type Scale, shareScale } from "./scale";

/** One number a cell, and the scale that all frames share. */
export interface Overlay {
  values: Float32Array;
  scale: Scale;
}

/** How much a query attends to each person's cells; NaN where it is not known. */
export interface Lookers {
  /** Share of the query's attention, by the stage's order of people. */
  mass: Float32Array;
  /** The same over what uniform attention would give. */
  lift: Float32Array;
}

/**
 * How much each word attends to a set of keys: on a person a lift, where uniform attention is known; on the whole video a
 * share, since a lift could not go far above 1 on what most keys are.
 */
export interface Words {
  positions: Map<number, number>; // position -> row
  values: Float32Array;
  mass: Float32Array;
  lifts: Float32Array; // NaN where it is not known
  /** Whether `values` are lifts; else they are the shares. */
  lift: boolean;
  scale: Scale;
}

const lookKey = (look: Look) => `${look.layer}.${look.head}`;
const queryKey = (query: Query) => (query.kind === "group" ? `g${query.name}` : `t${query.position}`);

/** Captures whose numbers a choice is about. */
function capturesOf(shown: Shown): number[] {
  return "capture" in shown ? [shown.capture] : [shown.from, shown.to];
}

/** Whether the numbers of a capture stand in the document, so that asking for them costs nothing. */
export function isEmbedded(capture: CaptureView | undefined): boolean {
  return capture?.views !== undefined;
}

/** Whether captures of a choice show one stage: without it there is no change of a cell. */
function oneStage(document: ViewDocument, shown: Shown): boolean {
  return new Set(capturesOf(shown).map((at) => document.captures[at]?.stage)).size === 1;
}

/** Captures that share a scale: those that are shown, and where it costs nothing all of the same stage. */
function scaledWith(document: ViewDocument, shown: Shown): number[] {
  const own = capturesOf(shown);
  const stage = document.captures[own[0] ?? 0]?.stage;
  const others = document.captures.flatMap((capture, at) =>
    capture.stage === stage && isEmbedded(capture) ? [at] : [],
  );
  return [...new Set([...own, ...others])];
}

/** The lift of a query on each cell, [1, T]; null where it is not known. */
export async function liftOf(source: Source, at: number, query: Query, look: Look): Promise<Table | null> {
  if (query.kind === "token") {
    const row = await source.row(at, query.position, look);
    return row && { rows: 1, columns: row.lift.length, values: row.lift };
  }
  const group = source.document.captures[at]?.groups.findIndex(({ name }) => name === query.name) ?? -1;
  const maps = group < 0 ? null : await source.maps(at, look);
  return (
    maps && {
      rows: 1,
      columns: maps.columns,
      values: maps.values.subarray(group * maps.columns, (group + 1) * maps.columns),
    }
  );
}

const GENERATED = "generated:"; // sets of one token of the answer, which each capture has its own of

/** The word that a query is, in a capture; of other sets of words their name, which means the same in all captures. */
function wordIn(capture: CaptureView | undefined, query: Query): string | undefined {
  if (query.kind === "group" && !query.name.startsWith(GENERATED)) return query.name;
  const [position] = positionsOf(capture, query);
  return capture?.tokens.find((token) => token.position === position)?.text;
}

/** Whether a query is the same word in all captures that are shown: else there is no change, and nothing in between. */
export function sameWord(document: ViewDocument, shown: Shown, query: Query): boolean {
  if ("capture" in shown) return true;
  const words = capturesOf(shown).map((at) => wordIn(document.captures[at], query));
  return words.every((word) => word !== undefined && word === words[0]);
}

/** Why there is no change of a query that is not the same word in the captures. */
function differentWords(document: ViewDocument, shown: Shown, query: Query): string {
  const words = capturesOf(shown).map((at) => {
    const capture = document.captures[at];
    const word = wordIn(capture, query);
    const [position] = positionsOf(capture, query);
    const text = word === undefined || position === undefined ? "no word" : `“${wordOf(capture, position)}”`;
    return `${text} in ${nameOf(capture)}`;
  });
  return `These are different words: ${words.join(", ")}. There is no change from one to the other.`;
}

export async function overlay(source: Source, shown: Shown, query: Query, look: Look): Promise<Overlay | null> {
  if (!oneStage(source.document, shown)) return null;
  if (!sameWord(source.document, shown, query)) return null;
  const table = await shownTable((at) => liftOf(source, at, query, look), shown);
  if (!table?.values.some((value) => !Number.isNaN(value))) return null;
  const scaled = isChange(shown) ? capturesOf(shown) : scaledWith(source.document, shown);
  const others = await Promise.all(scaled.map((at) => liftOf(source, at, query, look).catch(() => null)));
  const values = others.flatMap((other) => (other ? [other.values] : []));
  const scale = isChange(shown) ? changeScale(table.values, ...values) : ratioScale(...values);
  return { values: table.values, scale };
}

export function useOverlay(source: Source, shown: Shown, query: Query, look: Look): Loaded<Overlay> {
  return useLoaded(
    () => overlay(source, shown, query, look),
    `${JSON.stringify(shown)} ${queryKey(query)} ${lookKey(look)}`,
  );
}

/** The set of keys that are a person's cells, or all of the video's. */
export function visualKey(capture: CaptureView | undefined, person: string | null): number {
  return capture?.keys.findIndex((key: Key) => key.kind === "visual" && key.person === person) ?? -1;
}

/** Positions of a query's tokens. */
export function positionsOf(capture: CaptureView | undefined, query: Query): number[] {
  if (query.kind === "token") return [query.position];
  return capture?.groups.find(({ name }) => name === query.name)?.positions ?? [];
}

/** Mass and lift of a query on each of some people, [2, people]: means over its tokens; null where one is not known. */
async function lookersOf(
  source: Source,
  at: number,
  people: string[],
  query: Query,
  look: Look,
): Promise<Table | null> {
  const capture = source.document.captures[at];
  const [masses, uniform, queries] = await Promise.all([
    source.masses(at, look),
    source.uniform(at, look),
    source.queries(at),
  ]);
  const rows = positionsOf(capture, query).map((position) => queries.indexOf(position));
  if (!masses || !rows.length || rows.some((row) => row < 0)) return null;
  const values = new Float32Array(2 * people.length).fill(NaN);
  people.forEach((person, i) => {
    const key = visualKey(capture, person);
    if (key < 0) return;
    const mean = (table: Table) =>
      rows.reduce((sum, row) => sum + (table.values[row * table.columns + key] ?? NaN), 0) / rows.length;
    const even = uniform ? mean(uniform) : NaN;
    if (uniform && !(even > 0)) return; // they may see none of these cells: nothing to look at
    values[i] = mean(masses);
    if (even > 0) values[people.length + i] = mean(masses) / even;
  });
  return { rows: 2, columns: people.length, values };
}

export function useLookers(source: Source, people: string[], shown: Shown, query: Query, look: Look): Loaded<Lookers> {
  const ask = async () => {
    if (!sameWord(source.document, shown, query)) return null;
    const table = await shownTable((at) => lookersOf(source, at, people, query, look), shown);
    return table && { mass: table.values.subarray(0, people.length), lift: table.values.subarray(people.length) };
  };
  return useLoaded(ask, `${JSON.stringify(shown)} ${queryKey(query)} ${lookKey(look)}`);
}

/** Mass and lift of each word on a set of keys, [queries, 2]. */
async function wordsOf(source: Source, at: number, person: string | null, look: Look): Promise<Table | null> {
  const key = visualKey(source.document.captures[at], person);
  const [masses, uniform] = await Promise.all([source.masses(at, look), source.uniform(at, look)]);
  if (!masses || key < 0) return null;
  const values = new Float32Array(2 * masses.rows);
  for (let row = 0; row < masses.rows; row += 1) {
    const mass = masses.values[row * masses.columns + key] ?? NaN;
    const even = uniform?.values[row * masses.columns + key] ?? NaN;
    values[2 * row] = uniform && !(even > 0) ? NaN : mass; // it may see none of these keys: nothing to look at
    values[2 * row + 1] = even > 0 ? mass / even : NaN;
  }
  return { rows: masses.rows, columns: 2, values };
}

function column(table: Table, at: number): Float32Array {
  return Float32Array.from({ length: table.rows }, (_, row) => table.values[row * table.columns + at] ?? NaN);
}

async function words(source: Source, shown: Shown, person: string | null, look: Look): Promise<Words | null> {
  const names = async (at: number) => {
    const texts = new Map(source.document.captures[at]?.tokens.map((token) => [token.position, token.text]));
    return Array.from(await source.queries(at), (position) => `${position} ${texts.get(position) ?? ""}`);
  };
  const ask = (at: number) => wordsOf(source, at, person, look);
  const table = await shownTable(ask, shown, names);
  if (!table) return null;
  const last = "capture" in shown ? shown.capture : "mix" in shown && shown.mix <= 0 ? shown.from : shown.to;
  const positions = new Map(Array.from(await source.queries(last), (position, row) => [position, row] as const));
  const others = (await Promise.all(scaledWith(source.document, shown).map((at) => ask(at).catch(() => null)))).filter(
    (one) => one !== null,
  );
  const known = person !== null && column(table, 1).some((value) => !Number.isNaN(value));
  const at = known ? 1 : 0;
  const values = column(table, at);
  const all = others.map((other) => column(other, at));
  const scale = isChange(shown) ? changeScale(values, ...all) : known ? ratioScale(...all) : shareScale(...all);
  return { positions, values, mass: column(table, 0), lifts: column(table, 1), lift: known, scale };
}

export function useWords(source: Source, shown: Shown, person: string | null, look: Look): Loaded<Words> {
  return useLoaded(() => words(source, shown, person, look), `${JSON.stringify(shown)} ${person} ${lookKey(look)}`);
}

function named(capture: CaptureView | undefined): string {
  return nameOf(capture) ? `The capture “${nameOf(capture)}”` : "This capture";
}

/** Why there is no overlay, in a sentence for the reader. */
export function reasonOf(
  document: ViewDocument,
  source: Source,
  shown: Shown,
  query: Query,
  look: Look,
  passing = false,
): string {
  const captures = capturesOf(shown).map((at) => [at, document.captures[at]] as const);
  if (!oneStage(document, shown)) return "The two captures show different clips, so that no cell has a change.";
  if (query.kind === "group") {
    const bare = captures.find(([, capture]) => !capture?.groups.length);
    if (bare) return `${named(bare[1])} has no maps of attention: capture it again with --plan masses,maps,stats.`;
    const without = captures.find(([, capture]) => !capture?.groups.some(({ name }) => name === query.name));
    if (without) {
      const file = without[1]?.name || "FILE";
      const held = isEmbedded(without[1])
        ? ` in this page; attnscope view ${file} shows them where the capture has them`
        : "";
      return `${named(without[1])} has no map of these words (${query.name})${held}.`;
    }
  }
  if (!sameWord(document, shown, query)) return differentWords(document, shown, query);
  const missing = captures.find(([at]) => !source.has(at, look));
  const file = missing?.[1]?.name || captures[0]?.[1]?.name || "FILE";
  const embedded = captures.some(([, capture]) => isEmbedded(capture));
  const more = embedded ? ` attnscope view ${file} shows every layer and head.` : "";
  if (missing) return `This page does not hold this attention (${lookInWords(look)}).${more}`;
  if (query.kind === "token" && passing && embedded)
    return "This page does not hold, cell by cell, where this word looks.";
  if (query.kind === "token") {
    const why = embedded
      ? `This page does not hold where single words look (${lookInWords(look)}).`
      : "The capture does not hold where this word looks, cell by cell: that takes the reading qk or full.";
    return why + (embedded ? ` attnscope view ${file} shows it where the capture has the reading qk or full.` : "");
  }
  return `There are no numbers here (${lookInWords(look)}): these words see no cell of the video.`;
}

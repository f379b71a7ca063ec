// What attnscope's server and a notebook's kernel have in common: the same questions, answered with the same bytes.

import type { CaptureView, Look, ViewDocument } from "../document";
import { Superseded } from "../loading";
import type { Row, Source, Table } from "../source";
import { integersOf, numbers } from "./packed";

export interface Question {
  what: "maps" | "masses" | "queries" | "row";
  capture: number;
  layer?: number;
  head?: number;
  position?: number;
}

/** The bytes of an answer; null where it is not known. Rejects with `AbortError` when the signal stops it. */
export type Ask = (question: Question, signal: AbortSignal) => Promise<ArrayBuffer | null>;

const KEPT = 64; // answers; one of 28 x 28 heads at 8192 positions is 32 KB to 2 MB

export class RemoteSource implements Source {
  private readonly kept = new Map<string, Promise<ArrayBuffer | null>>();
  private readonly running = new Map<string, { key: string; stop: AbortController }>();

  constructor(
    readonly document: ViewDocument,
    private readonly ask: Ask,
  ) {}

  has(capture: number, look: Look): boolean {
    const view = this.document.captures[capture];
    if (!view) return false;
    if (view.views && !view.exact) {
      return view.views.looks.some((known) => known.layer === look.layer && known.head === look.head);
    }
    if (look.layer === null) return look.head === null;
    return view.layers.includes(look.layer) && (look.head === null || (look.head >= 0 && look.head < view.heads));
  }

  async maps(capture: number, look: Look): Promise<Table | null> {
    const bytes = await this.fetch({ what: "maps", capture, ...named(look) });
    return table(bytes, this.view(capture).groups.length, "maps");
  }

  async masses(capture: number, look: Look): Promise<Table | null> {
    const bytes = await this.fetch({ what: "masses", capture, ...named(look) });
    if (!bytes) return null;
    return table(bytes, (await this.queries(capture)).length, "masses", this.view(capture).keys.length);
  }

  async queries(capture: number): Promise<Int32Array> {
    const bytes = await this.fetch({ what: "queries", capture });
    return bytes ? (numbers(bytes, "int32") as Int32Array) : new Int32Array();
  }

  async row(capture: number, position: number, look: Look): Promise<Row | null> {
    const bytes = await this.fetch({ what: "row", capture, position, ...named(look) });
    if (!bytes) return null;
    const values = numbers(bytes, "float32") as Float32Array;
    const uniform = values[0] ?? NaN;
    const keys = values.subarray(1);
    const stage = this.document.stages[this.view(capture).stage];
    const positions = stage ? integersOf(stage.cells.positions) : new Int32Array();
    // A later position is no key of the query: no attention there is "not allowed", which is not a measured 0
    const lift = Float32Array.from(positions, (at) => {
      const value = keys[at] ?? NaN;
      return at > position && value === 0 ? NaN : value / uniform;
    });
    return { lift, keys };
  }

  private view(capture: number): CaptureView {
    const view = this.document.captures[capture];
    if (!view) throw new Error(`There is no capture ${capture}.`);
    return view;
  }

  /** An answer, kept; a question of the same kind that is still running is stopped: only the latest matters. */
  private fetch(question: Question): Promise<ArrayBuffer | null> {
    const key = JSON.stringify(question);
    const kept = this.kept.get(key);
    if (kept) {
      this.kept.delete(key); // the latest used is the last to go
      this.kept.set(key, kept);
      return kept;
    }
    const kind = `${question.what}:${question.capture}`;
    const earlier = this.running.get(kind);
    if (earlier) {
      this.kept.delete(earlier.key); // at once: who asks for it again gets a new answer, not the stopped one
      earlier.stop.abort();
    }
    const stop = new AbortController();
    this.running.set(kind, { key, stop });
    const answer: Promise<ArrayBuffer | null> = this.ask(question, stop.signal)
      .catch((reason: unknown) => {
        if (this.kept.get(key) === answer) this.kept.delete(key); // what failed may be asked again
        throw stop.signal.aborted ? new Superseded("A later question replaced this one.") : reason;
      })
      .finally(() => {
        if (this.running.get(kind)?.stop === stop) this.running.delete(kind);
      });
    this.kept.set(key, answer);
    for (const oldest of this.kept.keys()) {
      if (this.kept.size <= KEPT) break;
      this.kept.delete(oldest);
    }
    return answer;
  }
}

function named(look: Look): { layer?: number; head?: number } {
  return { ...(look.layer === null ? {} : { layer: look.layer }), ...(look.head === null ? {} : { head: look.head }) };
}

function table(bytes: ArrayBuffer | null, rows: number, what: string, columns?: number): Table | null {
  if (!bytes) return null;
  const values = numbers(bytes, "float32") as Float32Array;
  const width = columns ?? (rows ? values.length / rows : 0);
  if (!Number.isInteger(width) || width * rows !== values.length) {
    throw new Error(`The answer for ${what} has ${values.length} numbers, which do not fill ${rows} rows.`);
  }
  return { rows, columns: width, values };
}

// What attnscope's server and a notebook's kernel have in common: the same questions, answered with the same bytes.

import { signal } from "@preact/signals";
import type { CaptureView, Look, Measure, ViewDocument } from "../document";
import { Superseded } from "../loading";
import type { Progress, Row, Source, Table } from "../source";
import { numbers } from "./packed";

export interface Question {
  what: "maps" | "masses" | "uniform" | "queries" | "row";
  capture: number;
  layer?: number;
  head?: number;
  position?: number;
}

/** The bytes of an answer; null where it is not known. Rejects with `AbortError` when the signal stops it. */
export type Ask = (question: Question, signal: AbortSignal) => Promise<ArrayBuffer | null>;

/** Numbers by head, as far as they are computed. */
export interface Measures {
  done: number;
  total: number;
  what: string;
  measures: Measure[];
  values: CaptureView["values"][]; // of each capture
}

const PAUSE = 1000; // ms between two questions for measures
const KEPT = 64; // answers; one of 28 x 28 heads at 8192 positions is 32 KB to 2 MB

export class RemoteSource implements Source {
  private readonly kept = new Map<string, Promise<ArrayBuffer | null>>();
  private readonly running = new Map<string, { key: string; stop: AbortController }>();

  readonly progress = signal<Progress | null>(null);
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** `measures` asks for the numbers by head, which may still be computed when the page opens. */
  constructor(
    readonly document: ViewDocument,
    private readonly ask: Ask,
    measures?: () => Promise<Measures | null>,
  ) {
    if (measures) void this.follow(measures);
  }

  close(): void {
    clearTimeout(this.timer);
  }

  private async follow(measures: () => Promise<Measures | null>): Promise<void> {
    try {
      const now = await measures();
      if (!now) return;
      this.document.measures = now.measures;
      this.document.captures.forEach((capture, at) => {
        capture.values = now.values[at] ?? {};
      });
      const { done, total, what } = now;
      this.progress.value = { done, total, what, error: "" };
      if (done < total) this.timer = setTimeout(() => void this.follow(measures), PAUSE);
      else this.progress.value = null;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.progress.value = { done: 0, total: 0, what: "", error: reason };
    }
  }

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
    if (!this.view(capture).groups.length) return null; // nothing was recorded: nobody has to be asked
    const bytes = await this.fetch({ what: "maps", capture, ...named(look) });
    return table(bytes, this.view(capture).groups.length, "maps");
  }

  async masses(capture: number, look: Look): Promise<Table | null> {
    if (!this.view(capture).keys.length) return null;
    const bytes = await this.fetch({ what: "masses", capture, ...named(look) });
    if (!bytes) return null;
    return table(bytes, (await this.queries(capture)).length, "masses", this.view(capture).keys.length);
  }

  async uniform(capture: number, look: Look): Promise<Table | null> {
    if (!this.view(capture).keys.length) return null;
    const layer = look.layer === null ? {} : { layer: look.layer }; // what a query may see is the same in all heads
    const bytes = await this.fetch({ what: "uniform", capture, ...layer });
    if (!bytes) return null;
    return table(bytes, (await this.queries(capture)).length, "uniform", this.view(capture).keys.length);
  }

  async queries(capture: number): Promise<Int32Array> {
    if (!this.view(capture).keys.length) return new Int32Array();
    const bytes = await this.fetch({ what: "queries", capture });
    return bytes ? (numbers(bytes, "int32") as Int32Array) : new Int32Array();
  }

  async row(capture: number, position: number, look: Look): Promise<Row | null> {
    if (!this.view(capture).exact) return null;
    const bytes = await this.fetch({ what: "row", capture, position, ...named(look) });
    if (!bytes) return null;
    const values = numbers(bytes, "float32") as Float32Array;
    const cells = this.document.stages[this.view(capture).stage]?.cells.positions.shape[0] ?? 0;
    return { lift: values.subarray(0, cells), keys: values.subarray(cells) };
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

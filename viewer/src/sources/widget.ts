// A notebook's kernel, through anywidget: the document is a trait, questions and answers are custom messages.

import type { ViewDocument } from "../document";
import { Superseded } from "../loading";
import { type Ask, type Measures, RemoteSource } from "./remote";

/** What anywidget hands to `render`. */
export interface WidgetModel {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  save_changes(): void;
  send(content: unknown): void;
  on(event: string, heard: (...parts: never[]) => void): void;
  off(event: string, heard: (...parts: never[]) => void): void;
}

interface Answer {
  type: "answer";
  id: number;
  reason?: string; // why it is not known
  error?: string;
}

interface Waiting {
  done: (bytes: ArrayBuffer | null) => void;
  failed: (error: Error) => void;
}

let asked = 0; // of all viewers of a page, since one model may have several views

export function widgetSource(model: WidgetModel): { source: RemoteSource; close: () => void } {
  const waiting = new Map<number, Waiting>();
  const hear = (content: Answer, buffers: DataView[] = []) => {
    const question = content?.type === "answer" ? waiting.get(content.id) : undefined;
    if (!question) return;
    waiting.delete(content.id);
    const [bytes] = buffers;
    if (content.error) question.failed(new Error(content.error));
    else if (!bytes || content.reason) question.done(null);
    else question.done(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer);
  };
  model.on("msg:custom", hear);
  const ask: Ask = (question, signal) =>
    new Promise((done, failed) => {
      asked += 1;
      const id = asked;
      waiting.set(id, { done, failed });
      signal.addEventListener("abort", () => {
        if (waiting.delete(id)) model.send({ type: "drop", id }); // so that the kernel computes nothing in vain
        failed(new Superseded("A later question replaced this one."));
      });
      model.send({ type: "ask", id, ...question });
    });
  const measures = () =>
    new Promise<Measures | null>((done, failed) => {
      asked += 1;
      const read = (bytes: ArrayBuffer | null) => (bytes ? (JSON.parse(new TextDecoder().decode(bytes)) as Measures) : null);
      waiting.set(asked, { done: (bytes) => done(read(bytes)), failed });
      model.send({ type: "ask", id: asked, what: "measures" });
    });
  // A copy: several views of one model would otherwise write into one object
  const document = structuredClone(model.get("document")) as ViewDocument;
  const source = new RemoteSource(document, ask, measures);
  const close = () => {
    source.close();
    model.off("msg:custom", hear);
  };
  return { source, close };
}

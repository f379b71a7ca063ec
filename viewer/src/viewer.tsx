// The viewer as a whole: choices on top; on the left the frames, which stay in sight; on the right what drives them.

import type { Signal } from "@preact/signals";
import { Component, type ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { storeBeside } from "./beside";
import { BesideControl, LookControl, MeasureControl, QueryControl, ShownControl } from "./controls";
import type { Measure } from "./document";
import { Exports } from "./export/exports";
import { sentence } from "./grid/cells";
import { Grid } from "./grid/grid";
import { HeadTable } from "./grid/table";
import { lookInWords } from "./grid/values";
import { nameOf, shownInWords } from "./shown";
import type { Source } from "./source";
import { StagePanel } from "./stage";
import { type Store, usePart } from "./state";
import { WordsPanel } from "./words";

export interface ViewerProps {
  source: Source;
  store: Store;
  /** What of the address could not be followed. */
  ignored: Signal<string[]>;
  /** Where it stands: a page of its own, within a report, or a cell of a notebook. */
  place: "page" | "report" | "cell";
}

let viewers = 0; // a notebook may have several in one page

export function Viewer({ source, store, ignored, place }: ViewerProps) {
  const [id] = useState(() => `attnscope-${(viewers += 1)}`);
  const root = useRef<HTMLDivElement>(null);
  const { document } = source;
  const beside = usePart(store, "beside");
  const chosen = usePart(store, "measure");
  const progress = source.progress?.value; // read here: when numbers by head come, all is drawn anew
  const measure = document.measures.find((one) => one.id === chosen) ?? document.measures[0];
  const pair = useMemo(() => (beside === null ? null : storeBeside(source, store, beside)), [source, store, beside]);
  useEffect(() => pair?.stop, [pair]);
  if (!document.captures.length) return <Failure reason="The document has no capture." />;
  const stores = pair ? [store, pair.second] : [store];
  return (
    <div class={`attnscope in-${place}`} ref={root}>
      {place === "page" && (
        <header>
          <h1>{document.title}</h1>
          <h2 class="hidden">Where the model looks</h2>
        </header>
      )}
      {ignored.value.length > 0 && (
        <div class="callout" role="status">
          This page does not have all that its address asks for, and shows the rest. Ignored: {ignored.value.join("; ")}.
        </div>
      )}
      {place !== "report" && <Answers source={source} />}
      <div class="choices">
        <ShownControl source={source} store={store} id={id} />
        <QueryControl source={source} store={store} />
        <LookControl source={source} store={store} />
        <BesideControl source={source} store={store} />
      </div>
      {pair ? (
        <div class="columns even">
          {stores.map((own, at) => (
            <div class="column" key={at ? `beside ${beside}` : "first"}>
              <BesideTitle source={source} store={own} />
              <StagePanel source={source} store={own} />
              <GridPanel source={source} store={own} measure={measure} />
              <WordsPanel source={source} store={own} />
              {measure && <HeadTable source={source} store={own} measure={measure} />}
            </div>
          ))}
        </div>
      ) : (
        <div class="columns">
          <div class="column stays">
            <StagePanel source={source} store={store} />
          </div>
          <div class="column">
            <GridPanel source={source} store={store} measure={measure} />
            <WordsPanel source={source} store={store} />
            {measure && <HeadTable source={source} store={store} measure={measure} />}
          </div>
        </div>
      )}
      {progress && (
        <p class="soft" role="status">
          {progress.error
            ? `Not all numbers by head could be computed. ${progress.error}`
            : `Numbers by head are being computed (${progress.done} of ${progress.total})${progress.what ? `: ${progress.what}` : ""}.`}
        </p>
      )}
      <Exports source={source} store={store} measure={measure} root={root} />
      {document.notes.length > 0 && (
        <ul class="notes soft">
          {document.notes.map((note) => (
            <li key={note}>{note}</li>
          ))}
        </ul>
      )}
      <Live source={source} store={store} />
    </div>
  );
}

/** What a column of two shows. */
function BesideTitle({ source, store }: { source: Source; store: Store }) {
  const shown = usePart(store, "shown");
  return <h3 class="beside-title">{sentence(shownInWords(source.document.captures, shown))}</h3>;
}

/** The grid with the choice of its number. */
function GridPanel({ source, store, measure }: { source: Source; store: Store; measure: Measure | undefined }) {
  if (!measure) {
    const computing = source.progress?.value;
    return <p class="soft">{computing ? "The numbers by head come in a moment." : "There are no numbers by head here."}</p>;
  }
  return (
    <section aria-label="Layers and heads">
      <h3>Layers and heads</h3>
      <MeasureControl source={source} store={store} measure={measure} />
      <Grid source={source} store={store} measure={measure} />
    </section>
  );
}

/** What each model answered. */
function Answers({ source }: { source: Source }) {
  const { captures, stages } = source.document;
  const answered = captures.filter((capture) => capture.answer !== null);
  if (!answered.length) return null;
  const questions = [...new Set(answered.map((capture) => stages[capture.stage]?.question ?? ""))];
  const [question] = questions.length === 1 ? questions : [];
  return (
    <dl class="answers">
      {question && (
        <div>
          <dt>Question</dt>
          <dd>{question}</dd>
        </div>
      )}
      {answered.map((capture, at) => (
        <div key={at}>
          <dt>{captures.length > 1 ? `Answer, ${nameOf(capture)}` : "Answer"}</dt>
          <dd>
            {capture.answer} {capture.verdict && <b class={capture.verdict === "right" ? "good" : "bad"}>({capture.verdict})</b>}
          </dd>
        </div>
      ))}
    </dl>
  );
}

/** Says to a screen reader what is shown now. */
function Live({ source, store }: { source: Source; store: Store }) {
  const look = usePart(store, "look");
  const shown = usePart(store, "shown");
  return (
    <p class="hidden" role="status" aria-live="polite">
      {`Shown: ${lookInWords(look)}; ${shownInWords(source.document.captures, shown)}`}
    </p>
  );
}

/** Says that a part of the viewer failed, instead of leaving a hole; `onFailure` lets the page show what it has without. */
export class Guard extends Component<{ children: ComponentChildren; onFailure: () => void }, { reason: string }> {
  override state = { reason: "" };

  override componentDidCatch(error: unknown): void {
    this.setState({ reason: error instanceof Error ? error.message : String(error) });
    this.props.onFailure();
  }

  override render() {
    if (!this.state.reason) return this.props.children;
    return <Failure reason={`The interactive view has a fault and ended: ${this.state.reason}.`} />;
  }
}

/** A failure, said where the viewer would stand. */
export function Failure({ reason }: { reason: string }) {
  return (
    <div class="attnscope">
      <div class="callout" role="alert">
        {reason}
      </div>
    </div>
  );
}

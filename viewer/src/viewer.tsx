// The viewer as a whole: choices on top, what the people were shown on the left, the heads on the right.

import { useState } from "preact/hooks";
import type { Signal } from "@preact/signals";
import { LookControl, MeasureControl, QueryControl, ShownControl } from "./controls";
import type { Measure } from "./document";
import { Exports } from "./export/exports";
import { Grid } from "./grid/grid";
import { HeadTable } from "./grid/table";
import { lookInWords } from "./grid/values";
import { nameOf, shownInWords } from "./shown";
import type { Source } from "./source";
import { StagePanel } from "./stage";
import type { Store } from "./state";
import { WordsPanel } from "./words";

export interface ViewerProps {
  source: Source;
  store: Store;
  /** What of the address could not be followed. */
  ignored: Signal<string[]>;
  /** Whether the page is the viewer's own, and has no title yet. */
  titled: boolean;
}

let viewers = 0; // a notebook may have several in one page

export function Viewer({ source, store, ignored, titled }: ViewerProps) {
  const [id] = useState(() => `attnscope-${(viewers += 1)}`);
  const { document } = source;
  const state = store.state.value;
  const progress = source.progress?.value; // read here: when numbers by head come, all is drawn anew
  const measure = document.measures.find((one) => one.id === state.measure) ?? document.measures[0];
  const capture = document.captures[store.capture.value];
  if (!capture) return <Failure reason="There is no capture to show." />;
  return (
    <div class="attnscope">
      {titled && (
        <header>
          <h1>{document.title}</h1>
        </header>
      )}
      <h2 class={titled ? "hidden" : "hidden"}>Interactive view</h2>
      {ignored.value.length > 0 && (
        <div class="callout" role="status">
          The address asks for what is not here, and this part of it is ignored: {ignored.value.join("; ")}.
        </div>
      )}
      <div class="bar top">
        <ShownControl source={source} store={store} id={id} />
        <QueryControl source={source} store={store} />
        <LookControl source={source} store={store} />
      </div>
      <p class="answer-line">{answers(source)}</p>
      <div class="columns">
        <div class="column">
          <StagePanel source={source} store={store} />
          <WordsPanel source={source} store={store} />
        </div>
        <div class="column">
          {progress && (
            <p class="soft" role="status">
              {progress.error
                ? `The numbers by head are not complete. ${progress.error}`
                : `Numbers by head are being computed (${progress.done} of ${progress.total}): ${progress.what} …`}
            </p>
          )}
          {measure && <HeadsPanel source={source} store={store} measure={measure} />}
        </div>
      </div>
      <Exports source={source} store={store} measure={measure} />
      {document.notes.length > 0 && (
        <ul class="notes soft">
          {document.notes.map((note) => (
            <li key={note}>{note}</li>
          ))}
        </ul>
      )}
      <p class="hidden" role="status" aria-live="polite">
        {`${lookInWords(state.look)}; ${shownInWords(document.captures, state.shown)}`}
      </p>
    </div>
  );
}

function HeadsPanel({ source, store, measure }: { source: Source; store: Store; measure: Measure }) {
  return (
    <>
      <section>
        <h3>Layers and heads</h3>
        <MeasureControl source={source} store={store} measure={measure} />
        <Grid source={source} store={store} measure={measure} />
      </section>
      <HeadTable source={source} store={store} measure={measure} />
    </>
  );
}

function answers(source: Source): string {
  return source.document.captures
    .filter((capture) => capture.answer !== null)
    .map((capture) => {
      const name = nameOf(capture);
      return `${name ? `${name}: ` : ""}the model answers “${capture.answer}”${capture.verdict ? ` (${capture.verdict})` : ""}`;
    })
    .join(" · ");
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

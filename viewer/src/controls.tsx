// What is chosen at the top: which capture or change, which layer and head, and which number the grid shows.

import { captureIds, choices, sameShown } from "./choices";
import type { Measure } from "./document";
import { unitInWords } from "./numbers";
import { isChange, nameOf, shownInWords, wordOf } from "./shown";
import type { Source } from "./source";
import { type Shown, type Store, usePart } from "./state";

/** Before, after, change, control: one of them, and a slider from the first to the second. */
export function ShownControl({ source, store, id }: { source: Source; store: Store; id: string }) {
  const shown = usePart(store, "shown");
  const options = choices(source.document);
  if (options.length < 2) return null;
  const pair = options.find((choice) => isChange(choice.shown))?.shown as { from: number; to: number } | undefined;
  return (
    <fieldset class={options.length > 3 ? "choice-shown many" : "choice-shown"}>
      <legend>Shown</legend>
      <div class="segments">
        {options.map((choice) => {
          const on = sameShown(choice.shown, shown);
          return (
            <label key={choice.id} class={on ? "on" : ""}>
              <input type="radio" name={`${id}-shown`} value={choice.id} checked={on} onChange={() => store.set({ shown: choice.shown })} />
              {choice.title}
            </label>
          );
        })}
      </div>
      {pair && <Slider source={source} store={store} pair={pair} />}
    </fieldset>
  );
}

const REST = 0.5; // where the hidden handle waits: both ends are then a step that the slider tells

/** The way from one capture to the other. What is not on it (a change, another capture) has no handle there. */
function Slider({ source, store, pair }: { source: Source; store: Store; pair: { from: number; to: number } }) {
  const shown = usePart(store, "shown");
  const { captures } = source.document;
  const mix = mixOf(shown, pair);
  const words = shownInWords(captures, shown);
  const choose = (input: HTMLInputElement) => store.set({ shown: mixed(pair, Number(input.value) / 100) });
  return (
    <label class={mix === null ? "slider unused" : "slider"}>
      <span>{nameOf(captures[pair.from])}</span>
      <input
        type="range"
        min="0"
        max="100"
        step="1"
        value={Math.round(100 * (mix ?? REST))}
        aria-label={`From ${nameOf(captures[pair.from])} to ${nameOf(captures[pair.to])}`}
        aria-valuetext={mix === null ? `not in use; shown is: ${words}` : words}
        onInput={(event) => choose(event.currentTarget)}
        // A press on the very place where the hidden handle waits is no input
        onPointerUp={(event) => mix === null && choose(event.currentTarget)}
      />
      <span>{nameOf(captures[pair.to])}</span>
    </label>
  );
}

/** How far along the way it is; null where it is not on it. */
function mixOf(shown: Shown, pair: { from: number; to: number }): number | null {
  if ("mix" in shown) return shown.mix;
  if ("capture" in shown && shown.capture === pair.from) return 0;
  return "capture" in shown && shown.capture === pair.to ? 1 : null;
}

function mixed(pair: { from: number; to: number }, mix: number): Shown {
  if (mix <= 0) return { capture: pair.from };
  if (mix >= 1) return { capture: pair.to };
  return { ...pair, mix };
}

/** A capture that stands beside the one that is shown. */
export function BesideControl({ source, store }: { source: Source; store: Store }) {
  const beside = usePart(store, "beside");
  const { captures } = source.document;
  if (captures.length < 2) return null;
  const ids = captureIds(source.document);
  return (
    <label class="field">
      <span>Beside it</span>
      <select
        value={beside ?? ""}
        onChange={(event) => store.set({ beside: event.currentTarget.value === "" ? null : Number(event.currentTarget.value) })}
      >
        <option value="">nothing</option>
        {captures.map((capture, at) => (
          <option value={at} key={ids[at]}>
            {nameOf(capture)}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Whose attention is shown: a set of words, or the word that was chosen among the words. */
export function QueryControl({ source, store }: { source: Source; store: Store }) {
  const query = usePart(store, "query");
  const capture = source.document.captures[store.capture.value];
  const groups = capture?.groups ?? [];
  const known = query.kind === "group" && groups.some(({ name }) => name === query.name);
  const other = query.kind === "token" ? `the word “${wordOf(capture, query.position)}”` : `${query.name} (not in this capture)`;
  if (!groups.length && query.kind === "group") return null; // a capture without maps has nothing to choose
  return (
    <label class="field">
      <span>Attention of</span>
      <select
        value={known ? query.name : ""}
        onChange={(event) => event.currentTarget.value && store.set({ query: { kind: "group", name: event.currentTarget.value } })}
      >
        {!known && <option value="">{other}</option>}
        {groups.map((group) => (
          <option value={group.name} key={group.name}>
            {group.title}
          </option>
        ))}
      </select>
    </label>
  );
}

/** The layer and the head, as two lists: for fingers, and for whoever does not want to aim at a cell. */
export function LookControl({ source, store }: { source: Source; store: Store }) {
  const look = usePart(store, "look");
  const capture = source.document.captures[store.capture.value];
  if (!capture) return null;
  const whole = (text: string) => (text === "" ? null : Number(text));
  return (
    <div class="pair">
      <label class="field">
        <span>Layer</span>
        <select
          value={look.layer ?? ""}
          onChange={(event) => {
            const layer = whole(event.currentTarget.value);
            store.set({ look: { layer, head: layer === null ? null : look.head } });
          }}
        >
          <option value="">mean</option>
          {capture.layers.map((layer) => (
            <option value={layer} key={layer}>
              {layer}
            </option>
          ))}
        </select>
      </label>
      <label class="field">
        <span>Head</span>
        <select
          value={look.head ?? ""}
          disabled={look.layer === null}
          onChange={(event) => store.set({ look: { ...look, head: whole(event.currentTarget.value) } })}
        >
          <option value="">mean</option>
          {Array.from({ length: capture.heads }, (_, head) => (
            <option value={head} key={head}>
              {head}
            </option>
          ))}
        </select>
      </label>
    </div>
  );
}

const SOURCES: Record<string, string> = {
  paper: "read in a paper",
  code: "read in released code",
  "2nd": "read in a secondary summary",
  ours: "our own definition",
};

/** What the grid shows, and what that means. */
export function MeasureControl({ source, store, measure }: { source: Source; store: Store; measure: Measure }) {
  const { measures } = source.document;
  const mark = SOURCES[measure.source];
  return (
    <div class="measure">
      <label class="field">
        <span>Number in the grid</span>
        <select value={measure.id} onChange={(event) => store.set({ measure: event.currentTarget.value })}>
          {measures.map((one) => (
            <option value={one.id} key={one.id}>
              {one.title}
            </option>
          ))}
        </select>
      </label>
      <details>
        <summary>What this number means</summary>
        <p>{measure.definition}</p>
        <dl>
          <dt>Source</dt>
          <dd>
            <span class="tag">{measure.source}</span> {mark ?? ""}
          </dd>
          <dt>Unit</dt>
          <dd>{unitInWords(measure.unit)}</dd>
          <dt>Chance</dt>
          <dd>{measure.chance || "not defined"}</dd>
        </dl>
      </details>
    </div>
  );
}

// What is chosen at the top: which capture or change, which words ask, which head, which measure.

import { choices, sameShown } from "./choices";
import type { Measure } from "./document";
import { isChange, nameOf, shownInWords } from "./shown";
import type { Source } from "./source";
import type { Shown, Store } from "./state";

/** Before, after, change, control: one of them, and a slider from the first to the second. */
export function ShownControl({ source, store, id }: { source: Source; store: Store; id: string }) {
  const { shown } = store.state.value;
  const options = choices(source.document);
  if (options.length < 2) return null;
  const pair = options.find((choice) => isChange(choice.shown))?.shown as { from: number; to: number } | undefined;
  const { captures } = source.document;
  return (
    <fieldset class="shown">
      <legend>Shown</legend>
      <div class="segments">
        {options.map((choice) => (
          <label key={choice.id} class={sameShown(choice.shown, shown) ? "on" : ""}>
            <input
              type="radio"
              name={`${id}-shown`}
              checked={sameShown(choice.shown, shown)}
              onChange={() => store.set({ shown: choice.shown })}
            />
            {choice.title}
          </label>
        ))}
      </div>
      {pair && (
        <label class="slider">
          <span>{nameOf(captures[pair.from])}</span>
          <input
            type="range"
            min="0"
            max="100"
            value={Math.round(100 * mixOf(shown, pair))}
            aria-label={`From ${nameOf(captures[pair.from])} to ${nameOf(captures[pair.to])}`}
            aria-valuetext={shownInWords(captures, shown)}
            onInput={(event) => store.set({ shown: mixed(pair, Number(event.currentTarget.value) / 100) })}
          />
          <span>{nameOf(captures[pair.to])}</span>
        </label>
      )}
      {"mix" in shown && <p class="soft">{shownInWords(captures, shown)}</p>}
    </fieldset>
  );
}

function mixOf(shown: Shown, pair: { from: number; to: number }): number {
  if ("mix" in shown) return shown.mix;
  return "capture" in shown && shown.capture === pair.from ? 0 : 1;
}

function mixed(pair: { from: number; to: number }, mix: number): Shown {
  if (mix <= 0) return { capture: pair.from };
  if (mix >= 1) return { capture: pair.to };
  return { ...pair, mix };
}

/** Whose attention is shown. */
export function QueryControl({ source, store }: { source: Source; store: Store }) {
  const { query } = store.state.value;
  const capture = source.document.captures[store.capture.value];
  const groups = capture?.groups ?? [];
  const token = query.kind === "token" ? capture?.tokens.find((some) => some.position === query.position) : undefined;
  return (
    <label class="field">
      <span>Attention of</span>
      <select
        value={query.kind === "group" ? query.name : "token:"}
        onChange={(event) => store.set({ query: { kind: "group", name: event.currentTarget.value } })}
      >
        {query.kind === "token" && (
          <option value="token:">{`the word “${(token?.text ?? "").trim()}” (position ${query.position})`}</option>
        )}
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
  const { look } = store.state.value;
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
          <option value="">mean of all</option>
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
          <option value="">mean of the layer</option>
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
  paper: "the definition stands in the paper",
  code: "the definition is read off the authors' code",
  "2nd": "the definition comes from a summary of the paper",
  ours: "the definition is attnscope's own",
};

/** What the grid shows, and what that means. */
export function MeasureControl({ source, store, measure }: { source: Source; store: Store; measure: Measure }) {
  const { measures } = source.document;
  const mark = SOURCES[measure.source] ?? measure.source;
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
        <summary>What it means</summary>
        <p>
          {measure.definition} <span class="tag">{measure.source}</span>
        </p>
        <p class="soft">
          Source: {mark}. Unit: {measure.unit === "1" ? "share (0 to 1)" : measure.unit}.
          {measure.chance ? ` Chance: ${measure.chance}.` : ""}
        </p>
      </details>
    </div>
  );
}

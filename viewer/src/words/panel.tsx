// The words of the prompt and the answer, coloured by how much each looks at the video or at a person.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { CaptureView, Stage } from "../document";
import { number, percent, signed } from "../numbers";
import { isChange } from "../shown";
import type { Source } from "../source";
import type { Query, Store } from "../state";
import { Legend } from "../stage/legend";
import { lookName, positionsOf, useWords, type Words } from "../stage/numbers";
import { colorVariables } from "../stage/people";
import { previewOf } from "../stage/preview";
import { colorOf, palette } from "../stage/scale";
import { spanText, turnsLive } from "../stage/time";
import { cellsOf } from "../stage/cells";
import { promptOf, tokensOf, type TurnWords, turnsOf } from "./groups";
import { Text } from "./text";

interface Props {
  source: Source;
  store: Store;
}

const STRENGTH = 0.78; // of the colours behind words, so that the text stays readable

export function WordsPanel({ source, store }: Props) {
  const { document } = source;
  const state = store.state.value;
  const preview = previewOf(store);
  const person = preview.person.value;
  const capture = document.captures[store.capture.value] as CaptureView;
  const stage = document.stages[capture.stage] as Stage;
  const root = useRef<HTMLElement>(null);
  const words = useWords(source, state.shown, person, state.look);
  const [position, setPosition] = useState(-1); // that is read out
  const change = isChange(state.shown);
  const turns = useMemo(() => turnsOf(stage, capture), [stage, capture]);
  const live = useMemo(() => turnsLive(stage.turns, stage.frames), [stage]);
  const parts = useMemo(
    () => ({ question: tokensOf(capture, "question"), answer: tokensOf(capture, "answer"), prompt: promptOf(capture) }),
    [capture],
  );
  const firstCell = useMemo(() => Math.min(...cellsOf(stage).positions), [stage]);
  const kind = words.value?.scale.kind;
  const colors = useMemo(() => palette(kind ?? "ratio", STRENGTH), [kind]);
  const selected = state.query.kind === "token" ? state.query.position : -1;

  useEffect(() => {
    const asked = new Set(positionsOf(capture, preview.query.value));
    for (const element of root.current?.querySelectorAll<HTMLElement>(".words-token") ?? []) {
      const at = Number(element.dataset.position);
      const row = words.value?.positions.get(at);
      const value = row === undefined ? NaN : (words.value?.values[row] ?? NaN);
      element.style.background = (words.value && colorOf(colors, words.value.scale, value)) ?? "";
      element.classList.toggle("asked", asked.has(at));
      element.setAttribute("aria-selected", String(at === selected));
    }
  });
  useRoving(root, selected, parts);

  const say = (at: number) => saying(capture, words.value, at, person, change, firstCell);
  const over = (event: Event) => tokenOf(event.target);
  const show = (at: number, pause?: number) => {
    setPosition(at);
    preview.showQuery(at < 0 ? null : { kind: "token", position: at }, pause);
  };
  const select = (query: Query) => {
    preview.showQuery(null, 0);
    store.set({ query });
  };
  const choose = (at: number) => {
    setPosition(at);
    select(at === selected ? { kind: "group", name: fallback(capture) } : { kind: "token", position: at });
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const at = over(event);
    if (at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" || event.key === " ") choose(at);
    else {
      const next = moved(event, root.current);
      if (!next) return;
      next.focus();
    }
    event.preventDefault();
  };
  const whose = person === null ? "the video" : `the cells of ${person}`;
  return (
    <section
      class="words"
      ref={root}
      aria-label="Words of the prompt and the answer"
      onPointerOver={(event) => event.pointerType === "mouse" && show(over(event))}
      onPointerLeave={() => show(-1)}
      onFocusCapture={(event) => over(event) >= 0 && (event.target as HTMLElement).matches(":focus-visible") && show(over(event))}
      onBlurCapture={() => show(-1)}
      onClick={(event) => over(event) >= 0 && choose(over(event))}
      onKeyDown={onKeyDown}
    >
      <div class="words-head">
        <div class="words-choice" role="group" aria-label="What the words are coloured by">
          <span>Words are coloured by how much they look at</span>
          <PersonChoice stage={stage} store={store} />
        </div>
        {words.value ? (
          <Legend
            scale={words.value.scale}
            strength={STRENGTH}
            what={`${change ? "Change of each word’s attention" : "Each word’s attention"} on ${whose}`}
            unit={words.value.lift ? "× uniform" : "share of its attention"}
          />
        ) : (
          !words.waiting && <p class="stage-unknown">{words.error || absent(source, capture, state.shown, person, lookName(state.look))}</p>
        )}
      </div>
      {turns.length > 0 && (
        <div class="words-turns">
          {turns.map((turn) => (
            <TurnRow key={turn.turn.index} words={turn} stage={stage} store={store} capture={capture} live={live[state.frame]?.includes(turn.turn) ?? false} select={select} />
          ))}
        </div>
      )}
      <Part title="Question" tokens={parts.question} text={stage.question} group="question" ask="Show where the question looks" capture={capture} store={store} select={select} />
      <Part title="The model’s answer" tokens={parts.answer} text={capture.answer} group="answer_position" ask="Show where the model looks as it answers" capture={capture} store={store} select={select} />
      <details>
        <summary>The whole prompt, with the system’s text and the template</summary>
        <div class="words-whole">
          <Text tokens={parts.prompt} name="The whole prompt" />
        </div>
      </details>
      <p class="words-readout">
        <span aria-hidden="true">{position >= 0 ? say(position) : selected >= 0 ? say(selected) : "Point at a word, or tap it, to see where it looks."}</span>
        <span class="stage-said" aria-live="polite">
          {position >= 0 && say(position)}
        </span>
      </p>
    </section>
  );
}

interface RowProps {
  words: TurnWords;
  stage: Stage;
  store: Store;
  capture: CaptureView;
  live: boolean;
  select: (query: Query) => void;
}

function TurnRow({ words: { turn, tokens, label }, stage, store, capture, live, select }: RowProps) {
  const { query } = store.state.value;
  const person = stage.people.find(({ name }) => name === turn.speaker);
  const pressed = (name: string) => query.kind === "group" && query.name === name;
  const [whole, one] = [`speaker:${turn.speaker}`, `turn:${turn.index}`];
  const has = (name: string) => capture.groups.some((group) => group.name === name);
  const when = spanText(turn);
  const row = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const list = row.current?.parentElement;
    if (!live || !list || !row.current || !store.state.value.playing) return; // only the list is scrolled, never the page
    const top = row.current.offsetTop - list.offsetTop;
    if (top < list.scrollTop || top + row.current.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = top - 8;
  }, [live]);
  return (
    <div ref={row} class={`words-turn${live ? " live" : ""}`} style={colorVariables(person)} aria-current={live ? "time" : undefined}>
      <div class="words-names">
        <button type="button" class="words-name" dir="auto" disabled={!has(whole)} aria-pressed={pressed(whole)} aria-label={`Show where all words of ${turn.speaker ?? "this speaker"} look`} onClick={() => select({ kind: "group", name: whole })}>
          {turn.speaker ?? "no name"}
        </button>
        <button type="button" class="words-when" disabled={!has(one)} aria-pressed={pressed(one)} aria-label={`Show where turn ${turn.index + 1} looks${when && `, ${when}`}`} onClick={() => select({ kind: "group", name: one })}>
          {when || `turn ${turn.index + 1}`}
        </button>
      </div>
      {tokens.length ? (
        <Text tokens={tokens} label={label} name={`Turn ${turn.index + 1}, ${turn.speaker ?? "no name"}`} />
      ) : (
        <p class="words-absent" dir="auto">
          {turn.text} (not in the prompt)
        </p>
      )}
    </div>
  );
}

interface PartProps {
  title: string;
  tokens: CaptureView["tokens"];
  text: string | null;
  group: string;
  ask: string;
  capture: CaptureView;
  store: Store;
  select: (query: Query) => void;
}

function Part({ title, tokens, text, group, ask, capture, store, select }: PartProps) {
  if (!tokens.length && !text) return null;
  const { query } = store.state.value;
  const has = capture.groups.some(({ name }) => name === group);
  return (
    <div class="words-part">
      <h4>
        {title}
        {has && (
          <button type="button" class="words-ask" aria-pressed={query.kind === "group" && query.name === group} onClick={() => select({ kind: "group", name: group })}>
            {ask}
          </button>
        )}
      </h4>
      {tokens.length ? <Text tokens={tokens} name={title} /> : <p dir="auto">{text}</p>}
    </div>
  );
}

function PersonChoice({ stage, store }: { stage: Stage; store: Store }) {
  const { person } = store.state.value;
  return (
    <>
      <button type="button" class="words-person" aria-pressed={person === null} onClick={() => store.set({ person: null })}>
        the video
      </button>
      {stage.people.map((one) => (
        <button type="button" key={one.name} class="words-person" aria-pressed={person === one.name} style={colorVariables(one)} onClick={() => store.set({ person: person === one.name ? null : one.name })}>
          <i aria-hidden="true" />
          <span dir="auto">{one.name}</span>
        </button>
      ))}
    </>
  );
}

/** A word and its number, as a sentence. */
function saying(capture: CaptureView, words: Words | null, at: number, person: string | null, change: boolean, firstCell: number): string {
  const token = capture.tokens.find((one) => one.position === at);
  const word = `“${token?.text.trim() || JSON.stringify(token?.text ?? "").slice(1, -1)}”`;
  const whose = person === null ? "the video" : person;
  const row = words?.positions.get(at);
  if (at < firstCell) return `${word} comes before the video and cannot look at it.`;
  if (!words || row === undefined) return `${word}: how much it looks at ${whose} is not known.`;
  const [value, mass] = [words.values[row] ?? NaN, words.mass[row] ?? NaN];
  if (Number.isNaN(mass)) return `${word}: how much it looks at ${whose} is not defined.`;
  const share = change ? `${signed(100 * mass)} points of its attention` : `${percent(mass)} of its attention`;
  const lift = words.lift && !Number.isNaN(value) ? `, ${change ? signed(value) : number(value)} × uniform` : "";
  return `${word} puts ${share} on ${whose}${lift}.`;
}

function absent(source: Source, capture: CaptureView, shown: Store["state"]["value"]["shown"], person: string | null, look: string): string {
  const file = capture.name || "FILE";
  const whose = person === null ? "the video" : person;
  const embedded = capture.views !== undefined;
  if ("capture" in shown && source.has(shown.capture, { layer: null, head: null }) && person !== null) {
    return `How much the words look at ${whose} is not known: the capture has no cells of ${whose}, or no masses of ${look}.`;
  }
  return `How much the words look at ${whose} in ${look} is not in this page.${embedded ? ` attnscope view ${file} shows it.` : ""}`;
}

/** The group that is shown where no word is: where the model looks as it answers, else the first. */
function fallback(capture: CaptureView): string {
  const names = capture.groups.map(({ name }) => name);
  return names.includes("answer_position") ? "answer_position" : (names[0] ?? "");
}

/** The position of the word that something is in; -1 for none. */
function tokenOf(target: EventTarget | null): number {
  const element = target instanceof Element ? target.closest<HTMLElement>(".words-token") : null;
  return element ? Number(element.dataset.position) : -1;
}

/** The word that an arrow key goes to from the one that has the focus; within a run, in the direction of its script. */
function moved(event: KeyboardEvent, root: HTMLElement | null): HTMLElement | null {
  const from = (event.target as Element).closest<HTMLElement>(".words-token");
  const text = from?.closest<HTMLElement>(".words-text");
  if (!from || !text || !root) return null;
  const own = [...text.querySelectorAll<HTMLElement>(".words-token")];
  const back = getComputedStyle(text).direction === "rtl" ? 1 : -1;
  const at = own.indexOf(from);
  if (event.key === "ArrowLeft") return own[at + back] ?? null;
  if (event.key === "ArrowRight") return own[at - back] ?? null;
  if (event.key === "Home") return own[0] ?? null;
  if (event.key === "End") return own.at(-1) ?? null;
  if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return null;
  const runs = [...root.querySelectorAll<HTMLElement>(".words-text")].filter((run) => run.offsetParent !== null);
  const run = runs[runs.indexOf(text) + (event.key === "ArrowUp" ? -1 : 1)];
  return run?.querySelector<HTMLElement>(".words-token") ?? null;
}

/** One word is reached by the tab key: the chosen one, else the first; from there the arrow keys go on. */
function useRoving(root: { current: HTMLElement | null }, selected: number, parts: unknown): void {
  useEffect(() => {
    const all = [...(root.current?.querySelectorAll<HTMLElement>(".words-token") ?? [])];
    const first = all.find((one) => Number(one.dataset.position) === selected) ?? all[0];
    for (const one of all) one.tabIndex = one === first ? 0 : -1;
    const follow = (event: FocusEvent) => {
      const now = (event.target as Element).closest<HTMLElement>(".words-token");
      if (!now) return;
      for (const one of all) if (one.tabIndex === 0 && one !== now) one.tabIndex = -1;
      now.tabIndex = 0;
    };
    root.current?.addEventListener("focusin", follow);
    return () => root.current?.removeEventListener("focusin", follow);
  }, [selected, parts]);
}

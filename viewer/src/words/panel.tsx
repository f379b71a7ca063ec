// The words of the prompt and the answer, coloured by how much each looks at the video or at a person.

import { effect, type Signal, useSignal } from "@preact/signals";
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { CaptureView, Stage, Token } from "../document";
import { isChange } from "../shown";
import type { Source } from "../source";
import { type Query, type Store, usePart } from "../state";
import { changeMeans, Legend } from "../stage/legend";
import { positionsOf, useWords, type Words } from "../stage/numbers";
import { colorVariables } from "../stage/people";
import { still } from "../stage/player";
import { previewOf } from "../stage/preview";
import { colorOf, palette } from "../stage/scale";
import { promptOf, tokensOf, turnsOf } from "./groups";
import { positionAt, useRoving, WORD, wordAfter } from "./keys";
import { absent, saying } from "./saying";
import { Text } from "./text";
import { Ask, Turns } from "./turns";

interface Props {
  source: Source;
  store: Store;
}

const STRENGTH = 0.78; // of the colours behind words, so that the text stays readable

export function WordsPanel({ source, store }: Props) {
  const { document } = source;
  const shown = usePart(store, "shown");
  const look = usePart(store, "look");
  const preview = previewOf(store);
  const person = preview.person.value;
  const capture = document.captures[store.capture.value] as CaptureView;
  const stage = document.stages[capture.stage] as Stage;
  const root = useRef<HTMLElement>(null);
  const words = useWords(source, shown, person, look);
  const rests = useSignal<HTMLElement | null>(null); // the word that the pointer or the focus rests on
  const [unfolded, setUnfolded] = useState(false);
  const turns = useMemo(() => turnsOf(stage, capture), [stage, capture]);
  const parts = useMemo(
    () => ({ question: tokensOf(capture, "question"), answer: tokensOf(capture, "answer"), prompt: promptOf(capture) }),
    [capture],
  );
  const say = (position: number) => saying(stage, capture, words.value, position, { shown, look }, person);
  useMarks(root, store, words.value, capture, unfolded);

  const rest = (target: EventTarget | null) => {
    const position = positionAt(target);
    rests.value = position < 0 ? null : wordOf(target);
    preview.showQuery(position < 0 ? groupOf(target) : { kind: "token", position });
  };
  const select = useCallback(
    (query: Query) => {
      preview.showQuery(null, 0);
      store.set({ query });
    },
    [preview, store],
  );
  const choose = (position: number) => {
    const { query } = store.state.peek();
    if (position < 0) return;
    const again = query.kind === "token" && query.position === position;
    select(again ? { kind: "group", name: answerGroup(capture) } : { kind: "token", position });
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const position = positionAt(event.target);
    if (position < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" || event.key === " ") choose(position);
    else if (event.key === "Escape") rest(null);
    else {
      const next = wordAfter(event, root.current);
      if (!next) return;
      next.focus();
    }
    event.preventDefault();
  };
  const common = { store, capture, select };
  const whose = person === null ? "the video" : `the cells of ${person}`;
  const change = isChange(shown);
  return (
    <section
      class="words"
      ref={root}
      aria-label="Words of the prompt and the answer"
      onPointerOver={(event) => event.pointerType === "mouse" && rest(event.target)}
      onPointerLeave={() => rest(null)}
      onFocusCapture={(event) => wordOf(event.target)?.matches(":focus-visible") && rest(event.target)}
      onBlurCapture={() => rest(null)}
      onClick={(event) => choose(positionAt(event.target))}
      onKeyDown={onKeyDown}
    >
      <h3>Words</h3>
      <div class="words-head">
        <PersonChoice stage={stage} store={store} />
        {words.value && (
          <Legend
            scale={words.value.scale}
            strength={STRENGTH}
            what={`${change ? "Change of each word’s attention" : "Each word’s attention"} on ${whose}`}
            unit={words.value.lift ? "× uniform" : "share of its attention"}
            means={change ? changeMeans(document.captures, shown) : undefined}
          />
        )}
        {!words.value && !words.waiting && (
          <p class="stage-unknown">{words.error || absent(source, capture, look, person)}</p>
        )}
      </div>
      <Chosen store={store} say={say} />
      {turns.length > 0 && <Turns {...common} turns={turns} stage={stage} />}
      <Part {...common} title="Question" tokens={parts.question} text={stage.question} group="question">
        Show where the question looks
      </Part>
      <Part {...common} title="The model’s answer" tokens={parts.answer} text={capture.answer} group="answer_position">
        Show where the model looks as it answers
      </Part>
      <details onToggle={(event) => setUnfolded(event.currentTarget.open)}>
        <summary>The whole prompt, with the system’s text and the template</summary>
        <div class="words-whole" tabIndex={0} role="group" aria-label="The whole prompt">
          {unfolded && <Text tokens={parts.prompt} name="The whole prompt, word by word" />}
        </div>
      </details>
      <Resting rests={rests} say={say} root={root} />
    </section>
  );
}

/** The chosen word with its numbers; without one, what a reader can do. */
function Chosen({ store, say }: { store: Store; say: (position: number) => string }) {
  const query = usePart(store, "query");
  const hint = "Point at a word to see where it looks. Tap it, or press Enter, to keep it.";
  const line = useRef<HTMLParagraphElement>(null);
  const show = () => {
    const frame = line.current?.closest(".attnscope")?.querySelector(".stage-frame");
    frame?.scrollIntoView({ block: "nearest", behavior: still() ? "auto" : "smooth" });
  };
  if (query.kind !== "token") return <p class="words-said">{hint}</p>;
  return (
    <p class="words-said" ref={line}>
      Chosen: {say(query.position)}{" "}
      <button type="button" class="stage-link" onClick={show}>
        Show it on the frames
      </button>
    </p>
  );
}

/** The numbers of the word that the pointer or the focus rests on: over the word, and for a screen reader. */
function Resting({
  rests,
  say,
  root,
}: {
  rests: Signal<HTMLElement | null>;
  say: (position: number) => string;
  root: { current: HTMLElement | null };
}) {
  const word = rests.value;
  const text = word ? say(positionAt(word)) : "";
  return (
    <>
      {word && <Tip word={word} text={text} root={root.current} />}
      <span class="stage-said" aria-live="polite">
        {text}
      </span>
    </>
  );
}

function PersonChoice({ stage, store }: { stage: Stage; store: Store }) {
  return (
    <div class="words-choice" role="group" aria-label="What the words are coloured by">
      <span>Coloured by the attention on</span>
      <PersonButton store={store} name={null} />
      {stage.people.map((one) => (
        <PersonButton key={one.name} store={store} name={one.name} style={colorVariables(one)} />
      ))}
    </div>
  );
}

function PersonButton({ store, name, style }: { store: Store; name: string | null; style?: Record<string, string> }) {
  const person = usePart(store, "person");
  const toggled = name !== null && person === name ? null : name;
  return (
    <button
      type="button"
      class="words-person"
      aria-pressed={person === name}
      style={style}
      onClick={() => store.set({ person: toggled })}
    >
      {name !== null && <i aria-hidden="true" />}
      <span dir="auto">{name ?? "the video"}</span>
    </button>
  );
}

interface PartProps {
  title: string;
  tokens: Token[];
  /** What stands there where the prompt has no tokens of it. */
  text: string | null;
  group: string;
  children: string;
  capture: CaptureView;
  store: Store;
  select: (query: Query) => void;
}

function Part({ title, tokens, text, group, children, ...common }: PartProps) {
  if (!tokens.length && !text) return null;
  return (
    <div class="words-part">
      <h4>
        {title}
        <Ask {...common} group={group} kind="words-ask">
          {children}
        </Ask>
      </h4>
      {tokens.length ? <Text tokens={tokens} name={title} /> : <p dir="auto">{text}</p>}
    </div>
  );
}

/** A word's numbers, over the word. */
function Tip({ word, text, root }: { word: HTMLElement; text: string; root: HTMLElement | null }) {
  const tip = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    if (!tip.current || !root) return;
    const [area, place] = [root.getBoundingClientRect(), word.getClientRects()[0] ?? word.getBoundingClientRect()];
    const left = Math.min(place.left - area.left, area.width - tip.current.offsetWidth);
    tip.current.style.left = `${Math.max(0, left)}px`;
    tip.current.style.top = `${place.top - area.top - tip.current.offsetHeight - 6}px`;
  }, [word, text, root]);
  return (
    <div ref={tip} class="words-tip" aria-hidden="true">
      {text}
    </div>
  );
}

/** Put colours and marks on the words that are there: to draw thousands of elements anew would be slow. */
function useMarks(
  root: { current: HTMLElement | null },
  store: Store,
  words: Words | null,
  capture: CaptureView,
  unfolded: boolean,
): void {
  const kind = words?.scale.kind ?? "ratio";
  const colors = useMemo(() => palette(kind, STRENGTH), [kind]);
  const elements = () => root.current?.querySelectorAll<HTMLElement>(WORD) ?? [];
  useEffect(() => {
    for (const element of elements()) {
      const row = words?.positions.get(positionAt(element));
      const color = words && row !== undefined && colorOf(colors, words.scale, words.values[row] ?? NaN);
      element.style.background = color || "";
    }
  }, [words, colors, capture, unfolded]);
  const asked = useRef(new Set<HTMLElement>());
  useEffect(() => {
    const { query } = previewOf(store);
    const at = new Map<number, HTMLElement[]>();
    for (const element of elements()) {
      const position = positionAt(element);
      const same = at.get(position);
      if (same) same.push(element);
      else at.set(position, [element]);
    }
    return effect(() => {
      const now = new Set(positionsOf(capture, query.value).flatMap((position) => at.get(position) ?? []));
      for (const element of asked.current) if (!now.has(element)) element.classList.remove("asked");
      for (const element of now) element.classList.add("asked");
      asked.current = now;
    });
  }, [store, capture, unfolded]);
  const query = usePart(store, "query");
  const chosen = query.kind === "token" ? query.position : -1;
  useEffect(() => {
    for (const element of root.current?.querySelectorAll(`${WORD}[aria-selected="true"]`) ?? [])
      element.setAttribute("aria-selected", "false");
    for (const element of root.current?.querySelectorAll(`${WORD}[data-position="${chosen}"]`) ?? [])
      element.setAttribute("aria-selected", "true");
  }, [chosen, capture, unfolded]);
  useRoving(root, chosen, capture);
}

function wordOf(target: EventTarget | null): HTMLElement | null {
  return target instanceof Element ? target.closest<HTMLElement>(WORD) : null;
}

/** The group that a button shows, which the pointer previews. */
function groupOf(target: EventTarget | null): Query | null {
  const name = target instanceof Element ? target.closest<HTMLElement>("[data-group]")?.dataset["group"] : undefined;
  return name === undefined ? null : { kind: "group", name };
}

/** The group that is shown where no word is: where the model looks as it answers, else the first. */
function answerGroup(capture: CaptureView): string {
  const names = capture.groups.map(({ name }) => name);
  return names.includes("answer_position") ? "answer_position" : (names[0] ?? "");
}

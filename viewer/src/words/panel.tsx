// The words of the prompt and the answer, coloured by how much each looks at the video or at a person.

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { CaptureView, Stage, Token } from "../document";
import { isChange } from "../shown";
import type { Source } from "../source";
import type { Query, Store } from "../state";
import { changeMeans, Legend } from "../stage/legend";
import { positionsOf, useWords, type Words } from "../stage/numbers";
import { colorVariables } from "../stage/people";
import { previewOf } from "../stage/preview";
import { colorOf, palette } from "../stage/scale";
import { turnsLive } from "../stage/time";
import { promptOf, tokensOf, turnsOf } from "./groups";
import { positionAt, useRoving, WORD, wordAfter } from "./keys";
import { absent, saying } from "./saying";
import { Text } from "./text";
import { Ask, TurnRow } from "./turns";

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
  const [rests, setRests] = useState<HTMLElement | null>(null); // the word that the pointer or the focus rests on
  const turns = useMemo(() => turnsOf(stage, capture), [stage, capture]);
  const live = useMemo(() => turnsLive(stage.turns, stage.frames), [stage]);
  const parts = useMemo(
    () => ({ question: tokensOf(capture, "question"), answer: tokensOf(capture, "answer"), prompt: promptOf(capture) }),
    [capture],
  );
  const chosen = state.query.kind === "token" ? state.query.position : -1;
  const at = positionAt(rests);
  const say = (position: number) => saying(stage, capture, words.value, position, state, person);
  useColors(root, words.value, positionsOf(capture, preview.query.value), chosen);
  useRoving(root, chosen, parts);

  const rest = (element: HTMLElement | null) => {
    const position = positionAt(element);
    setRests(element);
    preview.showQuery(position < 0 ? null : { kind: "token", position });
  };
  const select = (query: Query) => {
    preview.showQuery(null, 0);
    store.set({ query });
  };
  const choose = (position: number) => {
    if (position < 0) return;
    select(position === chosen ? { kind: "group", name: answerGroup(capture) } : { kind: "token", position });
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
  return (
    <section
      class="words"
      ref={root}
      aria-label="Words of the prompt and the answer"
      onPointerOver={(event) => event.pointerType === "mouse" && rest(wordOf(event.target))}
      onPointerLeave={() => rest(null)}
      onFocusCapture={(event) => wordOf(event.target)?.matches(":focus-visible") && rest(wordOf(event.target))}
      onBlurCapture={() => rest(null)}
      onClick={(event) => choose(positionAt(event.target))}
      onKeyDown={onKeyDown}
    >
      <h3>Words</h3>
      <Head captures={document.captures} store={store} words={words.value} stage={stage} person={person}>
        {!words.value && !words.waiting ? words.error || absent(source, capture, state, person) : ""}
      </Head>
      <p class="words-said">{chosen >= 0 ? `Chosen: ${say(chosen)}` : "Point at a word to see where it looks; tap it or press Enter to keep it."}</p>
      {turns.length > 0 && (
        <div class="words-turns">
          {turns.map((turn) => (
            <TurnRow key={turn.turn.index} {...common} words={turn} stage={stage} live={live[state.frame]?.includes(turn.turn) ?? false} />
          ))}
        </div>
      )}
      <Part {...common} title="Question" tokens={parts.question} text={stage.question} group="question">
        Show where the question looks
      </Part>
      <Part {...common} title="The model’s answer" tokens={parts.answer} text={capture.answer} group="answer_position">
        Show where the model looks as it answers
      </Part>
      <details>
        <summary>The whole prompt, with the system’s text and the template</summary>
        <div class="words-whole">
          <Text tokens={parts.prompt} name="The whole prompt" />
        </div>
      </details>
      {rests && at >= 0 && <Tip word={rests} text={say(at)} root={root.current} />}
      <span class="stage-said" aria-live="polite">
        {at >= 0 && say(at)}
      </span>
    </section>
  );
}

interface HeadProps {
  captures: CaptureView[];
  store: Store;
  words: Words | null;
  stage: Stage;
  person: string | null;
  children: string;
}

/** What the words are coloured by, and the scale; or why they have no colours. */
function Head({ captures, store, words, stage, person, children }: HeadProps) {
  const whose = person === null ? "the video" : `the cells of ${person}`;
  const change = isChange(store.state.value.shown);
  const what = `${change ? "Change of each word’s attention" : "Each word’s attention"} on ${whose}`;
  return (
    <div class="words-head">
      <div class="words-choice" role="group" aria-label="What the words are coloured by">
        <span>Coloured by the attention on</span>
        <PersonButton store={store} name={null} />
        {stage.people.map((one) => (
          <PersonButton key={one.name} store={store} name={one.name} style={colorVariables(one)} />
        ))}
      </div>
      {words && (
        <Legend
          scale={words.scale}
          strength={STRENGTH}
          what={what}
          unit={words.lift ? "× uniform" : "share of its attention"}
          means={change ? changeMeans(captures, store.state.value.shown) : undefined}
        />
      )}
      {children && <p class="stage-unknown">{children}</p>}
    </div>
  );
}

function PersonButton({ store, name, style }: { store: Store; name: string | null; style?: Record<string, string> }) {
  const { person } = store.state.value;
  const toggled = name !== null && person === name ? null : name;
  return (
    <button type="button" class="words-person" aria-pressed={person === name} style={style} onClick={() => store.set({ person: toggled })}>
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
    const [area, place] = [root.getBoundingClientRect(), (word.getClientRects()[0] ?? word.getBoundingClientRect())];
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

/** Put colours and marks on the words that are there, which thousands of new elements would be too slow for. */
function useColors(root: { current: HTMLElement | null }, words: Words | null, asked: number[], chosen: number): void {
  const kind = words?.scale.kind ?? "ratio";
  const colors = useMemo(() => palette(kind, STRENGTH), [kind]);
  useEffect(() => {
    const members = new Set(asked);
    for (const element of root.current?.querySelectorAll<HTMLElement>(WORD) ?? []) {
      const position = positionAt(element);
      const row = words?.positions.get(position);
      const color = words && row !== undefined && colorOf(colors, words.scale, words.values[row] ?? NaN);
      element.style.background = color || "";
      element.classList.toggle("asked", members.has(position));
      element.setAttribute("aria-selected", String(position === chosen));
    }
  });
}

function wordOf(target: EventTarget | null): HTMLElement | null {
  return target instanceof Element ? target.closest<HTMLElement>(WORD) : null;
}

/** The group that is shown where no word is: where the model looks as it answers, else the first. */
function answerGroup(capture: CaptureView): string {
  const names = capture.groups.map(({ name }) => name);
  return names.includes("answer_position") ? "answer_position" : (names[0] ?? "");
}

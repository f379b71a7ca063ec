// The transcript: who says what and when, each turn and each speaker a choice of whose attention is shown.

import { effect, useComputed } from "@preact/signals";
import { memo } from "preact/compat";
import { useEffect, useRef } from "preact/hooks";
import type { CaptureView, Stage } from "../document";
import type { Query, Store } from "../state";
import { colorVariables } from "../stage/people";
import { spanText, turnsLive } from "../stage/time";
import type { TurnWords } from "./groups";
import { Text } from "./text";

interface Props {
  turns: TurnWords[];
  stage: Stage;
  store: Store;
  capture: CaptureView;
  select: (query: Query) => void;
}

/** All turns; which one is said now is marked without drawing them anew. */
export const Turns = memo(function Turns({ turns, stage, store, capture, select }: Props) {
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const live = turnsLive(stage.turns, stage.frames);
    const rows = [...(list.current?.children ?? [])] as HTMLElement[];
    return effect(() => {
      const now = live[store.state.value.frame] ?? [];
      turns.forEach(({ turn }, at) => {
        rows[at]?.classList.toggle("live", now.includes(turn));
        if (now.includes(turn)) rows[at]?.setAttribute("aria-current", "time");
        else rows[at]?.removeAttribute("aria-current");
      });
      const first = turns.findIndex(({ turn }) => now.includes(turn));
      if (store.state.value.playing) follow(list.current, rows[first]);
    });
  }, [turns, stage, store]);
  return (
    <div class="words-turns" ref={list}>
      {turns.map((turn) => (
        <TurnRow key={turn.turn.index} words={turn} stage={stage} store={store} capture={capture} select={select} />
      ))}
    </div>
  );
});

/** Scroll a list so that a row of it is seen; the page stays where it is. */
function follow(list: HTMLElement | null, row: HTMLElement | undefined): void {
  if (!list || !row) return;
  const top = row.offsetTop - list.offsetTop;
  if (top < list.scrollTop || top + row.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = top - 8;
}

type RowProps = Omit<Props, "turns"> & { words: TurnWords };

const TurnRow = memo(function TurnRow({ words: { turn, tokens, label }, stage, ...common }: RowProps) {
  const person = stage.people.find(({ name }) => name === turn.speaker);
  const when = spanText(turn) || `turn ${turn.index}`;
  const name = turn.speaker ?? "no name";
  return (
    <div class="words-turn" style={colorVariables(person)}>
      <div class="words-names">
        <Ask
          {...common}
          group={`speaker:${turn.speaker}`}
          kind="words-name"
          label={`${name}: show where all words of ${name} look`}
        >
          {name}
        </Ask>
        <Ask {...common} group={`turn:${turn.index}`} kind="words-when" label={`${when}: show where this turn looks`}>
          {when}
        </Ask>
      </div>
      {tokens.length ? (
        <Text tokens={tokens} label={label} name={`Turn ${turn.index}, ${name}`} />
      ) : (
        <p class="words-absent" dir="auto">
          {turn.text} <span dir="ltr">(not in the prompt)</span>
        </p>
      )}
    </div>
  );
});

interface AskProps {
  store: Store;
  capture: CaptureView;
  select: (query: Query) => void;
  group: string;
  kind: string;
  label?: string;
  children: string;
}

/** A button that shows a group's attention; a text where the capture has no such group. */
export function Ask({ store, capture, select, group, kind, label, children }: AskProps) {
  const pressed = useComputed(() => {
    const { query } = store.state.value;
    return query.kind === "group" && query.name === group;
  });
  if (!capture.groups.some(({ name }) => name === group)) {
    return kind === "words-ask" ? null : (
      <span class={kind} dir="auto">
        {children}
      </span>
    );
  }
  return (
    <button
      type="button"
      class={kind}
      dir="auto"
      data-group={group}
      aria-pressed={pressed.value}
      aria-label={label}
      title={label}
      onClick={() => select({ kind: "group", name: group })}
    >
      {children}
    </button>
  );
}

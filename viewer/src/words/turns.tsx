// The transcript: who says what and when, each turn and each speaker a choice of whose attention is shown.

import { useEffect, useRef } from "preact/hooks";
import type { CaptureView, Stage } from "../document";
import type { Query, Store } from "../state";
import { colorVariables } from "../stage/people";
import { spanText } from "../stage/time";
import type { TurnWords } from "./groups";
import { Text } from "./text";

interface Props {
  words: TurnWords;
  stage: Stage;
  store: Store;
  capture: CaptureView;
  /** Whether the turn is said at the frame that is shown. */
  live: boolean;
  select: (query: Query) => void;
}

export function TurnRow({ words: { turn, tokens, label }, stage, store, capture, live, select }: Props) {
  const person = stage.people.find(({ name }) => name === turn.speaker);
  const when = spanText(turn);
  const row = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const list = row.current?.parentElement;
    if (!live || !list || !row.current || !store.state.value.playing) return;
    const top = row.current.offsetTop - list.offsetTop; // only the list is scrolled, never the page
    if (top < list.scrollTop || top + row.current.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = top - 8;
  }, [live]);
  const name = turn.speaker ?? "no name";
  const common = { store, capture, select };
  return (
    <div ref={row} class={`words-turn${live ? " live" : ""}`} style={colorVariables(person)} aria-current={live ? "time" : undefined}>
      <div class="words-names">
        <Ask {...common} group={`speaker:${turn.speaker}`} kind="words-name" label={`${name}: show where all words of ${name} look`}>
          {name}
        </Ask>
        <Ask
          {...common}
          group={`turn:${turn.index}`}
          kind="words-when"
          label={`${when || `turn ${turn.index + 1}`}: show where this turn looks`}
        >
          {when || `turn ${turn.index + 1}`}
        </Ask>
      </div>
      {tokens.length ? (
        <Text tokens={tokens} label={label} name={`Turn ${turn.index + 1}, ${name}`} />
      ) : (
        <p class="words-absent" dir="auto">
          {turn.text} <span dir="ltr">(not in the prompt)</span>
        </p>
      )}
    </div>
  );
}

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
  if (!capture.groups.some(({ name }) => name === group)) {
    return kind === "words-ask" ? null : (
      <span class={kind} dir="auto">
        {children}
      </span>
    );
  }
  const { query } = store.state.value;
  return (
    <button
      type="button"
      class={kind}
      dir="auto"
      aria-pressed={query.kind === "group" && query.name === group}
      aria-label={label}
      title={label}
      onClick={() => select({ kind: "group", name: group })}
    >
      {children}
    </button>
  );
}

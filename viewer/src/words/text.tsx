// A run of words: each can be pointed at, reached by the arrow keys, and chosen.

import { memo } from "preact/compat";
import type { Token } from "../document";
import { markOf } from "./groups";

interface Props {
  tokens: (Token | number)[];
  /** How many of the first tokens only name the speaker. */
  label?: number;
  /** What the run is, for a screen reader: "what Ann says". */
  name: string;
}

/** The words alone: colours, what is chosen and what is asked are put on them without drawing them anew. */
export const Text = memo(function Text({ tokens, label = 0, name }: Props) {
  return (
    <div class="words-text" dir="auto" role="listbox" aria-orientation="horizontal" aria-label={name}>
      {tokens.map((token, at) =>
        typeof token === "number" ? (
          <span key={`gap${at}`} class="words-video" role="presentation">
            {token.toLocaleString("en-US")} tokens of the video
          </span>
        ) : (
          <Word key={token.position} token={token} label={at < label} />
        ),
      )}
    </div>
  );
});

function Word({ token, label }: { token: Token; label: boolean }) {
  const mark = markOf(token);
  return (
    <>
      <span
        role="option"
        aria-selected={false}
        tabIndex={-1}
        data-position={token.position}
        class={`words-token${label ? " label" : ""}`}
      >
        {mark === null ? token.text : <span class="words-mark">{mark}</span>}
      </span>
      {mark === "↵" && token.text.replace(/\r/g, "")}
    </>
  );
}

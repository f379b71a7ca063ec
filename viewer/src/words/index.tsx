import type { Source } from "../source";
import type { Store } from "../state";

/** The transcript and the prompt, coloured by what their words look at. */
export function WordsPanel(_: { source: Source; store: Store }) {
  return <div class="words">The words come here.</div>;
}

import type { Source } from "../source";
import type { Store } from "../state";

/** The frames with the overlay, and the time line. */
export function StagePanel(_: { source: Source; store: Store }) {
  return <div class="stage">The frames come here.</div>;
}

// Saving what is seen: the picture of the stage, the grid, and the numbers behind both.

import type { Measure } from "../document";
import type { Source } from "../source";
import type { Store } from "../state";

export function Exports(_: { source: Source; store: Store; measure: Measure | undefined }) {
  return null;
}

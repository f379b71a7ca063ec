// Saving what is seen: the picture of the frame, the grid, and the numbers behind both.

import type { RefObject } from "preact";
import { useState } from "preact/hooks";
import type { Measure } from "../document";
import { saveTable } from "../grid/table";
import type { Source } from "../source";
import type { Store } from "../state";
import { save, saveName } from "./files";
import { overlayCsv } from "./overlay";
import { framePng } from "./png";
import { gridSvg } from "./svg";

interface Props {
  source: Source;
  store: Store;
  measure: Measure | undefined;
  root: RefObject<HTMLDivElement | null>;
}

/** Why there are no numbers by head: they are still computed, or there are none. */
function missing(source: Source) {
  const computing = source.progress?.peek();
  return computing ? "The numbers by head are still computed." : "This capture has no numbers by head.";
}

export function Exports({ source, store, measure, root }: Props) {
  const [said, setSaid] = useState("");
  const { document } = source;
  const run = async (work: () => Promise<string> | string) => {
    try {
      setSaid(await work());
    } catch (error) {
      setSaid(`Nothing was saved. ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  const picture = async () => {
    const png = await framePng(source, store.state.peek(), root.current?.querySelector("canvas.stage-picture") ?? null);
    const name = `${saveName(document.title, "frame", String(store.state.peek().frame))}.png`;
    save(png, name);
    return `Saved ${name}.`;
  };
  const cells = async () => {
    const text = await overlayCsv(source, store.state.peek());
    const name = `${saveName(document.title, "overlay")}.csv`;
    save(text, name, "text/csv");
    return `Saved ${name}.`;
  };
  const grid = () => {
    if (!measure) throw new Error(missing(source));
    const svg = gridSvg(source, store.state.peek().shown, measure);
    if (!svg) throw new Error("This capture has no numbers by head to draw.");
    const name = `${saveName(document.title, "heads", measure.id)}.svg`;
    save(svg, name, "image/svg+xml");
    return `Saved ${name}.`;
  };
  const heads = () => {
    if (!measure) throw new Error(missing(source));
    return `Saved ${saveTable(document, store.state.peek().shown, measure)}.`;
  };
  return (
    <section class="exports" aria-label="Save what is shown">
      <span class="soft">Save what is shown:</span>
      <button type="button" onClick={() => run(picture)}>
        Frame (PNG)
      </button>
      <button type="button" onClick={() => run(cells)}>
        Overlay’s numbers (CSV)
      </button>
      <button type="button" onClick={() => run(grid)}>
        Grid (SVG)
      </button>
      <button type="button" onClick={() => run(heads)}>
        Grid’s numbers (CSV)
      </button>
      <span class="soft" role="status">
        {said}
      </span>
    </section>
  );
}

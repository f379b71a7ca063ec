// The entry: shows the document of a page, of attnscope's server, or of a notebook.

import { render as draw } from "preact";
import { bind, pageAddress, type Place } from "./address";
import { beginning } from "./choices";
import type { ViewDocument } from "./document";
import type { Source } from "./source";
import { EmbeddedSource } from "./sources/embedded";
import { inflate } from "./sources/packed";
import { serverSource } from "./sources/server";
import { type WidgetModel, widgetSource } from "./sources/widget";
import { stageStyle } from "./stage";
import { store } from "./state";
import css from "./style.css";
import { Failure, Guard, Viewer, type ViewerProps } from "./viewer";
import { wordsStyle } from "./words";

/** Show a source in an element. Returns how to take it away. */
function show(element: Element, source: Source, address: Place, place: ViewerProps["place"]): () => void {
  if (source.document.version !== 1) {
    throw new Error(`This viewer knows version 1 of the document, and this one has version ${source.document.version}.`);
  }
  const chosen = store(beginning(source));
  const bound = bind(chosen, source.document, address);
  element.textContent = "";
  draw(
    <Guard onFailure={() => standBack(element)}>
      <Viewer source={source} store={chosen} ignored={bound.ignored} place={place} />
    </Guard>,
    element,
  );
  return () => {
    bound.close();
    draw(null, element);
  };
}

/** The page shows what it has without the viewer, and beside it what failed. */
function standBack(element: Element): void {
  document.documentElement.classList.remove("viewing");
  const section = element.closest<HTMLElement>(".interactive");
  if (section) section.style.display = "block";
}

function fail(element: Element, error: unknown): void {
  standBack(element);
  const reason = error instanceof Error ? error.message : String(error);
  draw(<Failure reason={`The interactive view cannot be shown. ${reason}`} />, element);
}

function dress(root: Document | ShadowRoot): void {
  const holder = root instanceof Document ? root.head : root;
  if (holder.querySelector("style[data-attnscope]")) return;
  const style = document.createElement("style");
  style.dataset["attnscope"] = "";
  style.textContent = css + stageStyle + wordsStyle;
  holder.append(style);
}

async function start(): Promise<void> {
  const element = document.getElementById("attnscope-viewer");
  if (!element) return;
  dress(document);
  const server = element.dataset["source"] === "server" || document.querySelector('meta[name="attnscope-server"]');
  try {
    const data = document.getElementById("attnscope-view");
    if (data) {
      const view = JSON.parse(data.textContent ?? "") as ViewDocument;
      await inflate(view);
      document.documentElement.classList.add("viewing"); // the page hides what the viewer replaces
      show(element, new EmbeddedSource(view), pageAddress, "report");
      // A link to what somebody saw leads there
      if (pageAddress.read().includes("=")) requestAnimationFrame(() => element.scrollIntoView());
    } else if (server) {
      element.textContent = "The document is loading …";
      show(element, await serverSource(), pageAddress, "page");
    }
  } catch (error) {
    fail(element, error);
  }
}

/** A notebook's place of the state: a trait, so that the kernel knows what is seen. */
function traitPlace(model: WidgetModel): Place {
  let own = "";
  return {
    read: () => String(model.get("address") ?? ""),
    write: (text) => {
      own = text;
      model.set("address", text);
      model.save_changes();
    },
    heard: (listener) => {
      const hear = () => {
        if (model.get("address") !== own) listener();
      };
      model.on("change:address", hear);
      return () => model.off("change:address", hear);
    },
  };
}

/** The entry of a notebook (anywidget). */
function render({ model, el }: { model: WidgetModel; el: HTMLElement }): () => void {
  const root = el.getRootNode();
  dress(root instanceof ShadowRoot ? root : document);
  try {
    const { source, close } = widgetSource(model);
    const stop = show(el, source, traitPlace(model), "cell");
    return () => {
      stop();
      close();
    };
  } catch (error) {
    fail(el, error);
    return () => {};
  }
}

void start();

export default { render };

// The scene editor: where boxes come from. It talks to attnscope's server, which checks the scene and saves it.

import { render } from "preact";
import { useEffect, useRef } from "preact/hooks";
import css from "./editor.css";
import { Lanes } from "./lanes";
import { Model } from "./model";
import { People } from "./people";
import { Picture } from "./picture";
import { Player } from "./player";
import { Question } from "./question";
import { opened } from "./server";
import type { Store, Tab } from "./store";
import { store as newStore } from "./store";
import { Words } from "./words";

/** Put the editor into an element. */
export function mountEditor(element: Element): void {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  element.classList.add("editor");
  element.replaceChildren();
  render(<p>The scene is being read …</p>, element);
  opened().then(
    (document) => {
      element.replaceChildren();
      render(<Editor store={newStore(document)} />, element);
    },
    (error: Error) => {
      element.replaceChildren();
      render(
        <p class="failure" role="alert">
          The scene cannot be edited. {error.message}
        </p>,
        element,
      );
    },
  );
}

const TABS: [Tab, string][] = [
  ["people", "People and boxes"],
  ["words", "Turns"],
  ["question", "Question"],
  ["model", "What a model is shown"],
];
const PANELS = { people: People, words: Words, question: Question, model: Model };

function Editor({ store }: { store: Store }) {
  useShortcuts(store);
  const Panel = PANELS[store.tab.value];
  return (
    <>
      <Bar store={store} />
      <main class="columns">
        <div class="left">
          <Picture store={store} />
          <Player store={store} />
          <Lanes store={store} />
        </div>
        <div class="right">
          <Checks store={store} />
          <Tabs store={store} />
          <div class="panel" role="tabpanel" id="editor-panel" aria-labelledby={`editor-tab-${store.tab.value}`}>
            <Panel store={store} />
          </div>
        </div>
      </main>
      <p class="hidden" role="status" aria-live="polite">
        {store.said.value}
      </p>
    </>
  );
}

function Tabs({ store }: { store: Store }) {
  const row = useRef<HTMLDivElement>(null);
  const at = TABS.findIndex(([name]) => name === store.tab.value);
  return (
    <div
      class="tabs"
      role="tablist"
      aria-label="What is edited"
      ref={row}
      onKeyDown={(event) => {
        const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!way) return;
        event.preventDefault();
        const next = (at + way + TABS.length) % TABS.length;
        store.tab.value = TABS[next]?.[0] ?? "people";
        row.current?.querySelectorAll("button")[next]?.focus();
      }}
    >
      {TABS.map(([name, title]) => (
        <button
          key={name}
          type="button"
          role="tab"
          id={`editor-tab-${name}`}
          aria-selected={name === store.tab.value}
          aria-controls="editor-panel"
          tabIndex={name === store.tab.value ? 0 : -1}
          onClick={() => (store.tab.value = name)}
        >
          {title}
        </button>
      ))}
    </div>
  );
}

function Bar({ store }: { store: Store }) {
  const { title, target, is_new, replaces, kept } = store.document;
  const saves = store.looked.value?.saves ?? false;
  const done = !store.dirty.value && store.path.value !== "";
  return (
    <header class="bar">
      <div>
        <h1>{is_new ? `New scene of ${title}` : title}</h1>
        <p class="soft">
          {store.dirty.value ? "Not saved yet. " : done ? `Saved to ${store.path.value}. ` : "Nothing has changed. "}
          {!done && (replaces ? "Save replaces the opened file." : `Save writes ${target}${is_new ? "" : "; the opened file stays as it is"}.`)}
          {kept.length > 0 && ` Kept as they are: ${kept.join(", ")}.`}
        </p>
      </div>
      <div class="row buttons">
        <button type="button" disabled={!store.past.value.length} onClick={store.undo}>
          Undo
        </button>
        <button type="button" disabled={!store.future.value.length} onClick={store.redo}>
          Redo
        </button>
        <button type="button" class="main" disabled={!saves} onClick={() => void store.save(false)}>
          Save
        </button>
      </div>
      {store.taken.value && (
        <div class="callout" role="alert">
          <p>{store.taken.value}</p>
          <button type="button" onClick={() => void store.save(true)}>
            Replace the file
          </button>{" "}
          <button type="button" onClick={() => (store.taken.value = "")}>
            Do not save
          </button>
        </div>
      )}
      {done && (
        <p class="next">
          Next: <code>{command(store)}</code>
        </p>
      )}
    </header>
  );
}

/** The capture that shows a model what the page shows. */
function command(store: Store): string {
  const { model, settings, questions } = store.document;
  const id = questions.length > 1 ? { "question-id": questions[store.asked.value] ?? "" } : {};
  const coverage = store.coverage.value;
  const options = { ...id, ...settings, ...(coverage !== null && coverage !== USUAL ? { coverage } : {}) };
  const words = Object.entries(options).map(([name, value]) => ` --${name} ${quoted(String(value))}`);
  return `attnscope capture ${quoted(model ?? "MODEL")} --scene ${quoted(store.path.value)}${words.join("")} -o run.h5`;
}

const USUAL = 0.5; // the coverage of a capture that is told nothing
const quoted = (path: string): string => (/^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`);

/** What is wrong, and what the user should know, as the library says it. */
function Checks({ store }: { store: Store }) {
  const looked = store.looked.value;
  const problems = looked?.problems ?? [];
  const findings = looked?.findings ?? [];
  return (
    <section class="checks" aria-label="Checks">
      {store.failure.value && (
        <p class="failure" role="alert">
          {store.failure.value}
        </p>
      )}
      {problems.map(({ path, text }) => (
        <p key={path + text} class="failure">
          {path && <code>{path}</code>} {text}
        </p>
      ))}
      {findings.length > 0 && (
        <details open={findings.length < 4}>
          <summary>
            {findings.length === 1 ? "1 warning" : `${findings.length} warnings`}
          </summary>
          <ul>
            {findings.map((finding) => (
              <li key={finding.kind + finding.text}>
                {finding.text}.{" "}
                {finding.frames[0] !== undefined && finding.frames.length < store.sampled.value.length && (
                  <button
                    type="button"
                    class="small"
                    onClick={() => store.seek(store.sampled.value[finding.frames[0] ?? 0]?.number ?? 0)}
                  >
                    Go to the frame
                  </button>
                )}
              </li>
            ))}
          </ul>
        </details>
      )}
      {looked && !problems.length && !findings.length && !store.failure.value && (
        <p class="fine">The scene is in order.</p>
      )}
    </section>
  );
}

function useShortcuts(store: Store): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const typing = event.target instanceof Element && event.target.matches("input[type=text], textarea, select");
      const command = event.ctrlKey || event.metaKey;
      const key = event.key.toLowerCase();
      if (command && key === "s") {
        event.preventDefault();
        if (document.activeElement instanceof HTMLElement) document.activeElement.blur(); // what is typed is whole
        if (store.looked.value?.saves) void store.save(false);
      } else if (command && !typing && (key === "z" || key === "y")) {
        event.preventDefault();
        if (key === "y" || event.shiftKey) store.redo();
        else store.undo();
      } else if (!typing && !command && !event.altKey) {
        const numbers = store.sampled.value.map(({ number }) => number);
        const frame = store.frame.value;
        if (key === ",") store.seek(frame - 1);
        else if (key === ".") store.seek(frame + 1);
        else if (key === "[") store.seek(numbers.findLast((number) => number < frame) ?? frame);
        else if (key === "]") store.seek(numbers.find((number) => number > frame) ?? frame);
      }
    };
    const onLeave = (event: BeforeUnloadEvent) => {
      if (store.dirty.value) event.preventDefault();
    };
    addEventListener("keydown", onKey);
    addEventListener("beforeunload", onLeave);
    return () => {
      removeEventListener("keydown", onKey);
      removeEventListener("beforeunload", onLeave);
    };
  }, []);
}

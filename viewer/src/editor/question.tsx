// What the model is asked, the options, the right answer, and whom the question is about.

import { TextField, Wrong } from "./fields";
import type { Asked } from "./scene";
import type { Store } from "./store";

export function Question({ store }: { store: Store }) {
  const number = store.asked.value;
  const item = store.scene.value.asked[number];
  if (!item) return null;
  const path = `asked[${number}]`;
  const change = (update: Partial<Asked>, name: string | null = null) =>
    store.edit(
      (scene) => ({ ...scene, asked: scene.asked.map((own, at) => (at === number ? { ...own, ...update } : own)) }),
      name && `${name} ${number}`,
    );
  const setOptions = (options: string[], name: string | null = null) => {
    const at = item.options.indexOf(item.answer ?? "");
    // the answer is one of the options, and follows it
    const answer = at >= 0 && options.length === item.options.length ? (options[at] ?? null) : item.answer;
    change({ options, answer: answer !== null && options.length && !options.includes(answer) ? null : answer }, name);
  };
  const names = store.scene.value.people.map(({ name }) => name).filter((name) => name.trim());
  return (
    <div class="question">
      {store.document.questions.length > 0 && (
        <label class="field">
          <span>Which of the scene's questions</span>
          <select value={String(number)} onChange={(event) => (store.asked.value = Number(event.currentTarget.value))}>
            {store.document.questions.map((id, at) => (
              <option key={id} value={String(at)}>
                {id}
              </option>
            ))}
          </select>
        </label>
      )}
      <TextField
        label="Question"
        rows={3}
        value={item.question ?? ""}
        problem={store.problem(`${path}.question`)}
        onValue={(question) => change({ question: question || null }, "question")}
      />
      <About store={store} asked={item} />
      <fieldset>
        <legend>Options</legend>
        {item.options.map((option, at) => (
          <div class="row option" key={at}>
            <label class="radio">
              <input
                type="radio"
                name="answer"
                checked={item.answer === option && option !== ""}
                onChange={() => change({ answer: option })}
              />
              <span class="hidden">Option {at + 1} is right</span>
            </label>
            <TextField
              label={`Option ${at + 1}`}
              hidden
              value={option}
              problem={store.problem(`${path}.options[${at}]`)}
              onValue={(text) =>
                setOptions(
                  item.options.map((own, other) => (other === at ? text : own)),
                  `option ${at}`,
                )
              }
            />
            <button type="button" class="small" onClick={() => setOptions(item.options.filter((_, other) => other !== at))}>
              Remove<span class="hidden"> option {at + 1}</span>
            </button>
          </div>
        ))}
        <div class="row buttons">
          <button
            type="button"
            onClick={() => {
              setOptions([...item.options, ""]);
              requestAnimationFrame(() =>
                [...document.querySelectorAll<HTMLInputElement>(".editor .option input[type=text]")].at(-1)?.focus(),
              );
            }}
          >
            Add an option
          </button>
          {names.length > 1 && item.options.length === 0 && (
            <button type="button" onClick={() => setOptions(names)}>
              All people as options
            </button>
          )}
        </div>
        {item.options.length > 0 && <p class="soft">The mark before an option says which one is right.</p>}
      </fieldset>
      {item.options.length > 0 ? (
        <p>
          {item.answer === null ? (
            "No option is marked as right."
          ) : (
            <>
              Right answer: <b>{item.answer}</b>{" "}
              <button type="button" class="small" onClick={() => change({ answer: null })}>
                Mark none
              </button>
            </>
          )}
        </p>
      ) : (
        <TextField
          label="Right answer (may be left empty)"
          value={item.answer ?? ""}
          onValue={(answer) => change({ answer: answer || null }, "answer")}
        />
      )}
      <Wrong text={store.problem(`${path}.answer`)} />
    </div>
  );
}

/** The question with the names in it, as attnscope finds them. */
function About({ store, asked }: { store: Store; asked: Asked }) {
  const looked = store.looked.value;
  if (!asked.question || !looked?.question) return null;
  const about = looked.about ?? [];
  return (
    <div class="about" aria-live="polite">
      <p>
        {looked.question.map(({ text, name }, at) =>
          name === null ? (
            <span key={at}>{text}</span>
          ) : (
            <mark key={at} style={{ borderBottomColor: colorOf(store, name) }}>
              {text}
            </mark>
          ),
        )}
      </p>
      <p>
        {about.length > 0 ? (
          <>
            The question is about <b>{about.join(" and ")}</b>.
          </>
        ) : (
          "The question names nobody who has a box."
        )}
      </p>
    </div>
  );
}

function colorOf(store: Store, name: string): string {
  const person = store.scene.value.people.find((own) => own.name === name);
  return store.tone(person?.id ?? null);
}

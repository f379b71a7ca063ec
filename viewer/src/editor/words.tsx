// Turns: what is said, by whom and when.

import type { VNode } from "preact";
import { useRef } from "preact/hooks";
import { NumberField, TextField, Wrong } from "./fields";
import { newPerson } from "./picture";
import type { Person, Turn } from "./scene";
import { addTurn, mergeTurn, newId, removeTurn, rounded, splitTurn, updateTurn } from "./scene";
import type { Store } from "./store";

const LASTS = 1; // s of a turn that is added

export function Words({ store }: { store: Store }) {
  const { people, turns } = store.scene.value;
  const { duration, kind } = store.document;
  const now = store.moment.value.start;
  const problems = store.looked.value?.problems ?? [];
  const names = people.map(({ id, name }) => [id, name]);
  const drawn = useRef(new Map<number, { key: string; node: VNode }>());

  function add(): void {
    const timed = kind !== "image" && duration !== null;
    const turn: Turn = {
      id: newId(),
      person: store.selected.value,
      text: "",
      start: timed ? rounded(now, 3) : null,
      end: timed ? rounded(Math.min(now + LASTS, duration), 3) : null,
    };
    store.edit((scene) => addTurn(scene, turn));
    requestAnimationFrame(() => document.querySelector<HTMLElement>(`#turn-${turn.id} textarea`)?.focus());
  }

  return (
    <div>
      <p>The model reads the turns in this order, one a line, with the name of who speaks before it.</p>
      <ol class="turns">
        {turns.map((turn, number) => {
          const wrong = Object.fromEntries(
            ["start", "end", "text", "speaker"].map((field) => [field, store.problem(`transcript[${number}].${field}`)]),
          );
          wrong["whole"] = problems.find(({ path }) => path === `transcript[${number}]`)?.text ?? "";
          const isNow = turn.start !== null && turn.start <= now && now <= (turn.end ?? turn.start);
          const isLast = number + 1 === turns.length;
          const shown = { turn, number, isLast, isNow, tone: store.tone(turn.person), ...wrong, names };
          const key = JSON.stringify(shown);
          const known = drawn.current.get(turn.id);
          if (known?.key === key) return known.node; // a long transcript is drawn anew where it has changed
          const node = (
            <OneTurn
              key={turn.id}
              store={store}
              turn={turn}
              number={number}
              people={people}
              isLast={isLast}
              isNow={isNow}
              tone={shown.tone}
              wrong={wrong}
            />
          );
          drawn.current.set(turn.id, { key, node });
          return node;
        })}
      </ol>
      {turns.length === 0 && <p class="soft">Nobody says anything yet.</p>}
      <button type="button" onClick={add}>
        Add a turn{kind === "image" ? "" : " at this frame"}
      </button>
    </div>
  );
}

interface TurnProps {
  store: Store;
  turn: Turn;
  number: number;
  people: Person[];
  isLast: boolean;
  isNow: boolean;
  tone: string;
  wrong: Record<string, string>;
}

/** One turn. It reads no signal while it is drawn, so that it is not drawn for the sake of others. */
function OneTurn({ store, turn, number, people, isLast, isNow, tone, wrong }: TurnProps) {
  const text = useRef<HTMLInputElement | HTMLTextAreaElement | null>(null);
  const now = () => store.moment.peek().start;
  const change = (update: Partial<Turn>, name: string | null = null) =>
    store.edit((scene) => updateTurn(scene, turn.id, update), name && `${name} ${turn.id}`);
  return (
    <li id={`turn-${turn.id}`} class={`one-turn${isNow ? " now" : ""}`} style={{ borderLeftColor: tone }}>
      <div class="row">
        <label class="field">
          <span>Turn {number}: who speaks</span>
          <select
            value={turn.person === null ? "" : String(turn.person)}
            onChange={(event) => {
              const chosen = event.currentTarget.value;
              if (chosen === "new") {
                newPerson(store, null);
                change({ person: store.selected.value });
              } else change({ person: chosen === "" ? null : Number(chosen) });
            }}
          >
            <option value="">nobody known</option>
            {people.map((person) => (
              <option key={person.id} value={String(person.id)}>
                {person.name || "(no name)"}
              </option>
            ))}
            <option value="new">somebody new …</option>
          </select>
        </label>
        <NumberField
          label="From (s)"
          value={turn.start}
          empty
          step={0.1}
          min={0}
          problem={wrong["start"]}
          onValue={(start) => start !== turn.start && change({ start }, "start")}
        />
        <NumberField
          label="Until (s)"
          value={turn.end}
          empty
          step={0.1}
          min={0}
          problem={wrong["end"]}
          onValue={(end) => end !== turn.end && change({ end }, "end")}
        />
      </div>
      <TextField
        label={`Words of turn ${number}`}
        hidden
        rows={2}
        value={turn.text}
        problem={wrong["text"] || wrong["speaker"]}
        input={text}
        onValue={(words) => change({ text: words }, "text")}
      />
      <Wrong text={wrong["whole"] ?? ""} />
      <div class="row buttons">
        {store.document.kind !== "image" && (
          <>
            <button type="button" class="small" onClick={() => store.seekTime(turn.start ?? 0)} disabled={turn.start === null}>
              Go there
            </button>
            <button type="button" class="small" onClick={() => change({ start: rounded(now(), 3) })}>
              Begins now
            </button>
            <button
              type="button"
              class="small"
              disabled={turn.start === null}
              onClick={() => change({ end: rounded(now(), 3) })}
            >
              Ends now
            </button>
          </>
        )}
        <button
          type="button"
          class="small"
          title="Two turns: the words before the cursor, and those behind it"
          onClick={() => {
            const place = text.current?.selectionStart ?? 0;
            const next = splitTurn(store.scene.value, turn.id, place, now());
            if (next === store.scene.value) {
              store.said.value = "Put the cursor between two words first";
              text.current?.focus();
            } else store.edit(() => next);
          }}
        >
          Split at the cursor
        </button>
        {!isLast && (
          <button type="button" class="small" onClick={() => store.edit((scene) => mergeTurn(scene, turn.id))}>
            Join with the next
          </button>
        )}
        <button type="button" class="small" onClick={() => store.edit((scene) => removeTurn(scene, turn.id))}>
          Delete<span class="hidden"> turn {number}</span>
        </button>
      </div>
    </li>
  );
}

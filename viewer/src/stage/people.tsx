// The people of a stage: whose box is which, how much the query looks at each, and whose lookers are shown.

import { useEffect, useState } from "preact/hooks";
import type { Person, Stage } from "../document";
import { number, percent, signed } from "../numbers";
import { type Store, usePart } from "../state";
import type { Lookers } from "./numbers";
import type { Preview } from "./preview";

/** A person's colours, of which the style takes the one for the page's light; a neutral one for nobody. */
export function colorVariables(person: Person | undefined): Record<string, string> {
  return { "--light": person?.color ?? "#5b6670", "--dark": person?.dark ?? "#9aa6b1" };
}

/** Whether the page is dark. */
export function useDark(): boolean {
  const [dark, setDark] = useState(() => matchMedia("(prefers-color-scheme: dark)").matches);
  useEffect(() => {
    const query = matchMedia("(prefers-color-scheme: dark)");
    const follow = () => setDark(query.matches);
    query.addEventListener("change", follow);
    return () => query.removeEventListener("change", follow);
  }, []);
  return dark;
}

interface Props {
  stage: Stage;
  store: Store;
  preview: Preview;
  lookers: Lookers | null;
  change: boolean;
}

export function People({ stage, store, preview, lookers, change }: Props) {
  const chosen = usePart(store, "person");
  const shown = preview.person.value;
  if (!stage.people.length) return <p class="stage-note">Nobody has a box in this scene.</p>;
  const what = change ? "The change of the attention" : "The attention";
  return (
    <>
      <p class="stage-note">
        {what} on the cells that each person covers, over what uniform attention would give (×). Choose a person to see
        which words look at this person.
      </p>
      <div class="stage-people" role="group" aria-label="People: choose one to see which words look at this person">
        {stage.people.map((person, at) => {
          const lift = lookers?.lift[at] ?? NaN;
          const mass = lookers?.mass[at] ?? NaN;
          const known = !Number.isNaN(lift) || !Number.isNaN(mass);
          const text = Number.isNaN(lift)
            ? change
              ? `${signed(100 * mass)} points`
              : percent(mass)
            : `${change ? signed(lift) : number(lift)} ×`;
          return (
            <button
              type="button"
              key={person.name}
              class={`stage-person${shown === person.name ? " lit" : ""}`}
              aria-pressed={chosen === person.name}
              style={colorVariables(person)}
              onClick={() => store.set({ person: chosen === person.name ? null : person.name })}
              onPointerEnter={(event) => event.pointerType === "mouse" && preview.showPerson(person.name)}
              onPointerLeave={() => preview.showPerson(null)}
            >
              <i aria-hidden="true" />
              <span dir="auto">{person.name}</span>
              <b>{known ? text : "—"}</b>
            </button>
          );
        })}
      </div>
    </>
  );
}

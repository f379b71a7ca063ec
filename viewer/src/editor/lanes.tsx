// The time line: who is visible when, which boxes were set, who speaks, and which frames a model is shown.

import type { Person } from "./scene";
import type { Store } from "./store";

export function Lanes({ store }: { store: Store }) {
  const { duration, times, kind } = store.document;
  if (kind === "image" || !duration) return null;
  const percent = (t: number): string => `${(100 * Math.min(Math.max(t / duration, 0), 1)).toFixed(3)}%`;
  /** A stretch of time; what goes on after the end of the clip ends with it. */
  const span = (start: number, end: number) => ({ left: percent(start), right: `calc(100% - ${percent(end)})` });
  const { people, turns } = store.scene.value;
  const nobody = turns.filter(({ person, start }) => person === null && start !== null);

  function seek(event: MouseEvent): void {
    const bounds = (event.currentTarget as HTMLElement).getBoundingClientRect();
    store.seekTime(((event.clientX - bounds.left) / bounds.width) * (duration ?? 0));
  }

  const spoken = (id: number | null) =>
    turns
      .filter(({ person, start }) => person === id && start !== null)
      .map((turn) => (
        <span
          key={turn.id}
          class="turn"
          title={turn.text}
          style={{
            ...span(turn.start ?? 0, turn.end ?? turn.start ?? 0),
            background: store.tone(id),
          }}
        />
      ));

  return (
    <div class="lanes">
      <div class="lane heads">
        <span class="soft">model’s frames</span>
        <div class="track" onClick={seek} aria-hidden="true">
          {store.sampled.value.map(({ number, time }) => (
            <i key={number} class="sampled" style={{ left: percent(time) }} />
          ))}
          <Cursor at={percent(times[store.frame.value] ?? 0)} />
        </div>
      </div>
      {people.map((person: Person) => (
        <div key={person.id} class={`lane${person.id === store.selected.value ? " chosen" : ""}`}>
          <button
            type="button"
            class="plain"
            aria-pressed={person.id === store.selected.value}
            onClick={() => (store.selected.value = person.id)}
          >
            <i class="swatch" style={{ background: store.tone(person.id) }} />
            <span>{person.name || "(no name)"}</span>
          </button>
          <div class="track" onClick={seek} aria-hidden="true">
            {person.segments.map((segment) => (
              <span
                key={segment.start}
                class="visible"
                style={{
                  ...span(segment.start, segment.end),
                  borderColor: store.tone(person.id),
                }}
              />
            ))}
            {ticks(person, duration).map((t) => (
              <i key={t} class="keyframe" style={{ left: percent(t), background: store.tone(person.id) }} />
            ))}
            {spoken(person.id)}
            <Cursor at={percent(times[store.frame.value] ?? 0)} />
          </div>
        </div>
      ))}
      {nobody.length > 0 && (
        <div class="lane">
          <span class="soft">no speaker</span>
          <div class="track" onClick={seek} aria-hidden="true">
            {spoken(null)}
            <Cursor at={percent(times[store.frame.value] ?? 0)} />
          </div>
        </div>
      )}
      <p class="hint legend">
        <span class="visible sample" /> visible <i class="keyframe sample" /> a box was set <span class="turn sample" />{" "}
        speaks <i class="sampled sample" /> frame that the model is shown
      </p>
    </div>
  );
}

const FINEST = 300; // ticks on a line; imported tracks have a box for every frame

/** When boxes were set, one for each place on the line. */
function ticks(person: Person, duration: number): number[] {
  const places = new Map<number, number>();
  for (const { keyframes } of person.segments) {
    for (const { t } of keyframes) places.set(Math.round((t / duration) * FINEST), t);
  }
  return [...places.values()];
}

function Cursor({ at }: { at: string }) {
  return <i class="cursor" style={{ left: at }} />;
}

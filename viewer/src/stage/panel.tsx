// The stage: the frames with where a query looks, in time, and the people on them.

import { Fragment } from "preact";
import { useCallback, useMemo, useState } from "preact/hooks";
import type { CaptureView, Stage } from "../document";
import { lookInWords } from "../grid/values";
import { number, signed } from "../numbers";
import { isChange, shownInWords, wordOf } from "../shown";
import type { Source } from "../source";
import { type Query, type Store, usePart } from "../state";
import { cellsOf } from "./cells";
import { Clip } from "./clip";
import { changeMeans, Legend } from "./legend";
import { reasonOf, useLookers, useOverlay } from "./numbers";
import { People, useDark } from "./people";
import { Picture } from "./picture";
import { Player, useClock } from "./player";
import { previewOf } from "./preview";
import { cellText, Readout } from "./readout";
import { palette } from "./scale";
import { Strip } from "./strip";
import { turnsLive } from "./time";
import { Timeline } from "./timeline";

const MOST_LOOKS = 4; // that are offered
const MOST_STRENGTH = 1.3; // of the overlay, over that of the static figures

interface Props {
  source: Source;
  store: Store;
}

export function StagePanel({ source, store }: Props) {
  const { document } = source;
  const shown = usePart(store, "shown");
  const look = usePart(store, "look");
  const preview = previewOf(store);
  const query = preview.query.value;
  const capture = document.captures[store.capture.value];
  const stage = document.stages[capture?.stage ?? 0] as Stage;
  const frame = Math.min(Math.max(usePart(store, "frame"), 0), Math.max(0, stage.frames.length - 1));
  const cells = cellsOf(stage);
  const dark = useDark();
  const [clip, setClip] = useState<{ element: HTMLVideoElement | null; fault: string }>({ element: null, fault: "" });
  const [sound, setSound] = useState(true);
  const clock = useClock(stage, store, clip.element);
  const [strength, setStrength] = useState(1);
  const [grey, setGrey] = useState(true);
  const [pinned, setPinned] = useState(-1);
  const [passed, setPassed] = useState(-1);
  const overlay = useOverlay(source, shown, query, look);
  const people = useMemo(() => stage.people.map(({ name }) => name), [stage]);
  const lookers = useLookers(source, people, shown, query, look);
  const kind = overlay.value?.scale.kind ?? "ratio";
  const colors = useMemo(() => palette(kind, strength), [kind, strength]);
  const live = useMemo(() => turnsLive(stage.turns, stage.frames), [stage]);
  const spoken = useMemo(() => live.map((turns) => names(turns.map((turn) => turn.speaker))), [live]);
  const seek = useCallback((to: number) => store.set({ frame: to, playing: false }), [store]);
  const change = isChange(shown);
  const cell = passed >= 0 ? passed : cells.at[frame]?.includes(pinned) ? pinned : -1;
  const unknown = !overlay.waiting && !overlay.value;
  const person = preview.person.value;
  const tags = useMemo(
    () =>
      stage.people.map((one, at) => ({
        person: one,
        text: unknown ? `\u2068${one.name}\u2069${liftText(lookers.value?.lift[at], change)}` : one.name,
        chosen: person === one.name,
      })),
    [stage, unknown, lookers.value, change, person],
  );
  const shared = { stage, cells, capture, overlay: overlay.value, colors, grey };
  const asked = queryName(capture, query);
  const title = asked ? `Attention of ${asked} on the frames` : "The frames";
  return (
    <section class="stage" aria-label="Frames and where the chosen words look">
      <div class="stage-title">
        <h3 title={title}>{title}</h3>
        <p>
          {lookInWords(look)} · {shownInWords(document.captures, shown)}
        </p>
      </div>
      <div class="stage-body">
        <div class="stage-top">
          <Picture
            {...shared}
            frame={frame}
            tags={tags}
            dark={dark}
            clip={clip.element}
            clock={clock}
            cell={cell}
            pinned={pinned}
            text={cell < 0 ? "" : cellText(stage, frame, cell, overlay.value, change).filter(Boolean).join(" · ")}
            onCell={(at, chosen) => (chosen ? setPinned(at) : setPassed(at))}
            onPerson={preview.showPerson}
          />
          <div class="stage-scale">
            {overlay.value && (
              <Legend
                scale={overlay.value.scale}
                strength={strength}
                what={change ? "Change of attention on each cell" : "Attention on each cell"}
                unit="× uniform"
                means={change ? changeMeans(document.captures, shown) : undefined}
                overPicture
              />
            )}
            {unknown && (
              <p class="stage-unknown">
                {overlay.error || reasonOf(document, source, shown, query, look, preview.passing.value)}
                {query.kind === "token" && lookers.value && " The boxes show how much the word looks at each person."}
                {query.kind === "token" && !preview.passing.value && <HeldLooks capture={capture} store={store} />}
              </p>
            )}
            <Readout
              stage={stage}
              frame={frame}
              cell={cell}
              overlay={overlay.value}
              change={change}
              pinned={passed < 0}
              onCell={(to, at) => {
                seek(to);
                setPinned(at);
              }}
            />
          </div>
        </div>
        <div class="stage-play">
          {stage.video && (
            <Clip address={stage.video} sound={sound} onClip={(element, fault) => setClip({ element, fault })} />
          )}
          <Player stage={stage} store={store} />
          {clip.fault && <p class="stage-note">{clip.fault}</p>}
          <Timeline
            stage={stage}
            onFrame={seek}
            clock={clock}
            frame={frame}
            live={live}
            overlay={overlay.value}
            colors={colors}
            change={change}
          />
        </div>
        <div class="stage-side">
          <People stage={stage} store={store} preview={preview} lookers={lookers.value} change={change} />
          <div class="stage-options">
            <Strength value={strength} onChange={setStrength} />
            <Check title="grey frames" value={grey} onChange={setGrey} />
            {clip.element && <Check title="sound" value={sound} onChange={setSound} />}
          </div>
        </div>
      </div>
      {stage.frames.length > 1 && <Strip {...shared} frame={frame} spoken={spoken} onFrame={seek} />}
    </section>
  );
}

function Strength({ value, onChange }: { value: number; onChange: (value: number) => void }) {
  return (
    <label>
      <span>Overlay</span>
      <input
        type="range"
        min={0}
        max={MOST_STRENGTH}
        step={0.05}
        value={value}
        aria-valuetext={`${Math.round((100 * value) / MOST_STRENGTH)} percent`}
        onInput={(event) => onChange(Number(event.currentTarget.value))}
      />
    </label>
  );
}

function Check({ title, value, onChange }: { title: string; value: boolean; onChange: (value: boolean) => void }) {
  return (
    <label class="stage-check">
      <input type="checkbox" checked={value} onChange={(event) => onChange(event.currentTarget.checked)} />
      <span>{title}</span>
    </label>
  );
}

/** Looks in which the page holds single words, where it does not hold them in the one that is chosen. */
function HeldLooks({ capture, store }: { capture: CaptureView | undefined; store: Store }) {
  const looks = capture?.views?.rows?.looks ?? [];
  const { layer } = usePart(store, "look");
  if (!looks.length) return null;
  const near = looks.filter((look) => look.layer === layer).slice(0, MOST_LOOKS);
  const offered = near.length ? near : looks.slice(0, MOST_LOOKS);
  const others = looks.length - offered.length;
  return (
    <>
      {" "}
      The page holds single words in{" "}
      {offered.map((look, at) => (
        <Fragment key={at}>
          {at > 0 && "; "}
          <button type="button" class="stage-link" onClick={() => store.set({ look })}>
            {lookInWords(look)}
          </button>
        </Fragment>
      ))}
      {others > 0 && `; and in ${others} more`}.
    </>
  );
}

function liftText(lift: number | undefined, change: boolean): string {
  if (lift === undefined || Number.isNaN(lift)) return "";
  return ` ${change ? signed(lift) : number(lift)} ×`;
}

function names(people: (string | null)[]): string {
  return [...new Set(people.filter((name) => name !== null))].join(" and ");
}

/** Whose attention it is, for a title. */
function queryName(capture: CaptureView | undefined, query: Query): string {
  if (query.kind === "token") return `the word “${wordOf(capture, query.position)}”`;
  return capture?.groups.find(({ name }) => name === query.name)?.title ?? query.name;
}

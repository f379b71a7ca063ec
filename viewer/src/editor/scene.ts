// The scene as the editor holds it, and what boxes do between keyframes: the rules of docs/scene.md.
// Everything here makes new values and changes none, so that a change can be undone.

export type Box = [left: number, top: number, right: number, bottom: number];

export interface Keyframe {
  t: number; // s
  xyxy: Box; // in the scene's units
}

/** A stretch of time in which somebody is visible: start <= t < end, or the moment start = end. */
export interface Segment {
  start: number;
  end: number;
  keyframes: Keyframe[]; // in the order of their times, as the server sends them and as every change here leaves them
}

export interface Person {
  id: number; // of this page alone
  name: string;
  segments: Segment[];
  /** Whether the scene's speakers list them; somebody who only speaks need not be there. */
  listed: boolean;
}

export interface Turn {
  id: number; // of this page alone
  person: number | null; // id
  text: string;
  start: number | null; // s
  end: number | null;
}

export interface Asked {
  question: string | null;
  options: string[];
  answer: string | null;
}

export interface Scene {
  people: Person[];
  turns: Turn[];
  asked: Asked[];
}

/** What a server sends and takes. */
export interface Parts {
  people: { name: string; segments: Segment[] }[];
  transcript: { speaker: string | null; text: string; start: number | null; end: number | null }[];
  asked: Asked[];
}

let last = 0;
export const newId = (): number => ++last;

export function fromParts(parts: Parts): Scene {
  const people: Person[] = parts.people.map((person) => ({ ...person, id: newId(), listed: true }));
  const turns = parts.transcript.map(({ speaker, ...turn }): Turn => {
    let person = people.find(({ name }) => name === speaker);
    if (!person && speaker !== null) {
      person = { id: newId(), name: speaker, segments: [], listed: false };
      people.push(person);
    }
    return { ...turn, id: newId(), person: person?.id ?? null };
  });
  return { people, turns, asked: parts.asked };
}

/** The people that a scene file lists, in the order in which they are sent. */
export const listedPeople = (scene: Scene): Person[] =>
  scene.people.filter((person) => person.listed || person.segments.length > 0);

export function toParts(scene: Scene): Parts {
  return {
    people: listedPeople(scene).map(({ name, segments }) => ({ name, segments })),
    transcript: scene.turns.map(({ person, text, start, end }) => ({
      speaker: scene.people.find(({ id }) => id === person)?.name ?? null,
      text,
      start,
      end,
    })),
    asked: scene.asked,
  };
}

// ---- where somebody is

const inside = (segment: Segment, t: number): boolean =>
  segment.start <= t && (t < segment.end || t === segment.start);

/** The stretch that is shown at a moment: where two touch at a cut, the new one. */
export const segmentAt = (person: Person, t: number): Segment | undefined =>
  person.segments.filter((segment) => inside(segment, t)).at(-1);

/** The box at a moment, null where the person is not visible; not clipped. */
export function boxAt(person: Person, t: number): Box | null {
  const segment = segmentAt(person, t);
  return segment ? interpolated(segment.keyframes, t) : null;
}

function interpolated(keyframes: Keyframe[], t: number): Box {
  const next = keyframes.findIndex((keyframe) => keyframe.t > t);
  const before = keyframes[next < 0 ? keyframes.length - 1 : next - 1];
  const after = keyframes[next];
  if (!before || !after) return (before ?? after ?? { xyxy: [0, 0, 0, 0] as Box }).xyxy;
  const share = (t - before.t) / (after.t - before.t);
  return before.xyxy.map((low, side) => low + ((after.xyxy[side] ?? low) - low) * share) as Box;
}

/** A frame of the video: when it begins, and when the next one does. */
export interface Moment {
  start: number;
  end: number;
}

const during = (moment: Moment) => (keyframe: Keyframe) => moment.start <= keyframe.t && keyframe.t < moment.end;

/** The keyframe that was set at a frame, if there is one. */
export const keyframeAt = (person: Person, moment: Moment): Keyframe | undefined =>
  segmentAt(person, moment.start)?.keyframes.find(during(moment));

// ---- changes of one person

const replaced = (person: Person, old: Segment, segment: Segment | null): Person => ({
  ...person,
  segments: person.segments.flatMap((own) => (own === old ? (segment ? [segment] : []) : [own])),
});

const withKeyframe = (segment: Segment, moment: Moment, xyxy: Box): Segment => ({
  ...segment,
  keyframes: [...segment.keyframes.filter((keyframe) => !during(moment)(keyframe)), { t: moment.start, xyxy }].sort(
    (a, b) => a.t - b.t,
  ),
});

/** A box at a frame. Where the person was not visible a stretch begins, which lasts until the next one or the end. */
export function setBox(person: Person, moment: Moment, xyxy: Box, duration: number | null): Person {
  const segment = segmentAt(person, moment.start);
  if (segment) return replaced(person, segment, withKeyframe(segment, moment, xyxy));
  const later = person.segments.map(({ start }) => start).filter((start) => start > moment.start);
  const end = Math.min(...later, Math.max(duration ?? 0, moment.start));
  const added: Segment = { start: moment.start, end, keyframes: [{ t: moment.start, xyxy }] };
  return { ...person, segments: [...person.segments, added].sort((a, b) => a.start - b.start) };
}

/** Without the keyframe of a frame; of a stretch that has no other, without the stretch. */
export function removeKeyframe(person: Person, moment: Moment): Person {
  const segment = segmentAt(person, moment.start);
  if (!segment || !segment.keyframes.some(during(moment))) return person;
  const keyframes = segment.keyframes.filter((keyframe) => !during(moment)(keyframe));
  return replaced(person, segment, keyframes.length ? { ...segment, keyframes } : null);
}

/** The box of a frame at all later frames of its stretch. */
export function copyOn(person: Person, moment: Moment): Person {
  const segment = segmentAt(person, moment.start);
  if (!segment) return person;
  const here = withKeyframe(segment, moment, interpolated(segment.keyframes, moment.start));
  return replaced(person, segment, { ...here, keyframes: here.keyframes.filter(({ t }) => t <= moment.start) });
}

export const removeSegment = (person: Person, segment: Segment): Person => replaced(person, segment, null);

/** Other ends of a stretch; boxes inside of it stay where they are. */
export function trim(segment: Segment, start: number, end: number): Segment {
  if (end < start) return { ...segment, start, end }; // wrong, and the check of the scene says so
  const kept = segment.keyframes.filter(({ t }) => start <= t && t <= end);
  const edges = [start, end].filter((edge) => {
    const beyond = edge === start ? ({ t }: Keyframe) => t < start : ({ t }: Keyframe) => t > end;
    return segment.keyframes.some(beyond) && !kept.some(({ t }) => t === edge);
  });
  const added = [...new Set(edges)].map((t) => ({ t, xyxy: interpolated(segment.keyframes, t) }));
  return { start, end, keyframes: [...kept, ...added].sort((a, b) => a.t - b.t) };
}

export const setEnds = (person: Person, segment: Segment, start: number, end: number): Person =>
  replaced(person, segment, trim(segment, start, end));

/** Seen from a frame on: the stretch of this frame, or else the next one, begins here. */
export function firstSeen(person: Person, moment: Moment): Person {
  const segment = segmentAt(person, moment.start) ?? person.segments.find(({ start }) => start > moment.start);
  return segment ? setEnds(person, segment, moment.start, segment.end) : person;
}

/** Seen up to a frame, itself included: the stretch of this frame, or else the one before, ends after it. */
export function lastSeen(person: Person, moment: Moment): Person {
  const before = person.segments.filter(({ end }) => end <= moment.start).at(-1);
  const segment = segmentAt(person, moment.start) ?? before;
  return segment && Number.isFinite(moment.end) ? setEnds(person, segment, segment.start, moment.end) : person;
}

// ---- changes of the scene

export const updatePerson = (scene: Scene, id: number, change: (person: Person) => Person): Scene => ({
  ...scene,
  people: scene.people.map((person) => (person.id === id ? change(person) : person)),
});

/** A name that nobody has yet. */
export function freshName(scene: Scene): string {
  const taken = new Set(scene.people.map(({ name }) => name));
  let number = 1;
  while (taken.has(`Person ${number}`)) number += 1;
  return `Person ${number}`;
}

export const addPerson = (scene: Scene, person: Person): Scene => ({ ...scene, people: [...scene.people, person] });

/** Without a person; what they said stays, and nobody is known to have said it. */
export const removePerson = (scene: Scene, id: number): Scene => ({
  ...scene,
  people: scene.people.filter((person) => person.id !== id),
  turns: scene.turns.map((turn) => (turn.person === id ? { ...turn, person: null } : turn)),
});

/** Another name. Turns hold the person, so theirs follow. */
export const renamePerson = (scene: Scene, id: number, name: string): Scene =>
  updatePerson(scene, id, (person) => ({ ...person, name }));

/**
 * Options and answers that were somebody's name follow a new one. This is for a name that is typed to its end: on the
 * way it may be that of another person.
 */
export function followName(scene: Scene, before: string, after: string): Scene {
  const held = (text: string | null) => text === before;
  if (before === after || !after.trim() || scene.people.some(({ name }) => held(name))) return scene;
  if (!scene.asked.some(({ options, answer }) => options.some(held) || held(answer))) return scene;
  const asked = scene.asked.map((item) => ({
    ...item,
    options: item.options.map((option) => (held(option) ? after : option)),
    answer: held(item.answer) ? after : item.answer,
  }));
  return { ...scene, asked };
}

export const updateTurn = (scene: Scene, id: number, change: Partial<Turn>): Scene => ({
  ...scene,
  turns: scene.turns.map((turn) => (turn.id === id ? { ...turn, ...change } : turn)),
});

/** A turn at a moment, behind those that begin before it. */
export function addTurn(scene: Scene, turn: Turn): Scene {
  const at = scene.turns.findIndex(({ start }) => start !== null && turn.start !== null && start > turn.start);
  const turns = [...scene.turns];
  turns.splice(at < 0 ? turns.length : at, 0, turn);
  return { ...scene, turns };
}

export const removeTurn = (scene: Scene, id: number): Scene => ({
  ...scene,
  turns: scene.turns.filter((turn) => turn.id !== id),
});

/** Two turns in place of one: the words before and after a place, the time at a moment inside or by the letters. */
export function splitTurn(scene: Scene, id: number, place: number, now: number): Scene {
  const turn = scene.turns.find((own) => own.id === id);
  if (!turn) return scene;
  const [before, after] = [turn.text.slice(0, place).trim(), turn.text.slice(place).trim()];
  if (!before || !after) return scene;
  let cut: number | null = null;
  if (turn.start !== null && turn.end !== null) {
    const inside = turn.start < now && now < turn.end;
    cut = inside ? now : rounded(turn.start + ((turn.end - turn.start) * place) / turn.text.length, 3);
  }
  const halves: Turn[] = [
    { ...turn, text: before, end: cut },
    { ...turn, id: newId(), text: after, start: cut, end: cut === null ? null : turn.end },
  ];
  return { ...scene, turns: scene.turns.flatMap((own) => (own === turn ? halves : [own])) };
}

/** One turn in place of two: the words of both, from the beginning of the first to the end of the second. */
export function mergeTurn(scene: Scene, id: number): Scene {
  const at = scene.turns.findIndex((turn) => turn.id === id);
  const [turn, next] = [scene.turns[at], scene.turns[at + 1]];
  if (!turn || !next) return scene;
  const ends = [turn.end ?? turn.start, next.end ?? next.start].filter((end) => end !== null);
  const start = turn.start ?? next.start;
  const merged: Turn = {
    ...turn,
    text: `${turn.text} ${next.text}`.trim(),
    start,
    end: start === null || !ends.length ? null : Math.max(...ends),
  };
  return { ...scene, turns: scene.turns.flatMap((own) => (own === turn ? [merged] : own === next ? [] : [own])) };
}

export const rounded = (value: number, digits: number): number => Number(value.toFixed(digits));

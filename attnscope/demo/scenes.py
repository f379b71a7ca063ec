"""Round-table clips as ordinary files: films, scene files with questions, and a manifest."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from attnscope.demo.cast import FPS, FRAMES
from attnscope.demo.draw import draw
from attnscope.demo.film import write_film
from attnscope.demo.questions import TASKS, Question, questions, shown_options
from attnscope.demo.script import MOST_PEOPLE, SPLITS, Clip, ClipSampler, Split
from attnscope.errors import RequestError
from attnscope.files import check_space
from attnscope.files.folders import whole_folder

SCALE = 5  # pixels a unit: 480 x 480
MOTION = 4  # frames of the film for each frame that the models are trained on
_CLIP = 40_000  # bytes of a clip with its questions, about
Progress = Callable[[str, int, int], None]


def write_scenes(
    out: str | Path,
    *,
    count: int = 200,
    seed: int = 0,
    split: str = "test",
    people: Sequence[int] = tuple(range(MOST_PEOPLE + 1)),
    tasks: Sequence[str] = tuple(TASKS),
    per_task: int | None = None,
    scale: int = SCALE,
    progress: Progress | None = None,
) -> Path:
    """Write clips with their questions; the same arguments write the same scenes.

    Args:
        out: Folder; must be new or empty.
        count: Clips, dealt evenly over `people`; each is asked one question of every task that it allows.
        seed: Seed of the clips.
        split: Seat combinations: "train", "calibration" or "test"; they share none.
        people: Numbers of people; 0 is things alone.
        tasks: Which questions are written; a clip that allows none of them is left out.
        per_task: Exactly this number of questions of each task: then `count` is the most clips that are tried for
            them, and a clip is written only if it has a question of a task that needs one.
        scale: Pixels a unit; a frame is 96 units wide and high.
        progress: Called with (what, done, total).

    Returns:
        The manifest, one question a line: {"id", "scene"}.

    Raises:
        BusyError: Another process is writing the folder.
        RequestError: An argument is out of range, the clips do not hold enough questions of a task, or the folder is
            not empty or cannot be used.
        RunError: The disk is full, or a file cannot be written. Nothing is left then, nor after Ctrl-C.
    """
    out = Path(out)
    _check(count, seed, split, people)
    left = _wanted(tasks, per_task, count)
    with whole_folder(out, ("clips", "scenes", "manifest.jsonl")) as draft:
        check_space(out, count * _CLIP, f"{count:,} clips")
        for name in ("clips", "scenes"):
            (draft / name).mkdir()
        _write(draft, count, seed, split, people, left, scale, progress)
        for task, n in left.items() if per_task else ():
            if n and per_task:
                held = f"{count} clips hold {per_task - n} questions of {task}"
                raise RequestError(f"per_task={per_task}: {held}; try more")
    return out / "manifest.jsonl"


def _wanted(tasks: Sequence[str], per_task: int | None, count: int) -> dict[str, int]:
    """How many questions of each task are wanted."""
    if not tasks:
        raise RequestError("tasks: names none")
    for task in tasks:
        if task not in TASKS:
            raise RequestError(f'tasks="{task}": choose from {", ".join(TASKS)}')
    if per_task is not None and per_task < 1:
        raise RequestError(f"per_task={per_task}: must be at least 1")
    return dict.fromkeys(tasks, count if per_task is None else per_task)


def _write(
    out: Path,
    count: int,
    seed: int,
    split: str,
    people: Sequence[int],
    left: dict[str, int],
    scale: int,
    progress: Progress | None,
) -> None:
    """Write clips; `left` counts down the questions of each task that are still wanted."""
    lines = []
    for number in range(count):
        if not any(left.values()):
            break
        stage = ClipSampler(cast(Split, split), seed, number)
        clip = stage.clip(people[number % len(people)])
        name = f"{split}-{seed}-{number:05d}"
        allowed = {question.task for question in questions(clip)}
        if not any(left.get(task) for task in allowed):
            continue
        film = out / "clips" / f"{name}.mp4"
        write_film(film, list(_frames(clip, stage.rng, scale)), round(FPS) * MOTION)
        for question in _one_of_each(clip, stage.rng):
            options = shown_options(question, stage.rng)  # of every task, so that each stays the same
            if not left.get(question.task):
                continue
            left[question.task] -= 1
            scene = out / "scenes" / f"{name}-{question.task}.json"
            document = scene_of(clip, question, options, f"../clips/{film.name}", split, scale)
            scene.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
            lines.append(json.dumps({"id": scene.stem, "scene": f"scenes/{scene.name}"}))
        if progress is not None:
            progress("clips", number + 1, count)
    (out / "manifest.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def scene_of(
    clip: Clip, question: Question, options: Sequence[str], video: str, split: str, scale: int = SCALE
) -> dict[str, Any]:
    """The scene file of a question, as docs/scene.md specifies it."""
    # a question about a thing brings the thing's box along: whose attention is measured needs a place
    boxes = {person.name: person.box for person in clip.people}
    boxes |= {thing.name: thing.box for thing in clip.picture.things if thing.name == question.about}
    speakers = {name: {"segments": [_segment(box, scale)]} for name, box in boxes.items()}
    transcript = [
        {"speaker": clip.people[turn.speaker].name if clip.named else None, "text": turn.text}
        | {"start": turn.start / FPS, "end": turn.end / FPS}
        for turn in clip.turns
    ]
    fields = {
        "task": question.task,
        "people": len(clip.people),
        "seats": clip.seats,
        "turns": len(clip.turns),
        "named": clip.named,
        "about": question.about,
        "split": split,
    }
    asked = {"question": question.text, "options": list(options), "answer": question.answer}
    return {"video": video, "speakers": speakers, "transcript": transcript, **asked, "fields": fields}


def _segment(box: tuple[float, float, float, float], scale: int) -> dict[str, Any]:
    """A box that stays where it is, in pixels of the film."""
    keyframe = {"t": 0.0, "xyxy": [round(scale * value, 2) for value in box]}
    return {"start": 0.0, "end": FRAMES / FPS, "keyframes": [keyframe]}


def _check(count: int, seed: int, split: str, people: Sequence[int]) -> None:
    if count < 1:
        raise RequestError.of("count", count, "must be at least 1")
    if seed < 0:
        raise RequestError.of("seed", seed, "must be at least 0")
    if split not in SPLITS:
        raise RequestError.of("split", split, f"choose from {', '.join(SPLITS)}")
    if not people:
        raise RequestError.of("people", ..., "names no number")
    for number in people:
        check_people(number)


def check_people(number: int) -> None:
    """Refuse a number of people that no table seats.

    Raises:
        RequestError: It is below 0 or above MOST_PEOPLE.
    """
    if not 0 <= number <= MOST_PEOPLE:
        raise RequestError.of("people", number, f"must be from 0 to {MOST_PEOPLE}")


def _one_of_each(clip: Clip, rng: np.random.Generator) -> Iterator[Question]:
    """One question of each task, drawn among those that the clip allows."""
    every = questions(clip)
    for task in dict.fromkeys(question.task for question in every):
        same = [question for question in every if question.task == task]
        yield same[rng.integers(len(same))]


def _frames(clip: Clip, rng: np.random.Generator, scale: int) -> Iterator[Any]:
    """The film's frames: at the moments that attnscope samples by default, exactly those of the clip."""
    for frame in range(FRAMES):
        for part in range(MOTION):
            between = part != MOTION // 2
            yield draw(_moving(clip, frame, rng) if between else clip.picture, frame, scale)


def _moving(clip: Clip, frame: int, rng: np.random.Generator) -> Any:
    """The picture with the speaking mouths somewhere else in their movement."""
    speaking = {turn.speaker for turn in clip.turns if turn.start <= frame < turn.end}
    people = []
    for number, person in enumerate(clip.people):
        mouth = int(rng.integers(3)) if number in speaking else 0
        people.append(replace(person, mouth=(*person.mouth[:frame], mouth, *person.mouth[frame + 1 :])))
    return replace(clip.picture, people=tuple(people))

"""The questions of an evaluation: a list of scene files, checked as a whole before any model is loaded."""

from __future__ import annotations

import codecs
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnscope.errors import RequestError, SceneError
from attnscope.files import is_folder, read_bytes
from attnscope.scene import Scene
from attnscope.scene.problems import read_text, show

_NAME = "manifest.jsonl"
_KEYS = ("id", "scene")
_SHAPE = 'which has one line of JSON a question, like {"scene": "clip1/who.json"} (docs/eval.md)'


@dataclass(frozen=True)
class Question:
    """One line of a manifest.

    Attributes:
        id: Unique in the manifest.
        line: Number of the line, from 1.
        scene: What is shown and asked; it has a question, two options or more, and an answer.
        clip: The video as results name it: relative to the manifest where it lies below it.

    Example:
        >>> question = attnscope.evaluate.read_manifest("manifest.jsonl").questions[0]
        >>> question.id, question.line, question.scene.question
        ('first', 1, 'Who is Dan talking to?')
    """

    id: str
    line: int
    scene: Scene
    clip: str


@dataclass(frozen=True)
class Manifest:
    """The questions, in their order.

    Attributes:
        path: The file.
        questions: At least one.
        sha256: SHA-256 of the file.
        scenes_sha256: SHA-256 of everything that the scenes say (not of the videos' pixels).

    Example:
        >>> manifest = attnscope.evaluate.read_manifest("manifest.jsonl")
        >>> len(manifest.questions), manifest.clips
        (2, 1)
    """

    path: Path
    questions: list[Question]
    sha256: str
    scenes_sha256: str

    @property
    def clips(self) -> int:
        """How many different videos there are."""
        return clips(self.questions)


def clips(questions: Sequence[Question]) -> int:
    """How many different videos questions are about."""
    return len({question.clip for question in questions})


def read_manifest(path: str | Path) -> Manifest:
    """Read a manifest and every scene that it names.

    Args:
        path: A file of JSON Lines, `{"id": ..., "scene": ...}` each, or a folder with a manifest.jsonl.

    Raises:
        RequestError: The first thing that is wrong: the manifest, the line, the field and its value.

    Example:
        >>> manifest = attnscope.evaluate.read_manifest("manifest.jsonl")
        >>> [question.id for question in manifest.questions], manifest.clips
        (['first', 'second'], 1)
    """
    path = Path(path)
    path = path / _NAME if is_folder(path) else path
    content = read_bytes(path)
    if b"\0" in content[:1024] and content[:2] not in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise RequestError(f"{path}: is not a manifest, {_SHAPE}")
    text = read_text(path)
    questions: list[Question] = []
    lines: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}: line {number}"
        entry = _entry(where, line)
        scene = _scene(f"{where}: scene", path.parent, entry["scene"])
        name = entry.get("id", Path(entry["scene"]).stem)
        if name in lines:
            raise RequestError(f"{where}: id: {show(name)} is also the id of line {lines[name]}")
        lines[name] = number
        questions.append(Question(name, number, scene, _clip(scene.video, path.parent)))
    documents = [{**question.scene.to_dict(), "video": question.clip} for question in questions]
    return Manifest(path, questions, _sha256(content), _sha256(json.dumps(documents).encode()))


def select_questions(
    questions: Sequence[Question], tasks: Sequence[str] | None = None, per_task: int | None = None
) -> list[Question]:
    """The questions of some tasks, or the first ones of each task, in the order of the manifest.

    The task of a question is the field `task` of its scene.

    Args:
        questions: All of them.
        tasks: Only these tasks; None for all.
        per_task: Exactly this number of questions of each task: the first of the manifest; None for all.

    Raises:
        RequestError: If a task is unknown or has fewer questions, or a question has no task where one is needed.
    """
    if tasks is None and per_task is None:
        return list(questions)
    if per_task is not None and per_task < 1:
        raise RequestError(f"per_task={per_task}: must be at least 1")
    of_task: dict[str, list[Question]] = {}
    for question in questions:
        if "task" in question.scene.fields:
            of_task.setdefault(str(question.scene.fields["task"]), []).append(question)
        elif tasks is None:
            raise RequestError(f"per_task={per_task}: question {show(question.id)} has no field `task`")
    wanted = list(of_task) if tasks is None else list(dict.fromkeys(tasks))
    if not wanted:
        raise RequestError("tasks: names none")
    for task in wanted:
        available = len(of_task.get(task, ()))
        if not available:
            known = f"choose from {', '.join(sorted(of_task))}" if of_task else "no question has a field `task`"
            raise RequestError(f"tasks={show(task)}: {known}")
        if per_task is not None and available < per_task:
            raise RequestError(f"per_task={per_task}: the manifest has {available} questions of {show(task)}")
    chosen = {question.id for task in wanted for question in of_task[task][:per_task]}
    return [question for question in questions if question.id in chosen]


def _entry(where: str, line: str) -> dict[str, str]:
    """One line as an object with nothing but text under known keys."""
    try:
        entry = json.loads(line, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise RequestError(f"{where}: not valid JSON: {error.msg} at column {error.colno}") from None
    except RequestError as error:
        raise RequestError(f"{where}: ", *error.args) from None
    except RecursionError:
        raise RequestError(f"{where}: nested too deeply") from None
    except ValueError:  # Python's limit, against numbers that take quadratic time
        raise RequestError(f"{where}: holds a number of more digits than can be read") from None
    if not isinstance(entry, dict):
        raise RequestError(f"{where}: {show(entry)} is not an object")
    for key, value in entry.items():
        if key not in _KEYS:
            raise RequestError(f"{where}: {key}: is not a field of a manifest, which has {' and '.join(_KEYS)}")
        if not isinstance(value, str) or not value.strip():
            raise RequestError(f"{where}: {key}: {show(value)} is not a text of at least one character")
    if "scene" not in entry:
        raise RequestError(f"{where}: scene: is missing")
    return entry


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; a key that is written twice is an error, not a silent choice."""
    keys = [key for key, _ in pairs]
    twice = next((key for number, key in enumerate(keys) if key in keys[:number]), None)
    if twice is not None:
        raise RequestError(f"{twice}: is given twice")
    return dict(pairs)


def _scene(where: str, folder: Path, name: str) -> Scene:
    """A scene that can be scored."""
    path = folder / name
    try:
        scene = Scene.read(path)
    except SceneError as error:
        raise RequestError(f"{where}: ", *error.args) from None
    if scene.question is None:
        raise RequestError(f"{where}: {path}: question: is missing")
    if len(scene.options) < 2:
        raise RequestError(f"{where}: {path}: options: {show(scene.options)} are fewer than two to choose from")
    if scene.answer is None:
        raise RequestError(f"{where}: {path}: answer: is missing")
    return scene


def _clip(video: Path, folder: Path) -> str:
    """The same name on every machine for a video that travels with the manifest."""
    base = Path(os.path.realpath(folder))
    return video.relative_to(base).as_posix() if video.is_relative_to(base) else str(video)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

"""The questions of an evaluation: a manifest with its scenes, checked as a whole before any model is loaded."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from attnscope.errors import RequestError
from attnscope.scene import Scene
from attnscope.scene.joining.videos import Videos
from attnscope.scene.manifests.fields import ASKED, asked, shared
from attnscope.scene.manifests.reading import Entry, ManifestReader, check_scorable
from attnscope.scene.problems import show


@dataclass(frozen=True)
class Question:
    """One line of a manifest.

    Attributes:
        id: Unique in the manifest.
        line: Number of the line, from 1; of the row of a dataset, from 0.
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
        unit: What the numbers of questions count: lines, or rows of a dataset.

    Example:
        >>> manifest = attnscope.evaluate.read_manifest("manifest.jsonl")
        >>> len(manifest.questions), manifest.clips
        (2, 1)
    """

    path: Path
    questions: list[Question]
    sha256: str
    scenes_sha256: str
    unit: str = "line"

    @property
    def clips(self) -> int:
        """How many different videos there are."""
        return clips(self.questions)


def clips(questions: Sequence[Question]) -> int:
    """How many different videos questions are about."""
    return len({question.clip for question in questions})


def read_manifest(path: str | Path, videos: str | Path | None = None) -> Manifest:
    """Read a manifest and every scene that it names.

    Args:
        path: A file of JSON Lines, one question each, a folder with a manifest.jsonl, or a table (docs/eval.md).
        videos: Folder in which videos are found by the names that scenes give; one that is not there is where its
            scene says.

    Raises:
        RequestError: The first thing that is wrong: the manifest, the line, the field and its value.

    Example:
        >>> manifest = attnscope.evaluate.read_manifest("manifest.jsonl")
        >>> [question.id for question in manifest.questions], manifest.clips
        (['first', 'second'], 1)
    """
    reader = ManifestReader(path, None if videos is None else Videos(videos).find)
    entries = []
    for number, line in reader.lines():
        entry = reader.entry(number, line)
        check_scorable(entry)
        entries.append(entry)
    folder = reader.folder
    questions = [Question(e.id, e.line, e.scene, _clip(e.scene.video, folder)) for e in entries]
    return Manifest(reader.path, questions, reader.sha256, _sha256(questions, entries), reader.unit)


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


def _sha256(questions: Sequence[Question], entries: Sequence[Entry]) -> str:
    """A hash of what the scenes say; what questions share is hashed once."""
    digest, known = hashlib.sha256(), dict[int, str]()
    for question, entry in zip(questions, entries, strict=True):
        if id(entry.base) not in known:
            document = shared({**entry.base.to_dict(), "video": question.clip})
            known[id(entry.base)] = hashlib.sha256(json.dumps(document).encode()).hexdigest()
        asks = json.dumps(asked(entry.scene.model_dump(mode="json", include=set(ASKED))))
        digest.update(f"{known[id(entry.base)]} {asks}\n".encode())
    return digest.hexdigest()


def _clip(video: Path, folder: Path) -> str:
    """The same name on every machine for a video that travels with the manifest."""
    base = Path(os.path.realpath(folder))
    return video.relative_to(base).as_posix() if video.is_relative_to(base) else str(video)

"""The scene that is edited: which of its parts a page may change, what is wrong with them, and the file they become."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from attnscope.errors import Argument, RequestError, SceneError
from attnscope.files import exists, read_bytes, write_whole
from attnscope.scene import Scene
from attnscope.scene.names import name_key
from attnscope.scene.problems import field_path, located, one_line, read_json, show
from attnscope.scene.read import files_to_dict

ASKED = ("question", "options", "answer")
_LINE = 110  # characters
EDITED = ("speakers", "transcript", *ASKED)


class Asked(BaseModel):
    """A question as the page has it."""

    model_config = ConfigDict(extra="forbid")

    question: str | None = None
    options: list[str] = []
    answer: str | None = None


class Person(BaseModel):
    """Somebody as the page has them; `Scene` checks the segments."""

    model_config = ConfigDict(extra="forbid")

    name: str
    segments: list[Any]


class Parts(BaseModel):
    """What the page may change. Everything else of a scene stays on this side, and is kept as it is.

    People are a list, since an object of JavaScript does not keep the order of names that are numbers.

    Attributes:
        people: Everybody with an entry among the speakers, in order.
        transcript: The turns; `Scene` checks them.
        asked: The scene's question; or each of its `questions`, in order.
    """

    model_config = ConfigDict(extra="forbid")

    people: list[Person]
    transcript: list[Any]
    asked: list[Asked]


@dataclass(frozen=True)
class Problem:
    """What is wrong with a field.

    Attributes:
        path: The field as the page calls it, such as `people[0].segments[1].end`; "" for all of the scene.
        text: What is wrong there.
    """

    path: str
    text: str


def parts_of(scene: Scene) -> dict[str, Any]:
    """What the page gets of a scene; see `Parts`."""
    document = scene.model_dump(mode="json")
    several = document["questions"] or [document]
    return {
        "people": [{"name": name, **speaker} for name, speaker in document["speakers"].items()],
        "transcript": document["transcript"],
        "asked": [{name: question[name] for name in ASKED} for question in several],
    }


def read_parts(data: Any) -> Parts:
    """What a page has sent.

    Raises:
        RequestError: It is nothing that the page sends.
    """
    try:
        return Parts.model_validate(data, strict=True)
    except ValidationError as error:
        raise RequestError(one_line("scene", error)) from None


class SceneDraft:
    """A scene that was opened, and the file to which it is saved.

    Attributes:
        opened: The scene as it was read.
        source: Its file; None for a new scene.
        target: Where it is saved.
    """

    def __init__(self, opened: Scene, raw: dict[str, Any], source: Path | None, target: Path, replace: bool) -> None:
        """Keep a scene.

        Args:
            opened: As it was read.
            raw: The fields of its file, with `video` relative to the folder of `target`.
            source: Its file.
            target: Where it is saved.
            replace: Whether what is there may be replaced.
        """
        self.opened, self.source, self.target = opened, source, target
        self._raw, self._replace = raw, replace
        self._written: bytes | None = None

    @property
    def kept(self) -> list[str]:
        """Fields of the file that the page does not show, and that are saved as they are."""
        shown = {*EDITED, "video", "questions", "box_units"}
        return [name for name, value in self._raw.items() if name not in shown and value not in (None, [], {})]

    def scene(self, parts: Parts) -> tuple[Scene | None, list[Problem]]:
        """The scene with other parts, checked as a scene file is.

        Returns:
            The scene, None if a field is wrong; and what is wrong.
        """
        problems = _same_names(parts)
        if problems:
            return None, problems
        data = {**self.opened.model_dump(), **self._changes(parts, self.opened.model_dump()["questions"])}
        try:
            scene = Scene.model_validate(data, context={"source": "scene"})
        except SceneError as error:
            cause = error.__context__
            if not isinstance(cause, ValidationError):
                return None, [Problem("", str(error))]
            return None, [Problem(_page_path(path, parts), text) for path, text in located(cause)]
        # where the video is was resolved when the scene was opened
        return scene, []

    def save(self, scene: Scene, *, replace: bool = False) -> Path:
        """Write a scene, whole or not at all. What was not changed is written as it stood in the file.

        Args:
            scene: What `scene` gave.
            replace: Replace a file that this draft has not written.

        Raises:
            TakenError: There is such a file, and nobody said that it may be replaced.
            RunError: It cannot be written.
        """
        if not (replace or self._replace) and exists(self.target) and self._foreign():
            raise TakenError(f"{self.target}: was not written by this page; it is replaced only if you say so")
        document = self._document(scene, only_changes=True)
        if self._read_back(document) != scene:  # a part that stood as it was may mean another thing beside new ones
            document = self._document(scene, only_changes=False)
        content = (_pretty(document) + "\n").encode(errors="backslashreplace")
        write_whole(self.target, content)
        self._written, self._replace = content, False
        return self.target

    def _document(self, scene: Scene, *, only_changes: bool) -> dict[str, Any]:
        """The fields of the file that a scene becomes."""
        document = dict(self._raw)
        for name in (*EDITED, "questions"):
            now, before = getattr(scene, name), getattr(self.opened, name)
            if only_changes and now == before and list(now or ()) == list(before or ()):  # dicts: in the same order
                continue
            value = scene.model_dump(mode="json", include={name}, exclude_none=True).get(name)
            if value not in (None, [], {}):
                document[name] = value  # at its place, if it has one
            else:
                document.pop(name, None)
        return document

    def _read_back(self, document: dict[str, Any]) -> Scene | None:
        """What a document is read as, but for the places of its videos, which `save` does not change."""
        videos = {"video": self.opened.video, "further": self.opened.model_dump()["further"]}
        try:
            return Scene.model_validate({**document, **videos})
        except SceneError:
            return None

    def _foreign(self) -> bool:
        """Whether the file that is there is not what was saved last."""
        try:
            return self._written is None or read_bytes(self.target) != self._written
        except RequestError:
            return True

    def _changes(self, parts: Parts, questions: list[dict[str, Any]]) -> dict[str, Any]:
        """The fields of a scene that parts become."""
        asked = [item.model_dump() for item in parts.asked]
        fields = {
            "speakers": {person.name: {"segments": person.segments} for person in parts.people},
            "transcript": parts.transcript,
        }
        if not questions:
            return fields | (asked[0] if asked else {})
        if len(asked) != len(questions):
            raise RequestError(f"scene: asked: holds {len(asked)} questions, and the scene has {len(questions)}")
        return fields | {"questions": [old | new for old, new in zip(questions, asked, strict=True)]}


class TakenError(RequestError):
    """Where a scene is to be saved, there is another file."""


def _same_names(parts: Parts) -> list[Problem]:
    """Who has the name of somebody before: as keys of an object one of the two would be lost."""
    seen: dict[str, str] = {}
    problems = []
    for number, person in enumerate(parts.people):
        key = name_key(person.name)
        if key in seen:
            problems.append(Problem(f"people[{number}].name", f"{show(person.name)} is somebody else's name too"))
        seen.setdefault(key, person.name)
    return problems


def _page_path(path: str, parts: Parts) -> str:
    """A field of a scene file as the page calls it."""
    for number, person in enumerate(parts.people):
        start = field_path(("speakers", person.name))
        rest = path.removeprefix(start)
        if rest == "":
            return f"people[{number}].name"
        if rest != path and rest[0] in ".[":
            return f"people[{number}]{rest}"
    if path.startswith("questions["):
        return "asked" + path.removeprefix("questions")
    return f"asked[0].{path}" if path.startswith(ASKED) else path


def open_draft(
    scene: Path | None,
    video: Path | None,
    *,
    transcript: str | Path | None = None,
    speakers: str | Path | None = None,
    save: Path | None = None,
    replace: bool = False,
) -> SceneDraft:
    """Open a scene to edit it, or begin one.

    Args:
        scene: A scene file; one that does not exist yet is begun, and saved there.
        video: The clip of a new scene, or another in place of the scene's.
        transcript: Turns from a file, in place of the scene's, as for a capture.
        speakers: Boxes from a file, likewise.
        save: Where it is saved; a new file beside `scene` (or `video`) if not given.
        replace: Save there even if there is such a file.

    Raises:
        SceneError: A file or a field is wrong, or there is neither a scene nor a video.
        RequestError: `save` exists and is not to be replaced.
    """
    is_new = scene is None or not exists(scene, SceneError)
    if is_new and video is None:
        what = [] if scene is None else [f"{scene}: no such file; "]
        raise SceneError(*what, "a new scene needs a ", Argument("clip"))
    target = save or (scene if is_new and scene is not None else _free(scene, video))
    if save is not None and exists(save) and not replace:
        raise RequestError.of("save", save, "already exists; it is replaced only with ", Argument("force"))
    if not is_new and scene is not None:
        opened, raw = Scene.read(scene, video=video), dict(read_json(scene))
        start = scene.parent
    else:
        assert video is not None
        opened, raw, start = Scene.from_files(video), {"video": str(video.absolute())}, None
    if transcript is not None or speakers is not None:
        opened, raw = _with_files(opened, raw, transcript, speakers)
    raw["video"] = _relative(opened.video, str(raw["video"]), None if video is not None else start, target.parent)
    if opened.further:
        raw["further"] = [
            {**item, "video": _relative(own.video, str(item["video"]), start, target.parent)}
            for item, own in zip(raw["further"], opened.further, strict=True)
        ]
    return SceneDraft(opened, raw, None if is_new else scene, target, replace)


def _with_files(
    opened: Scene, raw: dict[str, Any], transcript: str | Path | None, speakers: str | Path | None
) -> tuple[Scene, dict[str, Any]]:
    """A scene with turns or boxes from files in place of its own."""
    fields, notes = files_to_dict(opened.video, transcript, speakers, None, True)
    del fields["video"]
    if "speakers" in fields:
        fields.setdefault("box_units", "pixels")
    scene = Scene.model_validate({**opened.model_dump(), **fields}, context={"notes": notes})
    given = scene.model_dump(mode="json", include=set(fields), exclude_none=True)
    return scene, {**raw, **given}


def _free(scene: Path | None, video: Path | None) -> Path:
    """A name that no file has yet, beside what is opened."""
    opened, end = (scene, "edited") if scene is not None else (video, "scene")
    assert opened is not None
    number, start = 1, opened.with_suffix("") if opened.suffix else opened
    while True:
        path = start.with_name(f"{start.name}-{end}{'' if number == 1 else f'-{number}'}.json")
        if not exists(path):
            return path
        number += 1


def _relative(video: Path, written: str, start: Path | None, folder: Path) -> str:
    """How a scene file in a folder names a video.

    Args:
        video: Where it is.
        written: How the opened file names it.
        start: The folder of the opened file; None if the name does not come from one.
        folder: Of the file that is saved.
    """
    if start is not None and Path(written).is_absolute():
        return written
    if start is not None and os.path.realpath(start) == os.path.realpath(folder):
        return written
    try:
        return Path(os.path.relpath(video, os.path.realpath(folder))).as_posix()
    except ValueError:  # another drive
        return str(video)


def _pretty(value: Any, indent: str = "") -> str:
    """JSON in which what fits on a line stands on one."""
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, (dict, list)) or (indent and len(indent) + len(line) <= _LINE):
        return line
    deeper = indent + "  "
    if isinstance(value, list):
        items = [_pretty(item, deeper) for item in value]
    else:
        items = [f"{json.dumps(key, ensure_ascii=False)}: {_pretty(item, deeper)}" for key, item in value.items()]
    left, right = "[]" if isinstance(value, list) else "{}"
    return left + ",".join(f"\n{deeper}{item}" for item in items) + f"\n{indent}{right}"

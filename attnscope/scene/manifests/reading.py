"""Reading a manifest: line by line, and each scene file that lines share once."""

from __future__ import annotations

import codecs
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnscope.errors import RequestError, SceneError
from attnscope.files import DATA_LIMIT, is_folder, read_bytes
from attnscope.scene.manifests.fields import ASKED, KEYS, MANIFEST
from attnscope.scene.manifests.tables import QuestionTable, Row
from attnscope.scene.names import did_you_mean
from attnscope.scene.problems import decoded, show
from attnscope.scene.read import read_scene, scene_of
from attnscope.scene.records import LeftOut
from attnscope.scene.scene import Scene

_SHAPE = 'which has one line of JSON a question, like {"scene": "clip1/who.json"} (docs/eval.md)'


@dataclass(frozen=True)
class Entry:
    """A line of a manifest.

    Attributes:
        id: Names the question.
        line: Number of the line, from 1; of the row of a dataset, from 0.
        scene: What is shown and asked.
        base: The scene without what stands in the line; lines that name one file share it.
        where: What messages about its question begin with.
    """

    id: str
    line: int
    scene: Scene
    base: Scene
    where: str


class ManifestReader:
    """Reads the lines of a manifest, and each scene file that they name once.

    Attributes:
        path: The manifest.
        folder: What videos and scenes are relative to.
        unit: What lines are called: "line", or "row" in a table whose rows have numbers from 0.
        sha256: SHA-256 of the file, or of the files of a dataset.
    """

    def __init__(
        self, path: str | Path, find: Callable[[str], Path | None] | None = None, *, must_exist: bool = True
    ) -> None:
        """Read the file, not yet its lines.

        Args:
            path: A manifest, a folder with a `manifest.jsonl`, or a table of questions (`tables`).
            find: Finds a video by the name that a scene gives.
            must_exist: Refuse scenes whose videos are not there.

        Raises:
            RequestError: If it cannot be read, or is no manifest at all.
        """
        self._find, self._must_exist = find, must_exist
        self._scenes: dict[Path, Scene] = {}
        self._lines: dict[str, int] = {}
        self._table = QuestionTable.at(Path(path))
        if self._table is not None:
            self.path, self.folder, self.unit = Path(path), self._table.folder, self._table.unit
            self.sha256 = self._table.sha256()
            return
        self.path = Path(path) / MANIFEST if is_folder(path) else Path(path)
        self.folder, self.unit = self.path.parent, "line"
        content = read_bytes(self.path, DATA_LIMIT)
        if b"\0" in content[:1024] and content[:2] not in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise RequestError(f"{self.path}: is not a manifest, {_SHAPE}")
        self.sha256 = hashlib.sha256(content).hexdigest()
        self._text = decoded(self.path, content)

    def place(self, number: int) -> str:
        """What messages about a line begin with."""
        return f"{self.path}: {self.unit} {number}"

    def lines(self) -> Iterator[tuple[int, str | Row]]:
        """Number and text of each line that is not blank; the fields of each row of a table.

        Raises:
            RequestError: If a table cannot be read.
        """
        if self._table is not None:
            yield from self._table.rows()
            return
        for number, line in enumerate(self._text.split("\n"), 1):
            if line.strip():
                yield number, line

    def entry(self, number: int, line: str | Row) -> Entry:
        """What a line says.

        Raises:
            RequestError: The first thing that is wrong: the manifest, the line, the field and its value.
        """
        where = self.place(number)
        fields = _fields(where, line)
        given = fields["scene"]
        if isinstance(given, str):
            base = self._scene(where, self.folder / given)
        else:
            try:
                base = scene_of(Scene, given, self.folder, "", find=self._find, must_exist=self._must_exist)
            except SceneError as error:
                raise RequestError(f"{where}: scene: {str(error).removeprefix(': ')}") from None
        scene = _questioned(where, _asking(where, base, fields), fields)
        name = _id(fields)
        if name is None:
            raise RequestError(f"{where}: id: is missing, and a line that holds a whole scene needs one")
        if name in self._lines:
            raise RequestError(f"{where}: id: {show(name)} is also the id of {self.unit} {self._lines[name]}")
        self._lines[name] = number
        if isinstance(given, str) and "question" not in fields:
            where = f"{where}: scene: {self.folder / given}"
        return Entry(name, number, scene, base, where)

    def find(self, id: str) -> Entry:
        """The line of a question.

        Raises:
            RequestError: If no line has this id, or its line or scene is wrong.
        """
        ids = []
        for number, line in self.lines():
            fields = _fields(self.place(number), line)
            ids.append(_id(fields))
            if ids[-1] == id:
                return self.entry(number, line)
        raise RequestError.of("id", id, f"{self.path} has no such question", did_you_mean(id, filter(None, ids)))

    def _scene(self, where: str, path: Path) -> Scene:
        if path not in self._scenes:
            try:
                self._scenes[path] = read_scene(Scene, path, find=self._find, must_exist=self._must_exist)
            except SceneError as error:
                raise RequestError(f"{where}: scene: ", *error.args) from None
        return self._scenes[path]


def check_scorable(entry: Entry) -> None:
    """Refuse a line whose answers cannot be scored.

    Raises:
        RequestError: If its scene has no question, fewer than two options, or no answer.
    """
    scene = entry.scene
    if scene.question is None:
        raise RequestError(f"{entry.where}: question: is missing")
    if len(scene.options) < 2:
        raise RequestError(f"{entry.where}: options: {show(scene.options)} are fewer than two to choose from")
    if scene.answer is None:
        raise RequestError(f"{entry.where}: answer: is missing")


def _id(fields: Mapping[str, Any]) -> str | None:
    """The id of a line: its own, else the name of its scene file, and of the question there."""
    if "id" in fields:
        return str(fields["id"])
    if not isinstance(fields["scene"], str):
        return None
    return ", ".join(filter(None, [Path(fields["scene"]).stem, fields.get("question_id")]))


def _asking(where: str, base: Scene, fields: Mapping[str, Any]) -> Scene:
    """A scene with the one of its `questions` that a line names; a question of the line takes the place of all."""
    if "question" in fields and "question_id" in fields:
        raise RequestError(f"{where}: question_id: is given beside a question")
    if "question" in fields:
        return base.model_copy(update={"questions": []}) if base.questions else base
    try:
        return base.asking(fields.get("question_id"))
    except SceneError as error:
        raise RequestError(f"{where}: {str(error).removeprefix('scene: ')}") from None


def _questioned(where: str, base: Scene, fields: Mapping[str, Any]) -> Scene:
    """A scene with what a line says of its question; a question of the line leaves none of the scene's answers."""
    own = {name: fields[name] for name in ASKED if name in fields}
    if not own:
        return base
    kept = base.model_dump(include=set(ASKED))
    if "question" in own:
        kept |= {"options": [], "answer": None}
    elif "options" in own:
        kept |= {"answer": None}
    if isinstance(own.get("fields"), dict):
        own["fields"] = {**kept["fields"], **own["fields"]}
    try:
        asked = Scene.model_validate({**kept, **own, "video": base.video}, context={"source": where})
    except SceneError as error:
        raise RequestError(*error.args) from None
    return base.model_copy(update={name: getattr(asked, name) for name in ASKED})


def _fields(where: str, line: str | Row) -> dict[str, Any]:
    """One line as an object with known keys."""
    if isinstance(line, LeftOut):
        raise RequestError(": ".join(part for part in (where, line.detail, line.reason) if part))
    if isinstance(line, dict):
        return line
    try:
        fields = json.loads(line, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise RequestError(f"{where}: not valid JSON: {error.msg} at column {error.colno}") from None
    except RequestError as error:
        raise RequestError(f"{where}: ", *error.args) from None
    except RecursionError:
        raise RequestError(f"{where}: nested too deeply") from None
    except ValueError:  # Python's limit, against numbers that take quadratic time
        raise RequestError(f"{where}: holds a number of more digits than can be read") from None
    if not isinstance(fields, dict):
        raise RequestError(f"{where}: {show(fields)} is not an object")
    for key in fields:
        if key not in KEYS:
            raise RequestError(f"{where}: {key}: is not a field of a manifest, which has {', '.join(KEYS)}")
    if "scene" not in fields:
        raise RequestError(f"{where}: scene: is missing")
    for key in ("id", "scene", "question_id"):
        value = fields.get(key, "x")
        if key == "scene" and isinstance(value, dict):
            continue
        if not isinstance(value, str) or not value.strip():
            raise RequestError(f"{where}: {key}: {show(value)} is not a text of at least one character")
    return fields


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; a key that is written twice is an error, not a silent choice."""
    keys = [key for key, _ in pairs]
    twice = next((key for number, key in enumerate(keys) if key in keys[:number]), None)
    if twice is not None:
        raise RequestError(f"{twice}: is given twice")
    return dict(pairs)

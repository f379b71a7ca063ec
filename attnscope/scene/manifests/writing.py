"""Writing a manifest: a line a question, and each scene once."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attnscope.errors import SceneError
from attnscope.files import TEXT_LIMIT
from attnscope.scene.manifests.fields import MANIFEST, SCENES, asked, shared

_UNSAFE = re.compile(r"[^\w.+-]+")
_LONGEST = 100  # characters of a file's name


class ManifestWriter:
    """Writes lines into a folder, and every scene that they share once.

    Attributes:
        folder: Holds `manifest.jsonl` and `scenes/`.
        scenes: How many scene files there are.
        lines: How many lines there are.
        renamed: Ids that were taken, with the number that they got.
    """

    def __init__(self, folder: Path) -> None:
        """Begin a manifest.

        Raises:
            OSError: If it cannot be written.
        """
        self.folder, self.scenes, self.lines = folder, 0, 0
        self.renamed: list[str] = []
        self._files: dict[str, dict[str, str]] = {}  # by name in lower case: file by hash
        self._taken: set[str] = set()
        self._ids: dict[str, int] = {}
        (folder / SCENES).mkdir()
        self._manifest = (folder / MANIFEST).open("w", encoding="utf-8", newline="\n")

    def scene(self, name: str, scene: Mapping[str, Any]) -> str:
        """Write a scene file unless one of this name holds the same already.

        Args:
            name: What the file is called, as far as a file can be; a number is added where the name is taken.
            scene: Fields of a scene; what stands in lines is left out.

        Returns:
            Its path for a line.

        Raises:
            SceneError: If it is larger than scene files may be.
        """
        text = written(shared(scene))
        data = text.encode(errors="backslashreplace")
        if len(data) > TEXT_LIMIT:
            raise SceneError(
                f"{name}: its scene takes {len(data):,} bytes, and a scene file holds at most {TEXT_LIMIT:,}"
            )
        digest = hashlib.sha256(data).hexdigest()
        known = self._files.setdefault(name, {})
        if digest not in known:
            stem = _UNSAFE.sub("_", name).strip("._")[:_LONGEST] or "scene"
            free, number = stem, 2
            while free.lower() in self._taken:
                free, number = f"{stem}-{number}", number + 1
            self._taken.add(free.lower())
            known[digest] = f"{SCENES}/{free}.json"
            (self.folder / known[digest]).write_bytes(data)
            self.scenes += 1
        return known[digest]

    def line(self, id: str, path: str, scene: Mapping[str, Any]) -> str:
        """Write a line; of equal ids the second gets a number.

        Args:
            id: Names the question.
            path: What `scene` returned.
            scene: The fields of which those of the question stand in the line.

        Returns:
            The id that the line has.
        """
        name = id
        while name in self._ids:
            self._ids[id] += 1
            name = f"{id} ({self._ids[id]})"
        self._ids[name] = 1
        if name != id:
            self.renamed.append(name)
        entry = {"id": name, "scene": path} | asked(scene)
        self._manifest.write(json.dumps(entry, ensure_ascii=False) + "\n")
        self.lines += 1
        return name

    def close(self) -> None:
        """Finish the manifest."""
        self._manifest.close()


def written(scene: Mapping[str, Any]) -> str:
    """A scene file: a field a line, a speaker a line, a turn a line."""
    parts = []
    for name, value in scene.items():
        if isinstance(value, dict) and value:
            inner = [f"  {_json(key)}: {_json(item)}" for key, item in value.items()]
            parts.append(f" {_json(name)}: {{\n" + ",\n".join(inner) + "\n }")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            parts.append(f" {_json(name)}: [\n" + ",\n".join(f"  {_json(item)}" for item in value) + "\n ]")
        else:
            parts.append(f" {_json(name)}: {_json(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)

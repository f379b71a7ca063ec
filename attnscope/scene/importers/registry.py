"""The list of importers: formats of other tools that are read as parts of a scene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from attnscope.errors import RequestError, show
from attnscope.plugins import find_plugins

Gives = Literal["transcript", "scenes"]
Read = TypeVar("Read", bound=Callable[..., Any])


@dataclass(frozen=True)
class Importer:
    """One format.

    Attributes:
        name: Name of the format.
        reads: What it reads, in words: "subtitles (.srt, .vtt)".
        gives: What its function returns: the turns of a "transcript", or a list of "scenes".
        read: Function of a path.
    """

    name: str
    reads: str
    gives: Gives
    read: Callable[..., Any]

    def __call__(self, source: str | Path) -> Any:
        """Read a source.

        Raises:
            SceneError: If it cannot be read.
        """
        return self.read(source)


_IMPORTERS: dict[str, Importer] = {}


def importer(name: str, reads: str, gives: Gives) -> Callable[[Read], Read]:
    """Register a function of a path as an importer.

    Args:
        name: Name of the format.
        reads: What it reads, in words.
        gives: "transcript", a list of `Turn`, or "scenes", a list of `Scene`.

    Raises:
        ValueError: If the name is taken.
    """

    def register(read: Read) -> Read:
        if name in _IMPORTERS:
            raise ValueError(f"importer '{name}' is defined twice")
        _IMPORTERS[name] = Importer(name, reads, gives, read)
        return read

    return register


def importers() -> dict[str, Importer]:
    """All importers by name, those of plugins included."""
    find_plugins("importers")
    return dict(_IMPORTERS)


def find(name: str) -> Importer:
    """The importer of a format.

    Raises:
        RequestError: If there is none, with the names that exist.
    """
    known = importers()
    if name not in known:
        raise RequestError(f"there is no importer named {show(name)}; choose from {', '.join(sorted(known))}")
    return known[name]

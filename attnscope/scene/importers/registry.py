"""The formats of other tools: which files each importer reads, and what comes of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from attnscope.errors import SceneError
from attnscope.plugins import Registry
from attnscope.scene.problems import one_line

Yields = Literal["transcript", "boxes"]
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Importer:
    """A format.

    Attributes:
        name: What it is called.
        suffixes: Suffixes of the files that it reads, in lower case with the dot.
        yields: "transcript" or "boxes"; see `importer`.
        read: Function of the path.
    """

    name: str
    suffixes: tuple[str, ...]
    yields: Yields
    read: Callable[..., Any]

    def __call__(self, path: Path, **options: Any) -> Any:
        """What a file holds; the function gets the options that it names.

        Raises:
            SceneError: If the function refuses the file, for a plugin by a ValueError.
        """
        names = inspect.signature(self.read).parameters
        try:
            return self.read(path, **{name: value for name, value in options.items() if name in names})
        except ValidationError as error:
            raise SceneError(one_line(str(path), error)) from None
        except ValueError as error:
            raise SceneError(f"{path}: {' '.join(str(error).split())}") from error


IMPORTERS: Registry[Importer] = Registry("importer")


def importer(*, name: str, suffixes: tuple[str, ...], yields: Yields) -> Callable[[F], F]:
    """Register a function that reads files of a format.

    Args:
        name: What the format is called.
        suffixes: Suffixes of its files, in lower case with the dot; `(".ass",)`.
        yields: What the function of a path returns. "transcript": the turns, each a `Turn` or a mapping with its
            fields, and a list of sentences that a user should know about them; it may take the option `merge_rolling`.
            "boxes": what a speakers' file holds, a mapping of names to segments, or of `speakers` and `box_units`.

    Raises:
        ValueError: If the name is taken, or another importer reads such files.

    Example:
        >>> @attnscope.scene.importer(name="plain", suffixes=(".txt",), yields="transcript")
        ... def read_plain(path):
        ...     speaker, text = path.read_text().split(maxsplit=1)
        ...     return [{"speaker": speaker, "text": text, "start": 0.0, "end": 1.5}], []
        >>> from pathlib import Path
        >>> _ = Path("clip.txt").write_text("Ada will you help me?")
        >>> attnscope.scene.read_transcript("clip.txt")[0].text
        'will you help me?'
    """

    def register(read: F) -> F:
        for suffix in suffixes:
            other = _reader(IMPORTERS.known(), yields, suffix)
            if other is not None:
                raise ValueError(f"importer '{name}': {suffix} ({yields}) is read by importer '{other.name}'")
        IMPORTERS.add(name, Importer(name, suffixes, yields, read), read.__module__)
        return read

    return register


def reader(yields: Yields, suffix: str) -> Importer | None:
    """The importer of a suffix, None if there is none; plugins are loaded where attnscope itself has none."""
    return _reader(IMPORTERS.known(), yields, suffix) or _reader(IMPORTERS.values(), yields, suffix)


def suffixes_of(yields: Yields) -> list[str]:
    """Every suffix that something is read from."""
    return [suffix for entry in IMPORTERS.values() if entry.yields == yields for suffix in entry.suffixes]


def _reader(importers: Iterable[Importer], yields: Yields, suffix: str) -> Importer | None:
    return next((entry for entry in importers if entry.yields == yields and suffix.lower() in entry.suffixes), None)

"""The formats of other tools and data sets: what each importer reads, what it gives, and which options it takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pydantic import ValidationError

from attnscope.errors import SceneError
from attnscope.plugins import Registry
from attnscope.scene.problems import one_line
from attnscope.scene.records import Note, Record

Yield = Literal["samples", "questions", "boxes", "turns", "words"]
Origin = Literal["picture", "sound", "file"]
Reading = Callable[..., Iterator[Record | Note]]
F = TypeVar("F", bound=Reading)


@dataclass(frozen=True)
class Importer:
    """A format.

    Attributes:
        name: What it is called on a command line.
        yields: What its records are good for; see `importer`.
        suffixes: Suffixes of the files that it reads, in lower case with the dot; empty for folders and for files that
            a suffix does not tell.
        summary: What writes such files, in a few words.
        documentation: Where the format is described.
        unverified: What could not be held against files of the real tool; empty if nothing.
        counts_from: What second 0 of its times is; see `importer`.
        read: Function of a path and of options by keyword.
    """

    name: str
    yields: tuple[Yield, ...]
    suffixes: tuple[str, ...]
    summary: str
    documentation: str
    unverified: str
    counts_from: Origin
    read: Reading

    @property
    def options(self) -> dict[str, inspect.Parameter]:
        """Options of the format: the keyword-only parameters of its function."""
        parameters = inspect.signature(self.read, eval_str=True).parameters
        return {name: p for name, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}

    def __call__(self, path: Path, **options: Any) -> Iterator[Record | Note]:
        """The records of a source, read as they are asked for; the function gets the options that it names.

        Raises:
            SceneError: If the function refuses the source, for a plugin by a ValueError.
        """
        try:
            yield from self.read(path, **{name: value for name, value in options.items() if name in self.options})
        except ValidationError as error:
            raise SceneError(one_line(str(path), error)) from None
        except SceneError:
            raise
        except ValueError as error:
            raise SceneError(f"{path}: {' '.join(str(error).split())}") from error


IMPORTERS: Registry[Importer] = Registry("importer")


def importer(
    *,
    name: str,
    yields: tuple[Yield, ...],
    suffixes: tuple[str, ...] = (),
    summary: str = "",
    documentation: str = "",
    unverified: str = "",
    counts_from: Origin = "picture",
) -> Callable[[F], F]:
    """Register a function that reads a format.

    The function takes a path and yields `attnscope.scene.records`, one for each record of the source, in constant
    memory. Its keyword-only parameters, with types and defaults, are the options of the format.

    Args:
        name: What the format is called on a command line, in lower case, with hyphens.
        yields: What its records are good for: "samples" (questions with whole scenes), "questions", "boxes", "turns"
            (who speaks when, and what, if the source has words), "words" (what is said when).
        suffixes: Suffixes of its files, in lower case with the dot; `(".ass",)`. Two formats may share one: then the
            name of the format has to be given with the path.
        summary: What writes such files, in a few words.
        documentation: Where the format is described.
        unverified: What could not be held against files of the real tool.
        counts_from: What second 0 of its times is: the first "picture" of the video, as in a scene; the beginning of
            its "sound", which tools see that get a sound file; or the beginning of the "file", which is the earlier
            of both. Numbers of frames (`BoxRecord.frame`) count pictures whatever this says.

    Raises:
        ValueError: If the name is taken, or `yields` or `counts_from` is wrong.

    Example:
        >>> @attnscope.scene.importer(name="plain", suffixes=(".txt",), yields=("turns",))
        ... def read_plain(path):
        ...     speaker, text = path.read_text().split(maxsplit=1)
        ...     yield attnscope.scene.SpeechRecord(where="line 1", speaker=speaker, text=text, start=0.0, end=1.5)
        >>> from pathlib import Path
        >>> _ = Path("clip.txt").write_text("Ada will you help me?")
        >>> attnscope.scene.read_transcript("clip.txt")[0].text
        'will you help me?'
    """
    if isinstance(yields, str) or not yields or set(yields) - set(get_args(Yield)):
        raise ValueError(f"importer '{name}': yields={yields!r} is no tuple of {', '.join(get_args(Yield))}")
    if counts_from not in get_args(Origin):
        raise ValueError(f"importer '{name}': counts_from={counts_from!r} is none of {', '.join(get_args(Origin))}")

    def register(read: F) -> F:
        entry = Importer(name, yields, suffixes, summary, documentation, unverified, counts_from, read)
        IMPORTERS.add(name, entry, read.__module__)
        return read

    return register


def reader(yields: Yield, suffix: str) -> Importer | None:
    """The importer of a suffix, None if there is none; plugins are loaded where attnscope itself has none.

    Raises:
        SceneError: If several formats have files of this suffix.
    """
    return _reader(IMPORTERS.known(), yields, suffix) or _reader(IMPORTERS.values(), yields, suffix)


def suffixes_of(yields: Yield) -> list[str]:
    """Every suffix that something is read from."""
    return [suffix for entry in IMPORTERS.values() if yields in entry.yields for suffix in entry.suffixes]


def _reader(importers: Iterable[Importer], yields: Yield, suffix: str) -> Importer | None:
    readers = [entry for entry in importers if yields in entry.yields and suffix.lower() in entry.suffixes]
    if len(readers) > 1:
        names = ", ".join(f"{entry.name}:PATH" for entry in readers)
        raise SceneError(f"{suffix} files are of several formats; say which: {names}")
    return readers[0] if readers else None

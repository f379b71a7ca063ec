"""What a user gives to be read: a format and a path, written `FORMAT:PATH`, and options of the format."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from attnscope.errors import RequestError, SceneError
from attnscope.files import exists
from attnscope.scene.importers import boxes, datasets, speech  # noqa: F401 - their modules register the formats
from attnscope.scene.importers.registry import IMPORTERS, Importer, Yield, reader, suffixes_of
from attnscope.scene.joining.clips import clip_path
from attnscope.scene.names import nearest_name
from attnscope.scene.problems import show
from attnscope.scene.records import Note, Record

SomeRecord = TypeVar("SomeRecord", bound=Record)
_WORDS: dict[Any, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


@dataclass(frozen=True)
class Source:
    """A file or folder in a known format.

    Attributes:
        importer: What reads it.
        path: The file or folder.
        use: What of it is wanted; None for all that it gives.
        options: Options of the format that are not at their defaults.
    """

    importer: Importer
    path: Path
    use: Yield | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What messages and tables call it."""
        return f"{self.importer.name}:{self.path}"

    def records(self, people: Iterable[str] = ()) -> Iterator[Record | Note]:
        """What it holds, one record at a time.

        Args:
            people: Names that are known already, for formats that have an option `names` for them.

        Raises:
            SceneError: If it is not of its format.
        """
        return self.importer(self.path, **{"names": "\n".join(people)} | dict(self.options))


def split(text: str | Path) -> tuple[str | None, Path]:
    """The format and the path in `FORMAT:PATH`; a file that is called so as a whole has no format."""
    name, colon, path = str(text).partition(":")
    if colon and path and name in IMPORTERS and not exists(text, SceneError):
        return name, Path(path)
    return None, Path(text)


def source(text: str | Path, use: Yield | None = None, settings: Sequence[str] | Mapping[str, Any] = ()) -> Source:
    """A source from `FORMAT:PATH`, or from a path alone whose suffix tells the format.

    Args:
        text: The format and the path.
        use: What of it is wanted: "boxes", "turns", "words", "questions"; None for all.
        settings: Options; those that the format does not have are passed over here, see `check_settings`.

    Raises:
        RequestError: If the format is unknown or gives no such records, an option is wrong, or there is no such file.
    """
    name, path = split(text)
    if name is None:
        check_prefix(path)
    if not exists(path, SceneError):
        raise SceneError(f"{path}: no such file or folder")
    if name is None:
        name = _by_suffix(path, use)
    entry = IMPORTERS[name]
    if use is not None and use not in entry.yields and not (use == "words" and "turns" in entry.yields):
        raise SceneError(f"{text}: {name} gives {' and '.join(entry.yields)}, no {use}")
    return Source(entry, path, use, options_of(entry, settings))


def named(name: str) -> Importer:
    """A format by its name.

    Raises:
        RequestError: If there is none of that name.
    """
    if name in IMPORTERS:
        return IMPORTERS[name]
    near = nearest_name(name, IMPORTERS)
    hint = f'; did you mean "{near}"?' if near else f"; formats: {', '.join(sorted(IMPORTERS))}"
    raise RequestError.of("format", name, f"is not a format{hint}")


def check_prefix(path: Path) -> None:
    """Refuse what looks like `FORMAT:PATH` and names no format.

    Raises:
        RequestError: Naming the format that is probably meant.
    """
    before, colon, _ = str(path).partition(":")
    if colon and len(before) > 1 and "/" not in before and not exists(path, SceneError):
        named(before)


def of_clip(path: Path, records: Sequence[SomeRecord], clip: str | None) -> list[SomeRecord]:
    """Those records of a source that are about one clip: all, unless the source names several.

    Args:
        path: The source, for messages.
        records: All of them.
        clip: Name of the video; None if it is not known.

    Raises:
        SceneError: If the source has several clips and none of them is called so.
    """
    names = list(dict.fromkeys(record.clip for record in records if record.clip))
    if len(names) < 2:
        return list(records)
    wanted = None if clip is None else clip_path(clip)[-1]
    fits = {name for name in names if clip_path(name)[-1] == wanted}
    if not fits:
        some = ", ".join(map(show, names[:3])) + (", ..." if len(names) > 3 else "")
        called = "which one is not said" if clip is None else f"none is called {show(clip)}"
        raise SceneError(f"{path}: has {len(names):,} clips, and {called}: {some}; use attnscope import")
    return [record for record in records if not record.clip or record.clip in fits]


def _by_suffix(path: Path, use: Yield | None) -> str:
    entry = None if use is None else reader(use, path.suffix)
    if entry is None:
        known = "" if use is None else f" ({', '.join(suffixes_of(use)) or 'no suffix'} tells one)"
        raise SceneError(f"{path}: say the format, as FORMAT:PATH{known}")
    return entry.name


# ---- options


def check_settings(importers: Sequence[Importer], settings: Sequence[str] | Mapping[str, Any]) -> None:
    """Refuse options that none of some formats has.

    Raises:
        RequestError: Naming the option and those that there are.
    """
    for name, _ in _pairs(settings):
        of, dot, option = name.rpartition(".")
        asked = [entry for entry in importers if not dot or entry.name == of]
        if any(option in entry.options for entry in asked):
            continue
        if dot and not asked:
            raise RequestError.of("settings", name, f"{of} is not a format of these sources")
        known = sorted({other for entry in asked for other in entry.options})
        near = nearest_name(option, known)
        hint = f'; did you mean "{near}"?' if near else f"; options: {', '.join(known)}" if known else ""
        formats = ", ".join(dict.fromkeys(entry.name for entry in asked))
        raise RequestError.of("settings", name, f"is not an option of {formats}{hint}")


def options_of(importer: Importer, settings: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    """The options of one format among some settings, `NAME=VALUE` or `FORMAT.NAME=VALUE`, as their types want them.

    Raises:
        RequestError: If a value is not of the option's type.
    """
    options = {}
    for name, value in _pairs(settings):
        of, dot, option = name.rpartition(".")
        if option in importer.options and (not dot or of == importer.name):
            options[option] = typed(name, value, importer.options[option])
    return options


def _pairs(settings: Sequence[str] | Mapping[str, Any]) -> list[tuple[str, Any]]:
    if isinstance(settings, Mapping):
        return [(name.replace("-", "_"), value) for name, value in settings.items()]
    pairs = []
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise RequestError.of("settings", text, "is not NAME=VALUE")
        of, dot, option = name.strip().rpartition(".")
        pairs.append((f"{of}{dot}{option.replace('-', '_')}", value.strip()))
    return pairs


def typed(name: str, value: Any, option: inspect.Parameter) -> Any:
    """A value as the annotation of an option wants it; texts of a command line are converted.

    Raises:
        RequestError: If it is of another type.
    """
    kinds = _alternatives(option.annotation)
    words = []
    for kind in kinds:
        made = _convert(value, kind)
        if made is not _NOT:
            return made
        words.append(_said(kind))
    raise RequestError.of("settings", name, f"{show(value)} is not {' or '.join(words)}")


def kind_of(option: inspect.Parameter) -> str:
    """What values an option takes, for people: `a number`, `auto, label or track`."""
    kinds = [_said(kind) for kind in _alternatives(option.annotation) if kind is not type(None)]
    return f"{' or '.join(kinds)}{', empty by default' if option.default in ('', None) else ''}"


def meaning(importer: Importer, option: str) -> str:
    """What the docstring of a format says of an option; "" if nothing."""
    arguments = (inspect.getdoc(importer.read) or "").partition("Args:\n")[2].partition("\n\n")[0]
    entry = re.search(rf"^    {option}: (.*(?:\n     .*)*)", arguments, re.MULTILINE)
    return " ".join(entry[1].split()) if entry else ""


_NOT = object()


def _alternatives(annotation: Any) -> list[Any]:
    """The types of an annotation, those first that few texts can be."""
    if annotation is inspect.Parameter.empty:
        return [str]
    kinds = list(get_args(annotation)) if get_origin(annotation) in (types.UnionType, typing.Union) else [annotation]
    order = [type(None), bool, int, float]
    return sorted(kinds, key=lambda kind: order.index(kind) if kind in order else len(order))


def _convert(value: Any, kind: Any) -> Any:
    """The value as a type, `_NOT` if it is none."""
    text = value if isinstance(value, str) else None
    if kind is type(None):
        return None if value is None or text == "none" else _NOT
    if get_origin(kind) is Literal:
        return next((choice for choice in get_args(kind) if choice == value or str(choice) == text), _NOT)
    if kind is bool:
        return value if isinstance(value, bool) else {"true": True, "false": False}.get((text or "").lower(), _NOT)
    if kind in (int, float) and not isinstance(value, bool):
        try:
            number = kind(text) if text is not None else kind(value)
        except (TypeError, ValueError, OverflowError):
            return _NOT
        return number if text is not None or number == value else _NOT
    if kind is Path:
        return Path(value) if isinstance(value, str | Path) else _NOT
    if get_origin(kind) in (tuple, list):
        inner = (get_args(kind) or (str,))[0]
        items = [_convert(item.strip() if isinstance(item, str) else item, inner) for item in _items(value)]
        return _NOT if _NOT in items else get_origin(kind)(items)
    return value if kind is str and isinstance(value, str) else _NOT


def _items(value: Any) -> Sequence[Any]:
    return value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]


def _said(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    if get_origin(kind) in (tuple, list):
        return "a list with commas"
    return "none" if kind is type(None) else "a path" if kind is Path else _WORDS.get(kind, str(kind))

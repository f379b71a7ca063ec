"""Events of SubStation Alpha files (.ass, .ssa), through pysubs2.

pysubs2 reads the fields of an event in their usual order whatever the file's `Format` line says, passes over lines that
it does not know, and takes a fraction of any length. So each line of `[Events]` is checked first: words that
belong to no event, and times that players read differently, are errors with their line.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from attnscope.errors import SceneError
from attnscope.scene.problems import read_text, show

_SECTION = re.compile(r"\[[^\]]+\]\s*$")
_STAMP = re.compile(r"\s*([0-9]{1,2}):([0-9]{2}):([0-9]{2})\.([0-9]{2})\s*")
_FORMATS = {
    "ass": "layer, start, end, style, name, marginl, marginr, marginv, effect, text",
    "ssa": "marked, start, end, style, name, marginl, marginr, marginv, effect, text",
}
_OTHERS = ("picture:", "sound:", "movie:", "command:")  # events without words
_FIELDS = 10


@dataclass(frozen=True)
class Event:
    """A line of dialogue.

    Attributes:
        start: Seconds.
        end: Seconds.
        name: Its field Name, which holds the actor; "" if it is empty.
        text: What is shown, with line breaks and without override tags and drawings.
        line: Number of its line, from 1.
        is_comment: Whether players do not show it.
    """

    start: float
    end: float
    name: str
    text: str
    line: int
    is_comment: bool


def read_events(path: Path) -> Iterator[Event]:
    """Read the events of a .ass or .ssa file, in its order.

    Raises:
        SceneError: The file cannot be read, is no such file, or holds a line in [Events] that is wrong.
    """
    import pysubs2

    text = read_text(path).replace("\r\n", "\n").replace("\r", "\n")
    kind = "ssa" if re.search(r"^\[V4 Styles\]", text, re.IGNORECASE | re.MULTILINE) else "ass"
    lines = list(_checked(path, text.split("\n"), kind))
    try:
        with warnings.catch_warnings():  # about colours and margins, which say nothing here
            warnings.simplefilter("ignore", RuntimeWarning)
            subtitles = pysubs2.SSAFile.from_string(text, kind)
    except Exception as error:  # a style that is wrong raises nearly anything
        raise SceneError(f"{path}: not a .{kind} file that can be read: {' '.join(str(error).split())}") from None
    if len(subtitles.events) != len(lines):
        raise SceneError(f"{path}: {len(subtitles.events)} events are read of {len(lines)} in [Events]")
    for number, event in zip(lines, subtitles.events, strict=True):
        shown = "".join(part for part, style in pysubs2.formats.substation.parse_tags(event.text) if not style.drawing)
        plain = shown.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")
        yield Event(event.start / 1000, event.end / 1000, event.name.strip(), plain, number, event.is_comment)


def _checked(path: Path, lines: list[str], kind: str) -> Iterator[int]:
    """The numbers of the lines that hold an event."""
    inside, seen = False, False
    for number, line in enumerate(lines, 1):
        plain = line.strip()
        if _SECTION.match(plain):
            inside = plain.casefold() == "[events]"
            seen = seen or inside
            continue
        head, colon, rest = plain.partition(":")
        is_event = head in ("Dialogue", "Comment") and bool(colon)
        where = f"{path}: line {number}"
        if not inside:
            if is_event:
                raise SceneError(f"{where}: an event stands outside [Events]")
            continue
        if not plain or plain[0] in ";!" or plain.casefold().startswith(_OTHERS):
            continue
        if head.casefold() == "format" and colon:
            columns = ", ".join(field.strip().casefold() for field in rest.split(","))
            if columns.replace("actor", "name") != _FORMATS[kind]:
                raise SceneError(f"{where}: {show(rest.strip())} is not the usual Format: {_FORMATS[kind]}")
        elif is_event:
            _check_event(where, rest)
            yield number
        else:
            raise SceneError(f"{where}: {show(plain)} belongs to no event")
    if not seen:
        raise SceneError(f"{path}: has no [Events], so it is no .{kind} file")


def _check_event(where: str, rest: str) -> None:
    fields = rest.split(",", _FIELDS - 1)
    if len(fields) < _FIELDS:
        raise SceneError(f"{where}: the event has {len(fields)} fields, and {_FIELDS} are needed")
    for stamp in fields[1:3]:
        match = _STAMP.fullmatch(stamp)
        if match is None:
            raise SceneError(f"{where}: {show(stamp.strip())} is not a time, hours:minutes:seconds.hundredths")
        for value, unit in ((match[2], "minutes"), (match[3], "seconds")):
            if int(value) > 59:
                raise SceneError(f"{where}: {show(stamp.strip())} has {int(value)} {unit}")

"""The cues of subtitle files (.srt, .vtt): every line of a file belongs to a cue, is no words, or is an error.

A .vtt file is cut as the WebVTT specification says: an empty line ends a cue, and players drop text that stands alone.
A .srt file has no specification: as in players, all text up to the next line of times belongs to a cue, with or without
empty lines. Libraries that read both were found to lose words or times of some files (docs/decisions/0048).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from attnscope.errors import SceneError
from attnscope.scene.problems import read_text, show

_STAMP = re.compile(r"(?:([0-9]{1,6}):)?([0-9]{1,2}):([0-9]{1,2})(?:[.,]([0-9]+))?")
_TIMES = re.compile(r"\s*([0-9:.,]+)\s*-->\s*([0-9:.,]+)(?:\s|$)")
# What somebody meant as times: an arrow beside a digit, or two times with a broken arrow between them.
_MEANT = re.compile(r"[0-9]\s*-->|-->\s*[0-9]|^\s*[0-9:]+[.,][0-9]+\s*[-=~>\u2010-\u2015\u2190-\u21ff]{1,3}\s*[0-9]+:")
_HEADER = re.compile(r"WEBVTT(?:[ \t]|$)")
_COMMENT = re.compile(r"NOTE(?:[ \t]|$)")
_SETTINGS = re.compile(r"(?:STYLE|REGION)[ \t\f]*$")


@dataclass(frozen=True)
class Cue:
    """A stretch of time and the text that is shown in it.

    Attributes:
        start: Seconds.
        end: Seconds.
        text: With its markup and line breaks.
        line: Number of the line of times, from 1.
    """

    start: float
    end: float
    text: str
    line: int


def read_cues(path: Path) -> list[Cue]:
    """Read the cues of a .srt or .vtt file, in its order.

    Raises:
        SceneError: The file cannot be read, or holds a line of times that is wrong or text that belongs to no cue.
    """
    text = read_text(path).replace("\r\n", "\n").replace("\r", "\n").rstrip("\x1a")
    lines = text.split("\n")
    return list(_vtt(path, lines) if path.suffix.lower() == ".vtt" else _srt(path, lines))


def _vtt(path: Path, lines: list[str]) -> Iterator[Cue]:
    begin = next(number for number, line in enumerate(lines) if line)
    if not _HEADER.match(lines[begin]):
        raise SceneError(f"{path}: not a .vtt file (it must begin with WEBVTT)")
    blocks = _blocks(lines, begin)
    next(blocks)  # the header
    stray: tuple[int, str] | None = None  # a number that may be the name of the next cue
    for first, block in blocks:
        if _COMMENT.match(block[0]):
            _refuse_cue_in_comment(path, first, block)
            continue
        at = 0 if "-->" in block[0] else 1 if len(block) > 1 and "-->" in block[1] else None
        if at is not None:
            yield _cue(path, block[at], "\n".join(block[at + 1 :]), first + at)
            stray = None
            continue
        if _SETTINGS.match(block[0]) or not any(map(str.strip, block)):
            continue
        if stray is not None:
            raise _lost(path, *stray)
        words = [(number, line) for number, line in enumerate(block, first) if line.strip()]
        for number, line in words:
            if _MEANT.search(line):
                raise _not_times(path, number, line)
        if len(words) > 1 or not words[0][1].strip().isdecimal():
            raise _lost(path, *words[0])
        stray = words[0]
    if stray is not None:
        raise _lost(path, *stray)


def _refuse_cue_in_comment(path: Path, first: int, block: list[str]) -> None:
    """Browsers show times below NOTE as a cue of that name, other players take them for part of the comment."""
    for number, line in enumerate(block[1:], first + 1):
        if "-->" in line:
            raise SceneError(
                f'{path}: line {number}: a NOTE must not hold "-->", for some players show the rest as a cue'
            )


def _blocks(lines: list[str], begin: int) -> Iterator[tuple[int, list[str]]]:
    """Number of the first line, from 1, and the lines of each block; an arrow too begins one, as specified."""
    first, block = begin, list[str]()
    for number, line in enumerate(lines[begin:], begin):
        arrow = "-->" in line and block and (first == begin or len(block) > 1 or "-->" in block[0])
        arrow = arrow and not _COMMENT.match(block[0])
        if block and (not line or arrow):
            yield first + 1, block
            block = []
        if line:
            first = first if block else number
            block.append(line)
    if block:
        yield first + 1, block


def _srt(path: Path, lines: list[str]) -> Iterator[Cue]:
    times = [number for number, line in enumerate(lines) if _MEANT.search(line)]
    if not times:
        raise SceneError(f"{path}: not a .srt file (it must begin with a cue number and a line of times)")
    # the number of a cue stands on the line before its times, or on one before that if that is empty
    begins = [_without_number(lines, at, floor) for at, floor in zip(times, [-1, *times], strict=False)]
    for number, line in enumerate(lines[: begins[0]], 1):
        if line.strip():
            raise _lost(path, number, line)
    for at, end in zip(times, [*begins[1:], len(lines)], strict=True):
        yield _cue(path, lines[at], "\n".join(line for line in lines[at + 1 : end] if line.strip()), at + 1)


def _without_number(lines: list[str], times: int, floor: int) -> int:
    """The line on which a cue begins: that of its number if it has one, else that of its times."""
    for at in (times - 1, times - 2):
        alone = at == 0 or (at - 1 > floor and not lines[at - 1].strip())  # else it is the last line of a text
        if at > floor and lines[at].strip().isdecimal() and (at == times - 1 or alone):
            return at
        if at <= floor or lines[at].strip():
            break
    return times


def _cue(path: Path, times: str, text: str, line: int) -> Cue:
    match = _TIMES.match(times)
    if match is None:
        raise _not_times(path, line, times)
    start, end = (_seconds(path, line, stamp) for stamp in match.groups())
    return Cue(start, end, text, line)


def _seconds(path: Path, line: int, stamp: str) -> float:
    """`01:02:03,500` -> 3723.5; hours may be missing, the fraction may not.

    Players take `,5` for half a second or for 5 ms, so a fraction has three digits.
    """
    match = _STAMP.fullmatch(stamp)
    where = f"{path}: line {line}: {show(stamp)}"
    if match is None:
        raise SceneError(f"{where} is not a time, hours:minutes:seconds.milliseconds")
    hours, minutes, whole = (int(part or 0) for part in match.groups()[:3])
    fraction = match[4]
    if fraction is None or len(fraction) != 3:
        digits = (
            "no fraction" if fraction is None else f"a fraction of {len(fraction)} digit{'s' * (len(fraction) > 1)}"
        )
        raise SceneError(f"{where} has {digits}, and milliseconds have 3 digits")
    for value, unit in ((minutes, "minutes"), (whole, "seconds")):
        if value > 59:
            raise SceneError(f"{where} has {value} {unit}")
    return round(3600.0 * hours + 60 * minutes + whole + int(fraction) / 1000, 3)


def _not_times(path: Path, line: int, text: str) -> SceneError:
    return SceneError(f"{path}: line {line}: {show(text.strip())} is not a pair of times")


def _lost(path: Path, line: int, text: str) -> SceneError:
    remedy = "an empty line ends a cue, so take it out, or write NOTE before a comment" if path.suffix == ".vtt" else ""
    return SceneError(
        f"{path}: line {line}: {show(text.strip())} belongs to no cue" + (f"; {remedy}" if remedy else "")
    )

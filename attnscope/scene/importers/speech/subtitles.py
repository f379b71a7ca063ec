"""Transcripts from subtitle files (.srt, .vtt): their cues, and who says which words in each.

Subtitles name speakers in several ways; these are understood, and nothing else is guessed (rules: ours): `<v
Name>words` (WebVTT), `Name: words`, `[Name]: words`, and a leading dash or `>>` for a change of speaker.

A .vtt file is cut as the WebVTT specification says: an empty line ends a cue, and players drop text that stands alone.
A .srt file has no specification: as in players, all text up to the next line of times belongs to a cue, with or without
empty lines.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from attnscope.errors import SceneError
from attnscope.scene.importers.registry import importer
from attnscope.scene.importers.speech.rolling import Line, unrolled
from attnscope.scene.names import clean_name, is_word_character, without_format
from attnscope.scene.problems import read_text, show
from attnscope.scene.records import Note, SpeechRecord

_STAMP = re.compile(r"(?:([0-9]{1,6}):)?([0-9]{1,2}):([0-9]{1,2})(?:[.,]([0-9]+))?")
_TIMES = re.compile(r"\s*([0-9:.,]+)\s*-->\s*([0-9:.,]+)(?:\s|$)")
# What somebody meant as times: an arrow beside a digit, or two times with a broken arrow between them.
_MEANT = re.compile(r"[0-9]\s*-->|-->\s*[0-9]|^\s*[0-9:]+[.,][0-9]+\s*[-=~>\u2010-\u2015\u2190-\u21ff]{1,3}\s*[0-9]+:")
_HEADER = re.compile(r"WEBVTT(?:[ \t]|$)")
_COMMENT = re.compile(r"NOTE(?:[ \t]|$)")
_SETTINGS = re.compile(r"(?:STYLE|REGION)[ \t\f]*$")
_VOICE = re.compile(r"<v(?:\.[^\s.<>]+)*\s+([^>\s][^>]*)>|(</v>)", re.IGNORECASE)
_MARKUP = re.compile(r"</?[a-z][^<>]*>|<\d+:[\d:.]+>|\{\\[^}]*\}", re.IGNORECASE)
_CHANGE = re.compile(r"^(?:[-\u2010-\u2015\u2212]+|>>+)\s*")
_BRACKETED = re.compile(r"^[\[\u3010\uff3b]([^\[\]\u3010\u3011]{1,60})[\]\u3011\uff3d]\s*[:\uff1a]\s*(.*)$")
# Signs that stand for a colon. White space follows all but the full-width ones, and 10:30 is a time in either.
_COLON = re.compile(r"[:\u2236\ua789](?=\s|$)|(?<!\d)[\uff1a\ufe55\ufe13]|[\uff1a\ufe55\ufe13](?!\d)")
_ANY_COLON = re.compile(r"[:\u2236\ua789\uff1a\ufe55\ufe13]")
_ASIDE = re.compile(r"\s*[(\uff08][^()\uff08\uff09]{1,30}[)\uff09]$")
_IN_NAMES = frozenset(".'\u2019\u02bc&-\u2010\u2011\u00b7\u30fb\u2022#/")
_MOST_WORDS, _LONGEST_NAME = 4, 60


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
        for number, line in enumerate(block, first):
            if _MEANT.search(line):
                raise _not_times(path, number, line)
        if len(block) > 1 or not block[0].strip().isdecimal():
            raise _lost(path, first, next(filter(str.strip, block)))
        stray = (first, block[0])
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
        if at > floor and lines[at].strip().isdecimal():
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


@importer(
    name="subtitles", suffixes=(".srt", ".vtt"), yields=("turns", "words"), summary="subtitles (SubRip and WebVTT)"
)
def read_subtitles(path: Path, *, merge_rolling: bool = True) -> Iterator[SpeechRecord | Note]:
    """Read the turns of subtitles, and say in one sentence each what a user should know about them."""
    cues = read_cues(path)
    lines = [spoken_lines(cue.text) for cue in cues]
    ends = [cue.end for cue in cues]
    merged, merged_ends, repeats = unrolled([(cue.start, cue.end) for cue in cues], lines)
    if repeats and merge_rolling:
        lines, ends = merged, merged_ends
        yield Note(
            text=f"{path.name}: rolling captions: {repeats} lines that repeat the cue before are left out, so that "
            "each stands once in the prompt; merge_rolling=False keeps them"
        )
    elif repeats:
        yield Note(
            text=f"{path.name}: rolling captions: {repeats} lines repeat the cue before and stand in the prompt "
            "again; merge_rolling=True leaves them out"
        )
    for cue, spoken, end in zip(cues, lines, ends, strict=True):
        for speaker, words in _joined(spoken):
            where = f"line {cue.line}: cue {show(words)}"
            yield SpeechRecord(where=where, speaker=speaker, text=words, start=cue.start, end=end)


def split_speakers(raw: str) -> list[tuple[str | None, str]]:
    """Split the text of one cue into (speaker, words).

    Args:
        raw: The cue's text with its markup and line breaks.

    Returns:
        One pair for each speaker in order; speaker None where the cue does not say. Cues without words give
        none.
    """
    return _joined(spoken_lines(raw))


def spoken_lines(raw: str) -> list[Line]:
    """The lines of a cue without their markup, and who says each."""
    lines: list[Line] = []
    for voice, text in _voices(raw):
        fresh, speaker = True, voice
        for line in text.split("\n"):
            plain = " ".join(without_format(html.unescape(_MARKUP.sub("", line))).split())
            if not plain:
                continue
            words = _CHANGE.sub("", plain)
            name, words = _name(words) if voice is None else (voice, words)
            if fresh or words != plain:  # a dash, an arrow or a name was taken off: somebody else speaks
                fresh, speaker = True, name
            lines.append(Line(speaker, words, fresh))
            fresh = False
    return lines


def _joined(lines: Iterable[Line]) -> list[tuple[str | None, str]]:
    turns: list[tuple[str | None, list[str]]] = []
    for line in lines:
        if line.begins or not turns:
            turns.append((line.speaker, []))
        turns[-1][1].append(line.words)
    joined = [(name, " ".join(" ".join(words).split())) for name, words in turns]
    return [(name, words) for name, words in joined if words]


def _voices(raw: str) -> list[tuple[str | None, str]]:
    """Cut at voice spans: [(None, before), ("Ann", hers), ...]."""
    pieces: list[tuple[str | None, str]] = []
    voice, at = None, 0
    for tag in _VOICE.finditer(raw):
        pieces.append((voice, raw[at : tag.start()]))
        voice, at = (clean_name(html.unescape(tag[1])) or None if tag[1] else None), tag.end()
    pieces.append((voice, raw[at:]))
    return pieces


def _name(line: str) -> tuple[str | None, str]:
    """The name that a line begins with, and the words after it."""
    bracketed = _BRACKETED.match(line)
    if bracketed:
        return clean_name(bracketed[1]) or None, bracketed[2]
    colon = _ANY_COLON.search(line)
    if colon and _COLON.match(line, colon.start()) and _looks_like_a_name(line[: colon.start()].strip()):
        return clean_name(line[: colon.start()]), line[colon.end() :].strip()
    return None, line


def _looks_like_a_name(text: str) -> bool:
    """One to four words, the first not in lower case: "Dr. Smith", but not "and then". "(off)" may follow."""
    words = _ASIDE.sub("", text).split()
    return (
        len(text) <= _LONGEST_NAME
        and 1 <= len(words) <= _MOST_WORDS
        and words[0][0].isalpha()
        and not words[0][0].islower()
        and all(is_word_character(c) or c in _IN_NAMES for word in words for c in word)
    )

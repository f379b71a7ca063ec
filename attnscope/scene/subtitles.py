"""Transcripts: subtitle files (.srt, .vtt) and .json.

Subtitles name speakers in several ways; these are understood, and nothing else is guessed (rules: ours):
`<v Name>words` (WebVTT), `Name: words`, `[Name]: words`, and a leading dash or `>>` for a change of speaker.
"""

from __future__ import annotations

import html
import io
import re
from pathlib import Path
from typing import Any

import webvtt
from pydantic import TypeAdapter, ValidationError

from attnscope.errors import SceneError
from attnscope.scene.models import Scene, Turn
from attnscope.scene.problems import one_line, read_json, read_text, show

_STAMP = r"(?:\d+:)?\d{1,2}:\d{1,2}[.,]\d{1,3}"
_TIMES = re.compile(rf"\s*({_STAMP})\s*-->\s*({_STAMP})(?!\d)")
# What somebody meant as times, arrow or not: the library passes over it.
_MEANT = re.compile(rf"\s*{_STAMP}\s*\S{{1,3}}\s*{_STAMP}")
_VOICE = re.compile(r"<v(?:\.[\w-]+)*\s+([^>\s][^>]*)>|(</v>)", re.IGNORECASE)
_MARKUP = re.compile(r"</?[a-z][^<>]*>|<\d+:[\d:.]+>|\{\\[^}]*\}", re.IGNORECASE)
_CHANGE = re.compile(r"^(?:[-\u2013\u2014]+|>>+)\s*")
_BRACKETED = re.compile(r"^\[([^\[\]]{1,60})\]\s*:\s*(.*)$")
# One to four words, the first not in lower case: "Dr. Smith: ...", but not "and then: ..." and not "10:30".
_NAMED = re.compile(r"^([^\W\d_][\w.'\u2019&-]*(?: [\w.'\u2019&-]+){0,3})\s*:(?:\s+(.*))?$")


def read_transcript(path: str | Path) -> list[Turn]:
    """Read a transcript.

    Args:
        path: .srt or .vtt subtitles, or .json: a list of turns, `{"transcript": [turn, ...]}` or a whole
            scene file.

    Returns:
        The turns in the order of the file. A cue with several speakers becomes several turns with the cue's
        times.

    Raises:
        SceneError: the file cannot be read, holds no turn, or a turn is wrong.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in (".srt", ".vtt", ".json"):
        raise SceneError(f'{path}: a transcript is .srt, .vtt or .json, not "{path.suffix}"')
    turns = _json_turns(path) if kind == ".json" else _cue_turns(path, kind[1:])
    if not turns:
        raise SceneError(f"{path}: the transcript holds no words")
    return turns


def _json_turns(path: Path) -> list[Turn]:
    data: Any = read_json(path)
    if isinstance(data, dict):
        unknown = sorted(data.keys() - Scene.model_fields.keys())
        if unknown:
            raise SceneError(f"{path}: {unknown[0]}: is not a field of this format")
        if "transcript" not in data:
            raise SceneError(f"{path}: transcript: is missing")
        data = data["transcript"]
    try:
        return TypeAdapter(list[Turn]).validate_python(data)
    except ValidationError as error:
        raise SceneError(one_line(str(path), error, ("transcript",))) from None


def _cue_turns(path: Path, kind: str) -> list[Turn]:
    text = read_text(path).replace("\r\n", "\n").replace("\r", "\n").strip("\n") + "\n\n"
    try:
        captions = webvtt.WebVTT.from_buffer(io.StringIO(text), format=kind).captions
    except (webvtt.errors.MalformedFileError, webvtt.errors.MalformedCaptionError):
        raise SceneError(f"{path}: not a .{kind} file ({_first_line(kind)})") from None
    cues = [(_seconds(cue.start), _seconds(cue.end), cue.raw_text) for cue in captions]
    _refuse_lost_cues(path, text, {(start, end) for start, end, _ in cues})
    turns = []
    for start, end, raw in cues:
        for speaker, words in split_speakers(raw):
            try:
                turns.append(Turn(speaker=speaker, text=words, start=start, end=end))
            except ValidationError as error:
                raise SceneError(one_line(f"{path}: cue {show(words)}", error)) from None
    return turns


def _first_line(kind: str) -> str:
    return "it must begin with WEBVTT" if kind == "vtt" else "it must begin with a cue number and a line of times"


def _refuse_lost_cues(path: Path, text: str, read: set[tuple[float, float]]) -> None:
    """The library passes over a cue that it cannot read, and nobody would notice the hole."""
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if "-->" not in line and not _MEANT.match(line):
            continue
        times = _TIMES.match(line)
        if times is None:
            raise SceneError(f"{path}: line {number}: {show(line.strip())} is not a pair of times")
        silent = not lines[number].strip() if number < len(lines) else True
        if (_seconds(times[1]), _seconds(times[2])) not in read and not silent:
            raise SceneError(f"{path}: line {number}: the cue at {show(line.strip())} cannot be read")


def _seconds(stamp: str) -> float:
    """`01:02:03,5` -> 3723.5; the digits behind the comma are a fraction, hours may be missing."""
    total = 0.0
    for part in stamp.replace(",", ".").split(":"):
        total = 60 * total + float(part)
    return round(total, 3)


def split_speakers(raw: str) -> list[tuple[str | None, str]]:
    """Split the text of one cue into (speaker, words).

    Args:
        raw: the cue's text with its markup and line breaks.

    Returns:
        One pair for each speaker in order; speaker None where the cue does not say. Cues without words give
        none.
    """
    turns: list[tuple[str | None, list[str]]] = []
    for voice, text in _voices(raw):
        fresh = True
        for line in text.split("\n"):
            plain = html.unescape(_MARKUP.sub("", line)).strip()
            if not plain:
                continue
            words = _CHANGE.sub("", plain)
            name, words = _name(words) if voice is None else (voice, words)
            if fresh or words != plain:  # a dash, an arrow or a name was taken off: somebody else speaks
                turns.append((name, []))
            turns[-1][1].append(words)
            fresh = False
    joined = [(name, " ".join(" ".join(words).split())) for name, words in turns]
    return [(name, words) for name, words in joined if words]


def _voices(raw: str) -> list[tuple[str | None, str]]:
    """Cut at voice spans: [(None, before), ("Ann", hers), ...]."""
    pieces: list[tuple[str | None, str]] = []
    voice, at = None, 0
    for tag in _VOICE.finditer(raw):
        pieces.append((voice, raw[at : tag.start()]))
        voice, at = (html.unescape(tag[1]).strip() if tag[1] else None), tag.end()
    pieces.append((voice, raw[at:]))
    return pieces


def _name(line: str) -> tuple[str | None, str]:
    bracketed = _BRACKETED.match(line)
    if bracketed:
        return bracketed[1].strip(), bracketed[2]
    named = _NAMED.match(line)
    if named and not named[1][0].islower():
        return named[1], named[2] or ""
    return None, line

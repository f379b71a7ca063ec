"""Transcripts: subtitle files (.srt, .vtt) and .json.

Subtitles name speakers in several ways; these are understood, and nothing else is guessed (rules: ours):
`<v Name>words` (WebVTT), `Name: words`, `[Name]: words`, and a leading dash or `>>` for a change of speaker.
"""

from __future__ import annotations

import html
import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from attnscope.errors import SceneError
from attnscope.scene.cues import read_cues
from attnscope.scene.models import Scene, Turn
from attnscope.scene.names import clean_name, is_word_character, without_format
from attnscope.scene.problems import one_line, read_json, show
from attnscope.scene.rolling import Line, unrolled

logger = logging.getLogger(__name__)

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


def read_transcript(path: str | Path, *, merge_rolling: bool = True) -> list[Turn]:
    """Read a transcript.

    Args:
        path: .srt or .vtt subtitles, or .json: a list of turns, `{"transcript": [turn, ...]}` or a whole
            scene file.
        merge_rolling: keep each line of rolling captions once; see docs/scene.md. It says nothing to .json.

    Returns:
        The turns in the order of the file. A cue with several speakers becomes several turns with the cue's
        times.

    Raises:
        SceneError: the file cannot be read, holds no turn, or a turn is wrong.
    """
    turns, notes = transcript_and_notes(Path(path), merge_rolling)
    for note in notes:
        logger.warning("%s", note)
    return turns


def transcript_and_notes(path: Path, merge_rolling: bool) -> tuple[list[Turn], list[str]]:
    """Read a transcript, and say in one sentence each what a user should know about it; see `read_transcript`."""
    kind = path.suffix.lower()
    if kind not in (".srt", ".vtt", ".json"):
        raise SceneError(f'{path}: a transcript is .srt, .vtt or .json, not "{path.suffix}"')
    turns, notes = (_json_turns(path), []) if kind == ".json" else _cue_turns(path, merge_rolling)
    if not turns:
        raise SceneError(f"{path}: the transcript holds no words")
    return turns, notes


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


def _cue_turns(path: Path, merge_rolling: bool) -> tuple[list[Turn], list[str]]:
    cues = read_cues(path)
    lines = [spoken_lines(cue.text) for cue in cues]
    ends = [cue.end for cue in cues]
    merged, merged_ends, repeats = unrolled([(cue.start, cue.end) for cue in cues], lines)
    notes = []
    if repeats and merge_rolling:
        lines, ends = merged, merged_ends
        notes = [
            f"{path.name}: rolling captions: {repeats} lines that repeat the cue before are left out, so that each "
            "stands once in the prompt; merge_rolling=False keeps them"
        ]
    elif repeats:
        notes = [
            f"{path.name}: rolling captions: {repeats} lines repeat the cue before and stand in the prompt again; "
            "merge_rolling=True leaves them out"
        ]
    turns = []
    for cue, spoken, end in zip(cues, lines, ends, strict=True):
        for speaker, words in _joined(spoken):
            try:
                turns.append(Turn(speaker=speaker, text=words, start=cue.start, end=end))
            except ValidationError as error:
                raise SceneError(one_line(f"{path}: line {cue.line}: cue {show(words)}", error)) from None
    return turns, notes


def split_speakers(raw: str) -> list[tuple[str | None, str]]:
    """Split the text of one cue into (speaker, words).

    Args:
        raw: the cue's text with its markup and line breaks.

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

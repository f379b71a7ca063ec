"""What is said when, and perhaps by whom, from the JSON of speech recognisers of the Whisper kind.

These shapes are read: `segments` with `words` and `speaker` (WhisperX); `segments` with or without `words`
(openai-whisper, whisper-timestamped); a list of such segments (faster-whisper, dumped); `transcription` with `offsets`
in milliseconds (whisper.cpp); `speakers` or `chunks` with `timestamp` (Transformers' pipeline and tools on top of it).
A word may lack its times; the words of a segment may have speakers of their own. A segment that holds nothing but a
mark in brackets of what is heard, `[BLANK_AUDIO]` or `(music)`, is no speech.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attnscope.errors import SceneError
from attnscope.scene.importers.registry import importer
from attnscope.scene.importers.speech.labels import is_mark_of_sound
from attnscope.scene.importers.streaming import has_half_characters, json_items, json_keys, name_of, number
from attnscope.scene.problems import has_half_character, read_json
from attnscope.scene.records import LeftOut, Note, SpeechRecord, Word

# "speakers" has the text of "chunks" again, with names, so it counts where both are
_KEYS = ("segments", "transcription", "speakers", "chunks")
_ALONE = re.compile(r"\s*[\[(*]([^\[\]()*]+)[\])*]\s*")
_SPOKEN = ("text", "word", "words", "start", "timestamp", "offsets")


@importer(
    name="whisperx",
    yields=("turns", "words"),
    summary="words with times and speakers, from the JSON of WhisperX, Whisper, faster-whisper or whisper.cpp",
    documentation="https://github.com/m-bain/whisperX",
    unverified="faster-whisper has no file format; its segments are expected as their fields, in a list",
    counts_from="sound",
)
def read_whisper(path: Path) -> Iterator[SpeechRecord | LeftOut | Note]:
    """Read the segments of a recogniser's JSON; the memory is that of the longest segment."""
    where, items = _listed(path)
    untimed = 0  # words whose time is there and no number
    for at, segment in enumerate(items):
        place = f"{where}[{at}]"
        if not isinstance(segment, dict) or not set(_SPOKEN) & segment.keys():
            if at == 0:
                raise SceneError(f"{path}: {place}: is no segment of speech, with text and times")
            yield LeftOut(where=place, what="turn", reason="the segment is not an object with text and times")
            continue
        untimed += sum(map(_is_mistimed, _words(segment)))
        yield _segment(place, segment)
    if untimed:
        yield Note(text=f"{path.name}: words whose times are no numbers count as words without times: {untimed:,}")


def _listed(path: Path) -> tuple[str, Iterator[Any]]:
    """The name of the list of segments, "" if the file is the list, and its items.

    Python writes NaN, which is no JSON, where a recogniser has no number; a file with it, or with half a character in a
    text, is read whole.

    Raises:
        SceneError: The file is not JSON, or holds no such list.
    """
    whole: Any = None
    try:
        keys = json_keys(path)
        if keys is None:
            deque(json_items(path, "item"), maxlen=0)  # to the end, before the first segment is handed on
        is_plain = not has_half_characters(path)
    except SceneError:
        is_plain, keys = False, None
    if not is_plain:
        whole = read_json(path, half_characters=True)  # says what is wrong if it is neither NaN nor half a character
        keys = list(whole) if isinstance(whole, dict) else None
    if keys is None:
        return "", json_items(path, "item") if whole is None else iter(whole if isinstance(whole, list) else [whole])
    key = next((key for key in _KEYS if key in keys), None)
    if key is None:
        raise SceneError(f"{path}: has none of {', '.join(_KEYS)}, which recognisers of the Whisper kind write")
    if whole is None:
        return key, json_items(path, f"{key}.item")
    return key, iter(whole[key] if isinstance(whole[key], list) else [])


def _segment(where: str, segment: dict[str, Any]) -> SpeechRecord | LeftOut:
    if has_half_character([segment.get("text"), segment.get("speaker"), _words(segment)]):
        return LeftOut(where=where, what="turn", reason="its text holds half a character (a lone surrogate)")
    speaker = name_of(segment.get("speaker")) or None
    words = tuple(word for word in map(_word, _words(segment)) if word is not None)
    text = segment.get("text")
    if not isinstance(text, str):
        text = " ".join(word.text for word in words)
    text = " ".join(text.split())
    if not text:
        return LeftOut(where=where, what="turn", reason="the segment holds no words", name=speaker or "")
    mark = _ALONE.fullmatch(text)
    if mark and is_mark_of_sound(mark[1]):
        return LeftOut(where=where, what="turn", reason="it holds a mark of sound or silence alone", name=speaker or "")
    first, last, per_second = _times(segment)
    if any(time is not None and number(time) is None for time in (first, last)):
        return LeftOut(where=where, what="turn", reason="start or end is no number", name=speaker or "")
    start, end = (None if (n := number(time)) is None else n / per_second for time in (first, last))
    if end is not None and start is None:
        return LeftOut(where=where, what="turn", reason="the segment has an end and no start", name=speaker or "")
    return SpeechRecord(where=where, speaker=speaker, start=start, end=end, text=text, words=words)


def _times(segment: dict[str, Any]) -> tuple[Any, Any, float]:
    """Start and end as they are written, None where they are missing, and how many make a second."""
    stamp, offsets = segment.get("timestamp"), segment.get("offsets")
    if isinstance(offsets, dict):
        return offsets.get("from"), offsets.get("to"), 1000.0
    if isinstance(stamp, list) and len(stamp) == 2:
        return stamp[0], stamp[1], 1.0
    return segment.get("start"), segment.get("end"), 1.0


def _words(segment: dict[str, Any]) -> list[Any]:
    listed = segment.get("words")
    return listed if isinstance(listed, list) else []


def _is_mistimed(word: Any) -> bool:
    """Whether a word has a time that is no number; one that is missing is none."""
    times = (word.get("start"), word.get("end")) if isinstance(word, dict) else ()
    return any(time is not None and number(time) is None for time in times)


def _word(word: Any) -> Word | None:
    """A word; None for what has no text."""
    text = word.get("word", word.get("text")) if isinstance(word, dict) else None
    if not isinstance(text, str) or not text.strip():
        return None
    start, end = number(word.get("start")), number(word.get("end"))
    if start is None:
        end = None
    return Word(text=text.strip(), start=start, end=end, speaker=name_of(word.get("speaker")) or None)

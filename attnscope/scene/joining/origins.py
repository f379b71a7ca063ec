"""Times that count from another beginning than the first picture.

Who hears the sound alone counts from its beginning (diarisation, recognisers, Praat, ELAN). Players and `ffmpeg` count
from the beginning of the file, where the sound or the picture begins first. Scenes count from the first picture.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from attnscope.errors import MediaError
from attnscope.scene.importers.registry import Importer
from attnscope.scene.records import BoxRecord, Record, SpeechRecord, Word

SAID = 0.02  # seconds; less is half a frame, and the priming of sound codecs
SomeRecord = TypeVar("SomeRecord", bound=Record)
_ROUNDING = 1e-6


def origin(importer: Importer, sound: float | None) -> float:
    """When the zero of a format is, in seconds from the first picture of a video.

    Args:
        importer: The format.
        sound: When the sound of the video begins; None if it has none.
    """
    if sound is None or importer.counts_from == "picture":
        return 0.0
    return sound if importer.counts_from == "sound" else min(sound, 0.0)


def told(importer: Importer, zero: float) -> list[str]:
    """What is said of times that are moved: one sentence, none where it would make no difference."""
    if abs(zero) < SAID:
        return []
    when = f"{abs(zero):.3f} s {'before' if zero < 0 else 'after'} the first picture"
    begins = f"times of {importer.name} count from the beginning of the {importer.counts_from}"
    return [f"{begins}, {when}: they are moved by that"]


def sound_of(video: Path, importer: Importer) -> float | None:
    """When the sound of a video begins, in seconds from the first picture.

    None if a format has no use for it, there is no sound, or the video cannot be read: reading its frames says so.
    """
    from attnscope.scene.sound import sound_start
    from attnscope.scene.walk import open_walk

    try:
        return None if importer.counts_from == "picture" else sound_start(open_walk(video))
    except MediaError:
        return None


def moved(record: SomeRecord, seconds: float) -> SomeRecord:
    """A record whose times count from the first picture. What begins before it and goes on begins with it.

    Args:
        record: The record.
        seconds: When its zero is.
    """
    if not seconds:
        return record
    if isinstance(record, BoxRecord) and record.time is not None:
        time = record.time + seconds
        return replace(record, time=0.0 if -_ROUNDING < time < 0 else time)
    if not isinstance(record, SpeechRecord):
        return record
    start, end = _moved(record.start, seconds), _moved(record.end, seconds)
    if end is not None and end > 0:
        words = tuple(_word(word, seconds) for word in record.words)
        return replace(record, start=None if start is None else max(start, 0.0), end=end, words=words)
    return replace(record, start=start, end=end)


def _word(word: Word, seconds: float) -> Word:
    start, end = _moved(word.start, seconds), _moved(word.end, seconds)
    return replace(word, start=None if start is None else max(start, 0.0), end=None if end is None else max(end, 0.0))


def _moved(time: float | None, seconds: float) -> float | None:
    return None if time is None else time + seconds

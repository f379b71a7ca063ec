"""Transcripts of every format: subtitles, .json, and what other importers of turns read."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from attnscope.errors import SceneError
from attnscope.scene.importers.registry import IMPORTERS, Importer, reader, suffixes_of
from attnscope.scene.importers.sources import check_prefix, of_clip, split
from attnscope.scene.importers.speech.subtitles import REPEATS
from attnscope.scene.joining.origins import moved, origin, sound_of, told
from attnscope.scene.joining.turns import in_order
from attnscope.scene.joining.turns import turns as turns_of
from attnscope.scene.models import SceneFields, Turn
from attnscope.scene.problems import one_line, read_json
from attnscope.scene.records import LeftOut, Note, Record, SpeechRecord

__all__ = ["IMPORTERS", "read_transcript", "transcript_and_notes"]

logger = logging.getLogger(__name__)


def read_transcript(path: str | Path, *, merge_rolling: bool = True) -> list[Turn]:
    """Read a transcript.

    Args:
        path: .srt or .vtt subtitles, or .json: a list of turns, `{"transcript": [turn, ...]}` or a whole
            scene file; or what another importer of turns reads, its format before the path: `whisperx:talk.json`.
        merge_rolling: Keep each line of rolling captions once; see docs/scene.md. It says nothing to .json.

    Returns:
        The turns in the order of their beginnings, those of .json in that of the file. A cue with several speakers
        becomes several turns with the cue's times.

    Raises:
        SceneError: If the file cannot be read, holds no turn, or a turn is wrong.

    Example:
        >>> [(turn.speaker, turn.text) for turn in attnscope.scene.read_transcript("clip.srt")][:2]
        [('Ada', 'will you help me?'), ('Cleo', 'they look happy today.')]
    """
    turns, notes = transcript_and_notes(path, merge_rolling)
    for note in notes:
        logger.warning("%s", note)
    return turns


def transcript_and_notes(
    source: str | Path, merge_rolling: bool, names: Iterable[str] = (), video: Path | None = None
) -> tuple[list[Turn], list[str]]:
    """Read a transcript, and say in one sentence each what a user should know about it; see `read_transcript`.

    Args:
        source: The file, or `FORMAT:PATH`.
        merge_rolling: Keep each line of rolling captions once.
        names: People, such as those who have boxes, which tells speakers in brackets from sounds.
        video: Tells the turns that are wanted where a source has several clips, and when its sound begins.
    """
    notes: list[str] = []
    name, path = split(source)
    if name is None:
        check_prefix(path)
    if name is None and path.suffix.lower() == ".json":
        turns = _turns_of_json(path)
    else:
        read = reader("turns", path.suffix) if name is None else IMPORTERS[name]
        if read is None:
            *first, last = [*sorted(suffixes_of("words")), ".json"]
            raise SceneError(f'{path}: a transcript is {", ".join(first)} or {last}, not "{path.suffix}"')
        if not {"turns", "words"} & set(read.yields):
            raise SceneError(f"{source}: {read.name} gives {' and '.join(read.yields)}, no turns")
        turns = _turns(path, read(path, merge_rolling=merge_rolling, names="\n".join(names)), notes, read, video)
    if not turns:
        raise SceneError(f"{path}: the transcript holds no words")
    return turns, notes


def _turns(
    path: Path, records: Iterator[Record | Note], notes: list[str], read: Importer, video: Path | None
) -> list[Turn]:
    """The records that are turns, in the order of their beginnings; what is left out or moved is said in `notes`."""
    reasons: Counter[str] = Counter()
    speech: list[SpeechRecord] = []
    for record in records:
        if isinstance(record, Note):
            notes.append(record.text)
        elif isinstance(record, LeftOut) and record.what in ("turn", "word"):
            reasons[record.reason] += record.reason != REPEATS  # a note says it already
        elif isinstance(record, SpeechRecord):
            speech.append(record)
    speech = of_clip(path, speech, None if video is None else video.name)
    if video is not None:
        zero = origin(read, sound_of(video, read))
        notes += told(read, zero)
        speech = [moved(record, zero) for record in speech]
        early = [record for record in speech if zero and record.end is not None and record.end <= 0]
        reasons.update(["it is said before the first picture"] * len(early))
        speech = [record for record in speech if record not in early]
    speech, differs = in_order([(0, record) for record in speech])
    if differs:
        notes.append(f"{path.name}: turns stand in the order of their beginnings, which is not that of the file")
    turns = [turn for record in speech for turn in _of_record(path, record)]
    notes += [f"{path.name}: left out {count}: {reason}" for reason, count in reasons.items() if count]
    return turns


def _of_record(path: Path, record: SpeechRecord) -> list[Turn]:
    """The turns of a record: one, unless its words have several speakers.

    Raises:
        SceneError: If it has no words, or is no turn.
    """
    if record.text is None:
        raise SceneError(f"{path}: {record.where}: the format has no words, and a transcript needs them")
    try:
        if any(word.speaker for word in record.words):
            return [Turn(**turn) for turn in turns_of([record]).turns]
        return [Turn(speaker=record.speaker, text=record.text, start=record.start, end=record.end)]
    except ValidationError as error:
        raise SceneError(one_line(f"{path}: {record.where}", error)) from None


def _turns_of_json(path: Path) -> list[Turn]:
    """The turns of a list, of `{"transcript": [...]}` or of a scene file."""
    data: Any = read_json(path)
    if isinstance(data, dict):
        unknown = sorted(data.keys() - SceneFields.model_fields.keys())
        if unknown:
            raise SceneError(f"{path}: {unknown[0]}: is not a field of this format")
        if "transcript" not in data:
            raise SceneError(f"{path}: transcript: is missing")
        data = data["transcript"]
    try:
        return TypeAdapter(list[Turn]).validate_python(data)
    except ValidationError as error:
        raise SceneError(one_line(str(path), error, ("transcript",))) from None

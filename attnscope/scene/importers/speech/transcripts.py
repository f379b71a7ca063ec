"""Transcripts of every format: subtitles, .json, and what other importers of turns read."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from attnscope.errors import SceneError
from attnscope.scene.importers.registry import IMPORTERS, reader, suffixes_of
from attnscope.scene.models import SceneFields, Turn
from attnscope.scene.problems import one_line, read_json
from attnscope.scene.records import LeftOut, Note, Record, SpeechRecord

__all__ = ["IMPORTERS", "read_transcript", "transcript_and_notes"]

logger = logging.getLogger(__name__)


def read_transcript(path: str | Path, *, merge_rolling: bool = True) -> list[Turn]:
    """Read a transcript.

    Args:
        path: .srt or .vtt subtitles, or .json: a list of turns, `{"transcript": [turn, ...]}` or a whole
            scene file; or what another importer of turns reads.
        merge_rolling: Keep each line of rolling captions once; see docs/scene.md. It says nothing to .json.

    Returns:
        The turns in the order of the file. A cue with several speakers becomes several turns with the cue's
        times.

    Raises:
        SceneError: If the file cannot be read, holds no turn, or a turn is wrong.

    Example:
        >>> [(turn.speaker, turn.text) for turn in attnscope.scene.read_transcript("clip.srt")][:2]
        [('Ada', 'will you help me?'), ('Cleo', 'they look happy today.')]
    """
    turns, notes = transcript_and_notes(Path(path), merge_rolling)
    for note in notes:
        logger.warning("%s", note)
    return turns


def transcript_and_notes(path: Path, merge_rolling: bool, names: Iterable[str] = ()) -> tuple[list[Turn], list[str]]:
    """Read a transcript, and say in one sentence each what a user should know about it; see `read_transcript`.

    Names of people, such as those who have boxes, tell speakers in brackets from sounds.
    """
    notes: list[str] = []
    if path.suffix.lower() == ".json":
        turns = _turns_of_json(path)
    else:
        read = reader("turns", path.suffix)
        if read is None:
            *first, last = [*sorted(suffixes_of("words")), ".json"]
            raise SceneError(f'{path}: a transcript is {", ".join(first)} or {last}, not "{path.suffix}"')
        turns = list(_turns(path, read(path, merge_rolling=merge_rolling, names="\n".join(names)), notes))
    if not turns:
        raise SceneError(f"{path}: the transcript holds no words")
    return turns, notes


def _turns(path: Path, records: Iterator[Record | Note], notes: list[str]) -> Iterator[Turn]:
    """The records that are turns; what is left out is said in `notes`."""
    reasons: Counter[str] = Counter()
    for record in records:
        if isinstance(record, Note):
            notes.append(record.text)
        elif isinstance(record, LeftOut):
            reasons[record.reason] += 1
        elif isinstance(record, SpeechRecord):
            if record.text is None:
                raise SceneError(f"{path}: {record.where}: the format has no words, and a transcript needs them")
            try:
                yield Turn(speaker=record.speaker, text=record.text, start=record.start, end=record.end)
            except ValidationError as error:
                raise SceneError(one_line(f"{path}: {record.where}", error)) from None
    notes += [f"{path.name}: left out {count}: {reason}" for reason, count in reasons.items()]


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

"""Transcripts of every format: subtitles, .json, and what plugins read."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from attnscope.errors import SceneError
from attnscope.scene.importers import subtitles  # noqa: F401 - registers its importer before that of .json
from attnscope.scene.importers.registry import IMPORTERS, importer, reader, suffixes_of
from attnscope.scene.models import SceneFields, Turn
from attnscope.scene.problems import one_line, read_json

__all__ = ["IMPORTERS", "read_transcript", "transcript_and_notes"]

logger = logging.getLogger(__name__)


def read_transcript(path: str | Path, *, merge_rolling: bool = True) -> list[Turn]:
    """Read a transcript.

    Args:
        path: .srt or .vtt subtitles, or .json: a list of turns, `{"transcript": [turn, ...]}` or a whole
            scene file; or what an importer of a plugin reads.
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


def transcript_and_notes(path: Path, merge_rolling: bool) -> tuple[list[Turn], list[str]]:
    """Read a transcript, and say in one sentence each what a user should know about it; see `read_transcript`."""
    read = reader("transcript", path.suffix)
    if read is None:
        *first, last = suffixes_of("transcript")
        raise SceneError(f'{path}: a transcript is {", ".join(first)} or {last}, not "{path.suffix}"')
    content, notes = read(path, merge_rolling=merge_rolling)
    try:
        turns = TypeAdapter(list[Turn]).validate_python(content)
    except ValidationError as error:
        raise SceneError(one_line(str(path), error, ("transcript",))) from None
    if not turns:
        raise SceneError(f"{path}: the transcript holds no words")
    return turns, notes


@importer(name="json", suffixes=(".json",), yields="transcript")
def read_turns(path: Path) -> tuple[Any, list[str]]:
    """Read the turns of a list, of `{"transcript": [...]}` or of a scene file."""
    data: Any = read_json(path)
    if isinstance(data, dict):
        unknown = sorted(data.keys() - SceneFields.model_fields.keys())
        if unknown:
            raise SceneError(f"{path}: {unknown[0]}: is not a field of this format")
        if "transcript" not in data:
            raise SceneError(f"{path}: transcript: is missing")
        data = data["transcript"]
    return data, []

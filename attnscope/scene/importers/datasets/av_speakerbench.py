"""AV-SpeakerBench: questions with four options about who speaks, what, and when, as lmms-eval serves them.

The test split is a table with the columns `question_id`, `task_id`, `category`, `sub_category`, `question`, `choices`,
`answer` and the paths of the clip with sound, of the picture alone and of the sound alone. `choices` is a list, or the
text of a Python list, of lines such as `A. two`; `answer` is the letter. lmms-eval shows the letters and reads a
letter; here the letters are taken off, and the options are what stands behind them, as everywhere in attnscope. There
are no boxes and no transcripts.

Held against: lmms-eval's task code. Not held against real files.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attnscope.errors import SceneError
from attnscope.files import is_folder
from attnscope.scene.importers.datasets.reading import TABLES, IncompleteError, checked, members, table_entries, words
from attnscope.scene.importers.registry import importer
from attnscope.scene.names import name_key
from attnscope.scene.records import LeftOut, Note, Record, SampleRecord

_KEYS = ("question", "choices", "answer", "task_id", "audio_visual_path", "visual_path")
_PATHS = {
    "audio-visual": ("audio_visual_path", "audiovisual_path", "video_path"),
    "silent": ("visual_path", "video_path"),
}
_LONGEST = 10_000  # characters of the choices of one question
_MARKS = ".):"


@importer(
    name="av-speakerbench",
    yields=("samples",),
    summary="AV-SpeakerBench: the table of its test split (.parquet, .jsonl, .csv, .tsv), or the folder that holds it",
    documentation="https://huggingface.co/datasets/plnguyen2908/AV-SpeakerBench",
    unverified="all files; what is known is the code that reads them",
)
def read_av_speakerbench(path: Path, *, media: str = "audio-visual") -> Iterator[Record | Note]:
    """Read the questions of AV-SpeakerBench.

    Args:
        path: The table, or a folder with exactly one.
        media: Which clip is shown: `audio-visual`, with sound, or `silent`, without.
    """
    if media not in _PATHS:
        raise SceneError(f"{path}: media: {media!r} is not one of {', '.join(_PATHS)}")
    file = _table(path)
    for where, record in checked(file, table_entries(file), _KEYS, "AV-SpeakerBench"):
        try:
            yield _sample(where, members(record), _PATHS[media])
        except IncompleteError as lack:
            name = str(record.get("question_id") or "") if isinstance(record, dict) else ""
            yield LeftOut(where=where, what="sample", reason=str(lack), name=name)


def _table(path: Path) -> Path:
    if not is_folder(path, SceneError):
        return path
    found = sorted(file for folder in (path, path / "data") for file in folder.glob("test*") if file.suffix in TABLES)
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise SceneError(f"{path}: must hold one table test*.parquet, .jsonl, .csv or .tsv; found {names}")
    return found[0]


def _sample(where: str, record: dict[str, Any], paths: tuple[str, ...]) -> SampleRecord:
    name = words(record, "question_id" if record.get("question_id") else "id", "has no question_id")
    question = words(record, "question", "has no question")
    choices = _choices(record.get("choices"))
    letter = words(record, "answer", "has no answer").upper()
    if letter not in choices:
        raise IncompleteError("its answer is none of the letters of its choices")
    options = tuple(choices.values())
    if len({name_key(option) for option in options}) < len(options):
        raise IncompleteError("two of its choices are the same")
    clip = next((record[key] for key in paths if record.get(key)), None)
    if not isinstance(clip, str):
        raise IncompleteError(f"has no {paths[0]}")
    task = words(record, "task_id", "has no task_id")
    groups = {key: words(record, key, "") for key in ("category", "sub_category") if record.get(key)}
    return SampleRecord(
        where=where,
        clip=clip,
        id=name,
        question=question,
        options=options,
        answer=choices[letter],
        fields={"dataset": "AV-SpeakerBench", "task": task, **groups},
        scene_name=name,
        scene={},
    )


def _choices(given: Any) -> dict[str, str]:
    """The choices without their letters, by letter, as lmms-eval reads them."""
    if isinstance(given, str):
        try:
            given = ast.literal_eval(given) if len(given) <= _LONGEST else None
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            given = None
    if not isinstance(given, (list, tuple)) or len(given) < 2:
        raise IncompleteError("its choices are no list of two or more")
    choices: dict[str, str] = {}
    for place, choice in enumerate(given):
        text = " ".join(str(choice).split())
        has_letter = len(text) > 2 and text[0].isalpha() and text[1] in _MARKS
        letter = text[0].upper() if has_letter else chr(ord("A") + place)
        body = text[2:].strip() if has_letter else text
        if not body or letter in choices:
            raise IncompleteError("a choice is empty, or its letter is there twice")
        choices[letter] = body
    return choices

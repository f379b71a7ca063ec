"""Faces and who speaks from the csv files of AVA-ActiveSpeaker.

A line is `video_id, frame_timestamp, x1, y1, x2, y2, label, entity_id`, with or without a header, boxes as fractions.
Times count from the beginning of the film. An entity is one track of a face in a minute of the film, so one person has
many. Lines that are labelled SPEAKING_AUDIBLE also give turns without words: one for each stretch of them.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from statistics import median

from attnscope.errors import SceneError
from attnscope.scene.importers.registry import importer
from attnscope.scene.importers.speech.runs import speaking_runs
from attnscope.scene.importers.streaming import number, text_lines
from attnscope.scene.problems import show
from attnscope.scene.records import BoxRecord, LeftOut, Note, Record, SpeechRecord

_COLUMNS = (
    "video_id",
    "frame_timestamp",
    "entity_box_x1",
    "entity_box_y1",
    "entity_box_x2",
    "entity_box_y2",
    "label",
    "entity_id",
)
_LABELS = {"SPEAKING_AUDIBLE": True, "SPEAKING_NOT_AUDIBLE": False, "NOT_SPEAKING": False}
_BEGIN = 900.0  # second of the films at which the annotation of the data set begins
_STEP = 1 / 25  # seconds that a mark lasts where an entity has a single one
Marks = dict[str, list[tuple[float, bool]]]


@importer(
    name="ava",
    yields=("boxes", "turns"),
    suffixes=(".csv",),
    summary="faces and who speaks, from the csv files of AVA-ActiveSpeaker",
    documentation="https://research.google.com/ava/download.html",
    unverified="read against the published description; no file of the data set was at hand",
)
def read_ava(path: Path, *, start: float = 0.0, gap: float = 0.5) -> Iterator[Record | Note]:
    """Read a csv file of AVA-ActiveSpeaker; the memory is that of the marks of one film.

    Args:
        path: The csv file.
        start: Second of the film at which the clip begins: 900 for clips cut from 15:00 on.
        gap: Seconds between two lines of an entity over which a turn goes on.
    """
    clip, marks = "", Marks()
    columns = list(_COLUMNS)
    earliest = math.inf
    for line, text in text_lines(path):
        if not text.strip():
            continue
        fields = [field.strip() for field in next(csv.reader([text]))]
        if line == 1:
            columns = _header(path, fields, text)
            if fields[0] == _COLUMNS[0]:
                continue
        values = dict(zip(columns, fields, strict=False))
        if values.get("video_id", "") != clip:
            yield from _turns(clip, marks, gap)
            clip, marks = values.get("video_id", ""), Marks()
        record = _box(f"line {line}", values, start)
        yield record
        if isinstance(record, BoxRecord) and record.time is not None:
            earliest = min(earliest, record.time)
            marks.setdefault(record.name, []).append((record.time, _LABELS[values["label"]]))
    yield from _turns(clip, marks, gap)
    if start == 0 and _BEGIN <= earliest < math.inf:
        yield Note(
            text=f"{path.name}: its times begin at {earliest:g} s of the film; where the videos are clips cut from it, "
            f"start={_BEGIN:g} (or where they begin) is subtracted"
        )


def _header(path: Path, fields: list[str], text: str) -> list[str]:
    """The columns: those of a header, or the usual ones."""
    if fields[0] == _COLUMNS[0]:
        missing = [column for column in _COLUMNS if column not in fields]
        if missing:
            raise SceneError(f"{path}: line 1: column {missing[0]} is missing")
        return fields
    if len(fields) < len(_COLUMNS) or number(fields[1]) is None:
        raise SceneError(f"{path}: line 1: {show(text)} is not {', '.join(_COLUMNS)}")
    return list(_COLUMNS)


def _box(where: str, values: dict[str, str], start: float) -> BoxRecord | LeftOut:
    clip, name = values.get("video_id", ""), values.get("entity_id", "")
    time, *sides = (number(values.get(column)) for column in _COLUMNS[1:6])
    reason = ""
    if len(values) < len(_COLUMNS):
        reason = f"the line has fewer than {len(_COLUMNS)} values"
    elif time is None or None in sides:
        reason = "a value is no number"
    elif not name:
        reason = "the line names no entity"
    elif values["label"] not in _LABELS:
        reason = f"the label is not one of {', '.join(_LABELS)}"
    elif time < start:
        reason = "before the beginning of the clip"
    if reason or time is None:
        return LeftOut(where=where, clip=clip, what="box", reason=reason, name=name)
    left, top, right, bottom = (side or 0.0 for side in sides)
    return BoxRecord(
        where=where,
        clip=clip,
        name=name,
        xyxy=(left, top, right, bottom),
        units="fraction",
        time=round(time - start, 6),
    )


def _turns(clip: str, marks: Marks, gap: float) -> Iterator[SpeechRecord]:
    for name, times in marks.items():
        moments = sorted(time for time, _ in times)
        steps = [after - before for before, after in pairwise(moments) if after > before]
        for start, end in speaking_runs(times, gap, median(steps) if steps else _STEP):
            yield SpeechRecord(where=f"entity {name}", clip=clip, speaker=name, start=start, end=end)

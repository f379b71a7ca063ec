"""Tables with named columns, one record a row: questions, boxes, or turns. The format is ours.

.csv, .tsv, .jsonl, .json (a list of objects), .parquet, and folders of datasets (as `datasets.save_to_disk` or the hub
lays them out) are read. What the rows are follows from the columns, or is
said with `rows`:

- questions: `question`; also `clip`, `id`, `options`, `answer`, `start` and `end` of the part of the clip that is asked
  about. `options` is a list, or text with `|` between the options; or each has a column of its own, `option1`,
  `option2`, ... or `a0`, `a1`, ... `answer` is spelt as one of the options.
- boxes: `name` and `x1`, `y1`, `x2`, `y2`, or `left`, `top`, `width`, `height`; at a `time` in seconds or a `frame`
  counted from 0; also `clip`, `track`, `score`.
- turns: `speaker` with `start`; also `clip`, `end`, `text`.

`columns` names columns that are called otherwise; letter case does not matter. Where no column is called `clip`, one
that is called `video`, `file`, `vid_name` or the like (`CLIPS`) is taken as it, and a note says so; where several
are, or where a column that is not taken holds names of videos, the table is refused until `columns` says which it is,
since rows without a clip are about whichever video is given. All other columns of questions become fields, by which
results are grouped. Held against: nothing else, since the format is ours.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attnscope.errors import SceneError
from attnscope.scene.importers.datasets.columnar import Embedded
from attnscope.scene.importers.datasets.reading import Entry, IncompleteError, members, number, table_entries, words
from attnscope.scene.importers.registry import importer
from attnscope.scene.models import BoxUnits
from attnscope.scene.names import name_key
from attnscope.scene.problems import show
from attnscope.scene.records import BoxRecord, LeftOut, Note, QuestionRecord, Record, SpeechRecord

_QUESTIONS = ("clip", "id", "question", "options", "answer", "start", "end")
_BOXES = ("clip", "name", "time", "frame", "track", "score", "x1", "y1", "x2", "y2", "left", "top", "width", "height")
_TURNS = ("clip", "speaker", "start", "end", "text")
_WRITE = "write it out and name the file"
CLIPS = (
    *("clip", "clip_name", "clip_id", "clip_file", "clip_path", "video", "video_name", "video_id", "video_file"),
    *("video_path", "vid", "vid_name", "vid_id", "movie", "media", "file", "file_name", "file_path", "path"),
)
"""Columns that are the clip where none is called so; letter case, spaces, `_` and `-` do not matter."""

_CLIPS = {name.replace("_", "") for name in CLIPS}
_VIDEO = re.compile(r"[^\n]*\.(mp4|m4v|mkv|mov|avi|webm|mpe?g|ogv|wmv|flv|ts)", re.IGNORECASE)
_MOST_UNREAD = 1000  # rows that are looked through for the columns
_COLUMNS = {"questions": _QUESTIONS, "boxes": _BOXES, "turns": _TURNS}
_OPTION = re.compile(r"(?:option[ _]?|a)(\d{1,2})", re.IGNORECASE)
_CORNERS, _SIZES = ("x1", "y1", "x2", "y2"), ("left", "top", "width", "height")
_WHAT = {"questions": "question", "boxes": "box", "turns": "turn"}


@importer(
    name="table",
    yields=("questions", "boxes", "turns"),
    suffixes=(".csv", ".tsv", ".jsonl", ".parquet"),
    summary="a table with named columns: questions, boxes, or turns (.csv, .tsv, .jsonl, .json, .parquet, a dataset)",
    documentation="docs/import.md",
)
def read_table(
    path: Path, *, rows: str = "", columns: str = "", separator: str = "|", units: BoxUnits = "pixels", split: str = ""
) -> Iterator[Record | Note]:
    """Read a table.

    Args:
        path: The table.
        rows: What a row is: questions, boxes or turns.
        columns: Names of columns that are called otherwise, `clip=vid_name,question=q`.
        separator: What stands between options that are one text.
        units: Of boxes: pixels or fraction.
        split: Which part of a dataset's folder; not needed where there is one.
    """
    renamed = _renamed(path, columns)
    entries = table_entries(path, split)
    first, row = _first_rows(path, entries)
    header = set(_named(row, renamed))
    for ours, theirs in {ours: theirs for theirs, ours in renamed.items()}.items():
        if ours not in header:
            raise SceneError(f"{path}: columns: there is no column {show(theirs)}; there are {_listed(row)}")
    kind = rows or _kind({*header, *map(_plain, header)})
    if kind not in _COLUMNS:
        wrong = f"rows: {show(rows)} is not one of" if rows else f"the columns {_listed(row)} are of none of"
        raise SceneError(f"{path}: {wrong} {', '.join(_COLUMNS)}; name columns with columns=question=TITLE")
    for ours in _COLUMNS[kind]:
        like = _column_like(path, header, ours)
        if like is not None:
            renamed[like] = ours
            header = header - {like} | {ours}
            if ours == "clip":
                yield Note(text=f"{path.name}: the column {show(like)} is the clip")
    make = {"questions": _question, "boxes": _box, "turns": _turn}[kind]
    for entry in itertools.chain(first, entries):
        _refuse_unclear_clips(path, entry, renamed)
        yield _record(entry, kind, "clip" in header, renamed, separator, units, make)


def _renamed(path: Path, columns: str) -> dict[str, str]:
    """Our name of a column by its name in the table."""
    renamed: dict[str, str] = {}
    every = {name for names in _COLUMNS.values() for name in names}
    for pair in columns.split(",") if columns.strip() else ():
        ours, equals, theirs = (part.strip() for part in pair.partition("="))
        if not equals or not theirs or not (ours in every or _OPTION.fullmatch(ours)):
            raise SceneError(f"{path}: columns: {show(pair)} is none of the form OURS=THEIRS, with a name of ours")
        renamed[theirs] = ours
    return renamed


def _first_rows(path: Path, entries: Iterator[Entry]) -> tuple[list[Entry], dict[str, Any]]:
    """The rows up to the first one that can be read, which says what columns there are, and that row."""
    first: list[Entry] = []
    for entry in itertools.islice(entries, _MOST_UNREAD):
        first.append(entry)
        if isinstance(entry[1], dict):
            return first, entry[1]
    if not first:
        raise SceneError(f"{path}: holds no row")
    where, row = first[0]
    reason = str(row) if isinstance(row, IncompleteError) else "the row is not an object"
    raise SceneError(f"{path}: no row can be read: {where}: {reason}")


def _column_like(path: Path, header: set[str], ours: str) -> str | None:
    """The column that is ours although it is not called so, if one is: `Question`, or for the clip also others."""
    if ours in header:
        return None
    found = sorted(name for name in header if _plain(name) in (_CLIPS if ours == "clip" else (ours,)))
    if len(found) > 1:
        listed = " or ".join(map(show, found))
        raise SceneError(f"{path}: the {ours} is {listed}? say which: columns={ours}={found[0]}")
    return found[0] if found else None


def _refuse_unclear_clips(path: Path, entry: Entry, renamed: dict[str, str]) -> None:
    """Refuse a row that holds its video, or says its clip in a column that is not taken as such."""
    where, row = entry
    if not isinstance(row, dict):
        return
    values = _named(row, renamed)
    if isinstance(values.get("clip"), Embedded):
        raise SceneError(f"{path}: {where}: clip: holds the video itself, and videos are read from files: {_WRITE}")
    if "clip" in values:
        return
    for name, value in values.items():
        tells = name not in _QUESTIONS and not _OPTION.fullmatch(name) and isinstance(value, str)
        if _plain(name) in _CLIPS or (tells and _VIDEO.fullmatch(value.strip())):
            raise SceneError(
                f"{path}: {where}: the column {show(name)} looks like the clip, and none is called clip: say "
                f"columns=clip={name}, or which other column it is"
            )


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).lower()


def _named(row: dict[str, Any], renamed: dict[str, str]) -> dict[str, Any]:
    return {renamed.get(name, name): value for name, value in row.items()}


def _listed(row: Any) -> str:
    return ", ".join(map(show, row)) if isinstance(row, dict) and row else "none"


def _kind(header: set[str]) -> str:
    """What a table holds, by its columns; empty if they do not say."""
    found = [
        kind
        for kind, fits in (
            ("questions", "question" in header),
            ("boxes", "name" in header and (set(_CORNERS) <= header or set(_SIZES) <= header)),
            ("turns", "speaker" in header and "start" in header and "question" not in header),
        )
        if fits
    ]
    return found[0] if len(found) == 1 else ""


def _record(
    entry: Entry, kind: str, clips: bool, renamed: dict[str, str], separator: str, units: BoxUnits, make: Any
) -> Record:
    where, row = entry
    clip = name = ""
    values: dict[str, Any] = {}
    try:
        values = _named(members(row), renamed)
        clip = "" if values.get("clip") is None else str(values["clip"]).strip()
        name = str(next((values[key] for key in ("id", "name", "speaker") if values.get(key)), ""))
        if clips and not clip:
            raise IncompleteError("has no clip", "clip")
        made: Record = make(where, clip, values, separator, units)
    except IncompleteError as lack:
        return LeftOut(
            where=where, clip=clip, what=_WHAT[kind], reason=str(lack), name=name, detail=_detail(lack, values)
        )
    return made


def _detail(lack: IncompleteError, values: dict[str, Any]) -> str:
    """The column that is wrong, and what stands in it."""
    if not lack.column:
        return ""
    value = values.get(lack.column)
    return lack.column if value is None else f"{lack.column}: {show(value)}"


def _question(where: str, clip: str, row: dict[str, Any], separator: str, _units: BoxUnits) -> QuestionRecord:
    text = words(row, "question", "has no question")
    columns = sorted((int(match[1]), name) for name in row if (match := _OPTION.fullmatch(name)))
    options = _options(row.get("options"), separator)
    if not options:
        options = tuple(str(row[name]).strip() for _, name in columns if row[name] not in (None, ""))
    answer = None if row.get("answer") in (None, "") else str(row["answer"]).strip()
    if len({name_key(option) for option in options}) < len(options):
        raise IncompleteError("two of its options are the same", "options")
    if answer is not None and options and name_key(answer) not in map(name_key, options):
        raise IncompleteError("its answer is none of its options", "answer")
    taken = {*_QUESTIONS, *(name for _, name in columns)}
    identity = row.get("id")
    return QuestionRecord(
        where=where,
        clip=clip,
        id=None if identity is None else str(identity).strip(),
        question=text,
        options=options,
        answer=answer,
        fields={name: value for name, value in row.items() if name not in taken and _is_label(value)},
        window=_window(row),
    )


def _options(given: Any, separator: str) -> tuple[str, ...]:
    if given is None:
        return ()
    parts = given if isinstance(given, list) else str(given).split(separator)
    options = tuple(str(part).strip() for part in parts)
    if not all(options):
        raise IncompleteError("one of its options is empty", "options")
    return options


def _window(row: dict[str, Any]) -> tuple[float, float] | None:
    if row.get("start") is None and row.get("end") is None:
        return None
    start, end = (number(row.get(key), f"its {key} is no number", key) for key in ("start", "end"))
    if not 0 <= start < end:
        raise IncompleteError("its end is not after its start", "end")
    return start, end


def _is_label(value: Any) -> bool:
    """Whether a scene can have the value as a label."""
    if isinstance(value, list):
        return all(_is_label(part) and not isinstance(part, list) for part in value)
    return isinstance(value, (str, int, float)) and value == value


def _box(where: str, clip: str, row: dict[str, Any], _separator: str, units: BoxUnits) -> BoxRecord:
    name = words(row, "name", "has no name")
    keys = _CORNERS if set(_CORNERS) <= row.keys() else _SIZES
    a, b, c, d = (number(row.get(key), f"has no {key}") for key in keys)
    xyxy = (a, b, c, d) if keys == _CORNERS else (a, b, a + c, b + d)
    if xyxy[2] <= xyxy[0] or xyxy[3] <= xyxy[1]:
        raise IncompleteError("the box has no area")
    time = None if row.get("time") is None else number(row["time"], "its time is no number")
    frame = None if row.get("frame") is None else number(row["frame"], "its frame is no number")
    if time is None and frame is None:
        raise IncompleteError("has neither a time nor a frame")
    if (time or 0) < 0 or (frame or 0) < 0 or (frame is not None and not frame.is_integer()):
        raise IncompleteError("its time or frame is negative, or its frame is no whole number")
    return BoxRecord(
        where=where,
        clip=clip,
        name=name,
        xyxy=xyxy,
        units=units,
        time=time,
        frame=None if frame is None or time is not None else int(frame),
        track="" if row.get("track") is None else str(row["track"]),
        score=None if row.get("score") is None else number(row["score"], "its score is no number"),
    )


def _turn(where: str, clip: str, row: dict[str, Any], _separator: str, _units: BoxUnits) -> SpeechRecord:
    start, end = (
        None if row.get(key) is None else number(row[key], f"its {key} is no number") for key in ("start", "end")
    )
    if start is None:
        raise IncompleteError("has no start")
    if start < 0 or (end is not None and end < start):
        raise IncompleteError("its start is negative, or its end before it")
    speaker, text = (None if row.get(key) is None else str(row[key]).strip() for key in ("speaker", "text"))
    return SpeechRecord(where=where, clip=clip, speaker=speaker or None, start=start, end=end, text=text or None)

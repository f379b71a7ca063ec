"""TVQA+: questions about scenes of a television series, with boxes of people and things, and a span in time.

The annotations are one JSON list of `{qid, q, a0..a4, answer_idx, ts, vid_name, bbox}`. Boxes are in pixels of frames
of 640 x 360, which were taken at 3 a second and are numbered from 1; every sixth is annotated. Frame n is at
(n - 1) / 3 s here: ffmpeg's first frame at any rate is the first of the video, and in the folders of frames that are
published 00001.jpg is the first picture. The released code says so too where it makes labels of `ts`; where it aligns
subtitles and turns predictions into seconds it takes n / 3 s. A scene says that a folder of frames has 3 a second.
Subtitles are one JSON object, `{vid_name: {sub_text, sub_time}}`: lines
joined by " <eos> ", with the time at which each begins.

Held against: the validation annotations and the evaluation code that the authors released. Not held against real
files: the subtitles (one published line is known) and the videos.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

from attnscope.errors import SceneError
from attnscope.files import is_folder
from attnscope.scene.importers.datasets import boxes as drawing
from attnscope.scene.importers.datasets.reading import (
    IncompleteError,
    Shelf,
    checked,
    json_entries,
    members,
    notes,
    number,
    words,
)
from attnscope.scene.importers.registry import importer
from attnscope.scene.importers.streaming import json_members
from attnscope.scene.names import clean_name, name_key
from attnscope.scene.records import LeftOut, Note, Record, SampleRecord

_WIDTH, _HEIGHT, _FPS = 640, 360, 3
_REACH = 1.0  # seconds: annotated frames lie 2 s apart
_KEYS = ("qid", "q", "vid_name", "answer_idx", "bbox")
_ANSWERS = tuple(f"a{i}" for i in range(5))
_TYPES = ("what", "who", "where", "how", "why")  # the groups of the released evaluation
_SPOKEN = re.compile(r"\(?\s*(?P<name>[^:()]{1,60}?)\s*:\s*\)?\s*(?P<words>.*)", re.DOTALL)
_MOST_WORDS = 4  # of a name
_SMALLER = "a larger box of the same name is in the same frame"
_SPAN = re.compile(r"\s*([\d.]+)\s*-\s*([\d.]+)\s*")


@importer(
    name="tvqa",
    yields=("samples",),
    summary="TVQA+: tvqa_plus_val.json, or a folder with it and tvqa_plus_subtitles.json",
    documentation="https://tvqa.cs.unc.edu/download_tvqa_plus.html",
    unverified="the subtitles and the videos",
)
def read_tvqa(
    path: Path, *, subtitles: Path | None = None, split: str = "val", things: bool = False
) -> Iterator[Record | Note]:
    """Read the questions of TVQA+.

    Args:
        path: The annotations of a split, or the folder that holds them.
        subtitles: What is said; in a folder tvqa_plus_subtitles.json, if it is there.
        split: Which annotations of a folder: train, val, test.
        things: Keep the boxes of things too. If not, a box is of a person if somebody of that name speaks in the
            subtitles, or its label begins with a capital letter.
    """
    annotations, subtitles = _files(path, subtitles, split)
    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        shelf = stack.enter_context(Shelf()) if subtitles else None
        spoken = _fill(shelf, subtitles, counts) if shelf is not None and subtitles else set()
        for where, record in checked(annotations, json_entries(annotations), _KEYS, "TVQA+"):
            yield from _sample(where, record, shelf, spoken, things, counts)
    if subtitles is None:
        yield Note(text=f"{annotations.name}: without subtitles, so nobody says anything; give subtitles=FILE")
    yield from notes(annotations, counts)


def _files(path: Path, subtitles: Path | None, split: str) -> tuple[Path, Path | None]:
    if not is_folder(path, SceneError):
        return path, subtitles
    if subtitles is None and (path / "tvqa_plus_subtitles.json").exists():
        subtitles = path / "tvqa_plus_subtitles.json"
    exact = path / f"tvqa_plus_{split}.json"
    found = [exact] if exact.exists() else sorted(path.glob(f"tvqa_plus_{split}*.json"))
    if len(found) != 1:
        reason = "no such file" if not found else f"there are {len(found)} such files; name the one to read"
        raise SceneError(f"{path}: tvqa_plus_{split}*.json: {reason}")
    return found[0], subtitles


def _fill(shelf: Shelf, subtitles: Path, counts: Counter[str]) -> set[str]:
    """Put what is said in every clip onto a shelf.

    Returns:
        The names of all who speak, as they are compared.
    """
    spoken: set[str] = set()
    for clip, content in json_members(subtitles):
        try:
            turns = _turns(members(content), counts)
        except IncompleteError as lack:
            shelf[clip] = str(lack)
            continue
        shelf[clip] = turns
        spoken.update(_folded(turn["speaker"]) for turn in turns if turn["speaker"])
    return spoken


def _turns(content: dict[str, Any], counts: Counter[str]) -> list[dict[str, Any]]:
    """The turns of a clip: each lasts until the next one begins, the last one has no end (ours)."""
    text, times = content.get("sub_text"), content.get("sub_time")
    if not isinstance(text, str) or not isinstance(times, list):
        raise IncompleteError("its subtitles lack sub_text or sub_time")
    lines = text.split(" <eos> ") if text.strip() else []
    if len(lines) != len(times):
        raise IncompleteError("its subtitles have another number of lines than of times")
    starts = [number(time, "a time of its subtitles is no number") for time in times]
    if any(start < 0 for start in starts):
        raise IncompleteError("a time of its subtitles is negative")
    turns: list[dict[str, Any]] = []
    spelling: dict[str, str] = {}
    for line, (start, later) in zip(lines, pairwise([*starts, None]), strict=True):
        speaker, said = _speaker(line.removesuffix("<eos>"))
        if not said:
            counts["subtitles without words are no turns"] += 1
            continue
        if speaker is not None:  # in one spelling, for letter case does not tell people apart
            speaker = spelling.setdefault(_folded(speaker), speaker)
        turn = {"speaker": speaker, "text": said, "start": start}
        if start is not None and later is not None and later >= start:
            turn["end"] = later
        turns.append(turn)
    return turns


def _speaker(line: str) -> tuple[str | None, str]:
    """Who speaks and what: `Howard : It is .`, also `( Howard : ) It is .`."""
    match = _SPOKEN.fullmatch(line.strip())
    name = clean_name(match["name"]) if match else ""
    if match and name and len(name.split()) <= _MOST_WORDS and name[0].isalpha() and not name[0].islower():
        return name, " ".join(match["words"].split())
    return None, " ".join(line.split())


def _sample(
    where: str, record: Any, shelf: Shelf | None, spoken: set[str], things: bool, counts: Counter[str]
) -> Iterator[Record]:
    """The sample of one question, and the boxes in it that cannot be used."""
    name = str(record.get("qid", "")) if isinstance(record, dict) else ""
    clip = str(record.get("vid_name") or "") if isinstance(record, dict) else ""
    try:
        fields = members(record)
        name = words(fields, "qid", "has no qid")
        clip = words(fields, "vid_name", "has no vid_name")
        question = words(fields, "q", "has no question")
        options = tuple(words(fields, key, f"has no answer {key}") for key in _ANSWERS)
        if len({name_key(" ".join(option.split())) for option in options}) < len(options):
            raise IncompleteError("two of its answers are the same")
        right = words(fields, "answer_idx", "has no right answer (the test set is published without)")
        if right not in "01234" or len(right) != 1:
            raise IncompleteError("its answer_idx is none of 0 to 4")
        transcript = _said(shelf, clip)
        places, unused = _boxes(where, clip, fields.get("bbox"), spoken, things, transcript, counts)
    except IncompleteError as lack:
        yield LeftOut(where=where, clip=clip, what="sample", reason=str(lack), name=name)
        return
    yield from unused
    people = sum(_is_person(label, spoken) for label in places["speakers"])
    counts["questions have no box of a person"] += not people
    kind = question.split()[0].lower()
    yield SampleRecord(
        where=where,
        clip=clip,
        id=name,
        question=question,
        options=options,
        answer=options[int(right)],
        window=_window(fields.get("ts"), counts),
        fields={
            "dataset": "TVQA+",
            "task": "VideoQA",
            "people": people,
            "question type": kind if kind in _TYPES else "other",
        },
        scene_name=f"{clip}-{name}",
        scene={**places, "transcript": transcript, "frame_rate": _FPS},
    )


def _said(shelf: Shelf | None, clip: str) -> list[dict[str, Any]]:
    found = [] if shelf is None else shelf.get(clip)
    if found is None:
        raise IncompleteError("the subtitles lack its clip")
    if isinstance(found, str):
        raise IncompleteError(found)
    return list(found)


def _window(span: Any, counts: Counter[str]) -> tuple[float, float] | None:
    """The span that a question is about: two numbers, or text such as `1.2-8.4`."""
    if isinstance(span, str) and (match := _SPAN.fullmatch(span)):
        span = list(match.groups())
    try:
        if not isinstance(span, list) or len(span) != 2:
            raise IncompleteError
        start, end = (number(value, "") for value in span)
        if not 0 <= start < end:
            raise IncompleteError
    except IncompleteError:
        counts["questions have no span (ts), or an empty one, and are about the whole clip"] += 1
        return None
    return start, end


def _boxes(
    where: str,
    clip: str,
    frames: Any,
    spoken: set[str],
    things: bool,
    transcript: list[dict[str, Any]],
    counts: Counter[str],
) -> tuple[dict[str, Any], list[LeftOut]]:
    """`speakers` and `box_units` of a scene, and the boxes that are left out."""
    if not isinstance(frames, dict):
        raise IncompleteError("has no bbox")
    found: dict[str, dict[float, drawing.Box]] = {}
    spelling = {_folded(turn["speaker"]): turn["speaker"] for turn in transcript if turn["speaker"]}
    unused: list[LeftOut] = []
    moments = []
    for frame, drawn in sorted(frames.items(), key=lambda item: (len(item[0]), item[0])):
        if not frame.isdecimal() or int(frame) < 1 or not isinstance(drawn, list):
            raise IncompleteError("a frame of its bbox is no number from 1, or no list of boxes")
        moment = (int(frame) - 1) / _FPS
        moments.append(moment)
        for place, box in enumerate(drawn):
            at = f"{where}.bbox.{frame}[{place}]"
            try:
                label, xyxy, cut = _box(box)
                if not things and not _is_person(label, spoken):
                    raise IncompleteError("the label is a thing, not a person (things=true keeps it)")
                own = found.setdefault(spelling.setdefault(_folded(label), label), {})
                if drawing.area(xyxy) <= drawing.area(own.get(moment, (0, 0, 0, 0))):
                    raise IncompleteError(_SMALLER)
            except IncompleteError as lack:
                named = box.get("label") if isinstance(box, dict) else None
                named = named if isinstance(named, str) else ""
                unused.append(LeftOut(where=at, clip=clip, what="box", reason=str(lack), name=named))
                continue
            if moment in own:  # the one before it goes
                unused.append(LeftOut(where=at, clip=clip, what="box", reason=_SMALLER, name=label))
            own[moment] = xyxy
            counts["boxes reach out of the picture and are cut off at its edge"] += cut
    return {"speakers": drawing.held(moments, found, _REACH), "box_units": "fraction"}, unused


def _box(box: Any) -> tuple[str, drawing.Box, bool]:
    """Label, box, and whether it was cut off at the picture's edge."""
    if not isinstance(box, Mapping):
        raise IncompleteError("the box is not an object")
    label = box.get("label")
    name = clean_name(label) if isinstance(label, str) else ""
    if not name:
        raise IncompleteError("the box has no label")
    left, top, width, height = (
        number(box.get(key), f"the box has no {key}") for key in ("left", "top", "width", "height")
    )
    xyxy, cut = drawing.fraction((left, top, left + width, top + height), _WIDTH, _HEIGHT)
    return name, xyxy, cut


def _is_person(label: str, spoken: set[str]) -> bool:
    return label[:1].isupper() or _folded(label) in spoken


def _folded(name: str) -> str:
    """A name as labels are compared: their letter case varies."""
    return name_key(name).casefold()

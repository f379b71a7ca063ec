"""Faces and who speaks from TalkNet-ASD and its relatives (LR-ASD, Light-ASD): pywork/tracks.pckl and scores.pckl.

Both files are pickles, and a pickle can run any code; they are read without running any (see pickles.py).

These tools turn the video into 25 frames a second first and number those from 0, so times are frames / 25. A face
speaks in a frame if the mean of the five scores around it is at least 0, as in the tools' own films; each stretch of
such frames is a turn without words.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attnscope.errors import SceneError
from attnscope.files import exists, is_folder
from attnscope.scene.importers.pickles import Array, read_pickle
from attnscope.scene.importers.registry import importer
from attnscope.scene.importers.speech.runs import speaking_runs
from attnscope.scene.importers.streaming import number, whole
from attnscope.scene.records import BoxRecord, LeftOut, Record, SpeechRecord

_LIMIT = 512 * 2**20  # bytes of a pickle, which is read whole
_RATE = 25.0
_AROUND = 2  # frames on each side over which scores are averaged


@importer(
    name="talknet",
    yields=("boxes", "turns"),
    suffixes=(".pckl",),
    summary="faces and who speaks, from TalkNet-ASD or LR-ASD (tracks.pckl with scores.pckl beside it)",
    documentation="https://github.com/TaoRuijie/TalkNet-ASD",
    unverified="read against the code that writes the files; no run of the tools was at hand",
    counts_from="file",
)
def read_talknet(path: Path, *, start: float = 0.0, threshold: float = 0.0) -> Iterator[Record]:
    """Read the tracks of faces and their scores of speaking; both files are read whole, up to 512 MiB each.

    Args:
        path: The file tracks.pckl, or the folder that holds it (pywork, or the folder of the video).
        start: Seconds of the video that the tool was told to skip (its option `start`).
        threshold: Mean score from which on a face speaks.
    """
    path = _file(path)
    folder = path.absolute().parent
    clip = folder.parent.name if folder.name == "pywork" else folder.name
    tracks, scores = read_pickle(path, _LIMIT), _scores(path.parent / "scores.pckl")
    if not isinstance(tracks, list):
        raise SceneError(f"{path}: is no list of tracks")
    if scores is not None and len(scores) != len(tracks):
        raise SceneError(
            f"{path.parent / 'scores.pckl'}: has scores of {len(scores)} tracks, and there are {len(tracks)}"
        )
    for at, track in enumerate(tracks):
        where, name = f"[{at}]", f"face {at}"
        inner = track.get("track", track) if isinstance(track, dict) else {}
        frames, boxes = _rows(inner.get("frame")), _rows(inner.get("bbox"))
        if frames is None or boxes is None or len(frames) != len(boxes):
            if at == 0:
                raise SceneError(f"{path}: [0]: has no `frame` and `bbox` of one length, as tracks have")
            yield LeftOut(where=where, clip=clip, what="box", reason="the track has no frames and boxes", name=name)
            continue
        for row, (frame, box) in enumerate(zip(frames, boxes, strict=True)):
            yield _box(f"{where} frame {row}", clip, name, frame, box, start)
        if scores is not None:
            yield from _turns(where, clip, name, frames, scores[at], start, threshold)


def _box(where: str, clip: str, name: str, frame: Any, box: Any, start: float) -> BoxRecord | LeftOut:
    at, sides = whole(frame), [number(side) for side in box] if isinstance(box, list) else []
    reason = ""
    if at is None or at < 0:
        reason = "the frame is no number from 0 on"
    elif len(sides) < 4 or None in sides[:4]:
        reason = "the box is not four numbers"
    if reason or at is None:
        return LeftOut(where=where, clip=clip, what="box", reason=reason, name=name)
    left, top, right, bottom = (side or 0.0 for side in sides[:4])
    return BoxRecord(
        where=where,
        clip=clip,
        name=name,
        xyxy=(left, top, right, bottom),
        units="pixels",
        time=start + at / _RATE,
        track=name,
    )


def _turns(
    where: str, clip: str, name: str, frames: list[Any], scores: Any, start: float, threshold: float
) -> Iterator[Record]:
    """The stretches in which a face speaks; the tools may score a few frames less than a track has."""
    values = [number(score) for score in _rows(scores) or []]
    if None in values:
        yield LeftOut(where=where, clip=clip, what="turn", reason="a score of the track is no number", name=name)
        return
    known = [value or 0.0 for value in values]
    marks: list[tuple[float, bool]] = []
    for row, frame in enumerate(frames[: len(known)]):
        around = known[max(row - _AROUND, 0) : row + _AROUND + 1]
        at = whole(frame)
        if at is not None and at >= 0:
            marks.append((start + at / _RATE, math.fsum(around) / len(around) >= threshold))
    for begin, end in speaking_runs(marks, gap=1.5 / _RATE, step=1 / _RATE):
        yield SpeechRecord(where=where, clip=clip, speaker=name, start=begin, end=end)


def _rows(value: Any) -> list[Any] | None:
    """A list, from a list or an array of numbers."""
    value = value.values.tolist() if isinstance(value, Array) else value
    if not isinstance(value, list):
        return None
    return [item.values.tolist() if isinstance(item, Array) else item for item in value]


def _scores(path: Path) -> list[Any] | None:
    if not exists(path, SceneError):
        return None
    scores = read_pickle(path, _LIMIT)
    if not isinstance(scores, list):
        raise SceneError(f"{path}: is no list of scores")
    return scores


def _file(path: Path) -> Path:
    if not is_folder(path, SceneError):
        return path
    for inside in ("tracks.pckl", "pywork/tracks.pckl"):
        if exists(path / inside, SceneError):
            return path / inside
    raise SceneError(f"{path}: holds no tracks.pckl")

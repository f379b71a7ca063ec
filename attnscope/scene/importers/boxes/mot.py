"""Boxes in the text form of MOTChallenge: gt.txt, det.txt, and what trackers write.

A line is `frame, id, left, top, width, height, confidence, ...` with frames from 1. A file with a frame 0
counts from 0, as some trackers do. Confidence 0 marks entries of a
ground truth that are to be ignored. Lines of nine values hold a class and a visibility, those of ten the coordinates
x, y, z. The corner is taken as it is written; the specification counts pixels from 1, most tools from 0.
"""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from attnscope.errors import SceneError
from attnscope.files import exists, is_folder
from attnscope.scene.importers.boxes.rotated import scaled
from attnscope.scene.importers.registry import importer
from attnscope.scene.importers.streaming import number, text_lines, whole
from attnscope.scene.problems import read_text, show
from attnscope.scene.records import BoxRecord, LeftOut, Note

_CLASSES = (
    "pedestrian",
    "person on vehicle",
    "car",
    "bicycle",
    "motorbike",
    "non motorized vehicle",
    "static person",
    "distractor",
    "occluder",
    "occluder on the ground",
    "occluder full",
    "reflection",
    "crowd",
)
_FEWEST = 6


@importer(
    name="mot",
    yields=("boxes",),
    suffixes=(".txt",),
    summary="boxes in MOTChallenge's text form: gt.txt, det.txt, results of trackers, or the folder of a sequence",
    documentation="https://motchallenge.net/instructions/",
    unverified="held against files of the benchmark of 2015; those with a class and a visibility were not at hand",
)
def read_mot(
    path: Path, *, first_frame: int | None = None, step: int = 1, start_frame: int = 0
) -> Iterator[BoxRecord | LeftOut | Note]:
    """Read a file of MOTChallenge, or the folder of a sequence with gt/gt.txt.

    The clip is the folder of the sequence, or else the name of the file. seqinfo.ini beside it gives the rate and the
    size of the frames; without it the rate is that of the video, and boxes are in pixels.

    Args:
        path: The file or the folder.
        first_frame: Number that the first frame has in the file: 1 if it is not given, and 0 in a file with a frame 0.
        step: Frames of the video from one number to the next; a tool that shows every fifth frame has 5.
        start_frame: Frame of the video, from 0, that the first number is.
    """
    if step < 1 or start_frame < 0:
        raise ValueError("step must be 1 or more, and start_frame 0 or more")
    path = _file(path)
    inside = path.parent.name in ("gt", "det")
    folder = path.parent.parent if inside else path.parent
    clip = folder.absolute().name if inside else path.stem
    rate, size = _information(folder / "seqinfo.ini")
    labels = _labels(path.parent / "labels.txt")
    zero = first_frame is None and _has_frame_0(path)
    count = _Count(first_frame if first_frame is not None else 0 if zero else 1, step, start_frame)
    first = True
    for line, text in text_lines(path):
        if not text.strip():
            continue
        fields = [field.strip() for field in text.split(",")]
        if first and (len(fields) < _FEWEST or any(number(field) is None for field in fields[:_FEWEST])):
            raise SceneError(f"{path}: line {line}: {show(text)} is not frame, id, left, top, width, height, ...")
        first = False
        yield _box(f"line {line}", clip, fields, count, rate, size, labels)
    if zero:
        yield Note(text=f"{path.name}: has a frame 0, so its frames count from 0; first_frame=1 says otherwise")


class _Count(NamedTuple):
    """Which frame of the video a number is."""

    first: int
    step: int
    start: int

    def frame(self, number_: float) -> int | None:
        """The frame, from 0; None for a number that is none."""
        if number_ < self.first or not number_.is_integer():
            return None
        return self.start + (int(number_) - self.first) * self.step


def _has_frame_0(path: Path) -> bool:
    """Whether a line is about frame 0."""
    return any(number(text.partition(",")[0]) == 0 for _, text in text_lines(path))


def _box(
    where: str,
    clip: str,
    fields: list[str],
    count: _Count,
    rate: float | None,
    size: tuple[float, float] | None,
    labels: list[str],
) -> BoxRecord | LeftOut:
    values = [number(field) for field in fields[:7]]
    if len(fields) < _FEWEST or None in values:
        reason = (
            f"the line has fewer than {_FEWEST} values with commas between them"
            if len(fields) < _FEWEST
            else "a value is no number"
        )
        return LeftOut(where=where, clip=clip, what="box", reason=reason)
    named, identity, left, top, width, height, confidence = (v or 0.0 for v in [*values, -1.0][:7])
    name = f"{_class(fields, labels)} {identity:g}"
    reason = ""
    frame = count.frame(named)
    if frame is None:
        reason = f"frames are whole numbers from {count.first} on"
    elif not identity.is_integer():
        reason = "the id is no whole number"
    elif identity < 0:
        reason = "the detection belongs to nobody (its id is negative)"
    elif confidence == 0:
        reason = "marked to be ignored (confidence 0)"
    if reason or frame is None:
        return LeftOut(where=where, clip=clip, what="box", reason=reason, name=name)
    box = (left, top, left + width, top + height)
    return BoxRecord(
        where=where,
        clip=clip,
        name=name,
        xyxy=scaled(box, *size) if size else box,
        units="fraction" if size else "pixels",
        time=frame / rate if rate else None,
        frame=None if rate else frame,
        track=f"{identity:g}",
        score=confidence if 0 < confidence <= 1 else None,
    )


def _class(fields: list[str], labels: list[str]) -> str:
    number_ = whole(fields[7]) if len(fields) == 9 else None
    names = labels or _CLASSES
    return names[number_ - 1] if number_ is not None and 1 <= number_ <= len(names) else "person"


def _file(path: Path) -> Path:
    if not is_folder(path, SceneError):
        return path
    for name in ("gt/gt.txt", "det/det.txt"):
        if exists(path / name, SceneError):
            return path / name
    raise SceneError(f"{path}: holds neither gt/gt.txt nor det/det.txt; name the folder of one sequence, or a file")


def _information(path: Path) -> tuple[float | None, tuple[float, float] | None]:
    """Frames a second and the size of the frames, from seqinfo.ini; None where it is missing or does not say."""
    if not exists(path, SceneError):
        return None, None
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(read_text(path))
    except configparser.Error as error:
        raise SceneError(f"{path}: {' '.join(str(error).split())}") from None
    values: dict[str, float | None] = {}
    for key in ("frameRate", "imWidth", "imHeight"):
        text = parser.get("Sequence", key, fallback=None)
        values[key] = number(text)
        if text is not None and not (values[key] or 0) > 0:
            raise SceneError(f"{path}: {key}: {show(text)} is not a number above 0")
    width, height = values["imWidth"], values["imHeight"]
    return values["frameRate"], (width, height) if width and height else None


def _labels(path: Path) -> list[str]:
    """The classes of a labels.txt, which CVAT writes beside gt.txt."""
    return [line.strip() for _, line in text_lines(path)] if exists(path, SceneError) else []

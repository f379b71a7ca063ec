"""Boxes in the text form of MOTChallenge: gt.txt, det.txt, and what trackers write.

A line is `frame, id, left, top, width, height, confidence, ...` with frames from 1. Confidence 0 marks entries of a
ground truth that are to be ignored. Lines of nine values hold a class and a visibility, those of ten the coordinates
x, y, z. The corner is taken as it is written; the specification counts pixels from 1, most tools from 0.
"""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from pathlib import Path

from attnscope.errors import SceneError
from attnscope.files import exists, is_folder
from attnscope.scene.importers.boxes.rotated import scaled
from attnscope.scene.importers.registry import importer
from attnscope.scene.importers.streaming import number, text_lines, whole
from attnscope.scene.problems import read_text, show
from attnscope.scene.records import BoxRecord, LeftOut

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
def read_mot(path: Path) -> Iterator[BoxRecord | LeftOut]:
    """Read a file of MOTChallenge, or the folder of a sequence with gt/gt.txt.

    The clip is the folder of the sequence, or else the name of the file. seqinfo.ini beside it gives the rate and the
    size of the frames; without it the rate is that of the video, and boxes are in pixels.
    """
    path = _file(path)
    inside = path.parent.name in ("gt", "det")
    folder = path.parent.parent if inside else path.parent
    clip = folder.absolute().name if inside else path.stem
    rate, size = _information(folder / "seqinfo.ini")
    labels = _labels(path.parent / "labels.txt")
    first = True
    for line, text in text_lines(path):
        if not text.strip():
            continue
        fields = [field.strip() for field in text.split(",")]
        if first and (len(fields) < _FEWEST or any(number(field) is None for field in fields[:_FEWEST])):
            raise SceneError(f"{path}: line {line}: {show(text)} is not frame, id, left, top, width, height, ...")
        first = False
        yield _box(f"line {line}", clip, fields, rate, size, labels)


def _box(
    where: str,
    clip: str,
    fields: list[str],
    rate: float | None,
    size: tuple[float, float] | None,
    labels: list[str],
) -> BoxRecord | LeftOut:
    values = [number(field) for field in fields[:7]]
    if len(fields) < _FEWEST or None in values:
        reason = f"the line has fewer than {_FEWEST} values" if len(fields) < _FEWEST else "a value is no number"
        return LeftOut(where=where, clip=clip, what="box", reason=reason)
    frame, identity, left, top, width, height, confidence = (v or 0.0 for v in [*values, -1.0][:7])
    name = f"{_class(fields, labels)} {identity:g}"
    reason = ""
    if frame < 1 or not frame.is_integer():
        reason = "frames are numbered from 1"
    elif identity < 0:
        reason = "the detection belongs to nobody (its id is negative)"
    elif confidence == 0:
        reason = "marked to be ignored (confidence 0)"
    if reason:
        return LeftOut(where=where, clip=clip, what="box", reason=reason, name=name)
    box = (left, top, left + width, top + height)
    return BoxRecord(
        where=where,
        clip=clip,
        name=name,
        xyxy=scaled(box, *size) if size else box,
        units="fraction" if size else "pixels",
        time=(frame - 1) / rate if rate else None,
        frame=None if rate else int(frame) - 1,
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

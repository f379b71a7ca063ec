"""Boxes of any source as segments of speakers: when somebody is visible, and where.

Rules (ours), which docs/import.md states for users:

- Two boxes of a track are of one segment if the first is a keyframe, however far the second is. Else a gap of more than
  `GAP` usual steps ends the segment. The usual step is the median of the track's steps; a track of fewer than four
  boxes takes that of the whole clip if it is shorter.
- A segment ends where its track says so. Else it ends one usual step after its last box (one frame, in a track of
  keyframes), or at the next segment of its speaker. A keyframe that is the last box of its track holds to the end of
  the clip.
- Tracks of one name that never overlap are segments of one speaker. A track that overlaps an earlier one is another
  person: `Name 2`.
- Names that differ in letter case alone are one, as most boxes spell it.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from attnscope.errors import SceneError
from attnscope.scene.joining.tally import general, left_out
from attnscope.scene.models import BoxUnits, Name
from attnscope.scene.names import name_key
from attnscope.scene.problems import one_line, show
from attnscope.scene.records import BoxRecord, LeftOut

GAP = 2.5  # usual steps; one missed box is interpolated over, two are not
_FEW = 4  # boxes of a track, from which on its own steps say how often it was annotated
_FARTHEST, _LATEST, _LARGEST_FRACTION = 1e9, 1e9, 2.0
_NAME: TypeAdapter[str] = TypeAdapter(Name)


@dataclass(frozen=True)
class Clock:
    """What makes a time of a frame's number.

    Attributes:
        rate: Frames a second, as a user or a source states it.
        times: Seconds of every frame of the video; they count if no rate is stated.
        duration: Seconds of the video; None if it is not known.
    """

    rate: float | None = None
    times: Sequence[float] | None = None
    duration: float | None = None

    def time(self, frame: int) -> float | None:
        """Seconds; None after the end of the video.

        Raises:
            SceneError: If there is neither a rate nor a video.
        """
        if self.rate is not None:
            return frame / self.rate
        if self.times is None:
            raise SceneError("boxes have numbers of frames and no times: state the frames a second, or give the video")
        return float(self.times[frame]) if frame < len(self.times) else None

    @property
    def step(self) -> float:
        """Seconds of one frame; 0 if that is not known."""
        if self.rate is not None:
            return 1 / self.rate
        if self.times is None or len(self.times) < 2:
            return 0.0
        return (float(self.times[-1]) - float(self.times[0])) / (len(self.times) - 1)


@dataclass
class Placed:
    """Speakers of a clip.

    Attributes:
        speakers: As the `speakers` of a scene file.
        box_units: Unit of all boxes.
        imported: How many records are in `speakers`.
        rejected: The others, each with the reason.
        notes: What a user should know, one sentence each.
    """

    speakers: dict[str, Any] = field(default_factory=dict)
    box_units: BoxUnits = "pixels"
    imported: int = 0
    rejected: list[tuple[BoxRecord, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def left_out(self) -> list[LeftOut]:
        """What is rejected, as an importer yields it."""
        return [left_out(record, "box", reason, record.name) for record, reason in self.rejected]


@dataclass
class _Box:
    record: BoxRecord
    time: float
    xyxy: tuple[float, ...]


@dataclass
class _Segment:
    start: float
    last: float  # when the last box is
    end: float
    is_ended: bool  # the track says when
    boxes: list[_Box]

    def overlaps(self, later: _Segment) -> bool:
        """Whether both show somebody at one moment; the time after the last box is no evidence."""
        if later.start < self.start:
            return later.overlaps(self)
        return later.start == self.start or later.start < self.end if self.is_ended else later.start <= self.last

    def written(self) -> dict[str, Any]:
        keyframes = [{"t": box.time, "xyxy": list(box.xyxy)} for box in self.boxes]
        return {"start": self.start, "end": self.end, "keyframes": keyframes}


def place(boxes: Iterable[BoxRecord], clock: Clock | None = None, size: tuple[int, int] | None = None) -> Placed:
    """Make segments of the boxes of one clip.

    Args:
        boxes: In any order.
        clock: What makes times of frame numbers, and when the video ends.
        size: Width and height of the picture in pixels; None if it is not known.

    Raises:
        SceneError: If there are frame numbers and no rate; or some boxes are in pixels, some in fractions, and the size
            is not known.
    """
    clock, placed = clock or Clock(), Placed()
    records = list(boxes)
    units = {record.units for record in records if not record.ends}
    if len(units) > 1 and size is None:
        raise SceneError("some boxes are in pixels and some in fractions of the picture: give the video, for its size")
    placed.box_units = "fraction" if len(units) > 1 else next(iter(units), "pixels")
    scale = size if len(units) > 1 else None
    usable = []
    names = dict[str, str | None]()
    for record in records:
        box = _checked(record, clock, size, scale, names)
        if isinstance(box, str):
            placed.rejected.append((record, box))
        else:
            usable.append(box)
    spelled = _spelled(usable, names, placed.notes)
    tracks: dict[tuple[str, str], list[_Box]] = {}
    for box in usable:
        tracks.setdefault((spelled[box.record.name], box.record.track), []).append(box)
    several = {key: _apart(track, placed) for key, track in tracks.items()}
    moments = {box.time: box for track in several.values() for box in track if not box.record.ends}
    step = _step([moments[time] for time in sorted(moments)])
    segments = {key: _segments(track, step, clock) for key, track in several.items()}
    placed.imported = len(records) - len(placed.rejected)
    _name(segments, placed)
    return placed


def _checked(
    record: BoxRecord,
    clock: Clock,
    size: tuple[int, int] | None,
    scale: tuple[int, int] | None,
    names: dict[str, str | None],
) -> _Box | str:
    """A box with its time, or why it is left out; `names` remembers how names are cleaned."""
    if record.name not in names:
        names[record.name] = _clean(record.name)
    if names[record.name] is None:
        return "it has no name that a scene can hold"
    time = _time(record, clock)
    if isinstance(time, str):
        return time
    if record.ends:
        return _Box(record, time, ())
    xyxy = tuple(map(float, record.xyxy))
    if len(xyxy) != 4 or not all(map(math.isfinite, xyxy)):
        return "a coordinate is no finite number"
    if any(abs(value) > _FARTHEST for value in xyxy):
        return "a coordinate is beyond a thousand million"
    left, top, right, bottom = xyxy
    if right <= left or bottom <= top:
        return "the box has no area"
    width, height = (1, 1) if record.units == "fraction" else size or (math.inf, math.inf)
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        return "the box lies outside the picture"
    if record.units == "fraction" and any(abs(value) > _LARGEST_FRACTION for value in xyxy):
        return "a coordinate is no fraction of the picture"
    if scale is not None and record.units == "pixels":
        xyxy = (left / scale[0], top / scale[1], right / scale[0], bottom / scale[1])
    return _Box(record, time, xyxy)


def _time(record: BoxRecord, clock: Clock) -> float | str:
    if record.time is not None:
        time: float | None = float(record.time)
    elif record.frame is None:
        return "it has neither a time nor the number of a frame"
    elif record.frame < 0:
        return "the number of the frame is below zero"
    else:
        time = clock.time(int(record.frame))
    if time is None:
        return "it is after the end of the video"
    if not math.isfinite(time) or time > _LATEST:
        return "the time is no number of seconds"
    if time < 0:
        return "it is before the first frame"
    if clock.duration is not None and time >= clock.duration and not record.ends:
        return "it is after the end of the video"
    return time


def _clean(name: str) -> str | None:
    try:
        return _NAME.validate_python(name)
    except ValidationError:
        return None


def _spelled(boxes: Sequence[_Box], names: dict[str, str | None], notes: list[str]) -> dict[str, str]:
    """The speaker of every name: letter case and invisible characters aside, as most boxes spell it."""
    counts: dict[str, Counter[str]] = {}
    for box in boxes:
        clean = str(names[box.record.name])
        counts.setdefault(name_key(clean).casefold(), Counter())[clean] += 1
    chosen = {key: spellings.most_common(1)[0][0] for key, spellings in counts.items()}
    for key, spellings in counts.items():
        others = [name for name in spellings if name_key(name) != name_key(chosen[key])]
        if others:
            notes.append(
                f"names that differ in letter case alone are one speaker: {', '.join(others)} is {chosen[key]}"
            )
    known = {box.record.name for box in boxes}
    return {name: chosen[name_key(str(names[name])).casefold()] for name in known}


def _apart(track: list[_Box], placed: Placed) -> list[_Box]:
    """The boxes of a track in the order of time, one for each moment."""
    track = sorted(track, key=lambda box: (box.time, not box.record.ends))
    single: list[_Box] = []
    for box in track:
        before = single[-1] if single else None
        if before is None or before.time != box.time or before.record.ends or box.record.ends:
            single.append(box)
        elif before.xyxy == box.xyxy:
            placed.rejected.append((box.record, "the same box is given twice"))
        else:
            placed.rejected.append((box.record, "another box of its name and track is at the same moment"))
    return single


def _step(boxes: Sequence[_Box]) -> float | None:
    """The usual step between moments, keyframes apart; None if there is none."""
    steps = [after.time - box.time for box, after in pairwise(boxes) if not box.record.keyframe and not box.record.ends]
    steps = [step for step in steps if step > 0]
    return float(np.median(steps)) if steps else None


def _segments(track: Sequence[_Box], of_clip: float | None, clock: Clock) -> list[_Segment]:
    """Cut a track where its gaps and its ends are."""
    step = own = _step(track)
    if any(box.record.keyframe for box in track):
        step = own or clock.step
    elif own is None or (of_clip is not None and len(track) < _FEW):
        step = min(filter(None, (own, of_clip)), default=clock.step)
    assert step is not None
    segments: list[_Segment] = []
    boxes: list[_Box] = []
    for box in track:
        if boxes and box.record.ends:
            segments.append(_Segment(boxes[0].time, boxes[-1].time, box.time, True, boxes))
            boxes = []
        elif box.record.ends:
            continue
        elif boxes and not boxes[-1].record.keyframe and box.time - boxes[-1].time > GAP * step:
            segments.append(_Segment(boxes[0].time, boxes[-1].time, boxes[-1].time + step, False, boxes))
            boxes = [box]
        else:
            boxes.append(box)
    if boxes:
        last, holds = boxes[-1].time, boxes[-1].record.keyframe
        end = last + step if not holds else clock.duration if clock.duration is not None else _LATEST
        segments.append(_Segment(boxes[0].time, last, max(last, end), holds, boxes))
    return segments


def _name(tracks: dict[tuple[str, str], list[_Segment]], placed: Placed) -> None:
    """Give each track to its name, or to another person of that name where it overlaps."""
    of_name: dict[str, list[list[_Segment]]] = {}
    for (name, _), segments in tracks.items():
        of_name.setdefault(name, []).append(segments)
    taken = {name_key(name).casefold() for name in of_name}
    for name, several in of_name.items():
        people: list[list[_Segment]] = []
        for segments in sorted(filter(None, several), key=lambda track: track[0].start):
            fits = next((person for person in people if not _collide(person, segments)), None)
            if fits is None:
                people.append(fits := [])
            fits += segments
            fits.sort(key=lambda segment: segment.start)
        called = [name]
        while len(called) < len(people):
            called.append(_next(name, taken))
        for title, person in zip(called, people, strict=False):
            for before, after in pairwise(person):
                before.end = min(before.end, after.start)
            placed.speakers[title] = {"segments": [segment.written() for segment in person]}
        if len(people) > 1:
            placed.notes.append(
                f"{len(several)} tracks are called {show(name)} and overlap in time, so they are "
                f"{len(people)} people: {', '.join(called[:3])}{', ...' if len(called) > 3 else ''}"
            )


def _collide(person: Sequence[_Segment], segments: Sequence[_Segment]) -> bool:
    """Whether segments, each set in order and apart in itself, overlap anywhere."""
    for segment in segments:
        at = bisect_right(person, segment.start, key=lambda other: other.start)
        if any(other.overlaps(segment) for other in person[max(0, at - 1) : at + 1]):  # the neighbours in time
            return True
    return False


def _next(name: str, taken: set[str]) -> str:
    number = 2
    while name_key(f"{name} {number}").casefold() in taken:
        number += 1
    taken.add(name_key(f"{name} {number}").casefold())
    return f"{name} {number}"


def why_not(error: ValidationError) -> str:
    """What is wrong with a record, without its values, so that equal reasons can be counted."""
    return general(one_line("", error))

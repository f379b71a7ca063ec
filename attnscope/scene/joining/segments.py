"""Boxes of any source as segments of speakers: when somebody is visible, and where.

Rules (ours), which docs/import.md states for users:

- Two boxes of a track are of one segment if the first is a keyframe, however far the second is. Else a gap of more than
  `GAP` usual steps ends the segment. The usual step is the median of the track's steps; a track of fewer than four
  boxes takes that of the whole clip if it is shorter.
- A segment ends where its track says so. Else it ends one usual step after its last box (one frame, in a track of
  keyframes), or at the next segment of its speaker. A keyframe that is the last box of its track holds to the end of
  the clip, or until the moment from which on its source was not looked at.
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

from attnscope.errors import SceneError
from attnscope.scene.frames import END_SLACK
from attnscope.scene.joining.boxes import LATEST, Box, Clock, Picture, Size, check_box, reaches_beyond
from attnscope.scene.joining.spelling import one_spelling
from attnscope.scene.joining.tally import left_out
from attnscope.scene.models import BoxUnits
from attnscope.scene.names import name_key
from attnscope.scene.problems import show
from attnscope.scene.records import BoxRecord, LeftOut

__all__ = ["GAP", "Clock", "Placed", "place"]

GAP = 2.5  # usual steps; one missed box is interpolated over, two are not
_FEW = 4  # boxes of a track, from which on its own steps say how often it was annotated
_AFTER = "it is after the end of the video"


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
class _Segment:
    start: float
    last: float  # when the last box is
    end: float
    is_ended: bool  # the track says when
    boxes: list[Box]

    def overlaps(self, later: _Segment) -> bool:
        """Whether both show somebody at one moment; the time after the last box is no evidence."""
        if later.start < self.start:
            return later.overlaps(self)
        return later.start == self.start or later.start < self.end if self.is_ended else later.start <= self.last

    def written(self) -> dict[str, Any]:
        keyframes = [{"t": box.time, "xyxy": list(box.xyxy)} for box in self.boxes]
        return {"start": self.start, "end": self.end, "keyframes": keyframes}


def place(
    boxes: Iterable[BoxRecord], clock: Clock | None = None, size: Size | None = None, pixels_of: Size | None = None
) -> Placed:
    """Make segments of the boxes of one clip.

    Args:
        boxes: In any order.
        clock: What makes times of frame numbers, and when the video ends.
        size: Width and height of the video in pixels; None if it is not known.
        pixels_of: Width and height of the picture that boxes in pixels are of; None if that is the video's.

    Raises:
        SceneError: If there are frame numbers and no rate; or some boxes are in pixels, some in fractions, and the size
            is not known.
    """
    clock, placed = clock or Clock(), Placed()
    records = list(boxes)
    units = {record.units for record in records if not record.ends}
    scale = pixels_of or (size if len(units) > 1 else None)
    if len(units) > 1 and scale is None:
        raise SceneError("some boxes are in pixels and some in fractions of the picture: give the video, for its size")
    placed.box_units = "fraction" if scale else next(iter(units), "pixels")
    usable: list[Box] = []
    names = dict[str, str | None]()
    for record in records:
        box = check_box(record, clock, Picture(size, scale), names)
        if isinstance(box, str):
            placed.rejected.append((record, box))
        else:
            usable.append(box)
    if size is not None and pixels_of is None:
        _note_beyond(records, size, placed)
    spelled, notes = one_spelling(Counter(box.name for box in usable))
    placed.notes += notes
    tracks: dict[tuple[str, str], list[Box]] = {}
    for box in usable:
        tracks.setdefault((spelled[box.name], box.record.track), []).append(box)
    several = {key: _within(_apart(track, placed), clock, placed) for key, track in tracks.items()}
    moments = {box.time: box for track in several.values() for box in track if not box.record.ends}
    step = _step([moments[time] for time in sorted(moments)])
    segments = {key: _segments(track, step, clock) for key, track in several.items()}
    placed.imported = len(records) - len(placed.rejected)
    held = sum(segment.end == LATEST for several in segments.values() for segment in several)
    if held:
        placed.notes.append(
            f"where the video ends is not known without it: {held:,} tracks that hold to its end end at {LATEST:g} s"
        )
    _name(segments, placed)
    return placed


def _note_beyond(records: Sequence[BoxRecord], size: Size, placed: Placed) -> None:
    """Say if boxes leave the picture by so much that their pixels are probably those of another size."""
    beyond = sum(reaches_beyond(record, size) for record in records)
    if beyond:
        placed.notes.append(
            f"{beyond:,} of {len(records):,} boxes reach out of the picture of {size[0]:g} x {size[1]:g} pixels "
            "by more than a tenth of it: if they were drawn on a larger one, give its width and height as size"
        )


def _within(track: Sequence[Box], clock: Clock, placed: Placed) -> list[Box]:
    """A track without its boxes after the end of the video, but for one to which a keyframe before it moves."""
    kept: list[Box] = []
    for box in track:
        moves = kept and kept[-1].record.keyframe and not kept[-1].record.ends and not clock.is_after(kept[-1].time)
        if not clock.is_after(box.time) or box.record.ends or moves:
            kept.append(box)
        else:
            placed.rejected.append((box.record, _AFTER))
    late = max((box.time for box in kept if not box.record.ends), default=0.0) - (clock.duration or math.inf)
    if late > END_SLACK:
        placed.notes.append(
            f"a keyframe of {track[0].name} is {late:.1f} s after the end of the video, and boxes move to it"
        )
    return kept


def _apart(track: list[Box], placed: Placed) -> list[Box]:
    """The boxes of a track in the order of time, one for each moment."""
    track = sorted(track, key=lambda box: (box.time, not box.record.ends))
    single: list[Box] = []
    for box in track:
        before = single[-1] if single else None
        if before is None or before.time != box.time or before.record.ends or box.record.ends:
            single.append(box)
        elif before.xyxy == box.xyxy:
            placed.rejected.append((box.record, "the same box is given twice"))
        else:
            placed.rejected.append((box.record, "another box of its name and track is at the same moment"))
    return single


def _step(boxes: Sequence[Box]) -> float | None:
    """The usual step between moments, keyframes apart: the (lower) median; None if there is none."""
    steps = [after.time - box.time for box, after in pairwise(boxes) if not box.record.keyframe and not box.record.ends]
    steps = sorted(step for step in steps if step > 0)
    return steps[(len(steps) - 1) // 2] if steps else None


def _segments(track: Sequence[Box], of_clip: float | None, clock: Clock) -> list[_Segment]:
    """Cut a track where its gaps and its ends are."""
    step = own = _step(track)
    if any(box.record.keyframe for box in track):
        step = own or clock.step
    elif own is None or (of_clip is not None and len(track) < _FEW):
        step = min(filter(None, (own, of_clip)), default=clock.step)
    assert step is not None
    segments: list[_Segment] = []
    boxes: list[Box] = []
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
        end = last + step if not holds else clock.duration if clock.duration is not None else LATEST
        if holds and boxes[-1].record.until is not None:
            until = clock.time(boxes[-1].record.until)
            end = end if until is None else min(end, until)
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

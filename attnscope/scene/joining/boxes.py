"""Single boxes: when they are, and whether they can be used."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from attnscope.errors import SceneError
from attnscope.scene.joining.spelling import usable_name
from attnscope.scene.records import BoxRecord

LATEST = 1e9  # seconds; scenes hold none after that
_FARTHEST, _LARGEST_FRACTION = 1e9, 2.0
_BEYOND = 0.1  # of the picture; who draws boxes by hand does not miss its edge by so much
Size = tuple[float, float]


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
        """Seconds, also after the end of the video; None if an image has no such frame.

        Raises:
            SceneError: If there is neither a rate nor a video.
        """
        if self.rate is not None:
            return frame / self.rate
        if self.times is None:
            raise SceneError("boxes have numbers of frames and no times: state the frames a second, or give the video")
        late = frame - len(self.times) + 1
        if late <= 0:
            return float(self.times[frame])
        return float(self.times[-1]) + late * self.step if self.step else None

    def is_after(self, time: float) -> bool:
        """Whether a moment is after the end of the video."""
        return self.duration is not None and time >= self.duration

    @property
    def step(self) -> float:
        """Seconds of one frame; 0 if that is not known."""
        if self.rate is not None:
            return 1 / self.rate
        if self.times is None or len(self.times) < 2:
            return 0.0
        return (float(self.times[-1]) - float(self.times[0])) / (len(self.times) - 1)


@dataclass(frozen=True)
class Picture:
    """What coordinates are of.

    Attributes:
        size: Width and height of the video in pixels; None if it is not known.
        scale: Width and height of the picture that boxes in pixels are of, if they become fractions.
    """

    size: Size | None = None
    scale: Size | None = None


@dataclass
class Box:
    """A box that can be used.

    Attributes:
        record: Where it comes from.
        name: Who it is, as a scene writes it.
        time: Seconds.
        xyxy: Left, top, right, bottom, in the units of its scene; empty where it ends a segment.
    """

    record: BoxRecord
    name: str
    time: float
    xyxy: tuple[float, ...]


def check_box(record: BoxRecord, clock: Clock, picture: Picture, names: dict[str, str | None]) -> Box | str:
    """A box with its time, or why it is left out. It may be after the end of the video.

    Args:
        record: The box.
        clock: What makes times of frame numbers.
        picture: What coordinates are of.
        names: Remembers how names are written.

    Raises:
        SceneError: If there are frame numbers and no rate.
    """
    if record.name not in names:
        names[record.name] = usable_name(record.name)
    name = names[record.name]
    if name is None:
        return "it has no name that a scene can hold"
    time = _time(record, clock)
    if isinstance(time, str):
        return time
    if record.ends:
        return Box(record, name, time, ())
    xyxy = tuple(map(float, record.xyxy))
    return _wrong(record, xyxy, picture) or Box(record, name, time, _scaled(record, xyxy, picture))


def reaches_beyond(record: BoxRecord, size: Size) -> bool:
    """Whether a box in pixels leaves the picture by so much that it is probably of a larger one."""
    if record.units != "pixels" or record.ends or len(record.xyxy) != 4:
        return False
    return record.xyxy[2] > size[0] * (1 + _BEYOND) or record.xyxy[3] > size[1] * (1 + _BEYOND)


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
    if not math.isfinite(time) or time > LATEST:
        return "the time is no number of seconds"
    return "it is before the first frame" if time < 0 else time


def _wrong(record: BoxRecord, xyxy: tuple[float, ...], picture: Picture) -> str:
    """Why coordinates cannot be used; "" if they can."""
    if len(xyxy) != 4 or not all(map(math.isfinite, xyxy)):
        return "a coordinate is no finite number"
    if any(abs(value) > _FARTHEST for value in xyxy):
        return "a coordinate is beyond a thousand million"
    left, top, right, bottom = xyxy
    if right <= left or bottom <= top:
        return "the box has no area"
    width, height = (1, 1) if record.units == "fraction" else picture.scale or picture.size or (math.inf, math.inf)
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        return "the box lies outside the picture"
    values = xyxy if record.units == "fraction" else _scaled(record, xyxy, picture) if picture.scale else ()
    if any(abs(value) > _LARGEST_FRACTION for value in values):
        return "a coordinate is no fraction of the picture"
    return ""


def _scaled(record: BoxRecord, xyxy: tuple[float, ...], picture: Picture) -> tuple[float, ...]:
    if picture.scale is None or record.units == "fraction":
        return xyxy
    width, height = picture.scale
    return (xyxy[0] / width, xyxy[1] / height, xyxy[2] / width, xyxy[3] / height)

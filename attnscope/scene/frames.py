"""Frames as they were read, and which frames of a source a sampling takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from attnscope.errors import MediaError
from attnscope.scene.models import Sampling
from attnscope.scene.problems import seconds

# Seconds that an image behind videos counts as shown (ours).
IMAGE_LASTS = 1.0
# Times in files are rounded: a subtitle or a window may reach this far past the last frame.
END_SLACK = 0.5
# A frame that begins this much after a wanted moment still counts as on screen at it (float rounding of pts).
_TICK = 1e-6
# More pixels than this are refused before they are decoded.
_LARGEST = 4 * 2**30


@dataclass(frozen=True)
class Medium:
    """One of several videos or images of a scene.

    Attributes:
        first: Row of its first frame among all frames.
        end: One past the row of its last.
        start: Seconds, when it begins on the scene's clock.
        kind: What it is.
        source_fps: As in `Frames`, as the next two.
        duration: Seconds.
        total_frames: Frames in the source.

    Example:
        >>> attnscope.scene.Medium(0, 8, 0.0, "video", 25.0, 4.0, 100).end
        8
    """

    first: int
    end: int
    start: float
    kind: Literal["video", "image", "folder"]
    source_fps: float | None
    duration: float | None
    total_frames: int | None


@dataclass(frozen=True)
class Frames:
    """Sampled frames, as a viewer sees them (upright).

    Attributes:
        images: uint8 [F, H, W, 3], RGB.
        times: float64 [F], seconds from the first frame of the source; increasing.
        indices: int32 [F], frame numbers in the source, from 0; increasing.
        width: Pixels, after rotation.
        height: Pixels, after rotation.
        kind: What the source is.
        source_fps: Mean frame rate of the source; None for an image.
        duration: Seconds, to the end of the last frame; None for an image.
        total_frames: Number of frames in the source.
        warnings: What a user should know about the way they were read, one sentence each.
        media: The videos and images they come from, if these are several: times are then on the clock of the scene,
            numbers of frames begin anew with each, and rate, duration and number are those of all together.

    Example:
        >>> frames = attnscope.scene.read_scene_frames(scene)
        >>> frames.kind, frames.total_frames, frames.duration, frames.width, frames.height
        ('video', 32, 4.0, 480, 480)
    """

    images: npt.NDArray[np.uint8]
    times: npt.NDArray[np.float64]
    indices: npt.NDArray[np.int32]
    width: int
    height: int
    kind: Literal["video", "image", "folder"]
    source_fps: float | None
    duration: float | None
    total_frames: int | None
    warnings: list[str] = field(default_factory=list)
    media: tuple[Medium, ...] = ()

    def parts(self) -> list[Frames]:
        """The frames of each video or image by itself, with its own times; these frames alone if there is one."""
        return [
            replace(
                self,
                images=self.images[medium.first : medium.end],
                times=self.times[medium.first : medium.end] - medium.start,
                indices=self.indices[medium.first : medium.end],
                kind=medium.kind,
                source_fps=medium.source_fps,
                duration=medium.duration,
                total_frames=medium.total_frames,
                media=(),
            )
            for medium in self.media
        ] or [self]


def choose(
    times: npt.NDArray[np.float64], duration: float, sampling: Sampling, path: Path
) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Which frames are on screen at the wanted moments.

    Args:
        times: Seconds [n], when each frame of the source begins; increasing, the first is 0.
        duration: Seconds, when the last frame ends.
        sampling: What is wanted.
        path: Named in errors.

    Returns:
        Numbers of the frames [F], increasing, none twice; and warnings.

    Raises:
        MediaError: The window is beyond the end.
    """
    start = sampling.start or 0.0
    end = duration if sampling.end is None else sampling.end
    for name, value, limit in (("start", start, duration), ("end", end, duration + END_SLACK)):
        if value > limit or (name == "start" and value >= limit):
            raise MediaError(f"{path}: {name}: {seconds(value)} s is beyond the end at {seconds(duration)} s")
    end = min(end, duration)
    if sampling.fps is not None:
        count = max(1, int(np.ceil((end - start) * sampling.fps - _TICK)))
        wanted = start + np.arange(count) / sampling.fps
    else:
        count = sampling.frames or 1
        wanted = start + (np.arange(count) + 0.5) * (end - start) / count
    on_screen = np.searchsorted(times, wanted + _TICK, side="right") - 1
    chosen = np.unique(np.clip(on_screen, 0, len(times) - 1))
    if len(chosen) == count:
        return chosen, []
    return chosen, [f"{count} frames were asked for, {len(chosen)} used: no frame is taken twice"]


def refuse_too_many(path: Path, count: int, width: int, height: int) -> None:
    """Refuse before decoding what would not fit into memory.

    Raises:
        MediaError: The frames hold more than 4 GiB of pixels.
    """
    size = count * width * height * 3
    if size > _LARGEST:
        raise MediaError(
            f"{path}: {count} frames of {width}x{height} are {size / 2**30:.1f} GiB of pixels, the limit is "
            f"{_LARGEST // 2**30} GiB; ask for fewer frames, a lower fps or a shorter window"
        )


def join_frames(parts: Sequence[Frames], starts: Sequence[float], paths: Sequence[Path]) -> Frames:
    """The frames of several videos and images on one clock.

    Args:
        parts: Frames of each.
        starts: Seconds, when each begins; increasing.
        paths: Named in errors.

    Raises:
        MediaError: They differ in size, or one begins before the one before it has ended.
    """
    media, first = list[Medium](), 0
    for number, (part, start) in enumerate(zip(parts, starts, strict=True)):
        if (part.width, part.height) != (parts[0].width, parts[0].height):
            raise MediaError(
                f"{paths[number]}: is {part.width}x{part.height}, and {paths[0]} is {parts[0].width}x{parts[0].height};"
                " videos and images of one scene need one size"
            )
        before = media[-1] if media else None
        if before is not None and start < before.start + (before.duration or 0.0):
            raise MediaError(
                f"{paths[number]}: start: {seconds(start)} s is before the end of {paths[number - 1]} at"
                f" {seconds(before.start + (before.duration or 0.0))} s"
            )
        end = first + len(part.times)
        media.append(Medium(first, end, start, part.kind, part.source_fps, part.duration, part.total_frames))
        first = end
    refuse_too_many(paths[0], first, parts[0].width, parts[0].height)
    still = all(part.kind == "image" for part in parts)
    return Frames(
        images=np.concatenate([part.images for part in parts]),
        times=np.concatenate([part.times + start for part, start in zip(parts, starts, strict=True)]),
        indices=np.concatenate([part.indices for part in parts]),
        width=parts[0].width,
        height=parts[0].height,
        kind="image" if still else "video",
        source_fps=None,
        duration=None if still else media[-1].start + (media[-1].duration or IMAGE_LASTS),
        total_frames=None,
        warnings=[f"{path.name}: {text}" for path, part in zip(paths, parts, strict=True) for text in part.warnings],
        media=tuple(media),
    )

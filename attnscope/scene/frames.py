"""Frames as they were read, and which frames of a source a sampling takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from attnscope.errors import MediaError
from attnscope.scene.models import Sampling
from attnscope.scene.problems import seconds

# Times in files are rounded: a subtitle or a window may reach this far past the last frame.
END_SLACK = 0.5
# A frame that begins this much after a wanted moment still counts as on screen at it (float rounding of pts).
_TICK = 1e-6
# More pixels than this are refused before they are decoded.
_LARGEST = 4 * 2**30


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

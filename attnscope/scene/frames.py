"""Which frames are taken, and the one way to read them from a video, an image or a folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from attnscope.errors import MediaError, SceneError
from attnscope.files import check_regular, exists, is_folder
from attnscope.scene.models import Sampling, Scene
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
        width: pixels, after rotation.
        height: pixels, after rotation.
        kind: what the source is.
        source_fps: mean frame rate of the source; None for an image.
        duration: seconds, to the end of the last frame; None for an image.
        total_frames: number of frames in the source.
        warnings: what a user should know about the way they were read, one sentence each.

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


def read_frames(path: str | Path, sampling: Sampling | None = None) -> Frames:
    """Read frames from a video file, a single image, or a folder of numbered images.

    Time starts at the first frame. The frame at a moment is the one on screen then, so with a variable frame
    rate the moments are evenly spread, not the frame numbers. `sampling.frames = N` takes the centres of N
    equal slices of the window; `sampling.fps` takes start, start + 1/fps, ... before its end. No frame is
    taken twice: where fewer are on screen, fewer come back, with a warning. An image is one frame at time 0.
    A folder holds `sampling.frame_rate` frames a second; without it `sampling.fps` (so all are taken), else
    1.

    Args:
        path: the source.
        sampling: which frames; default 8, spread evenly over the whole source.

    Raises:
        MediaError: the source is missing, empty, cut short, or holds no frame that can be read; or the window
            does not lie inside it; or more than 4 GiB of pixels are asked for.

    Example:
        >>> frames = attnscope.scene.read_frames("clip.mp4", attnscope.Sampling(frames=4))
        >>> frames.images.shape, frames.times.tolist()
        ((4, 480, 480, 3), [0.5, 1.5, 2.5, 3.5])
    """
    path, sampling = Path(path), sampling or Sampling()
    if not exists(path, MediaError):
        raise MediaError(f"{path}: no such file or folder")
    if is_folder(path, MediaError):
        from attnscope.scene.images import read_folder

        return read_folder(path, sampling)
    if not check_regular(path, MediaError):
        raise MediaError(f"{path}: the file is empty")
    # Pillow and PyAV take a moment to load, and a reader of captures needs neither.
    from attnscope.scene.images import is_still_image, read_image

    if is_still_image(path):
        return read_image(path, sampling)
    from attnscope.scene.animation import is_animated_webp, read_animation

    if is_animated_webp(path):
        return read_animation(path, sampling)
    from attnscope.scene.video import read_video

    return read_video(path, sampling)


def read_scene_frames(scene: Scene, sampling: Sampling | None = None) -> Frames:
    """Read the frames of a scene, a folder at the scene's own rate, and check the scene against them.

    Raises:
        MediaError: see `read_frames`.
        SceneError: see `check_against`.

    Example:
        >>> attnscope.scene.read_scene_frames(scene, attnscope.Sampling(fps=1)).times.tolist()
        [0.0, 1.0, 2.0, 3.0]
    """
    sampling = sampling or Sampling()
    if scene.frame_rate is not None and sampling.frame_rate is None:
        sampling = sampling.model_copy(update={"frame_rate": scene.frame_rate})
    frames = read_frames(scene.video, sampling)
    check_against(scene, frames)
    return frames


def check_against(scene: Scene, frames: Frames) -> None:
    """Refuse a scene whose times run past its video. Still images have no time and are not checked.

    A turn may end up to 0.5 s after the last frame; a segment may end anywhere, but must begin before the
    end.

    Raises:
        SceneError: the first turn or segment that is beyond the end, with its number and times.

    Example:
        >>> attnscope.scene.check_against(scene, frames)
        >>> late = attnscope.scene.Turn(text="Who was that?", start=9.0)
        >>> attnscope.scene.check_against(scene.model_copy(update={"transcript": [late]}), frames)
        Traceback (most recent call last):
        attnscope.errors.SceneError: transcript[0]: 9 to 9 s is beyond the end of clip.mp4 at 4 s
    """
    if frames.duration is None:
        return
    ends = f"beyond the end of {scene.video.name} at {seconds(frames.duration)} s"
    if frames.kind == "folder":
        ends += f" ({frames.total_frames} frames, {seconds(frames.source_fps or 1)} a second; see frame_rate)"
    for number, turn in enumerate(scene.transcript):
        if turn.start is None:
            continue
        end = turn.start if turn.end is None else turn.end
        if turn.start >= frames.duration or end > frames.duration + END_SLACK:
            raise SceneError(f"transcript[{number}]: {seconds(turn.start)} to {seconds(end)} s is {ends}")
    for name, speaker in scene.speakers.items():
        for number, segment in enumerate(speaker.segments):
            if segment.start >= frames.duration:
                raise SceneError(f"speakers.{name}.segments[{number}].start: {seconds(segment.start)} s is {ends}")


def choose(
    times: npt.NDArray[np.float64], duration: float, sampling: Sampling, path: Path
) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Which frames are on screen at the wanted moments.

    Args:
        times: seconds [n], when each frame of the source begins; increasing, the first is 0.
        duration: seconds, when the last frame ends.
        sampling: what is wanted.
        path: named in errors.

    Returns:
        Numbers of the frames [F], increasing, none twice; and warnings.

    Raises:
        MediaError: the window is beyond the end.
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
        MediaError: the frames hold more than 4 GiB of pixels.
    """
    size = count * width * height * 3
    if size > _LARGEST:
        raise MediaError(
            f"{path}: {count} frames of {width}x{height} are {size / 2**30:.1f} GiB of pixels, the limit is "
            f"{_LARGEST // 2**30} GiB; ask for fewer frames, a lower fps or a shorter window"
        )

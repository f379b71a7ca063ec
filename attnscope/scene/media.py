"""The one way to read the frames of a scene: from a video, an image or a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attnscope.errors import MediaError, SceneError
from attnscope.files import check_regular, exists, is_folder
from attnscope.scene.frames import END_SLACK, Frames, join_frames
from attnscope.scene.models import Sampling
from attnscope.scene.problems import seconds

if TYPE_CHECKING:
    from attnscope.scene.scene import Scene


def read_frames(path: str | Path, sampling: Sampling | None = None) -> Frames:
    """Read frames from a video file, a single image, or a folder of numbered images.

    Time starts at the first frame. The frame at a moment is the one on screen then, so with a variable frame
    rate the moments are evenly spread, not the frame numbers. `sampling.frames = N` takes the centres of N
    equal slices of the window; `sampling.fps` takes start, start + 1/fps, ... before its end. No frame is
    taken twice: where fewer are on screen, fewer come back, with a warning. An image is one frame at time 0.
    A folder holds `sampling.frame_rate` frames a second; without it `sampling.fps` (so all are taken), else
    1.

    Args:
        path: The source.
        sampling: Which frames; default 8, spread evenly over the whole source.

    Raises:
        MediaError: The source is missing, empty, cut short, or holds no frame that can be read; or the window
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

    Of a scene with further videos or images each is sampled by itself, and all are put on the scene's clock.

    The scene's `window` counts where the sampling says neither where to start nor where to end.

    Raises:
        MediaError: See `read_frames`.
        SceneError: See `check_against`.

    Example:
        >>> attnscope.scene.read_scene_frames(scene, attnscope.Sampling(fps=1)).times.tolist()
        [0.0, 1.0, 2.0, 3.0]
    """
    sampling = scene_sampling(scene, sampling)
    frames = _shown(scene, sampling)
    if scene.further:
        if sampling.start is not None or sampling.end is not None:
            raise SceneError("sampling: a window is given, and further videos or images are shown whole")
        parts = [frames, *(read_frames(item.video, sampling) for item in scene.further)]
        starts = [0.0, *(item.start for item in scene.further)]
        frames = join_frames(parts, starts, [scene.video, *(item.video for item in scene.further)])
    check_against(scene, frames)
    return frames


def _shown(scene: Scene, sampling: Sampling) -> Frames:
    """Frames of the scene's own video. A window that goes on after its end, as data sets round times, ends with it."""
    try:
        return read_frames(scene.video, sampling)
    except MediaError:
        if scene.window is None or (sampling.start, sampling.end) != scene.window:
            raise
        duration = read_frames(scene.video, Sampling(frames=1, frame_rate=sampling.frame_rate)).duration
        if duration is None or not scene.window[0] < duration < scene.window[1]:
            raise
    return read_frames(scene.video, sampling.model_copy(update={"end": duration}))


def scene_sampling(scene: Scene, sampling: Sampling | None = None) -> Sampling:
    """A sampling with what the scene itself says about time: the rate of its folder of frames, and its window."""
    sampling, own = sampling or Sampling(), dict[str, object]()
    if scene.frame_rate is not None and sampling.frame_rate is None:
        own["frame_rate"] = scene.frame_rate
    if scene.window is not None and sampling.start is None and sampling.end is None:
        own["start"], own["end"] = scene.window
    return sampling.model_copy(update=own)


def check_against(scene: Scene, frames: Frames) -> None:
    """Refuse a scene whose times run past its video. Still images have no time and are not checked.

    A turn may end up to 0.5 s after the last frame; a segment may end anywhere, but must begin before the
    end.

    Raises:
        SceneError: The first turn or segment that is beyond the end, with its number and times.

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

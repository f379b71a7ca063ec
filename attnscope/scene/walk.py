"""A clip frame by frame: every frame's time at once, and pixels one frame at a time, however long the clip is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from attnscope.errors import MediaError
from attnscope.files import check_regular, exists, is_folder


@dataclass(frozen=True)
class Walk:
    """A clip that can be walked through; `open_walk` makes it.

    Attributes:
        path: Video, image or folder of numbered images.
        kind: "video", "animation", "image" or "folder".
        times: Seconds [n] from the first frame, when each frame is shown; increasing.
        duration: Seconds, to the end of the last frame; None for an image.
        clock: What the first frame's time is by the container's own clock, in seconds: sound is timed by it.
    """

    path: Path
    kind: str
    times: npt.NDArray[np.float64]
    duration: float | None
    clock: float = 0.0

    @property
    def end(self) -> float:
        """Seconds, to the end of the last frame; 0 for an image."""
        return self.duration or 0.0

    def frames(self, numbers: Sequence[int] | None = None) -> Iterator[tuple[int, float, npt.NDArray[np.uint8]]]:
        """Number, time in seconds and upright RGB pixels [H, W, 3] of one frame after the other.

        Args:
            numbers: Which, from 0; increasing. All if None.

        Raises:
            MediaError: A frame cannot be read.
        """
        wanted = range(len(self.times)) if numbers is None else [int(number) for number in numbers]
        for number, pixels in zip(wanted, self._pixels(wanted), strict=True):
            yield number, float(self.times[number]), pixels

    def at(self, moments: npt.ArrayLike) -> list[int]:
        """Numbers of the frames that are on screen at some moments; increasing, none twice."""
        on_screen = np.searchsorted(self.times, np.asarray(moments, float) + 1e-6, side="right") - 1
        return [int(number) for number in np.unique(np.clip(on_screen, 0, len(self.times) - 1))]

    def _pixels(self, wanted: Sequence[int]) -> Iterator[npt.NDArray[np.uint8]]:
        from attnscope.scene.images import load_image, numbered_images

        if self.kind == "video":
            from attnscope.scene.video import video_frames

            yield from video_frames(self.path, wanted)
        elif self.kind == "animation":
            yield from _animated(self.path, wanted)
        elif self.kind == "folder":
            files, _ = numbered_images(self.path)
            for number in wanted:
                yield load_image(files[number])
        else:
            for _ in wanted:
                yield load_image(self.path)


def open_walk(path: str | Path, frame_rate: float | None = None) -> Walk:
    """Look at a clip: what it is, and when each of its frames is shown. Nothing is decoded yet.

    Args:
        path: Video, image or folder of numbered images.
        frame_rate: Frames a second of a folder; 1 if None. It says nothing to the others.

    Raises:
        MediaError: The source is missing, empty or cut short.
    """
    path = Path(path)
    if not exists(path, MediaError):
        raise MediaError(f"{path}: no such file or folder")
    from attnscope.scene.images import is_still_image, numbered_images

    if is_folder(path, MediaError):
        count, rate = len(numbered_images(path)[0]), frame_rate or 1.0
        return Walk(path, "folder", np.arange(count) / rate, count / rate)
    if not check_regular(path, MediaError):
        raise MediaError(f"{path}: the file is empty")
    if is_still_image(path):
        return Walk(path, "image", np.zeros(1), None)
    from attnscope.scene.animation import animation_frames, is_animated_webp

    if is_animated_webp(path):
        ends = np.cumsum([lasts for lasts, _ in animation_frames(path)]) / 1000
        if not ends[-1] > 0:
            raise MediaError(f"{path}: its {len(ends)} frames have no durations")
        return Walk(path, "animation", np.concatenate([[0.0], ends[:-1]]), float(ends[-1]))
    from attnscope.scene.video import video_timeline

    timeline = video_timeline(path)
    clock = float(int(timeline.pts[0]) * timeline.tick)
    return Walk(path, "video", timeline.times, timeline.duration, clock)


def _animated(path: Path, wanted: Sequence[int]) -> Iterator[npt.NDArray[np.uint8]]:
    from attnscope.scene.animation import animation_frames
    from attnscope.scene.images import on_white

    chosen = set(wanted)
    for number, (_, image) in enumerate(animation_frames(path)):
        if number in chosen:
            yield np.array(on_white(image).convert("RGB"))

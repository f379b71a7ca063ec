"""Any frame of a scene's videos and images, for one who looks for the right moment."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from attnscope.errors import RequestError
from attnscope.files import is_folder
from attnscope.scene.animation import animation_frames, is_animated_webp
from attnscope.scene.images import is_still_image, load_image, numbered_images, on_white
from attnscope.scene.video import OpenVideo

if TYPE_CHECKING:
    from attnscope.scene import Frames, Scene

LONGEST = 1280  # pixels of the longer side of a picture that the editor gets
QUALITY = 85
KEPT = 256  # pictures


class _Medium(Protocol):
    """A video, an image or a folder of images."""

    @property
    def times(self) -> NDArray[np.float64]:
        """Seconds [n], when each frame begins."""

    def frame(self, number: int) -> NDArray[np.uint8]:
        """A frame, upright RGB [H, W, 3]."""


@dataclass
class _Video:
    video: OpenVideo

    @property
    def times(self) -> NDArray[np.float64]:
        return self.video.timeline.times

    def frame(self, number: int) -> NDArray[np.uint8]:
        return self.video.frame(number)


class _Animation:
    def __init__(self, path: Path) -> None:
        lasting = [duration for duration, _ in animation_frames(path)]
        self.times = np.concatenate([[0.0], np.cumsum(lasting)[:-1] / 1000])
        self._path = path
        self._at, self._frames = -1, self._begin()

    def frame(self, number: int) -> NDArray[np.uint8]:
        if number <= self._at:
            self._at, self._frames = -1, self._begin()
        for image in self._frames:
            self._at += 1
            if self._at == number:
                return np.asarray(on_white(image).convert("RGB"))
        raise RequestError(f"frame {number:,}: is not in this animation")

    def _begin(self) -> Iterator[Image.Image]:
        return (image for _, image in animation_frames(self._path))


@dataclass
class _Images:
    files: Sequence[Path]
    times: NDArray[np.float64]

    def frame(self, number: int) -> NDArray[np.uint8]:
        return load_image(self.files[number])


def _opened(path: Path, rate: float) -> _Medium:
    if is_folder(path):
        files, _ = numbered_images(path)
        return _Images(files, np.arange(len(files)) / rate)
    if is_still_image(path):
        return _Images([path], np.zeros(1))
    if is_animated_webp(path):
        return _Animation(path)
    return _Video(OpenVideo(path))


class SourceFrames:
    """All frames of a scene, numbered on through its media, as JPEG.

    Attributes:
        times: Seconds on the scene's clock, when each frame begins, [n].
        lead: Seconds from the beginning of the file to its first frame, if it is one video with sound; else None.
    """

    def __init__(self, scene: Scene, rate: float | None) -> None:
        """Open the scene's media.

        Args:
            scene: The scene.
            rate: Frames a second of a folder; 1 if not given.

        Raises:
            MediaError: One of them cannot be read.
        """
        paths = [scene.video, *(item.video for item in scene.further)]
        self._media = [_opened(path, rate or 1.0) for path in paths]
        starts = [0.0, *(item.start for item in scene.further)]
        own = [medium.times + start for medium, start in zip(self._media, starts, strict=True)]
        self._firsts = np.cumsum([0, *(len(times) for times in own)])
        self.times: NDArray[np.float64] = np.concatenate(own)
        only = self._media[0] if len(self._media) == 1 else None
        self.lead = only.video.lead if isinstance(only, _Video) else None
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, bytes] = OrderedDict()

    def jpeg(self, number: int) -> bytes:
        """A frame as JPEG, no larger than `LONGEST`.

        Raises:
            RequestError: There is no such frame.
            MediaError: It does not decode.
        """
        if not 0 <= number < len(self.times):
            raise RequestError(f"frame {number:,}: is not one of the {len(self.times):,} frames")
        with self._lock:
            if number in self._kept:
                self._kept.move_to_end(number)
                return self._kept[number]
            medium = int(np.searchsorted(self._firsts, number, side="right")) - 1
            pixels = self._media[medium].frame(number - int(self._firsts[medium]))
            self._kept[number] = encoded(Image.fromarray(pixels))
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return self._kept[number]

    def numbers(self, frames: Frames) -> list[int]:
        """Where sampled frames stand among all."""
        firsts = np.zeros(len(frames.times), int)
        for medium, first in zip(frames.media, self._firsts, strict=False):
            firsts[medium.first : medium.end] = first
        return [int(number) for number in firsts + frames.indices]


def encoded(picture: Image.Image) -> bytes:
    """A picture as JPEG, no larger than `LONGEST`."""
    scale = LONGEST / max(picture.size)
    if scale < 1:
        size = (max(round(picture.width * scale), 1), max(round(picture.height * scale), 1))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()

"""Moving pictures: the frames of a clip at an even rate, read piece by piece, and films written frame by frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from attnscope.errors import AttnscopeError
from attnscope.files import unfinished
from attnscope.report.figures.frames.shading import COLORS as SHADES

if TYPE_CHECKING:
    from attnscope.capture import Capture

Pixels = NDArray[np.uint8]
CHUNK = 256 * 2**20  # bytes of a clip's frames held at once
COLORS = 256  # of a GIF
GIF_WIDTH = 480  # pixels


def moments(cap: Capture, fps: float, most: int) -> tuple[NDArray[np.float64], float]:
    """Even moments from the first sampled frame's share of the clip to the last one's, and their rate.

    Args:
        cap: An open capture.
        fps: Moments a second, fewer where there would be more than `most`.
        most: Moments.
    """
    times = np.asarray(cap.frames.times, dtype=np.float64)
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    start, end = max(0.0, times[0] - step / 2), times[-1] + step / 2
    rate = min(fps, most / max(end - start, 1e-9))
    return start + np.arange(max(1, int((end - start) * rate))) / rate, rate


def clip_frames(cap: Capture, at: NDArray[np.float64], shape: tuple[int, int]) -> Iterator[Pixels]:
    """What is on screen at some moments, grey, [h, w]: of the clip where it is still there, else of the stored frames.

    Args:
        cap: An open capture.
        at: Seconds, increasing, evenly spread.
        shape: H and w.
    """
    done = 0
    if cap.frames.kind == "video" and not cap.scene.further and Path(str(cap.scene.video)).is_file():
        try:
            for pixels in _from_clip(cap, at):
                yield grey(pixels, shape)
                done += 1
        except AttnscopeError:
            pass  # the file has changed since: the stored frames do for the rest
    stored = np.asarray(cap.frames.times, dtype=np.float64)
    for moment in at[done:]:
        yield grey(cap.frames.images[nearest(stored, moment)], shape)


def nearest(times: NDArray[np.float64], moment: float) -> int:
    """The sampled frame nearest to a moment, the earlier of two."""
    return int(np.abs(times - moment).argmin())


def grey(pixels: Pixels, shape: tuple[int, int]) -> Pixels:
    """A picture in grey, [h, w]."""
    image = Image.fromarray(pixels).convert("L").resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(image)


def _from_clip(cap: Capture, at: NDArray[np.float64]) -> Iterator[Pixels]:
    """Frames [H, W, 3] of the clip, pieces of it decoded at a time; fewer than asked for if it ends before."""
    from attnscope.scene import Sampling, read_frames

    rate = 1 / (at[1] - at[0]) if len(at) > 1 else 1.0
    size = max(1, int(CHUNK // (cap.frames.width * cap.frames.height * 3)))
    for first in range(0, len(at), size):
        part = at[first : first + size]
        sampling = Sampling(fps=float(rate), start=float(part[0]), end=float(part[-1] + 0.5 / rate))
        frames = read_frames(cap.scene.video, sampling)
        for moment in part:
            yield frames.images[max(0, int(np.searchsorted(frames.times, moment + 1e-6, side="right")) - 1)]


def write_films(images: Iterable[Pixels], rate: float, mp4: Path | None, gif: Path | None) -> None:
    """Write frames [H, W, 3] (even H and W) as H.264 (MPEG-4 where this PyAV lacks it) and as a GIF that repeats.

    Raises:
        RunError: If a file cannot be written; neither is left behind.
    """
    every = max(1, round(rate / 6))  # a GIF of six frames a second is large enough
    kept: list[Image.Image] = []
    with _whole(mp4) as film, _whole(gif) as moving:
        encoder = _Encoder(film, rate) if film else None
        for number, image in enumerate(images):
            if encoder:
                encoder.add(image)
            if moving and number % every == 0:
                kept.append(_small(image))
        if encoder:
            encoder.close()
        if moving:
            _write_gif(moving, kept, round(100 * every / rate) * 10)


class _Encoder:
    """An mp4 that grows frame by frame."""

    def __init__(self, path: Path, rate: float) -> None:
        import av

        self._rate = Fraction(rate).limit_denominator(1000)
        self._codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        self._out = av.open(str(path), "w", format="mp4")
        options = {"crf": "20"} if self._codec == "libx264" else {"q:v": "3"}
        self._stream = cast(Any, self._out.add_stream(self._codec, rate=self._rate, options=options))
        self._stream.pix_fmt = "yuv420p"
        self._count = 0

    def add(self, image: Pixels) -> None:
        import av

        if not self._count:
            self._stream.height, self._stream.width = image.shape[:2]
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = self._count, 1 / self._rate
        self._count += 1
        self._out.mux(self._stream.encode(frame))

    def close(self) -> None:
        self._out.mux(self._stream.encode(None))
        self._out.close()


def _small(pixels: Pixels) -> Image.Image:
    image = Image.fromarray(pixels)
    if image.width <= GIF_WIDTH:
        return image
    return image.resize((GIF_WIDTH, image.height * GIF_WIDTH // image.width), Image.Resampling.LANCZOS)


def _write_gif(path: Path, images: list[Image.Image], milliseconds: int) -> None:
    """A GIF in one set of colours, or it would flicker: those of six of its frames and of the colour scale."""
    some = images[:: max(1, len(images) // 6)][:6]
    width, height = images[0].size
    sample = Image.new("RGB", (width, height * (len(some) + 1)))
    ramp = np.asarray(colormaps[SHADES](np.linspace(0, 1, width)))[None, :, :3] * 255
    sample.paste(Image.fromarray(ramp.repeat(height, 0).astype(np.uint8)), (0, 0))
    for row, image in enumerate(some):
        sample.paste(image, (0, height * (row + 1)))
    colors = sample.quantize(COLORS)
    indexed = [image.quantize(palette=colors, dither=Image.Dither.NONE) for image in images]
    indexed[0].save(path, "GIF", save_all=True, append_images=indexed[1:], duration=milliseconds, loop=0)


@contextmanager
def _whole(path: Path | None) -> Iterator[Path | None]:
    """Write beside a file and put it in place when it is complete."""
    if path is None:
        yield None
        return
    with unfinished(path) as part:
        yield part

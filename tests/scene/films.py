"""Renders small films in which every frame carries its own number as twelve black or white bars."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

BITS = 12


def bars(number: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    """A frame [height, width, 3] that shows `number` in binary, the lowest bit first."""
    bits = np.array([number >> bit & 1 for bit in range(BITS)])
    row = bits[np.arange(width) * BITS // width] * 235 + 10
    return np.repeat(np.repeat(row[None, :, None], height, 0), 3, 2).astype(np.uint8)


def number_in(image: npt.NDArray[np.uint8]) -> int:
    """The number that `bars` wrote."""
    width = image.shape[1]
    centres = ((np.arange(BITS) + 0.5) * width / BITS).astype(int)
    middle = image[image.shape[0] // 2, centres].mean(axis=-1)
    return int(sum(1 << bit for bit in range(BITS) if middle[bit] > 128))


def film(
    path: Path,
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    frames: int = 30,
    size: tuple[int, int] = (96, 64),
    fps: int = 10,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    gop: int = 12,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    sound: bool = False,
) -> Path:
    """Write a film; `pts` (in units of `time_base`) gives it a variable frame rate."""
    with av.open(str(path), "w", options=container_options or {}) as out:
        stream = out.add_stream(codec, rate=fps, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        stream.codec_context.gop_size = gop
        if time_base is not None:
            stream.codec_context.time_base = time_base
        audio = out.add_stream("aac", rate=16000) if sound else None
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(bars(number, *size), format="rgb24")
            frame.pts = number if pts is None else pts[number]
            frame.time_base = time_base or Fraction(1, fps)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if audio is not None:
            noise = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
            noise.sample_rate, noise.pts = 16000, 0
            out.mux(audio.encode(noise))
            out.mux(audio.encode(None))
    return path


def turn(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Write a display matrix (a, b, c, d) into the track header of an .mp4 file."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # a version 0 header holds the matrix after 40 bytes
    for offset, value in zip((0, 4, 12, 16), matrix, strict=True):
        data[at + offset : at + offset + 4] = (value << 16).to_bytes(4, "big", signed=True)
    path.write_bytes(bytes(data))

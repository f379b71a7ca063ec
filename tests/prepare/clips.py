"""Clips with a known truth: a photograph of a face that moves, speech made of vowels, and cuts between grounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

RATE = 16_000
Image = npt.NDArray[np.uint8]
# Formants of vowels in Hz, as Peterson and Barney measured them in 1952, and a fourth
_VOWELS = (
    (730, 1090, 2440, 3400),
    (270, 2290, 3010, 3500),
    (300, 870, 2240, 3400),
    (530, 1840, 2480, 3500),
    (570, 840, 2410, 3400),
)


def ground(seed: int, width: int = 320, height: int = 240) -> Image:
    """Coarse random patches around one brightness, different for each seed."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(0, 60, (height // 40, width // 40, 3)) + (seed * 70) % 190
    return np.clip(np.kron(patches, np.ones((40, 40, 1))), 0, 255).astype(np.uint8)


def write_clip(
    path: Path, images: Sequence[Image], fps: int = 10, sound: npt.NDArray[np.float64] | None = None
) -> Path:
    """A film of images, with sound at 16,000 Hz if there is any."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=fps, options={"crf": "12"})
        video.height, video.width = images[0].shape[:2]
        video.pix_fmt = "yuv420p"
        audio = None if sound is None else out.add_stream("pcm_s16le", rate=RATE)
        if audio is not None:
            audio.layout = "mono"
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        if audio is not None and sound is not None:
            samples = (np.clip(sound, -1, 1) * 32767).astype(np.int16)[None]
            piece = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            piece.sample_rate, piece.pts = RATE, 0
            out.mux(audio.encode(piece))
            out.mux(audio.encode(None))
    return path


def filmed(count: int, draw: Callable[[int], Image]) -> list[Image]:
    """Frames that a function draws by their number."""
    return [draw(number) for number in range(count)]


def speech(stretches: Sequence[tuple[float, float]], seconds: float, seed: int = 0) -> npt.NDArray[np.float64]:
    """Sound that is speech to a network in some stretches, and nearly silent elsewhere."""
    rng = np.random.default_rng(seed)
    sound = 1e-4 * rng.standard_normal(round(seconds * RATE))
    for start, end in stretches:
        first, last = round(start * RATE), round(end * RATE)
        spoken: list[npt.NDArray[np.float64]] = []
        while sum(map(len, spoken)) < last - first:
            hiss = round(0.04 * RATE)
            spoken += [0.05 * rng.standard_normal(hiss) * np.hanning(hiss), 3 * _vowel(rng)]
            spoken.append(np.zeros(round(rng.uniform(0, 0.04) * RATE)))
        said = np.concatenate(spoken)[: last - first]
        sound[first:last] += 0.5 * said / np.abs(said).max()
    return sound


def _vowel(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """A pulse train through four resonances, 0.1 to 0.2 s."""
    seconds = rng.uniform(0.1, 0.22)
    time = np.arange(round(seconds * RATE)) / RATE
    pitch = rng.uniform(100, 140) * (1 + 0.08 * np.sin(2 * np.pi * 1.1 * time))
    pulses = np.diff(np.floor(np.cumsum(pitch) / RATE), prepend=0) + 0.005 * rng.standard_normal(len(time))
    sound = np.zeros(len(time))
    for formant, width, loud in zip(_VOWELS[rng.integers(5)], (80, 100, 140, 200), (1, 0.6, 0.3, 0.15), strict=True):
        radius = np.exp(-np.pi * width / RATE)
        poles = [1, -2 * radius * np.cos(2 * np.pi * formant / RATE), radius**2]
        sound += loud * lfilter([1 - radius], poles, pulses)
    envelope: npt.NDArray[np.float64] = sound * np.minimum(1, np.minimum(time, seconds - time) / 0.03)
    return envelope

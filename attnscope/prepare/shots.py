"""Shots: where the picture is cut, found by FFmpeg's filter `scdet` through PyAV.

The filter compares the luma of each frame with the frame before. Its score is the smaller of the mean absolute
difference and of the change of that difference against the frame before, from 0 to 100: steady motion scores low, a cut
high. FFmpeg's manual names 8 to 14 as good thresholds; dark films need the lowest. It misses fades and dissolves.

Source: FFmpeg, libavfilter/vf_scdet.c.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from attnscope.errors import SceneError
from attnscope.prepare.parts import Made, Shot, counted
from attnscope.progress import Progress
from attnscope.scene.walk import Walk

THRESHOLD = 8.0
_WIDTH = 320  # pixels of the picture that is compared


def find_shots(walk: Walk, threshold: float = THRESHOLD, progress: Progress | None = None) -> tuple[list[Shot], Made]:
    """Cut a clip where the picture changes at once.

    Args:
        walk: The clip.
        threshold: Score from which a change is a cut, 0 to 100.
        progress: Called with (what, done, total).

    Returns:
        Shots that follow each other without a gap, and how they came about.

    Raises:
        SceneError: If the threshold is out of range.
        MediaError: If a frame cannot be read.
    """
    if not 0 < threshold <= 100:
        raise SceneError.of("cut", threshold, "is not between 0 and 100")
    cuts: list[tuple[float, float | None]] = [(0.0, None)]
    largest, compare = 0.0, _Comparison()
    for number, time, pixels in walk.frames():
        score = compare(pixels)
        if number and score >= threshold:
            cuts.append((time, score))
        elif number:
            largest = max(largest, score)
        if progress is not None:
            progress("shots", number + 1, len(walk.times))
    ends = [*(time for time, _ in cuts[1:]), walk.end]
    shots = [Shot(start, end, score) for (start, score), end in zip(cuts, ends, strict=True)]
    return shots, Made(
        "shots",
        f"FFmpeg scdet through PyAV {av.__version__}",
        _sure(shots, threshold, largest),
        {"threshold": threshold},
        [{"start": shot.start, "end": shot.end, "score": shot.score} for shot in shots],
    )


def whole(walk: Walk) -> list[Shot]:
    """One shot for a clip whose cuts nobody looked for."""
    return [Shot(0.0, walk.end)]


def _sure(shots: list[Shot], threshold: float, largest: float) -> str:
    others = f"the largest change that is none scores {largest:.1f}; the threshold is {threshold:g}"
    scores = [shot.score for shot in shots if shot.score is not None]
    if not scores:
        return f"no cut was found; {others}"
    return f"{counted(len(scores), 'cut')}, the least sure one scores {min(scores):.1f}; {others}"


class _Comparison:
    """The filter, fed frame by frame. A frame of another size than the one before begins a new comparison."""

    def __init__(self) -> None:
        self._size: tuple[int, int] | None = None
        self._source: Any = None
        self._sink: Any = None
        self._count = 0

    def __call__(self, pixels: npt.NDArray[np.uint8]) -> float:
        """Score of a frame [H, W, 3] against the one before; 0 for the first."""
        height, width = pixels.shape[:2]
        if self._size != (width, height):
            self._build(width, height)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame.pts, frame.time_base = self._count, Fraction(1, 25)
        self._count += 1
        self._source.push(frame)
        score = float(self._sink.pull().metadata["lavfi.scd.score"])
        return score if self._count > 1 else 0.0

    def _build(self, width: int, height: int) -> None:
        graph = av.filter.Graph()
        self._source = graph.add_buffer(
            width=width, height=height, format=av.VideoFormat("rgb24", width, height), time_base=Fraction(1, 25)
        )
        across = min(_WIDTH, max(2, width))
        down = max(2, round(height * across / width))
        self._sink = graph.add("buffersink")
        chain = [
            self._source,
            graph.add("scale", f"{across}:{down}:flags=area"),
            graph.add("format", "yuv420p"),
            graph.add("scdet", "threshold=0"),
            self._sink,
        ]
        for before, after in pairwise(chain):
            before.link_to(after)
        graph.configure()
        self._graph, self._size, self._count = graph, (width, height), 0

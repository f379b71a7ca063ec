"""What attention is drawn on: the frames of a capture, its tokens' places and its speakers' boxes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from attnscope.metrics.people.density import live_frames
from attnscope.scene import scene_boxes

if TYPE_CHECKING:
    from attnscope.capture import Capture
    from attnscope.scene import Frames


@dataclass(frozen=True)
class Backdrop:
    """What an overlay is drawn on.

    Attributes:
        images: Frames as they were shown, [F, h, w, 3]; `grey` has one without its colours.
        times: Seconds, [F].
        size: Width and height of the source in pixels; boxes and cells are in these.
        kind: `video`, `image` or `folder`.
        boxes: Boxes of each speaker, [F, 4] (NaN where not visible).
        cells: Cells of each token, [P, 4] (NaN without a place).
        first, last: Frames that each token shows, [P].
        live: Frames at which the chosen speaker talks, [F].

    Example:
        >>> backdrop = figures.read_backdrop(cap, "Dan")
        >>> sorted(backdrop.boxes), int(backdrop.placed.sum())
        (['Ada', 'Ben', 'Cleo', 'Dan', 'Eva'], 144)
    """

    images: NDArray[np.uint8]
    times: NDArray[np.float64]
    size: tuple[int, int]
    kind: str
    boxes: dict[str, NDArray[np.float64]]
    cells: NDArray[np.float64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    live: NDArray[np.bool_]

    @property
    def placed(self) -> NDArray[np.bool_]:
        """Tokens that can be drawn, [P]."""
        return np.asarray(np.isfinite(self.cells).all(1) & (self.first >= 0))

    def grey(self, frame: int) -> NDArray[np.float64]:
        """One frame without its colours, [h, w, 3] in 0..1: as floats, all of them would take much memory."""
        light = self.images[frame].astype(np.float64) / 255 @ np.array([0.299, 0.587, 0.114])
        return np.repeat(light[..., None], 3, axis=-1)

    def prompt_only(self, n: int) -> Backdrop:
        """The same without generated tokens (which have no place, and may differ between two runs)."""
        return replace(self, cells=self.cells[:n], first=self.first[:n], last=self.last[:n])


def backdrop(cap: Capture, speaker: str | None) -> Backdrop:
    """Read frames, places and boxes of a capture; frames at which `speaker` talks are marked live.

    Example:
        >>> backdrop = figures.read_backdrop(cap, "Dan")
        >>> backdrop.times[backdrop.live].tolist()  # while Dan talks
        [3.25, 3.75]
    """
    times = np.asarray(cap.frames.times, dtype=np.float64)
    boxes = scene_boxes(cap.scene, cast("Frames", cap.frames))  # times, width and height are all it takes
    turns = [t for t in cap.scene.transcript if speaker is not None and t.speaker == speaker]
    live = [live_frames(t.start, t.end, times) for t in turns if (t.start, t.end) != (None, None)]
    return Backdrop(
        images=cap.frames.images,
        times=times,
        size=(int(cap.frames.width), int(cap.frames.height)),
        kind=str(cap.frames.kind),
        boxes={name: np.asarray(boxes.xyxy[s], np.float64) for s, name in enumerate(boxes.speakers)},
        cells=cap.tokens[["x0", "y0", "x1", "y1"]].to_numpy(np.float64),
        first=cap.tokens["frame_first"].to_numpy(np.int64),
        last=cap.tokens["frame_last"].to_numpy(np.int64),
        live=np.any(live, axis=0) if live else np.zeros(len(times), dtype=bool),
    )


def choose(on: Backdrop, most: int) -> list[int]:
    """Frames to draw: all, or up to `most`, half of them among those where the speaker talks."""
    total = len(on.times)
    if total <= most:
        return list(range(total))
    talking = np.flatnonzero(on.live)
    picked = set(_evenly(talking, min(len(talking), most // 2)))
    rest = np.array([f for f in range(total) if f not in picked])
    return sorted(picked | set(_evenly(rest, most - len(picked))))


def paint(
    on: Backdrop, values: NDArray[np.float64], frame: int, shape: tuple[int, int] | None = None
) -> NDArray[np.float64]:
    """The tokens' values as a picture [h, w]; NaN where there is no token, the larger where two overlap.

    Args:
        on: The places.
        values: One number a token, [P].
        frame: Which of the sampled frames.
        shape: H and w; by default those of the images.
    """
    h, w = shape or on.images.shape[1:3]
    width, height = on.size
    heat = np.full((h, w), np.nan)
    here = on.placed & (on.first <= frame) & (frame <= on.last)
    pixels = np.rint(on.cells[here] * [w / width, h / height, w / width, h / height]).astype(int)
    for (x0, y0, x1, y1), value in zip(pixels, values[here], strict=True):
        part = heat[max(y0, 0) : max(y1, y0 + 1), max(x0, 0) : max(x1, x0 + 1)]
        np.fmax(part, value, out=part)
    return heat


def _evenly(items: NDArray[np.int64], most: int) -> list[int]:
    if not most:
        return []
    return [int(items[i]) for i in np.unique(np.linspace(0, len(items) - 1, most).round().astype(int))]

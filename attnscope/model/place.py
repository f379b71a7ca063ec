"""What follows from a token's frames and cell: its time, the speakers in it, the frame of a label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from attnscope.model.layouts import LabelStyle


def mean_times(frames: NDArray[np.int32], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Seconds of each token: the mean over its frames.

    Args:
        frames: First and last frame of each token, -1 none; [N, 2].
        times: Seconds of each frame; [F].

    Returns:
        float64 [N], NaN for a token without frames.
    """
    total = np.concatenate([[0.0], np.cumsum(times)])
    first, last = frames[:, 0], frames[:, 1]
    mean = (total[last + 1] - total[first]) / (last - first + 1)
    single = np.where(first >= 0, times[first], np.nan)  # exact where no mean is needed
    return np.where(first == last, single, np.where(first >= 0, mean, np.nan))


def coverage(cells: NDArray[np.float32], frames: NDArray[np.int32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fraction of each cell inside a speaker's box, the largest over the token's frames.

    Args:
        cells: x0, y0, x1, y1 of each token in source pixels, NaN none; [N, 4].
        frames: First and last frame of each token, -1 none; [N, 2].
        boxes: The speaker's box in each frame, NaN where not visible; [F, 4].

    Returns:
        float32 [N] in 0..1; NaN for a token without a cell.
    """
    cells, boxes = cells.astype(np.float64), boxes.astype(np.float64)
    area = (cells[:, 2] - cells[:, 0]) * (cells[:, 3] - cells[:, 1])
    best = np.where(np.isnan(area), np.nan, 0.0)
    for frame, box in enumerate(boxes):
        if np.isnan(box).any():
            continue
        here = np.flatnonzero((frames[:, 0] <= frame) & (frame <= frames[:, 1]))
        some = cells[here]
        width = np.minimum(some[:, 2], box[2]) - np.maximum(some[:, 0], box[0])
        height = np.minimum(some[:, 3], box[3]) - np.maximum(some[:, 1], box[1])
        inside = np.clip(width, 0, None) * np.clip(height, 0, None) / area[here]
        best[here] = np.maximum(best[here], inside)
    return np.clip(best, 0, 1).astype(np.float32)


def label_frames(
    frames: NDArray[np.int32],
    visual: NDArray[np.bool_],
    media: tuple[int, int],
    texts: Sequence[str],
    style: LabelStyle = "closed",
) -> None:
    """Give the text around each frame's tokens that frame, in place.

    What stands before the first label (SmolVLM's introduction ends in a line break) and, of labels before their frames,
    what stands after the last closing token belongs to none.

    Args:
        frames: First and last frame of each token; the visual ones are filled in; [N, 2].
        visual: The visual positions; [N].
        media: First and one past the last position of the expanded media block.
        texts: Text of each token.
        style: Where the text of a frame stands.
    """
    start, end = media
    inside = np.flatnonzero(visual[start:end]) + start
    if not len(inside):
        return
    gaps = np.flatnonzero(np.diff(inside) > 1)
    firsts, ends = inside[np.r_[0, gaps + 1]], inside[np.r_[gaps, len(inside) - 1]] + 1  # of each run of visual tokens
    if style == "after":
        edges = [*(max(first - 1, start) for first in firsts), end]
    else:
        closing = 0 if style == "open" else 1
        breaks = [i for i in range(start, firsts[0]) if "\n" in texts[i]]
        edges = [breaks[-1] + 1 if breaks else start, *(min(last + closing, end) for last in ends)]
    for number, (first, last) in enumerate(zip(firsts, ends, strict=True)):
        frames[edges[number] : first] = frames[first]
        frames[last : edges[number + 1]] = frames[last - 1]

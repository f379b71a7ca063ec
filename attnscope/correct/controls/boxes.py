"""Boxes that are worse than they are: noisy, moved, or missing, for one correction alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from attnscope.correct.cells import random_numbers
from attnscope.correct.notes import Caution
from attnscope.metrics.people.boxes import covered, disturb
from attnscope.scene import scene_boxes

if TYPE_CHECKING:
    from attnscope.capture import Capture
    from attnscope.model import Prompt

_ANGLES = 360  # directions that are tried
_MOVES = 1  # what random numbers are for


def worse_coverage(
    prompt: Prompt, jitter: float, shift: float, drop: float, seed: int
) -> tuple[list[NDArray[np.float32]], Caution]:
    """What worse boxes cover of each token, by speaker [N], and a sentence on how they were made.

    Args:
        prompt: The prompt.
        jitter: Noise on each edge of each box in each frame, as a fraction of its width or height.
        shift: How far each speaker's boxes are moved, likewise.
        drop: The probability that a box is missing in a frame.
        seed: Of the random numbers.
    """
    boxes = worse_boxes(prompt, jitter, shift, drop, seed)
    table = list(covered(cast("Capture", prompt), boxes))  # tokens are all it takes
    before = np.isfinite(scene_boxes(prompt.scene, prompt.frames).xyxy[..., 0]).sum()
    how = f"noise of {jitter:g} and a move of {shift:g} of their size"
    left = f"{np.isfinite(boxes[..., 0]).sum()} of {before} left (seed {seed})"
    return table, Caution(f"boxes worse than they are, for this correction alone: {how}, {left}")


def worse_boxes(prompt: Prompt, jitter: float, shift: float, drop: float, seed: int) -> NDArray[np.float32]:
    """The scene's boxes in the sampled frames [S, F, 4]: noisy and missing as in `metrics.jitter`, then moved."""
    rng = random_numbers(prompt, seed, _MOVES)
    like = cast("Capture", prompt)  # scene and frames are all it takes
    (boxes,) = disturb(like, 1, amount=jitter, unit="box", drop=drop, grow=0.0, rng=rng)
    size = np.array([prompt.frames.width, prompt.frames.height] * 2)
    return np.stack([_moved(track, shift, size, rng) for track in boxes])


def _moved(
    track: NDArray[np.float32], share: float, size: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float32]:
    """One speaker's boxes [F, 4] moved by a share of their mean size, by the same step in all frames.

    In a random direction; of those that were tried the first that leaves the frame least.
    """
    there = np.isfinite(track[:, 0])
    angles = rng.uniform(0, 2 * np.pi, _ANGLES)
    if not share or not there.any():
        return track
    side = (track[there, 2:] - track[there, :2]).mean(0)
    step = share * side * np.stack([np.cos(angles), np.sin(angles)], 1)  # [A, 2]
    to = track[there] + np.tile(step, 2)[:, None]  # [A, F', 4]
    outside = np.maximum(-to, 0).max((1, 2)) + np.maximum(to - size, 0).max((1, 2))
    moved = track.copy()
    moved[there] = np.clip(to[int(outside.argmin())], 0, size)
    return moved

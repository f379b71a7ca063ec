"""Two ways to ask whether a score of speakers could be chance: other labels, and boxes of other times.

Permuted labels: the turns keep their attention and swap their speakers. Shifted boxes: the words keep their speakers,
and every visual token is shown the boxes of the temporal unit k later, around the end of the clip to its beginning.
The second null keeps where the speakers are and how they move, and breaks only the alignment in time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from attnscope.metrics.density import Turns, units_of
from attnscope.metrics.matrix import lifts
from attnscope.metrics.permute import arrangements, p_value
from attnscope.metrics.registry import OVER
from attnscope.metrics.tidy import divide
from attnscope.model.place import coverage
from attnscope.scene import scene_boxes

if TYPE_CHECKING:
    from attnscope.capture import Capture
    from attnscope.scene import Frames

BLOCK = 1 << 22  # numbers held at once in a permutation test


def label_p(
    flat: NDArray[np.float64], turns: Turns, *, limit: int, draws: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Permutation p of the lift: the speakers' labels are rearranged over the turns.

    Args:
        flat: densities of turns on speakers, [X, T, S].
        turns: what they are of.
        limit: up to so many arrangements of labels the test is exact.
        draws: random arrangements otherwise.
        seed: of the random numbers.

    Returns:
        p and arrangements counted, each [X]; NaN and 0 where there is no lift, or nobody to change places with.
    """
    enter, observed = turns.entering, lifts(flat, turns, turns.labels[None])[0]
    if not np.isfinite(observed).any() or enter.sum() < 2:
        return np.full(observed.shape, np.nan), np.zeros(observed.shape, dtype=np.int64)
    free = enter[turns.labels]  # a speaker without a box takes no part: his or her turns keep their label
    orders, exact = arrangements(turns.labels[free], limit=limit, draws=draws, seed=seed)
    labels = np.repeat(turns.labels[None], len(orders), axis=0)
    labels[:, free] = orders
    block = max(1, BLOCK // (len(flat) * len(enter) ** 2))
    null = [lifts(flat, turns, labels[start : start + block]) for start in range(0, len(labels), block)]
    return p_value(observed, np.concatenate(null), exact)


def shifted_cells(
    cap: Capture, threshold: float, *, shifts: int, seed: int
) -> tuple[NDArray[np.bool_], NDArray[np.int64], bool]:
    """The cells that the scene's boxes cover when they are moved in time, by whole temporal units.

    Args:
        cap: an open capture.
        threshold: covered fraction from which a cell counts as a speaker's.
        shifts: up to so many units every shift is taken, of more a random choice of so many.
        seed: of the random numbers.

    Returns:
        Cells [K, S, P], the shifts [K] (the first is 0: the boxes as they are), and whether they are all there are.
    """
    units, boxes = units_of(cap), scene_boxes(cap.scene, cast("Frames", cap.frames))  # times and size are all it takes
    count, exact = len(units.times), len(units.times) <= shifts
    by = np.arange(1, count)
    if not exact:
        by = np.sort(np.random.default_rng(seed).choice(by, shifts, replace=False))
    by = np.concatenate([[0], by]).astype(np.int64)
    placed = np.flatnonzero(units.of >= 0)
    corners = cap.tokens[["x0", "y0", "x1", "y1"]].to_numpy(np.float32)[placed]
    distinct, which = np.unique(corners, axis=0, return_inverse=True)
    every = np.repeat(distinct, count, axis=0)  # each place with the boxes of each unit
    frames = np.tile(units.frames, (len(distinct), 1)).astype(np.int32)
    out = np.zeros((len(by), len(boxes.speakers), len(units.of)), dtype=bool)
    for s, xyxy in enumerate(boxes.xyxy):
        inside = (coverage(every, frames, xyxy) >= threshold).reshape(len(distinct), count)
        for k, shift in enumerate(by):
            out[k, s, placed] = inside[which.reshape(-1), (units.of[placed] + shift) % max(count, 1)]
    return out, by, exact


def shift_p(
    null: NDArray[np.float64], exact: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Lift over the boxes of other times, and its p.

    Args:
        null: lifts for each shift of the boxes, [K, X]; the first is that of no shift.
        exact: the shifts are all there are.

    Returns:
        First row over the mean of the others, p, and shifts that have a score, each [X]; NaN where there is no other.
    """
    other = null[1:]
    scored = np.isfinite(other).sum(0)
    mean = divide(np.nansum(other, axis=0), scored)
    p, n = p_value(null[0], null if exact else other, exact)
    return divide(null[0], mean), np.where(scored > 0, p, np.nan), np.where(scored > 0, n, 0)


def q_values(p: NDArray[np.float64], places: pd.DataFrame) -> NDArray[np.float64]:
    """Correct p for the number of layers and heads (Benjamini and Hochberg).

    Args:
        p: [X].
        places: columns `layer` and `head`, X rows; means (-1) are not corrected, nor counted.

    Returns:
        [X], NaN where p is, and for means.
    """
    q = np.full(p.shape, np.nan)
    single = np.isfinite(p) & ((places["layer"] != OVER) & (places["head"] != OVER)).to_numpy()
    if single.any():
        q[single] = false_discovery_control(p[single])
    return q

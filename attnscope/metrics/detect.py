"""How well attention detects a set of tokens: area under the ROC curve, pointing game, overlap at half the mass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attnscope.metrics.tidy import divide

HALF = 0.5  # of the mass


def detect(maps: NDArray[np.floating], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """AUC, pointing game and IoU of attention as a detector.

    Args:
        maps: attention of R rows on N visual tokens, [R, N].
        inside: D sets of tokens to detect, [D, N].

    Returns:
        [3, D, R]. NaN where a set is empty, and for rows without attention; the AUC also where a set is everything.
    """
    out = np.full((3, len(inside), len(maps)), np.nan)
    size, count = inside.sum(1)[:, None], maps.shape[-1]
    if not count:
        return out
    order = np.argsort(maps, axis=-1)
    value = np.take_along_axis(maps, order, axis=-1)
    target = inside.T.astype(np.float64)
    out[0] = divide((ranks(value, order) @ target).T - size * (size + 1) / 2, size * (count - size))
    top = maps == value[:, -1:]
    out[1] = divide(top @ target, top.sum(1, keepdims=True)).T
    half = half_mass(maps, value)
    both = (half @ target).T
    out[2] = divide(both, half.sum(1) + size - both)
    out[:, :, ~(value.sum(1) > 0)] = np.nan  # no attention on the picture, or NaN
    out[:, size[:, 0] == 0] = np.nan
    return out


def ranks(value: NDArray[np.floating], order: NDArray[np.int64]) -> NDArray[np.float64]:
    """Ranks from 1 of attention [R, N], given sorted; equal values share the mean of theirs.

    That is scipy.stats.rankdata, which would sort once more, stably and several times slower.
    """
    rows, count = value.shape
    step = np.ones((rows, count + 1), dtype=bool)
    np.not_equal(value[:, 1:], value[:, :-1], out=step[:, 1:-1])
    at = np.arange(count, dtype=np.int32)
    first = np.maximum.accumulate(np.where(step[:, :-1], at, 0), axis=-1)  # of each run of equal values
    last = np.minimum.accumulate(np.where(step[:, 1:], at, count)[:, ::-1], axis=-1)[:, ::-1]
    out = np.empty((rows, count))
    np.put_along_axis(out, order, (first + last) / 2 + 1, axis=-1)
    return out


def half_mass(maps: NDArray[np.floating], value: NDArray[np.floating]) -> NDArray[np.float64]:
    """The smallest set that holds half of each row's sum: 1 inside, 0 outside, a part for equal values at its edge.

    Args:
        maps: [R, N].
        value: the same, each row sorted.
    """
    held = np.cumsum(value[:, ::-1], axis=-1, dtype=np.float64)  # by the largest, the two largest, ...
    need = 1 + (held < HALF * held[:, -1:] * (1 - 1e-9)).sum(-1, keepdims=True)  # tokens in the set
    edge = np.take_along_axis(value, value.shape[1] - np.minimum(need, value.shape[1]), axis=-1)
    above, equal = maps > edge, maps == edge
    part = divide(need - above.sum(-1, keepdims=True), equal.sum(-1, keepdims=True))
    return np.where(equal, part, above.astype(np.float64))

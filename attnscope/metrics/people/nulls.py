"""Arrangements of labels for permutation tests: all of them when they are few, else a random sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import factorial, prod
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from attnscope.metrics.people.density import Turns, units_of
from attnscope.metrics.people.matrix import lifts
from attnscope.metrics.registry import OVER
from attnscope.metrics.tables import divide
from attnscope.model.place import coverage
from attnscope.scene import scene_boxes

if TYPE_CHECKING:
    from attnscope.capture import Capture
    from attnscope.scene import Frames


def count(labels: NDArray[np.int64]) -> int:
    """How many distinct arrangements of the labels there are (each label as often as it occurs)."""
    _, times = np.unique(labels, return_counts=True)
    return factorial(len(labels)) // prod(factorial(int(t)) for t in times)


def arrangements(
    labels: NDArray[np.int64], *, limit: int = 5000, draws: int = 1999, seed: int = 0
) -> tuple[NDArray[np.int64], bool]:
    """Rearrange labels.

    Args:
        labels: Label of each item, [T].
        limit: All distinct arrangements are listed up to this number, the given one among them.
        draws: Random arrangements if there are more.
        seed: Seed of the random numbers.

    Returns:
        Arrangements [A, T], and whether they are all there are.
    """
    if count(labels) <= limit:
        return np.array(list(_distinct(tuple(sorted(labels.tolist())))), dtype=np.int64), True
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(labels) for _ in range(draws)]), False


def p_value(
    observed: NDArray[np.float64], null: NDArray[np.float64], exact: bool
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """One-sided p: how often an arrangement scores at least as high as the labels as they are.

    Args:
        observed: Scores, [X].
        null: Scores of the arrangements, [A, X]; NaN where an arrangement has no score (it is not counted).
        exact: The arrangements are all there are (p = k / n), else a sample of them (p = (k + 1) / (n + 1)).

    Returns:
        P [X], NaN where the observed score is not defined, and n [X], the arrangements that were counted.
    """
    scored = np.isfinite(null)
    tie = 1e-9 * np.abs(observed)  # the same sum in another order is still a tie
    k = (scored & (null >= observed - tie)).sum(0)
    n = scored.sum(0)
    smooth = 0 if exact else 1
    p = np.where(np.isfinite(observed) & (n > 0), (k + smooth) / np.maximum(n + smooth, 1), np.nan)
    return p, n


def _distinct(items: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Distinct orders of a sorted tuple, each once."""
    if not items:
        yield ()
    for i, first in enumerate(items):
        if i and items[i - 1] == first:
            continue
        for rest in _distinct(items[:i] + items[i + 1 :]):
            yield (first, *rest)


# Four ways to ask whether a score of speakers could be chance; each takes something else for exchangeable.
#
# Permuted labels: the turns keep their attention and swap their speakers. It takes turns for exchangeable: attention
# that drifts over the transcript while each person speaks in one run looks like alignment. Without drift: the same
# after the straight line over the transcript is taken out of the logarithm of every density. Shifted boxes: the words
# keep their speakers, and every visual token is shown the boxes of the temporal unit k later, around the end of the
# clip to its beginning; where the speakers are and how they move is kept. Exchanged seats: every speaker gets the
# whole track of boxes of another, for people who keep their places, at whom shifted boxes cannot look.


BLOCK = 1 << 22  # numbers held at once in a permutation test


def label_p(
    flat: NDArray[np.float64],
    turns: Turns,
    *,
    limit: int,
    draws: int,
    seed: int,
    null: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Permutation p of the lift: the speakers' labels are rearranged over the turns.

    Args:
        flat: Densities of turns on speakers, [X, T, S].
        turns: What they are of.
        limit: The test is exact up to this number of arrangements of labels.
        draws: Random arrangements otherwise.
        seed: Seed of the random numbers.
        null: Densities [X, T, S] that labels are rearranged over, if they are others.

    Returns:
        P and arrangements counted, each [X]; NaN and 0 where there is no lift, or nobody to change places with.
    """
    enter, observed = turns.entering, lifts(flat, turns, turns.labels[None])[0]
    if not np.isfinite(observed).any() or enter.sum() < 2:
        return np.full(observed.shape, np.nan), np.zeros(observed.shape, dtype=np.int64)
    free = enter[turns.labels]  # a speaker without a box takes no part: his or her turns keep their label
    orders, exact = arrangements(turns.labels[free], limit=limit, draws=draws, seed=seed)
    labels = np.repeat(turns.labels[None], len(orders), axis=0)
    labels[:, free] = orders
    if null is not None and exact:  # the labels as they are count as observed, (k + 1) / n
        labels, exact = labels[(labels != turns.labels).any(1)], False
    block, over = max(1, BLOCK // (len(flat) * len(enter) ** 2)), flat if null is None else null
    blocks = [lifts(over, turns, labels[start : start + block]) for start in range(0, len(labels), block)]
    return p_value(observed, np.concatenate(blocks) if blocks else np.empty((0, len(flat))), exact)


def without_drift(flat: NDArray[np.float64], turns: Turns) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Densities without what rises or falls along the transcript.

    Of the logarithms of the densities of a layer, a head and a speaker, the slope of the line of least squares over the
    numbers of the turns is taken out; their mean stays. A density of 0, and turns at which the speaker has no cell, are
    left alone.

    Args:
        flat: Densities of turns on speakers, [X, T, S].
        turns: What they are of.

    Returns:
        Two of [X, T, S]: the densities without drift; and the same with the logarithms as far from their mean as they
        would be without the line, by sqrt((n - 1) / (n - 2)) of n turns: what is left of a fit is too even.
    """
    place = np.asarray(turns.numbers, dtype=np.float64)[:, None]  # [T, 1]
    counts = np.isfinite(flat) & (flat > 0) & (turns.cells > 0)
    own = counts.sum(1, keepdims=True)
    n = np.maximum(own, 1)
    x = place - (counts * place).sum(1, keepdims=True) / n  # [X, T, S]
    y = np.log(np.where(counts, flat, 1.0))
    mean = (counts * y).sum(1, keepdims=True) / n
    slope = divide((counts * x * y).sum(1, keepdims=True), (counts * x**2).sum(1, keepdims=True))
    left = y - mean - np.nan_to_num(slope) * x
    wider = np.sqrt(np.where(own > 2, (own - 1) / np.maximum(own - 2, 1), 1.0))
    straight, spread = (np.where(counts, np.exp(mean + part), flat) for part in (left, wider * left))
    return straight, spread


def drift_p(
    flat: NDArray[np.float64], turns: Turns, *, limit: int, draws: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lift without drift, and its permutation p: labels are rearranged over what is left.

    It holds its level also where each person speaks in one run, at the price of power there (`benchmarks.nulls`; other
    ways are compared in `benchmarks.nulls_tried`).

    Args:
        flat: Densities of turns on speakers, [X, T, S].
        turns: What they are of.
        limit: As of `label_p`.
        draws: Likewise.
        seed: Likewise.

    Returns:
        Lift and p, each [X].
    """
    straight, spread = without_drift(flat, turns)
    observed = lifts(straight, turns, turns.labels[None])[0]
    p, _ = label_p(straight, turns, limit=limit, draws=draws, seed=seed, null=spread)
    return observed, p


def exchanged_seats(
    flat: NDArray[np.float64], turns: Turns, *, limit: int, draws: int, seed: int
) -> tuple[NDArray[np.float64], bool]:
    """Lifts when the tracks of boxes are dealt to the speakers anew.

    Args:
        flat: Densities of turns on speakers, [X, T, S].
        turns: What they are of.
        limit: Up to this number of ways, all are taken.
        draws: Random ways otherwise.
        seed: Seed of the random numbers.

    Returns:
        Lifts [K, X], the first as the boxes are, and whether the ways are all there are. Speakers who are never visible
        change with nobody.
    """
    seen = np.flatnonzero((turns.cells > 0).any(0))
    ways, exact = arrangements(seen, limit=limit, draws=draws, seed=seed)
    ways = np.concatenate([seen[None], ways[(ways != seen).any(1)] if exact else ways])
    out = np.empty((len(ways), len(flat)))
    for row, way in enumerate(ways):
        whose = np.arange(len(turns.speakers))
        whose[seen] = way
        out[row] = lifts(flat[..., whose], replace(turns, cells=turns.cells[:, whose]), turns.labels[None])[0]
    return out, exact


def shifted_cells(
    cap: Capture, threshold: float, *, shifts: int, seed: int
) -> tuple[NDArray[np.bool_], NDArray[np.int64], bool]:
    """The cells that the scene's boxes cover when they are moved in time, by whole temporal units.

    Args:
        cap: An open capture.
        threshold: Covered fraction from which a cell counts as a speaker's.
        shifts: Every shift is taken up to this number of units, of more a random choice of this number.
        seed: Seed of the random numbers.

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
    """Lift over that with other boxes, and its p.

    Args:
        null: Lifts for each shift, or each exchange of seats, [K, X]; the first is that of the boxes as they are.
        exact: These are all there are.

    Returns:
        First row over the mean of the others, p, and others that have a score, each [X]; NaN where there is none.
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
        places: Columns `layer` and `head`, X rows; means (-1) are not corrected, nor counted.

    Returns:
        [X], NaN where p is, and for means.
    """
    q = np.full(p.shape, np.nan)
    single = np.isfinite(p) & ((places["layer"] != OVER) & (places["head"] != OVER)).to_numpy()
    if single.any():
        q[single] = false_discovery_control(p[single])
    return q

"""Statistics over clips, for many numbers at once: intervals and tests, arrays in, arrays out.

Captures of one clip are not independent, so the clip is the unit: every function takes one value for each clip, [X, C]
for X numbers and C clips, NaN where a clip does not define the number. Drawing, permuting and testing are scipy's. What
it is given to draw are clips, once for all X numbers, and the numbers follow by a matrix product.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, permutation_test, wilcoxon

from attnscope.metrics.tidy import divide

Floats = NDArray[np.float64]
CONFIDENCE = 0.95
DRAWS = 2000
PERMUTATIONS = 9999
_BLOCK = 4_000_000  # numbers held by one step
_EXACT = 50  # clips up to which the distribution of the rank sum is counted out
_DIGITS = 12  # of a statistic between -1 and 1: the same sum in another order is still a tie


def means(values: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Mean over the clips that define a number, and how many these are, each [X]."""
    defined = np.isfinite(values)
    n = defined.sum(1)
    return divide(np.where(defined, values, 0.0).sum(1), n), n


def interval(values: Floats, less: Floats | None = None, *, draws: int = DRAWS, seed: int = 0) -> tuple[Floats, Floats]:
    """Percentile bootstrap interval (95 %) of a mean, or of a difference of means, whole clips drawn again.

    Args:
        values: [X, C].
        less: [X, C] of the same clips, whose mean is taken from that of `values`; a clip may define one, or both.
        draws: bootstrap samples, the same for all numbers; those in which no clip defines a number are left out.
        seed: of the random numbers.

    Returns:
        Low and high, each [X]; NaN where a mean is over fewer than two clips: one clip has no spread.
    """
    count, clips = values.shape
    low, high = np.full(count, np.nan), np.full(count, np.nan)
    parts = [values] if less is None else [values, less]
    enough = np.logical_and.reduce([np.isfinite(part).sum(1) > 1 for part in parts])
    rows = np.flatnonzero(enough)
    size = max(1, _BLOCK // draws)
    for start in range(0, len(rows), size):
        block = rows[start : start + size]
        low[block], high[block] = _interval([part[block] for part in parts], clips, draws, seed)
    return low, high


def _interval(parts: list[Floats], clips: int, draws: int, seed: int) -> tuple[Floats, Floats]:
    sums = [np.nan_to_num(part).T for part in parts]  # [C, X]
    counts = [np.isfinite(part).T.astype(np.float64) for part in parts]

    def statistic(drawn: Any, **_: Any) -> Any:
        picks = np.atleast_2d(np.asarray(drawn, dtype=np.int64))  # [B, C]
        flat = (picks + clips * np.arange(len(picks))[:, None]).ravel()
        times = np.bincount(flat, minlength=clips * len(picks)).reshape(len(picks), clips).astype(np.float64)
        found = [divide(times @ total, times @ count).T for total, count in zip(sums, counts, strict=True)]  # [X, B]
        result = found[0] if len(found) == 1 else found[0] - found[1]
        return result if np.ndim(drawn) > 1 else result[:, 0]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some draws are not defined, or all are alike
        found = bootstrap(
            (np.arange(clips),),
            statistic,
            vectorized=True,
            n_resamples=draws,
            confidence_level=CONFIDENCE,
            method="percentile",
            random_state=np.random.default_rng(seed),
        )
    low, high = (np.array(end, np.float64) for end in found.confidence_interval)
    spread = found.bootstrap_distribution  # [X, B]
    some = np.flatnonzero(~np.isfinite(spread).all(1))
    if len(some):
        tail = 50 * (1 - CONFIDENCE)
        low[some], high[some] = np.nanpercentile(spread[some], [tail, 100 - tail], axis=1)
    return low, high


def sign_flips(change: Floats, *, permutations: int = PERMUTATIONS, seed: int = 0) -> Floats:
    """Two-sided permutation p of a mean change: would the changes of whole clips be as far from 0 with other signs?

    Args:
        change: after less before, [X, C].
        permutations: random ones; if there are no more than these, all are counted out.
        seed: of the random numbers.

    Returns:
        [X]; NaN with fewer than two clips. The least p is 2 / (permutations + 1), or 2 / 2^C where all are counted.
    """
    p = np.full(len(change), np.nan)
    for rows, columns in _alike(np.isfinite(change), permutations):
        if len(columns) > 1:
            part = change[np.ix_(rows, columns)]
            unit = divide(part, np.abs(part).sum(1, keepdims=True))
            p[rows] = _permuted(np.nan_to_num(unit).T, np.ones(len(columns)), "samples", permutations, seed)
    return p


def labels_exchanged(
    values: Floats, first: NDArray[np.bool_], *, permutations: int = PERMUTATIONS, seed: int = 0
) -> Floats:
    """Two-sided permutation p of a difference of means between two sets of clips.

    Args:
        values: [X, C].
        first: which clips are in the first set; the others are in the second, [C].
        permutations: random ones; if there are no more than these, all are counted out.
        seed: of the random numbers.

    Returns:
        [X]; NaN where one of the sets has no clip that defines the number.
    """
    p = np.full(len(values), np.nan)
    for rows, columns in _alike(np.isfinite(values), permutations):
        label = first[columns].astype(np.float64)
        if 0 < label.sum() < len(label):
            part = values[np.ix_(rows, columns)]
            # the sum over the first set: with both sizes and the total fixed, the difference of means rises with it
            unit = divide(part, np.abs(part).sum(1, keepdims=True))
            p[rows] = _permuted(np.nan_to_num(unit).T, label, "pairings", permutations, seed)
    return p


def _permuted(unit: Floats, weights: Floats, kind: str, permutations: int, seed: int) -> Floats:
    """Give p [X] of weights @ unit, where scipy flips the signs of the weights [C], or permutes them; unit [C, X]."""
    found: Any = permutation_test(
        (weights,),
        lambda drawn, **_: np.round(np.asarray(drawn) @ unit, _DIGITS),
        permutation_type=kind,
        vectorized=True,
        n_resamples=permutations,
        random_state=np.random.default_rng(seed),
    )
    return np.asarray(found.pvalue, dtype=np.float64)


def signed_ranks(change: Floats) -> Floats:
    """Two-sided p of Wilcoxon's signed-rank test; clips without a change are left out, as Wilcoxon did.

    Args:
        change: after less before, [X, C].

    Returns:
        [X]; exact up to 50 clips without ties, else by the normal approximation. NaN with fewer than two clips, 1 where
        nothing changes.
    """
    p = np.full(len(change), np.nan)
    p[(np.isfinite(change).sum(1) > 1) & (np.nan_to_num(change) == 0).all(1)] = 1.0
    several = np.isfinite(change).sum(1) > 1
    for rows, columns in _alike(several[:, None] & np.isfinite(change) & (change != 0), 1):
        if not len(columns):
            continue
        part = change[np.ix_(rows, columns)]
        ordered = np.sort(np.abs(part), axis=1)
        tied = (ordered[:, 1:] == ordered[:, :-1]).any(1) | (len(columns) > _EXACT)
        # the method is chosen here: left to itself, scipy permutes tied rows one by one, for minutes
        for which, method in ((~tied, "exact"), (tied, "approx")):
            if which.any():
                p[rows[which]] = wilcoxon(part[which], axis=1, method=method).pvalue
    return p


def _alike(defined: NDArray[np.bool_], depth: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows of [X, C] that are defined in the same clips, in blocks, with these clips."""
    patterns, which = np.unique(defined, axis=0, return_inverse=True)
    order, ends = (
        np.argsort(which.ravel(), kind="stable"),
        np.cumsum(np.bincount(which.ravel(), minlength=len(patterns))),
    )
    size = max(1, _BLOCK // max(depth, defined.shape[1]))
    for pattern, rows in zip(patterns, np.split(order, ends[:-1]), strict=True):
        for start in range(0, len(rows), size):
            yield rows[start : start + size], np.flatnonzero(pattern)

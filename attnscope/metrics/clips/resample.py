"""Statistics over clips, for many numbers at once: intervals and tests, arrays in, arrays out.

Captures of one clip are not independent, so the clip is the unit: every function takes one value for each clip, [X, C]
for X numbers and C clips, NaN where a clip does not define the number. Drawing, permuting and testing are scipy's. What
it is given to draw are clips, once for all X numbers, and the numbers follow by a matrix product.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, norm, permutation_test, t, wilcoxon

from attnscope.metrics.tables import divide

Floats = NDArray[np.float64]
CONFIDENCE = 0.95
DRAWS = 2000
FEWEST = 6  # clips that an interval needs: of fewer, percentiles of the draws cover far less than they say
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
    """Bootstrap interval (95 %) of a mean, or of a difference of means, whole clips drawn again.

    Percentiles of the draws, further out than 2.5 and 97.5 % by what few clips need (`tail`). Of 6 clips it covers the
    mean of a normal distribution in about 93 % of cases and that of an exponential one in 88 % (measured in
    tests/metrics/test_resample.py); fewer would cover much less, and have none.

    Args:
        values: [X, C].
        less: [X, C] of the same clips, whose mean is taken from that of `values`. Where no clip defines both, the two
            groups are drawn each by itself, else clips with all that they define.
        draws: Bootstrap samples; those in which no clip defines a number are left out.
        seed: Seed of the random numbers.

    Returns:
        Low and high, each [X]; NaN where a mean is over fewer than `FEWEST` clips.
    """
    low, high = np.full(len(values), np.nan), np.full(len(values), np.nan)
    parts = [values] if less is None else [values, less]
    defined = np.concatenate([np.isfinite(part) for part in parts], axis=1)
    clips = values.shape[1]
    for rows, columns in _alike(defined, draws):
        sets = [columns[columns // clips == part] % clips for part in range(len(parts))]
        fewest = min(map(len, sets))
        if fewest < FEWEST:
            continue
        apart = not set(sets[0]) & set(sets[-1])
        groups = sets if apart else [np.unique(np.concatenate(sets))]
        draws_of_means = _resampled([part[rows] for part in parts], groups, draws, seed)
        share = tail(fewest)
        quantile = np.quantile if np.isfinite(draws_of_means).all() else np.nanquantile  # which is slow
        low[rows], high[rows] = quantile(draws_of_means, [share, 1 - share], axis=1)
    return low, high


def tail(n: int, level: float = CONFIDENCE) -> float:
    """Share of the draws below a bootstrap interval of `n` clips.

    Plain percentiles are those of the normal distribution and of a spread over n instead of n - 1, so they cover too
    little (Hesterberg 2015, The American Statistician 69, section 4.2.1: the expanded percentile interval).
    """
    return float(norm.cdf(np.sqrt(n / (n - 1)) * t.ppf((1 - level) / 2, n - 1)))


def _resampled(parts: list[Floats], groups: list[NDArray[np.int64]], draws: int, seed: int) -> Floats:
    """Means, or differences of them, when the clips of each group are drawn again, [X, draws]."""
    clips = parts[0].shape[1]
    sums = [np.nan_to_num(part).T for part in parts]  # [C, X]
    counts = [np.isfinite(part).T.astype(np.float64) for part in parts]

    def statistic(*samples: Any, **_: Any) -> Any:
        picks = np.concatenate([np.atleast_2d(np.asarray(some, dtype=np.int64)) for some in samples], axis=1)  # [B, C]
        flat = (picks + clips * np.arange(len(picks))[:, None]).ravel()
        times = np.bincount(flat, minlength=clips * len(picks)).reshape(len(picks), clips).astype(np.float64)
        sampled = [divide(times @ total, times @ count).T for total, count in zip(sums, counts, strict=True)]  # [X, B]
        result = sampled[0] if len(sampled) == 1 else sampled[0] - sampled[1]
        return result if np.ndim(samples[0]) > 1 else result[:, 0]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some draws are not defined, or all are alike
        sampled: Any = bootstrap(
            groups,
            statistic,
            vectorized=True,
            n_resamples=draws,
            method="percentile",
            random_state=np.random.default_rng(seed),
        )
    return np.asarray(sampled.bootstrap_distribution, dtype=np.float64)


def sign_flips(change: Floats, *, permutations: int = PERMUTATIONS, seed: int = 0) -> Floats:
    """Two-sided permutation p of a mean change: would the changes of whole clips be as far from 0 with other signs?

    Args:
        change: After less before, [X, C].
        permutations: Random ones; if there are no more than these, all are counted out.
        seed: Seed of the random numbers.

    Returns:
        [X]; NaN with fewer than two clips. The least p is 2 / (permutations + 1), or 2 / 2^C where all are counted.
    """
    p = np.full(len(change), np.nan)
    for rows, columns in _alike(np.isfinite(change), permutations):
        if len(columns) > 1:
            part = change[np.ix_(rows, columns)]
            unit = divide(part, np.abs(part).sum(1, keepdims=True))
            total = partial(_signed, np.nan_to_num(unit).T)
            p[rows] = _permuted((np.ones(len(columns)),), total, "samples", permutations, seed)
    return p


def _signed(unit: Floats, signs: Any) -> Floats:
    """Sums of [C, X] under signs [..., C], [..., X]."""
    return np.asarray(np.asarray(signs) @ unit, dtype=np.float64)


def labels_exchanged(
    values: Floats, first: NDArray[np.bool_], *, permutations: int = PERMUTATIONS, seed: int = 0
) -> Floats:
    """Two-sided permutation p of a difference of means between two sets of clips.

    Args:
        values: [X, C].
        first: Which clips are in the first set; the others are in the second, [C].
        permutations: Random ones; if there are no more ways than these to choose the first set, all are counted out.
        seed: Seed of the random numbers.

    Returns:
        [X]; NaN where one of the sets has no clip that defines the number.
    """
    p = np.full(len(values), np.nan)
    for rows, columns in _alike(np.isfinite(values), permutations):
        label = first[columns]
        if label.any() and not label.all():
            part = values[np.ix_(rows, columns)]
            # the sum over the first set: with both sizes and the total fixed, the difference of means rises with it
            unit = np.nan_to_num(divide(part, np.abs(part).sum(1, keepdims=True))).T
            sets = np.flatnonzero(label), np.flatnonzero(~label)
            if min(map(len, sets)) == 1:  # which scipy refuses: any of the clips could be the one
                p[rows] = _alone(unit, int(min(sets, key=len)[0]))
                continue
            p[rows] = _permuted(sets, partial(_sum_of, unit), "independent", permutations, seed)
    return p


def _alone(unit: Floats, clip: int) -> Floats:
    """Two-sided p [X] of one of C clips against the others; unit [C, X]."""
    unit = np.round(unit, _DIGITS)
    tails = np.stack([(unit >= unit[clip]).mean(0), (unit <= unit[clip]).mean(0)])
    return np.asarray(np.minimum(1.0, 2 * tails.min(0)), dtype=np.float64)


def _sum_of(unit: Floats, chosen: Any, _: Any) -> Floats:
    """Sums over the chosen clips [..., n] of [C, X], [..., X]."""
    chosen = np.asarray(chosen, dtype=np.int64)
    weights = np.zeros((*chosen.shape[:-1], len(unit)))
    np.put_along_axis(weights, chosen, 1.0, axis=-1)
    return weights @ unit


def _permuted(data: Sequence[Any], statistic: Callable[..., Any], kind: str, permutations: int, seed: int) -> Floats:
    """Two-sided p [X] of statistics [..., X] of samples [..., n] that scipy rearranges; all ways if they are few."""
    result: Any = permutation_test(
        data,
        lambda *samples, **_: np.round(statistic(*samples), _DIGITS),
        permutation_type=kind,
        vectorized=True,
        n_resamples=permutations,
        random_state=np.random.default_rng(seed),
    )
    return np.asarray(result.pvalue, dtype=np.float64)


def signed_ranks(change: Floats) -> Floats:
    """Two-sided p of Wilcoxon's signed-rank test; clips without a change are left out, as Wilcoxon did.

    Args:
        change: After less before, [X, C].

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

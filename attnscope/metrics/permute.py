"""Arrangements of labels for permutation tests: all of them when they are few, else a random sample."""

from __future__ import annotations

from collections.abc import Iterator
from math import factorial, prod

import numpy as np
from numpy.typing import NDArray


def count(labels: NDArray[np.int64]) -> int:
    """How many distinct arrangements of the labels there are (each label as often as it occurs)."""
    _, times = np.unique(labels, return_counts=True)
    return factorial(len(labels)) // prod(factorial(int(t)) for t in times)


def arrangements(
    labels: NDArray[np.int64], *, limit: int = 5000, draws: int = 1999, seed: int = 0
) -> tuple[NDArray[np.int64], bool]:
    """Rearrange labels.

    Args:
        labels: label of each item, [T].
        limit: up to so many distinct arrangements, all are listed, the given one among them.
        draws: random arrangements if there are more.
        seed: of the random numbers.

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
        observed: scores, [X].
        null: scores of the arrangements, [A, X]; NaN where an arrangement has no score (it is not counted).
        exact: the arrangements are all there are (p = k / n), else a sample of them (p = (k + 1) / (n + 1)).

    Returns:
        p [X], NaN where the observed score is not defined, and n [X], the arrangements that were counted.
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

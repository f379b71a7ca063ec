"""Numbers of many queries from an evenly spread sample of them, with standard errors.

The queries are cut into stretches of equal length, to one query, and one is drawn from each (a stratified sample). The
mean over the sample estimates the mean over all. Its standard error comes from the differences of neighbours in the
sample (Wolter 2007, Introduction to Variance Estimation, ch. 8), so that a trend along the prompt does not count as
noise; it falls to 0 where every query is in the sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from attnscope.vocabulary import PARTITIONS, SINK

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST = 8  # members of a set that a sample must hold: an error from fewer is hardly known itself (ours)


def spread(positions: Ints, count: int, seed: int | Sequence[int]) -> Ints:
    """Draw one position from each of `count` stretches whose lengths differ by one at most.

    Args:
        positions: [N] to choose from, increasing.
        count: How many to draw; all are taken where there are no more.
        seed: Of the draw.

    Returns:
        The drawn positions, increasing.

    Example:
        >>> spread(np.arange(10, 20), 3, seed=0).tolist()
        [12, 14, 16]
        >>> spread(np.arange(3), 5, seed=0).tolist()
        [0, 1, 2]
    """
    if count >= len(positions):
        return positions
    rng = np.random.default_rng(seed)
    length, longer = divmod(len(positions), count)
    # Which stretches are longer by one is drawn as well: a fixed pattern would favour what repeats with it
    end = np.cumsum(length + rng.permutation(np.arange(count) < longer))
    return positions[rng.integers(np.concatenate([[0], end[:-1]]), end)]


def is_sampled(families: Iterable[str], member: Bools, visual: Bools) -> Bools:
    """Of which key groups the mass that visual queries give them is known of a sample only, unless all were read.

    They hold some of the visual keys and not all. No number about modalities and roles, which divide the keys, may rest
    on a sample; sinks are read directly.

    Args:
        families: [G] of `attnscope.vocabulary.KEY_FAMILIES`.
        member: [G, N].
        visual: [N] which keys are visual.

    Returns:
        [G] bool.

    Example:
        >>> member = np.array([[True, True, False], [True, False, False]])
        >>> is_sampled(["modality", "frame"], member, np.array([True, True, False])).tolist()
        [False, True]
    """
    within = (member & visual).sum(1)
    exact = np.isin(list(families), [*PARTITIONS, SINK])
    return np.asarray((within > 0) & (within < visual.sum()) & ~exact)


def means(values: Floats, member: Bools, population: Ints) -> tuple[Floats, Floats]:
    """Mean over each of several sets, from a sample of their members, and its standard error.

    Args:
        values: [n, ...] of the sample, in the order of their positions.
        member: [S, n] which of the sample belong to each set.
        population: [S] how many members each set has in all.

    Returns:
        Means and standard errors [S, ...]; NaN where the sample holds fewer than `LEAST` members of a set, unless it
        holds all of them (then the error is 0).
    """
    drawn = member.sum(1)
    shape = (len(member), *[1] * (values.ndim - 1))
    mean = np.tensordot(member.astype(np.float64), values, 1) / np.maximum(drawn, 1).reshape(shape)
    sets, before, after = _neighbours(member & (drawn < population)[:, None])
    squares = np.zeros_like(mean)
    np.add.at(squares, sets, (values[after] - values[before]) ** 2)
    left = 1 - drawn / np.maximum(population, 1)
    variance = squares / np.maximum(2 * (drawn - 1) * drawn, 1).reshape(shape) * left.reshape(shape)
    known = ((drawn >= LEAST) | ((drawn == population) & (drawn > 0))).reshape(shape)
    return np.where(known, mean, np.nan), np.where(known, np.sqrt(variance), np.nan)


def _neighbours(member: Bools) -> tuple[Ints, Ints, Ints]:
    """Of each set the pairs of members that follow one another in the sample: sets, first and second of each pair."""
    sets, places = np.nonzero(member)
    same = sets[1:] == sets[:-1]
    return sets[1:][same], places[:-1][same], places[1:][same]

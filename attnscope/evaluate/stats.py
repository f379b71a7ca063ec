"""How sure an accuracy is: intervals over clips, and a paired test.

Questions about one clip are not independent, so clips are drawn again, not questions: the bootstrap resamples whole
clips, and the accuracy of a resample is the sum of its right answers over the sum of its questions. Fewer than six
clips have no interval: it would cover far less than it says (`attnscope.metrics.clips.resample`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, bootstrap

from attnscope.metrics.clips.resample import FEWEST

Counts = npt.NDArray[np.int64]
CONFIDENCE = 0.95
_RESAMPLES = 9999
_SEED = 0
_AT_ONCE = 4_000_000  # numbers held by one step of the bootstrap


class Interval(NamedTuple):
    """An estimate with the ends of its 95 % interval; NaN ends where there are fewer than `FEWEST` clips."""

    estimate: float
    low: float
    high: float


def accuracy(right: Counts, asked: Counts) -> Interval:
    """Share of right answers, with a percentile bootstrap interval over clips (ours).

    Args:
        right: [clips] right answers of each clip.
        asked: [clips] questions of each clip, at least 1.
    """
    return _over_clips(_share, right, asked)


def difference(before: Counts, after: Counts, asked: Counts) -> Interval:
    """Accuracy after less accuracy before, paired: each resample takes both conditions of a clip (ours).

    Args:
        before: [clips] right answers under the first condition.
        after: [clips] right answers under the second.
        asked: [clips] questions of each clip, at least 1.
    """
    return _over_clips(_gain, before, after, asked)


def mcnemar(gained: int, lost: int) -> float:
    """Exact two-sided p-value of McNemar's test: would wrong-to-right be as likely as right-to-wrong?

    Args:
        gained: Questions that only the second condition answers rightly (n01).
        lost: Questions that only the first condition answers rightly (n10).

    Returns:
        P-value of a binomial test with probability 1/2; 1 where the conditions never differ. It takes questions as
        independent; the interval of `difference` and `clip_test` do not.
    """
    return float(binomtest(gained, gained + lost, 0.5).pvalue) if gained + lost else 1.0


def clip_test(before: Counts, after: Counts) -> float:
    """Exact two-sided p-value over clips: would each whole clip's change be as likely with the other sign?

    Ours: the sign-flip test of the sum, all signs counted by convolution. With one question a clip it is McNemar's.

    Args:
        before: [clips] right answers under the first condition.
        after: [clips] right answers under the second.

    Returns:
        Share of the signs whose sum is at least as far from 0; 1 where no clip changes.

    >>> clip_test(np.zeros(20, int), np.array([3] * 4 + [0] * 16))  # 12 questions gained, but in four clips
    0.125
    """
    change = np.asarray(after, dtype=np.int64) - np.asarray(before, dtype=np.int64)
    steps = np.abs(change[change != 0])
    total = int(steps.sum())
    if not total:
        return 1.0
    if (steps == 1).all():
        return mcnemar(int((change > 0).sum()), int((change < 0).sum()))
    shares = np.zeros(2 * total + 1)  # of the sums from -total to total
    shares[total] = 1.0
    for step in steps.tolist():
        shares = (np.roll(shares, step) + np.roll(shares, -step)) / 2  # never reaches around: the sums stay within
    far = np.abs(np.arange(-total, total + 1)) >= abs(int(change.sum()))
    return min(1.0, float(shares[far].sum()))


def _share(right: Any, asked: Any, axis: int = -1) -> Any:
    return right.sum(axis) / asked.sum(axis)


def _gain(before: Any, after: Any, asked: Any, axis: int = -1) -> Any:
    return (after.sum(axis) - before.sum(axis)) / asked.sum(axis)


def _over_clips(statistic: Any, *counts: Counts) -> Interval:
    clips = len(counts[0])
    order = np.lexsort(counts)  # the order of the clips must not choose which of them a seed draws
    data = tuple(np.asarray(column)[order] for column in counts)
    estimate = float(statistic(*data))
    if clips < FEWEST:
        return Interval(estimate, float("nan"), float("nan"))
    ends = bootstrap(
        data,
        statistic,
        paired=True,
        vectorized=True,
        confidence_level=CONFIDENCE,
        n_resamples=_RESAMPLES,
        batch=max(1, _AT_ONCE // clips),
        method="percentile",
        random_state=np.random.default_rng(_SEED),
    ).confidence_interval
    return Interval(estimate, float(ends.low), float(ends.high))

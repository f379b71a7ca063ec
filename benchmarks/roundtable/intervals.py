"""95 % intervals over clips for what is no accuracy; accuracies have theirs from `attnscope.evaluate.stats`."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import DegenerateDataWarning, bootstrap

from attnscope.evaluate.stats import CONFIDENCE, Interval

FEWEST_CLIPS = 5  # on each side of a difference, for an interval
_RESAMPLES = 9999
_NUMBERS = 4_000_000  # held by one step of the bootstrap


def mean(values: pd.Series, clips: pd.Series) -> Interval:
    """Mean over questions, whole clips drawn again."""
    by_clip = values.groupby(clips, sort=True)
    return _over_clips(lambda total, count, axis=-1: total.sum(axis) / count.sum(axis), by_clip.sum(), by_clip.size())


def gap(values: pd.Series, right: pd.Series, clips: pd.Series) -> Interval:
    """Mean over the questions answered right less that over those answered wrong, whole clips drawn again.

    NaN if there are none of one kind; no interval where fewer than FEWEST_CLIPS have one: drawn again, they are alike.
    """
    chosen = right.astype(bool)
    nothing = float("nan")
    if chosen.all() or not chosen.any():
        return Interval(nothing, nothing, nothing)
    if min(clips[chosen].nunique(), clips[~chosen].nunique()) < FEWEST_CLIPS:
        return Interval(float(values[chosen].mean() - values[~chosen].mean()), nothing, nothing)
    parts = [
        column.groupby(clips, sort=True).sum()
        for column in (values.where(chosen, 0.0), chosen, values.where(~chosen, 0.0), ~chosen)
    ]

    def difference(right: Any, rights: Any, wrong: Any, wrongs: Any, axis: int = -1) -> Any:
        with np.errstate(invalid="ignore", divide="ignore"):  # a resample may hold no wrong answer
            return right.sum(axis) / rights.sum(axis) - wrong.sum(axis) / wrongs.sum(axis)

    return _over_clips(difference, *parts)


def verdict(low: float, high: float, more: str = "helps", less: str = "hurts") -> str:
    """What the interval of a difference says."""
    if low > 0:
        return more
    if high < 0:
        return less
    return "no difference shown" if low == low else "no interval"


def _over_clips(statistic: Any, *columns: pd.Series) -> Interval:
    data = tuple(column.to_numpy(np.float64) for column in columns)
    estimate = float(statistic(*data))
    if len(data[0]) < 2:
        return Interval(estimate, float("nan"), float("nan"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)  # all resamples alike, or some not defined
        drawn = bootstrap(
            data,
            statistic,
            paired=True,
            vectorized=True,
            confidence_level=CONFIDENCE,
            n_resamples=_RESAMPLES,
            batch=max(1, _NUMBERS // len(data[0])),
            method="percentile",
            random_state=np.random.default_rng(0),
        ).bootstrap_distribution
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.nanpercentile(drawn, [tail, 100 - tail])
    return Interval(estimate, float(low), float(high))

"""95 % intervals over clips for what is no accuracy; accuracies have theirs from `attnscope.evaluate.stats`."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import DegenerateDataWarning, bootstrap

from attnscope.evaluate.stats import CONFIDENCE, Interval, mcnemar
from attnscope.metrics.clips.verdict import LESS, MORE, verdict

FEWEST_CLIPS = 5  # on each side of a difference, for an interval
_RESAMPLES = 9999
_NUMBERS = 4_000_000  # held by one step of the bootstrap


def mean(values: pd.Series, clips: pd.Series) -> Interval:
    """Mean over questions, whole clips drawn again."""
    by_clip = values.groupby(clips, sort=True)
    return _over_clips(lambda total, count, axis=-1: total.sum(axis) / count.sum(axis), by_clip.sum(), by_clip.size())


def gap(
    values: pd.Series, right: pd.Series, clips: pd.Series, strata: pd.Series, seed: int = 0
) -> tuple[Interval, float, int]:
    """Mean over the questions answered right less that over those answered wrong, within strata.

    Strata are numbers of people: with more of them both the attention to any one of them and the right answers fall,
    so a difference that pools them would be there without any bond between the two. The difference of each stratum
    weighs n_right n_wrong / (n_right + n_wrong); a stratum without answers of both kinds says nothing.

    Args:
        values: Of the questions.
        right: Which of them were answered right.
        clips: Their clips, each in one stratum.
        strata: Their strata.
        seed: Of the random numbers.

    Returns:
        The difference with its interval, whole clips of each stratum drawn again (none where fewer than `FEWEST_CLIPS`
        clips have a right or a wrong answer); two-sided p, right and wrong exchanged within strata; and the strata
        that count. NaN, NaN and 0 where none does.
    """
    frame = pd.DataFrame({"value": values, "right": right.astype(bool), "clip": clips, "stratum": strata})
    both = frame.groupby("stratum")["right"].transform("nunique") == 2
    frame = frame[both]
    nothing = float("nan")
    if not len(frame):
        return Interval(nothing, nothing, nothing), nothing, 0
    parts = [part for _, part in frame.groupby("stratum", sort=True)]
    sums = np.concatenate([_sums(part) for part in parts])  # [clips, 4]
    ends = np.cumsum([part["clip"].nunique() for part in parts])
    groups = np.split(np.arange(len(sums)), ends[:-1])
    estimate = float(_stratified(*(sums[group].sum(0) for group in groups)))
    p = _exchanged(parts, seed)
    too_few = min(frame[frame["right"] == kind]["clip"].nunique() for kind in (True, False)) < FEWEST_CLIPS
    if too_few or any(len(group) < 2 for group in groups):
        return Interval(estimate, nothing, nothing), p, len(parts)

    def statistic(*resampled: Any, axis: int = -1) -> Any:
        assert axis == -1  # clips stand last
        return _stratified(*(sums[np.asarray(group, dtype=np.int64)].sum(-2) for group in resampled))

    return _interval(estimate, groups, statistic, paired=False), p, len(parts)


def _sums(part: pd.DataFrame) -> np.ndarray:
    """[clips, 4]: sum and number of the values answered right, and of those answered wrong."""
    columns = {
        "right": part["value"].where(part["right"], 0.0),
        "rights": part["right"].astype(float),
        "wrong": part["value"].where(~part["right"], 0.0),
        "wrongs": (~part["right"]).astype(float),
    }
    return pd.DataFrame(columns).groupby(part["clip"], sort=True).sum().to_numpy()


def _stratified(*strata: np.ndarray) -> Any:
    """Weighted mean over strata [..., 4] of right less wrong; a draw without one kind in a stratum leaves it out."""
    total, weights = 0.0, 0.0
    for sums in strata:
        right, rights, wrong, wrongs = np.moveaxis(sums, -1, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            weight = rights * wrongs / (rights + wrongs)
            difference = np.where(weight > 0, right / rights - wrong / wrongs, 0.0)
        total, weights = total + weight * difference, weights + weight
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / weights


def _exchanged(parts: list[pd.DataFrame], seed: int) -> float:
    """Two-sided permutation p of the stratified difference: which answers are right is dealt again within strata."""
    rng = np.random.default_rng(seed)
    observed, null = 0.0, np.zeros(_RESAMPLES)
    for part in parts:
        values = part["value"].to_numpy(float) - part["value"].mean()
        right = part["right"].to_numpy()
        # weight times difference is the sum over the right answers of what is centred
        observed += float(values[right].sum())
        dealt = rng.permuted(np.broadcast_to(values, (_RESAMPLES, len(values))), axis=1)
        null += dealt[:, : int(right.sum())].sum(1)
    return float((1 + (np.abs(null) >= abs(observed) - 1e-12).sum()) / (1 + _RESAMPLES))


def judged(table: pd.DataFrame, part: str = "", more: str = MORE, less: str = LESS) -> pd.DataFrame:
    """A table with the verdict of each of its differences, derived from the numbers beside it and never stored apart.

    Args:
        table: With the columns low, high, p and, where there is one, p_clips.
        part: What stands before their names.
        more: As in `attnscope.metrics.clips.verdict`.
        less: Likewise.
    """
    tests = [name for name in (f"{part}p", f"{part}p_clips") if name in table]
    numbers = table[[f"{part}low", f"{part}high", *tests]].astype(float).to_numpy()
    return table.assign(**{f"{part}verdict": [verdict(*row, more=more, less=less) for row in numbers]})


def largest_p(difference: float, n: int) -> float:
    """The largest p that McNemar's exact test can have where only the difference of two accuracies was kept.

    Args:
        difference: Gained less lost, over n.
        n: Questions.
    """
    net = abs(round(difference * n))
    return max(mcnemar((pairs + net) // 2, (pairs - net) // 2) for pairs in range(net, n + 1, 2))


def _over_clips(statistic: Any, *columns: pd.Series) -> Interval:
    data = tuple(column.to_numpy(np.float64) for column in columns)
    estimate = float(statistic(*data))
    if len(data[0]) < 2:
        return Interval(estimate, float("nan"), float("nan"))
    return _interval(estimate, data, statistic, paired=True)


def _interval(estimate: float, data: Any, statistic: Any, *, paired: bool) -> Interval:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)  # all resamples alike, or some not defined
        resampled = bootstrap(
            data,
            statistic,
            paired=paired,
            vectorized=True,
            confidence_level=CONFIDENCE,
            n_resamples=_RESAMPLES,
            batch=max(1, _NUMBERS // sum(map(len, data))),
            method="percentile",
            random_state=np.random.default_rng(0),
        ).bootstrap_distribution
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.nanpercentile(resampled, [tail, 100 - tail])
    return Interval(estimate, float(low), float(high))

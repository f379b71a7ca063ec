"""Heads in order: how sure the order is, and whether other numbers would order them alike.

The interval of a head that was chosen for being the best of many is too favourable: choose heads on some clips, and
report them on others.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import friedmanchisquare, rankdata, spearmanr

from attnscope.metrics.criteria import Scores
from attnscope.metrics.resample import DRAWS, interval, means

Floats = NDArray[np.float64]
NOT_CAUSE = (
    "Attention mass is not causal importance: a head that attends somewhere need not matter there. None of these heads "
    "was knocked out."
)


def ranked(found: Scores, top: int, *, draws: int = DRAWS, seed: int = 0) -> pd.DataFrame:
    """All heads that have a value, the best first.

    Args:
        found: the numbers.
        top: how many of the first `top_share` is about.
        draws: bootstrap samples.
        seed: of the random numbers.

    Returns:
        Columns `rank` (from 1), `layer`, `head`, `value` (mean over clips), `low`, `high` (95 % bootstrap over clips,
        NaN for fewer than six), `n` (clips), `top_share` (share of the clips in which the head is among the first
        `top`), `mass` (of the gate; of equal heads the one with more comes first) and `effect` (of knocking the head
        out; NaN: not measured).
    """
    value, n = means(found.values)
    low, high = interval(found.values, draws=draws, seed=seed)
    table = found.places.assign(value=value, low=low, high=high, n=n, top_share=top_share(found, top))
    table = table.assign(mass=found.mass, effect=np.nan)[np.isfinite(value)]
    order = np.lexsort((-table["mass"], -found.oriented[np.isfinite(value)]))  # of equal ones the heavier
    table = table.iloc[order].reset_index(drop=True)
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return table


def top_share(found: Scores, top: int) -> Floats:
    """How often each head is among the first `top` of a clip, as a share of the clips that define anything, [X].

    Equal heads share the places that are left for them.
    """
    use = found.values[:, np.isfinite(found.values).any(0)]
    sign = 1 if found.criterion.lowest else -1
    order = np.where(np.isfinite(use), sign * use, np.inf)
    first, last = (rankdata(order, method=end, axis=0) for end in ("min", "max"))
    among = np.clip((top + 1 - first) / (last + 1 - first), 0.0, 1.0)
    return np.asarray(np.where(np.isfinite(use), among, 0.0).mean(1), dtype=np.float64)


def stability(found: Scores) -> dict[str, float]:
    """Do clips order the heads alike?

    Returns:
        `clips`, `heads` (those with a value in each of them), `kendall_w` (Kendall's coefficient of concordance: 0
        none, 1 the same order; corrected for ties) and `spearman` (mean over pairs of clips); NaN for one clip, or
        fewer than three heads.
    """
    use = found.values[:, np.isfinite(found.values).any(0)]
    use = use[np.isfinite(use).all(1)]
    heads, clips = use.shape
    w = rho = np.nan
    if clips > 1 and heads > 2:
        with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
            warnings.simplefilter("ignore")  # a clip in which all heads are equal has no order
            w = float(friedmanchisquare(*use).statistic) / (clips * (heads - 1))
            order = np.corrcoef(rankdata(use, axis=0).T)
        rho = float(np.mean(order[np.triu_indices(clips, 1)]))
    return {"clips": clips, "heads": heads, "kendall_w": w, "spearman": rho}


def agreement(several: Sequence[Scores], top: int) -> pd.DataFrame:
    """Would other criteria choose the same heads?

    Args:
        several: the numbers of several criteria over the same heads.
        top: how many of the first are compared.

    Returns:
        One row a pair: `by`, `other`, `spearman` (of the means over clips, each with its better side up), `n` (heads
        that have both), `top` (at most `top`: as many heads as both order), `overlap` (share of the first `top` that
        both choose) and `chance` (its expectation if the orders had nothing to do with each other).
    """
    rows: list[dict[str, Any]] = []
    for one, two in combinations(several, 2):
        a, b = one.oriented, two.oriented
        both = np.isfinite(a) & np.isfinite(b)
        sizes = int(np.isfinite(a).sum()), int(np.isfinite(b).sum())
        k = min(top, *sizes)
        first = [set(np.argsort(-np.where(np.isfinite(v), v, -np.inf), kind="stable")[:k].tolist()) for v in (a, b)]
        rho = rank_correlation(a[both], b[both])
        names = {"by": one.criterion.name, "other": two.criterion.name}
        found = {"spearman": rho, "n": both.sum(), "top": k, "overlap": np.nan, "chance": np.nan}
        if k:
            found |= {"overlap": len(first[0] & first[1]) / k, "chance": k * both.sum() / (sizes[0] * sizes[1])}
        rows.append(names | found)
    return pd.DataFrame(rows, columns=pd.Index(["by", "other", "spearman", "n", "top", "overlap", "chance"]))


def rank_correlation(one: ArrayLike, other: ArrayLike) -> float:
    """Spearman's rank correlation; NaN for fewer than three pairs, or where one side is all alike."""
    a, b = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    defined = len(a) > 2 and np.ptp(a) > 0 and np.ptp(b) > 0
    return float(spearmanr(a, b).statistic) if defined else float("nan")

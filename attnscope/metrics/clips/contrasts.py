"""Comparisons of captures: the same clips twice, and groups of clips. In every table here `n` counts clips."""

from __future__ import annotations

from collections.abc import Collection
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.errors import RequestError
from attnscope.metrics.clips.keys import by_clip, clips_of, common, same_questions, several_groups
from attnscope.metrics.clips.resample import (
    DRAWS,
    PERMUTATIONS,
    interval,
    labels_exchanged,
    means,
    sign_flips,
    signed_ranks,
)
from attnscope.metrics.people.nulls import q_values
from attnscope.metrics.registry import OVER

Floats = NDArray[np.float64]


def paired(
    table: pd.DataFrame,
    about: pd.DataFrame,
    before: Collection[str],
    after: Collection[str],
    *,
    draws: int = DRAWS,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> pd.DataFrame:
    """Two sets of captures of the same clips: every number's change, after less before, clip by clip.

    Where both sets hold the same question about a clip, its captures with other questions do not count.

    Args:
        table: A tidy table of many captures, with a column `capture`.
        about: Their `labels`.
        before: Names of captures, for example plain ones.
        after: Names of others, for example corrected ones.
        draws: Bootstrap samples.
        permutations: Permutations of signs; all are counted out if there are no more.
        seed: Seed of the random numbers.

    Returns:
        The table's keys, `before` and `after` (means over the clips that define both), `value` (the mean change), `n`
        (these clips), `low`, `high`, `p` (two-sided permutation test of the mean change, signs of clips flipped) and
        `p_wilcoxon` (signed-rank test), and `q`, `q_wilcoxon`: p corrected (Benjamini and Hochberg), of single heads
        over layers x heads, of means over heads over the layers; NaN for means over layers. `low` and `high` are NaN
        for fewer than six clips.

    Raises:
        RequestError: As `attnscope.metrics.clips.pool.pooled`, and if no clip is in both sets, or a capture is.

    Example:
        >>> change = metrics.clips.paired(metrics.clips.shared(looks), about, ["run"], ["after"])
        >>> row = change.query("asked and layer == 2 and head == -1")  # the one who is asked about
        >>> row[["before", "after"]].round(2).values.tolist()
        [[0.16, 1.0]]
    """
    both = sorted(set(before) & set(after))
    if both:
        raise RequestError(f"capture '{both[0]}' is in both of the sets that are compared")
    keys, (first, second) = by_clip(table, about, same_questions(about, before, after))
    if not common(about, before, after):
        raise RequestError("the two sets of captures share no clip; compare them as groups of a field instead")
    change = second - first
    defined = np.isfinite(change)
    value, n = means(change)
    low, high = interval(change, draws=draws, seed=seed)
    p, ranks = sign_flips(change, permutations=permutations, seed=seed), signed_ranks(change)
    return keys.assign(
        before=means(np.where(defined, first, np.nan))[0],
        after=means(np.where(defined, second, np.nan))[0],
        value=value,
        n=n,
        low=low,
        high=high,
        p=p,
        q=_q(p, keys),
        p_wilcoxon=ranks,
        q_wilcoxon=_q(ranks, keys),
    )


def contrast(
    table: pd.DataFrame,
    about: pd.DataFrame,
    by: str,
    *,
    draws: int = DRAWS,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> pd.DataFrame:
    """Differences between groups of captures, for example those with many speakers and those with one object.

    Args:
        table: A tidy table of many captures, with a column `capture`.
        about: Their `labels`.
        by: A field of the scenes (or `speakers`, how many have a box) whose labels are the groups.
        draws: Bootstrap samples.
        permutations: Permutations of labels over clips; all are counted out if there are no more.
        seed: Seed of the random numbers.

    Returns:
        One row a number and pair of groups: the table's keys, `field`, `base`, `other` (two labels), `value` (mean of
        `other` less that of `base`), `n` (clips of both), `low`, `high`, `p` (two-sided permutation test: labels of
        clips exchanged) and `q` (p corrected as in `paired`). Clips of groups that share none are drawn each by
        itself; `low` and `high` are NaN where one has fewer than six. p is NaN where two groups share a clip, whose
        labels cannot be exchanged: `paired` is for those.

    Raises:
        RequestError: As `attnscope.metrics.clips.pool.pooled`, and if there are fewer than two groups.

    Example:
        >>> table = metrics.clips.contrast(metrics.clips.shared(looks), about, by="correction")
        >>> row = table.query("asked and layer == 2 and head == -1")
        >>> row[["base", "other", "value"]].round(2).values.tolist()
        [['plain', 'social-bias', 0.84]]
    """
    sets = several_groups(about, by)
    keys, values = by_clip(table, about, list(sets.values()))
    parts = []
    for (base, base_values), (other, other_values) in combinations(zip(sets, values, strict=True), 2):
        (less, n), (mean, m) = means(base_values), means(other_values)
        low, high = interval(other_values, base_values, draws=draws, seed=seed)
        p = np.full(len(keys), np.nan)
        if not common(about, sets[base], sets[other]):
            second = set(about.loc[about["capture"].isin(sets[other]), "clip"])
            either = np.where(np.isfinite(base_values), base_values, other_values)
            label = np.array([clip in second for clip in clips_of(about)])
            p = labels_exchanged(either, label, permutations=permutations, seed=seed)
        statistics = {"value": mean - less, "n": n + m, "low": low, "high": high, "p": p, "q": _q(p, keys)}
        parts.append(keys.assign(field=by, base=base, other=other, **statistics))
    return pd.concat(parts, ignore_index=True)


def _q(p: Floats, keys: pd.DataFrame) -> Floats:
    """Correct p (Benjamini and Hochberg), each number by itself: heads over layers x heads, their means over layers."""
    q = np.full(len(p), np.nan)
    columns = [c for c in keys.columns if c not in ("layer", "head")]
    for rows in keys.groupby(columns, sort=False, dropna=False).indices.values():
        places = keys.iloc[rows]
        q[rows] = q_values(p[rows], places)
        of_layers = rows[(places["head"] == OVER).to_numpy()]
        q[of_layers] = q_values(p[of_layers], keys.iloc[of_layers].assign(head=0))
    return q

"""Tables of many captures as one: means over clips with intervals, paired comparisons, groups by a field of the scenes.

The unit is the clip: the captures of one clip (its questions, say) are averaged first, then the clips, and intervals
draw whole clips again (ours). In every table here `n` counts clips.

    tables = {"speakers": DataFrame with a column `capture`, ...}
    about = labels(caps, names)
    pooled(tables["speakers"], about)                    # one row a number: mean, interval
    contrast(tables["speakers"], about, by="people")     # difference between groups of clips
    paired(tables["speakers"], about, plain, corrected)  # the same clips, twice
    summarize(tables, about, by="people")                # all of this, of all tables
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.errors import RequestError
from attnscope.metrics.clips import by_clip, clips_of, common, groups, labels, same_questions, shared
from attnscope.metrics.nulls import q_values
from attnscope.metrics.registry import OVER
from attnscope.metrics.resample import (
    DRAWS,
    PERMUTATIONS,
    interval,
    labels_exchanged,
    means,
    sign_flips,
    signed_ranks,
)
from attnscope.metrics.tables import long

__all__ = ["contrast", "groups", "labels", "paired", "pooled", "summarize"]

Floats = NDArray[np.float64]


def summarize(
    tables: Mapping[str, pd.DataFrame],
    about: pd.DataFrame,
    by: str | None = None,
    *,
    heads: bool = False,
    draws: int = DRAWS,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> dict[str, pd.DataFrame]:
    """All that many captures say together.

    Names of speakers, turns and moments belong to one clip and are averaged away (`attnscope.metrics.clips.shared`).

    Args:
        tables: by family, of many captures, with a column `capture`.
        about: their `labels`.
        by: a field of the scenes, `speakers` or `correction`: also compare the groups of captures that it makes.
        heads: compare every head, not only the means over heads (`pooled` always holds every head).
        draws: bootstrap samples.
        permutations: of the tests.
        seed: of the random numbers.

    Returns:
        Long tables (`attnscope.metrics.long`) of all families: `pooled`, and with `by` also `groups` (`pooled` for each
        label), `contrasts` (`contrast` for each pair of labels) and, if two labels share clips, `paired`.

    Raises:
        RequestError: as `contrast`.
    """
    common = {family: shared(table) for family, table in tables.items() if len(table)}
    found = {"pooled": {family: pooled(table, about, draws=draws, seed=seed) for family, table in common.items()}}
    if by is not None:
        options: dict[str, Any] = {"draws": draws, "permutations": permutations, "seed": seed}
        few = common if heads else {family: table[table["head"] == OVER] for family, table in common.items()}
        few = {family: table for family, table in few.items() if len(table)}
        found["groups"] = {family: pooled(table, about, by, draws=draws, seed=seed) for family, table in few.items()}
        found["contrasts"] = {family: contrast(table, about, by, **options) for family, table in few.items()}
        found["paired"] = {family: _pairs(table, about, by, options) for family, table in few.items()}
    return {name: long(parts) for name, parts in found.items() if any(len(part) for part in parts.values())}


def pooled(
    table: pd.DataFrame, about: pd.DataFrame, by: str | None = None, *, draws: int = DRAWS, seed: int = 0
) -> pd.DataFrame:
    """Mean over clips of every number of a table, with a 95 % bootstrap interval over clips.

    Args:
        table: a tidy table of many captures, with a column `capture`.
        about: their `labels`.
        by: a field of the scenes: then the means of each group apart.
        draws: bootstrap samples.
        seed: of the random numbers.

    Returns:
        The table's keys, with `by` also `field` and `label`, then `value`, `n` (clips that define it), `low`, `high`
        (NaN for fewer than two clips).

    Raises:
        RequestError: if no scene has the field, or the table names a number of a capture twice or an unknown capture.
    """
    sets = {"": about["capture"].tolist()} if by is None else groups(about, by)
    keys, values = by_clip(table, about, list(sets.values()))
    parts = []
    for label, part in zip(sets, values, strict=True):
        value, n = means(part)
        low, high = interval(part, draws=draws, seed=seed)
        own: dict[str, Any] = {} if by is None else {"field": by, "label": label}
        parts.append(keys.assign(**own, value=value, n=n, low=low, high=high))
    return pd.concat(parts, ignore_index=True)


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
        table: a tidy table of many captures, with a column `capture`.
        about: their `labels`.
        before: names of captures, for example plain ones.
        after: names of others, for example corrected ones.
        draws: bootstrap samples.
        permutations: of signs; all are counted out if there are no more.
        seed: of the random numbers.

    Returns:
        The table's keys, `before` and `after` (means over the clips that define both), `value` (the mean change), `n`
        (these clips), `low`, `high`, `p` (two-sided permutation test of the mean change, signs of clips flipped) and
        `p_wilcoxon` (signed-rank test), and `q`, `q_wilcoxon`: p corrected over layers x heads (Benjamini and
        Hochberg; NaN for means over them).

    Raises:
        RequestError: as `pooled`, and if no clip is in both sets, or a capture is.
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
        table: a tidy table of many captures, with a column `capture`.
        about: their `labels`.
        by: a field of the scenes (or `speakers`, how many have a box) whose labels are the groups.
        draws: bootstrap samples.
        permutations: of labels over clips; all are counted out if there are no more.
        seed: of the random numbers.

    Returns:
        One row a number and pair of groups: the table's keys, `field`, `base`, `other` (two labels), `value` (mean of
        `other` less that of `base`), `n` (clips of both), `low`, `high`, `p` (two-sided permutation test: labels of
        clips exchanged) and `q` (p corrected over layers x heads, Benjamini and Hochberg; NaN for means over them). p
        is NaN where two groups share a clip, whose labels cannot be exchanged: `paired` is for those.

    Raises:
        RequestError: as `pooled`, and if there are fewer than two groups.
    """
    sets = groups(about, by)
    if len(sets) < 2:
        only = next(iter(sets))
        raise RequestError(f"field '{by}': every capture is in the group '{only}'; there is none to compare it with")
    keys, values = by_clip(table, about, list(sets.values()))
    parts = []
    for (base, one), (other, two) in combinations(zip(sets, values, strict=True), 2):
        (less, n), (mean, m) = means(one), means(two)
        low, high = interval(two, one, draws=draws, seed=seed)
        p = np.full(len(keys), np.nan)
        if not common(about, sets[base], sets[other]):
            second = set(about.loc[about["capture"].isin(sets[other]), "clip"])
            either = np.where(np.isfinite(one), one, two)
            label = np.array([clip in second for clip in clips_of(about)])
            p = labels_exchanged(either, label, permutations=permutations, seed=seed)
        found = {"value": mean - less, "n": n + m, "low": low, "high": high, "p": p, "q": _q(p, keys)}
        parts.append(keys.assign(field=by, base=base, other=other, **found))
    return pd.concat(parts, ignore_index=True)


def _pairs(table: pd.DataFrame, about: pd.DataFrame, by: str, options: Mapping[str, Any]) -> pd.DataFrame:
    """`paired` for each pair of labels that share clips."""
    parts = []
    for (base, before), (other, after) in combinations(groups(about, by).items(), 2):
        if common(about, before, after):
            parts.append(paired(table, about, before, after, **options).assign(field=by, base=base, other=other))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _q(p: Floats, keys: pd.DataFrame) -> Floats:
    """Correct p over layers x heads (Benjamini and Hochberg), each number by itself; NaN for means over them."""
    q = np.full(len(p), np.nan)
    columns = [c for c in keys.columns if c not in ("layer", "head")]
    for rows in keys.groupby(columns, sort=False, dropna=False).indices.values():
        q[rows] = q_values(p[rows], keys.iloc[rows])
    return q

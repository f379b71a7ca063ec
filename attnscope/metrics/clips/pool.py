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

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import pandas as pd

from attnscope.metrics.clips.contrasts import contrast, paired
from attnscope.metrics.clips.keys import by_clip, common, groups, shared
from attnscope.metrics.clips.resample import DRAWS, PERMUTATIONS, interval, means
from attnscope.metrics.export import long
from attnscope.metrics.registry import OVER


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

    Names of speakers, turns and moments belong to one clip and are averaged away (`keys.shared`).

    Args:
        tables: By family, of many captures, with a column `capture`.
        about: Their `labels`.
        by: A field of the scenes, `speakers` or `correction`: also compare the groups of captures that it makes.
        heads: Compare every head, not only the means over heads (`pooled` always holds every head).
        draws: Bootstrap samples.
        permutations: Permutations of the tests.
        seed: Seed of the random numbers.

    Returns:
        Long tables (`attnscope.metrics.long`) of all families: `pooled`, and with `by` also `groups` (`pooled` for each
        label), `contrasts` (`contrast` for each pair of labels) and, if two labels share clips, `paired`.

    Raises:
        RequestError: As `contrast`.

    Example:
        >>> looked = {"answer": looks}
        >>> summary = metrics.clips.summarize(looked, about, "correction", draws=50, permutations=99)
        >>> list(summary), summary["pooled"]["metric"].unique().tolist()
        (['pooled', 'groups', 'contrasts', 'paired'], ['answer_mass'])
    """
    common = {family: shared(table) for family, table in tables.items() if len(table)}
    summaries = {"pooled": {family: pooled(table, about, draws=draws, seed=seed) for family, table in common.items()}}
    if by is not None:
        options: dict[str, Any] = {"draws": draws, "permutations": permutations, "seed": seed}
        compared = common if heads else {family: table[table["head"] == OVER] for family, table in common.items()}
        compared = {family: table for family, table in compared.items() if len(table)}
        summaries["groups"] = {
            family: pooled(table, about, by, draws=draws, seed=seed) for family, table in compared.items()
        }
        summaries["contrasts"] = {family: contrast(table, about, by, **options) for family, table in compared.items()}
        summaries["paired"] = {family: _pairs(table, about, by, options) for family, table in compared.items()}
    return {name: long(parts) for name, parts in summaries.items() if any(len(part) for part in parts.values())}


def pooled(
    table: pd.DataFrame, about: pd.DataFrame, by: str | None = None, *, draws: int = DRAWS, seed: int = 0
) -> pd.DataFrame:
    """Mean over clips of every number of a table, with a 95 % bootstrap interval over clips.

    Args:
        table: A tidy table of many captures, with a column `capture`.
        about: Their `labels`.
        by: A field of the scenes: then the means of each group apart.
        draws: Bootstrap samples.
        seed: Seed of the random numbers.

    Returns:
        The table's keys, with `by` also `field` and `label`, then `value`, `n` (clips that define it), `low`, `high`
        (NaN for fewer than six clips, as `attnscope.metrics.clips.resample.interval`).

    Raises:
        RequestError: If no scene has the field, or the table names a number of a capture twice or an unknown capture.

    Example:
        >>> means = metrics.clips.pooled(metrics.clips.shared(looks), about, by="correction")
        >>> rows = means.query("asked and layer == 2 and head == -1")
        >>> rows[["label", "value", "n"]].round(2).values.tolist()
        [['plain', 0.16, 1], ['social-bias', 1.0, 1]]
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


def _pairs(table: pd.DataFrame, about: pd.DataFrame, by: str, options: Mapping[str, Any]) -> pd.DataFrame:
    """`paired` for each pair of labels that share clips."""
    parts = []
    for (base, before), (other, after) in combinations(groups(about, by).items(), 2):
        if common(about, before, after):
            parts.append(paired(table, about, before, after, **options).assign(field=by, base=base, other=other))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

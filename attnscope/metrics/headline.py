"""The few numbers that a report opens with, from the tables of one or more captures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from attnscope.metrics import pool
from attnscope.metrics.clips import common, each_its_own, keys_of
from attnscope.metrics.headline_lines import Line, lines
from attnscope.metrics.registry import FOUND, OVER, get

Tables = Mapping[str, pd.DataFrame]
KEYS = (*FOUND, "capture")
OF = ("group", "number", "metric")
COLUMNS = (*OF, "value", "low", "high", "chance", "p", "n", "counts")


def headline(tables: Tables, denominator: str = "max", about: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row a number: of a single capture as it is, of several the mean over clips.

    Args:
        tables: the tables by family, with a column `capture`.
        denominator: of the gap.
        about: what the captures are of (`attnscope.metrics.pool.labels`); by default each is of its own clip.

    Returns:
        Columns `group`, `number`, `metric`, `value`, `low`, `high` (of several captures the 95 % bootstrap interval
        over clips, of one the band of `attnscope.metrics.jitter` where it was asked for), `chance` (what chance or even
        attention would give; of AttnMean and AttnMax the same on cells of the other speakers), `p` (permutation p, of a
        single capture only), `n` (how many of `counts` the value is over). A value whose level was measured too is,
        like that level, over the captures that define both, if any does. Lines that no table has are left out.
    """
    chosen = lines(denominator)
    own, level = by_capture(tables, chosen), by_capture(tables, chosen, level=True)
    if own.empty:
        return pd.DataFrame(columns=pd.Index(COLUMNS))
    if own["capture"].nunique() > 1:
        own, level = _both(own, level)
        own = pool.pooled(own, _about(own, about)).assign(counts="clips", p=np.nan)
        level = pool.pooled(level, _about(level, about)) if len(level) else level
    known = level.set_index("number")["value"]
    chance = own["number"].map(known.to_dict()).astype(np.float64)
    # a level beside a number that is not defined would only mislead
    found = own.assign(chance=chance.where(own["value"].notna()))
    order = {line.name: i for i, line in enumerate(chosen)}
    found = found.sort_values("number", key=lambda names: names.map(order), kind="stable")
    return found[list(COLUMNS)].reset_index(drop=True)


def by_group(
    tables: Tables, about: pd.DataFrame, by: str, denominator: str = "max", **options: Any
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The headline numbers of groups of captures, and how the groups differ.

    Args:
        tables: as for `headline`.
        about: what the captures are of.
        by: a field of the scenes, `speakers` or `correction`, whose labels are the groups; at least two.
        denominator: of the gap.
        options: of `attnscope.metrics.pool.contrast` and `paired`: draws, permutations, seed.

    Returns:
        Columns `group`, `number`, `metric`, `label`, `value`, `n` (clips), `low`, `high`; and `group`, `number`,
        `metric`, `base`, `other`, `value` (other less base), `n`, `low`, `high`, `p`, `p_wilcoxon`, `paired`: whether
        the two share clips and are compared clip by clip (else p_wilcoxon is NaN). Numbers that no capture defines are
        left out.

    Raises:
        RequestError: as `attnscope.metrics.pool.contrast`.
    """
    own = by_capture(tables, lines(denominator))
    own = own[own.groupby("number")["value"].transform("count") > 0]
    values = own.drop(columns=["low", "high", "p", "counts"])
    place = ["layer", "head"]
    means = pool.pooled(values, about, by, **{k: v for k, v in options.items() if k != "permutations"})
    unpaired = pool.contrast(values, about, by, **options).assign(paired=False, p_wilcoxon=np.nan)
    parts = []
    for (base, before), (other, after) in combinations(pool.groups(about, by).items(), 2):
        if common(about, before, after):
            found = pool.paired(values, about, before, after, **options).assign(base=base, other=other, paired=True)
        else:
            found = unpaired[(unpaired["base"] == base) & (unpaired["other"] == other)]
        parts.append(found)
    columns = [*OF, "base", "other", "value", "n", "low", "high", "p", "p_wilcoxon", "paired"]
    differences = pd.concat([part[columns] for part in parts], ignore_index=True)
    return means.drop(columns=[*place, "field"]), differences


def by_capture(tables: Tables, chosen: Sequence[Line], *, level: bool = False) -> pd.DataFrame:
    """A row for each line and capture: the mean over the rows (layers, mostly) that it selects, or the highest.

    Args:
        tables: by family, with a column `capture`.
        chosen: the lines.
        level: of what they are compared with, instead of the lines themselves.

    Returns:
        A tidy table: `capture`, `group`, `number`, `metric`, `layer` and `head` (-1), `value`, `n`, `counts`, and
        `low`, `high` and `p` where a line is one row that has them.
    """
    parts = []
    over = {family: table[table["head"] == OVER] for family, table in tables.items()}  # few of a table's rows
    for line in chosen:
        metric, where = line.metric, dict(line.where)
        if level and isinstance(line.chance, Mapping):
            where |= line.chance
            metric = str(where.pop("metric", metric))
        rows = _select(tables if line.highest else over, metric, where)
        if rows is None:
            continue
        if line.highest:
            rows = rows[(rows["layer"] != OVER) & (rows["head"] != OVER)]
        single = not line.highest and not rows["capture"].duplicated().any()
        how: dict[str, Any] = {"value": ("value", "max" if line.highest else "mean"), "n": ("n", "max")}
        how |= {name: (name, "first") for name in ("low", "high", "p") if single and name in rows}
        found = rows.groupby("capture", sort=False).agg(**how).reset_index()
        if level and not isinstance(line.chance, Mapping):
            found["value"] = line.chance
        parts.append(found.assign(group=line.group, number=line.name, metric=line.metric, counts=line.counts))
    columns = ["capture", *OF, "layer", "head", "value", "n", "low", "high", "p", "counts"]
    if not parts:
        return pd.DataFrame(columns=pd.Index(columns))
    whole: pd.DataFrame = pd.concat(parts, ignore_index=True).assign(layer=OVER, head=OVER)
    return whole.reindex(columns=columns)


def change(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Join two tables of one family on their keys, in the order of the first: `before`, `after`, `change`."""
    keys = keys_of(before)
    other = [c for c in KEYS if c != "value"]
    left = before.drop(columns=other, errors="ignore").rename(columns={"value": "before"})
    right = after.drop(columns=other, errors="ignore").rename(columns={"value": "after"})
    joined = left.merge(right, on=keys, how="left")
    return joined.assign(change=joined["after"] - joined["before"])


def _both(own: pd.DataFrame, level: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Values and their levels in the captures that define both, so that they are means over the same clips."""
    names = ["number", "capture"]
    one, two = (table.set_index(names)["value"] for table in (own, level))
    values, levels = one.align(two, join="left")
    both = values.notna() & levels.notna()
    compared = both.groupby("number").transform("any")  # else there is no level, and the value is what it is
    kept = both[one.index].to_numpy() | ~compared[one.index].to_numpy()
    shared = both.reindex(two.index, fill_value=False).to_numpy()
    return own.assign(value=own["value"].where(kept)), level.assign(value=level["value"].where(shared))


def _about(table: pd.DataFrame, about: pd.DataFrame | None) -> pd.DataFrame:
    if about is not None:
        return about
    return each_its_own(pd.unique(table["capture"]).tolist())


def _select(tables: Tables, metric: str, where: Mapping[str, object]) -> pd.DataFrame | None:
    """Rows of a metric with given keys; None if there are none."""
    table = tables.get(get(metric).family)
    if table is None:
        return None
    keep = (table["metric"] == metric).to_numpy(copy=True)
    for column, value in where.items() if keep.any() else ():
        keep &= (table[column] == value).to_numpy()
    return table[keep] if keep.any() else None

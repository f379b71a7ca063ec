"""The few numbers that a report opens with, from the tables of one or more captures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from attnscope.metrics.answer import ASKED
from attnscope.metrics.decay import LINKS
from attnscope.metrics.registry import FOUND, OVER

Tables = Mapping[str, pd.DataFrame]
KEYS = (*FOUND, "capture")


@dataclass(frozen=True)
class Line:
    """One line: which rows of which table it averages, under which name, and what its n counts.

    With `highest`, the largest value among single heads instead of the mean.
    """

    name: str
    metric: str
    where: Mapping[str, object]
    counts: str
    highest: bool = False


def lines(denominator: str) -> list[Line]:
    """The lines of the headline table, in order."""
    out = []
    for frames, said in (("live", "live frames"), ("all", "all frames")):
        where = {"layer": OVER, "head": OVER, "frames": frames}
        out.append(Line(f"Speaker consistency, {said}", "speaker_consistency", where, "speakers"))
        name = f"Speaker consistency over chance, {said}"
        out.append(Line(name, "speaker_consistency_lift", where, "speakers"))
    mean = {"layer": OVER, "head": OVER, **ASKED}
    out.append(Line("Answer's lift on the asked speaker", "answer_lift", mean, "cells"))
    out.append(Line("Answer's lift on the asked speaker, highest head", "answer_lift", ASKED, "cells", highest=True))
    for metric, name in (("mass_share", "Mass share"), ("lift", "Lift")):
        where = {"query": "text", "key": "visual"}
        out += _both(f"{name} text \N{RIGHTWARDS ARROW} visual", metric, where, "queries")
    for query in ("text", "visual"):
        where = {"layer": OVER, "query": query, "denominator": denominator}
        out += _both(f"Gap of {query} (/{denominator})", "gap", where, "layers")
    for link, (query, key) in LINKS.items():
        name = f"Decay per layer, {query} \N{RIGHTWARDS ARROW} {key}"
        out += _both(name, "decay_gamma", {"link": link}, "layers")
    return out


def headline(tables: Tables, denominator: str = "max") -> pd.DataFrame:
    """One row a number, averaged over captures.

    Args:
        tables: the tables by family, with a column `capture`.
        denominator: of the gap.

    Returns:
        Columns `number`, `metric`, `value`, `se` (standard error over captures, NaN for one), `chance`, `p`
        (permutation p, of a single capture only), `n` (how many of `counts` the value is over), `captures`
        (how many define it). Lines that no table has are left out.
    """
    rows = []
    for line in lines(denominator):
        by_capture = per_capture(tables, line)
        if by_capture is None:
            continue
        values = by_capture["value"].dropna()
        rows.append(
            {
                "number": line.name,
                "metric": line.metric,
                "value": values.mean() if len(values) else np.nan,
                "se": values.sem() if len(values) > 1 else np.nan,
                **_chance(tables, line),
                "n": int(by_capture.loc[values.index, "n"].sum()),
                "counts": line.counts,
                "captures": len(values),
            }
        )
    columns = ["number", "metric", "value", "se", "chance", "p", "n", "counts", "captures"]
    return pd.DataFrame(rows, columns=pd.Index(columns))


def per_capture(tables: Tables, line: Line) -> pd.DataFrame | None:
    """A line's value in each capture: the mean over the rows (layers, mostly) that it selects, or the highest."""
    rows = _select(tables, line.metric, line.where)
    if rows is None:
        return None
    if line.highest:
        rows = rows[(rows["layer"] != OVER) & (rows["head"] != OVER)]
    how = "max" if line.highest else "mean"
    return rows.groupby("capture", sort=False).agg(value=("value", how), n=("n", "max")).reset_index()


def across(table: pd.DataFrame) -> pd.DataFrame:
    """Mean, standard error and number of captures for every row of a table over several captures."""
    keys = [c for c in table.columns if c not in KEYS]
    grouped = table.groupby(keys, sort=False, dropna=False)["value"]
    return grouped.agg(mean="mean", se="sem", captures="count").reset_index()


def change(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Join two tables of one family on their keys, in the order of the first: `before`, `after`, `change`."""
    keys = [c for c in before.columns if c not in KEYS]
    other = [c for c in KEYS if c != "value"]
    left = before.drop(columns=other, errors="ignore").rename(columns={"value": "before"})
    right = after.drop(columns=other, errors="ignore").rename(columns={"value": "after"})
    joined = left.merge(right, on=keys, how="left")
    return joined.assign(change=joined["after"] - joined["before"])


def _both(name: str, metric: str, where: Mapping[str, object], counts: str) -> list[Line]:
    """A line with, and one without sinks."""
    said = {"with": "", "without": ", without sinks"}
    return [Line(name + end, metric, {"head": OVER, "sinks": sinks, **where}, counts) for sinks, end in said.items()]


def _select(tables: Tables, metric: str, where: Mapping[str, object]) -> pd.DataFrame | None:
    for table in tables.values():
        keep = (table["metric"] == metric).to_numpy(copy=True)
        if not keep.any():
            continue
        for column, value in where.items():
            keep &= (table[column] == value).to_numpy()
        return table[keep] if keep.any() else None
    return None


def _chance(tables: Tables, line: Line) -> dict[str, float]:
    """Chance level and p that belong to a line; NaN where it has none."""
    out = {"chance": np.nan, "p": np.nan}
    own = _select(tables, line.metric, line.where)
    if own is None or own["value"].isna().all():
        return out  # a chance level beside a number that is not defined would only mislead
    if line.metric in ("lift", "answer_lift") and not line.highest:  # the highest of many lies above chance
        out["chance"] = 1.0
    if line.metric == "gap":
        uniform = _select(tables, "gap_uniform", line.where)
        out["chance"] = np.nan if uniform is None else float(uniform["value"].mean())
    if line.metric.startswith("speaker_consistency"):
        chance = _select(tables, "speaker_consistency_chance", line.where)
        if chance is not None:
            out["chance"] = 1.0 if line.metric.endswith("lift") else float(chance["value"].mean())
        if len(own) == 1 and line.metric.endswith("lift"):
            out["p"] = float(own["p"].iloc[0])
    return out

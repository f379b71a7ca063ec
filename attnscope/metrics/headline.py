"""The few numbers that a report opens with: rows of which tables, under which names, compared with what.

`lines` lists them; `headline` takes them out of the tables of one or more captures, `by_group` compares groups of
captures in them, and `change` joins two tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from attnscope.metrics import clips
from attnscope.metrics.answer import ASKED
from attnscope.metrics.clips.keys import common, each_its_own, keys_of
from attnscope.metrics.decay import LINKS
from attnscope.metrics.registry import FOUND, OVER, get
from attnscope.vocabulary import TEXT, VISUAL

Keys = Mapping[str, object]
MEAN = {"layer": OVER, "head": OVER}
TO = "\N{RIGHTWARDS ARROW}"
NO_SINKS = ", without sinks"  # what the name of a line ends in that has a partner with them


Tables = Mapping[str, pd.DataFrame]
KEYS = (*FOUND, "capture")
OF = ("group", "number", "metric")
COLUMNS = (*OF, "value", "low", "high", "chance", "p", "n", "counts")


@dataclass(frozen=True)
class Line:
    """One line: which rows of which table it averages, under which name, and what its n counts.

    Attributes:
        group: Heading that it stands under.
        name: Its own.
        metric: Metric of the rows.
        where: Values of their keys.
        counts: What their n counts.
        chance: A number to compare it with, or keys (of other rows than its own) that hold one.
        highest: The largest value among single heads instead of the mean.
        key: One of the few that are drawn where groups of captures are compared.
    """

    group: str
    name: str
    metric: str
    where: Keys
    counts: str
    chance: float | Keys = np.nan
    highest: bool = False
    key: bool = False


def lines(denominator: str) -> list[Line]:
    """The lines of the headline table, in order."""
    return [*_speakers(), *_answer(), *_modalities(denominator), *_decay()]


def _speakers() -> list[Line]:
    out, group = [], "Speakers"
    level: Keys = {"metric": "speaker_consistency_chance"}
    for frames, frames_in_words in (("live", "live frames"), ("all", "all frames")):
        where: Keys = {**MEAN, "frames": frames}
        name, live = "Speaker consistency", frames == "live"
        out.append(Line(group, f"{name}, {frames_in_words}", "speaker_consistency", where, "speakers", level))
        name = f"{name} over chance, {frames_in_words}"
        out.append(Line(group, name, "speaker_consistency_lift", where, "speakers", 1.0, key=live))
    where = {**MEAN, "frames": "live", "speaker": "", "turn": OVER}
    out.append(Line(group, "Grounding AUC, live frames", "grounding_auc", where, "speakers", 0.5, key=True))
    others = {"match": "mismatched"}
    for metric, which, name in (
        ("speaker_pair_mean", "mean", "Word on its speaker's cells, mean (AttnMean)"),
        ("speaker_pair_max", "max", "Word on its speaker's cells, highest (AttnMax)"),
    ):
        where = {**MEAN, "frames": "live", "heads": which, "rows": "turn", "match": "matched"}
        out.append(Line(group, name, metric, where, "tokens", others, key=which == "mean"))
    return out


def _answer() -> list[Line]:
    group, name = "Answer", "Answer's lift on the asked speaker"
    all_of_it: Keys = {**MEAN, "query": "answer"}
    return [
        Line(group, name, "answer_lift", {**MEAN, **ASKED}, "cells", 1.0, key=True),
        Line(group, f"{name}, highest head", "answer_lift", ASKED, "cells", highest=True),
        *_with_and_without_sinks(
            group, "Text token over visual token (MDI)", "mdi", all_of_it, "queries", 1.0, key=True
        ),
        Line(group, "Attention efficiency of text (AEI)", "aei_text", {**all_of_it, "sinks": "with"}, "queries", 1.0),
    ]


def _modalities(denominator: str) -> list[Line]:
    group, out = "Text and video", []
    where: Keys = {"query": TEXT, "key": VISUAL}
    out += _with_and_without_sinks(group, f"Mass share text {TO} visual", "mass_share", where, "queries", key=True)
    out += _with_and_without_sinks(group, f"Lift text {TO} visual", "lift", where, "queries", 1.0)
    for query in (TEXT, VISUAL):
        where = {"layer": OVER, "query": query, "denominator": denominator}
        name, level = f"Gap of {query} (/{denominator})", {"metric": "gap_uniform"}
        out += _with_and_without_sinks(group, name, "gap", where, "layers", level, key=query == TEXT)
    for query in (TEXT, VISUAL):
        where = {**MEAN, "query": query}
        out.append(Line(group, f"Mass of {query} on sinks", "sink_share", where, "queries", key=query == TEXT))
    return out


def _decay() -> list[Line]:
    out = []
    for link, (query, key) in LINKS.items():
        out += _with_and_without_sinks(
            "Depth", f"Decay per layer, {query} {TO} {key}", "decay_gamma", {"link": link}, "layers"
        )
    return out


def _with_and_without_sinks(
    group: str,
    name: str,
    metric: str,
    where: Keys,
    counts: str,
    chance: float | Keys = np.nan,
    *,
    key: bool = False,
) -> list[Line]:
    """A line with, and one without sinks."""
    endings = {"with": "", "without": NO_SINKS}
    return [
        Line(
            group,
            name + end,
            metric,
            {"head": OVER, "sinks": sinks, **where},
            counts,
            chance,
            key=key and sinks == "with",
        )
        for sinks, end in endings.items()
    ]


def headline(tables: Tables, denominator: str = "max", about: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row a number: of a single capture as it is, of several the mean over clips.

    Args:
        tables: The tables by family, with a column `capture`.
        denominator: Denominator of the gap.
        about: What the captures are of (`attnscope.metrics.clips.keys.labels`); by default each is of its own clip.

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
        own = clips.pooled(own, _about(own, about)).assign(counts="clips", p=np.nan)
        level = clips.pooled(level, _about(level, about)) if len(level) else level
    known = level.set_index("number")["value"]
    chance = own["number"].map(known.to_dict()).astype(np.float64)
    # a level beside a number that is not defined would only mislead
    rows = own.assign(chance=chance.where(own["value"].notna()))
    order = {line.name: i for i, line in enumerate(chosen)}
    rows = rows.sort_values("number", key=lambda names: names.map(order), kind="stable")
    return rows[list(COLUMNS)].reset_index(drop=True)


def by_group(
    tables: Tables, about: pd.DataFrame, by: str, denominator: str = "max", **options: Any
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The headline numbers of groups of captures, and how the groups differ.

    Args:
        tables: As for `headline`.
        about: What the captures are of.
        by: A field of the scenes, `speakers` or `correction`, whose labels are the groups; at least two.
        denominator: Denominator of the gap.
        options: Of `attnscope.metrics.clips.contrast` and `paired`: draws, permutations, seed.

    Returns:
        Columns `group`, `number`, `metric`, `label`, `value`, `n` (clips), `low`, `high`; and `group`, `number`,
        `metric`, `base`, `other`, `value` (other less base), `n`, `low`, `high`, `p`, `p_wilcoxon`, `paired`: whether
        the two share clips and are compared clip by clip (else p_wilcoxon is NaN). Numbers that no capture defines are
        left out.

    Raises:
        RequestError: As `attnscope.metrics.clips.contrast`.
    """
    own = by_capture(tables, lines(denominator))
    own = own[own.groupby("number")["value"].transform("count") > 0]
    values = own.drop(columns=["low", "high", "p", "counts"])
    place = ["layer", "head"]
    means = clips.pooled(values, about, by, **{k: v for k, v in options.items() if k != "permutations"})
    unpaired = clips.contrast(values, about, by, **options).assign(paired=False, p_wilcoxon=np.nan)
    parts = []
    for (base, before), (other, after) in combinations(clips.groups(about, by).items(), 2):
        if common(about, before, after):
            part = clips.paired(values, about, before, after, **options).assign(base=base, other=other, paired=True)
        else:
            part = unpaired[(unpaired["base"] == base) & (unpaired["other"] == other)]
        parts.append(part)
    columns = [*OF, "base", "other", "value", "n", "low", "high", "p", "p_wilcoxon", "paired"]
    differences = pd.concat([part[columns] for part in parts], ignore_index=True)
    return means.drop(columns=[*place, "field"]), differences


def by_capture(tables: Tables, chosen: Sequence[Line], *, level: bool = False) -> pd.DataFrame:
    """A row for each line and capture: the mean over the rows (layers, mostly) that it selects, or the highest.

    Args:
        tables: By family, with a column `capture`.
        chosen: The lines.
        level: Level of what they are compared with, instead of the lines themselves.

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
        aggregated = rows.groupby("capture", sort=False).agg(**how).reset_index()
        if level and not isinstance(line.chance, Mapping):
            aggregated["value"] = line.chance
        parts.append(aggregated.assign(group=line.group, number=line.name, metric=line.metric, counts=line.counts))
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
    own_values, level_values = (table.set_index(names)["value"] for table in (own, level))
    values, levels = own_values.align(level_values, join="left")
    both = values.notna() & levels.notna()
    compared = both.groupby("number").transform("any")  # else there is no level, and the value is what it is
    kept = both[own_values.index].to_numpy() | ~compared[own_values.index].to_numpy()
    shared = both.reindex(level_values.index, fill_value=False).to_numpy()
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

"""Numbers by layer as curves of one capture, or of many with an interval over clips: what figures draw.

    rows = by_layer(tables["modality"], "pair_mean")
    over_clips(rows, about)                              # mean over clips, low, high, clips
    attention_scores(tables["modality"], about=about)    # scores, even attention and their ratio

A ratio, or a mean over speakers, is taken within each capture first, and its curve is the mean over clips.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from attnscope.metrics.clips.keys import each_its_own, keys_of
from attnscope.metrics.clips.pool import pooled
from attnscope.metrics.registry import FOUND, OVER
from attnscope.vocabulary import TEXT, VISUAL

ASKED_SPEAKER, OTHER_SPEAKERS = "asked speaker", "others, each"
CHANCE = "chance"
SCORED = (TEXT, VISUAL)


def rows_of(table: pd.DataFrame, metric: str, **where: object) -> pd.DataFrame:
    """Rows of one metric with given keys.

    Example:
        >>> rows = metrics.clips.rows_of(tables["modality"], "mass_share", query="text", key="visual", sinks="with")
        >>> len(rows), set(rows["metric"])
        (54, {'mass_share'})
    """
    keep = table["metric"] == metric
    for column, value in where.items():
        keep &= table[column] == value
    return table[keep]


def by_layer(table: pd.DataFrame, metric: str, **where: object) -> pd.DataFrame:
    """Rows of one metric with given keys, of single layers and of the mean over heads.

    Example:
        >>> where = {"query": "text", "key": "visual", "sinks": "with"}
        >>> rows = metrics.clips.by_layer(tables["modality"], "mass_share", **where)
        >>> sorted(rows["layer"]), set(rows["head"])
        ([0, 1, 2, 3, 4, 5], {-1})
    """
    rows = rows_of(table, metric, **where)
    return rows[(rows["head"] == OVER) & (rows["layer"] != OVER)]


def over_clips(rows: pd.DataFrame, about: pd.DataFrame | None = None) -> pd.DataFrame:
    """Rows of one or more captures with an interval over clips.

    Args:
        rows: A tidy table. With a column `capture` its rows are pooled; without one they are of a single capture, or
            pooled already.
        about: What the captures are of, as from `labels`; by default each is of its own clip.

    Returns:
        The rows, with `low` and `high` (NaN for few clips) and `clips` (0 where the rows are of one capture). Where
        they are to be compared by `match`, only captures that define all of its values count.

    Example:
        >>> rows = metrics.clips.over_clips(metrics.clips.by_layer(looks, "answer_mass", asked=True), about)
        >>> rows[["layer", "value", "clips"]].round(2).iloc[2].tolist()  # two captures of one clip
        [2.0, 0.58, 0.0]
    """
    if "clips" in rows:
        return rows
    if "capture" in rows and len(rows):
        names = pd.unique(rows["capture"])
        if about is None:
            about = each_its_own(names.tolist())
        if about.loc[about["capture"].isin(list(names)), "clip"].nunique() > 1:
            means = pooled(_matching(rows), about)
            return means.assign(clips=means["n"])
        grouped = rows.groupby(keys_of(rows), sort=False, dropna=False)
        rows = grouped.agg(value=("value", "mean"), n=("n", "first")).reset_index()
    if "low" in rows:
        return rows.assign(clips=rows["n"])
    return rows.assign(low=np.nan, high=np.nan, clips=0)


def layer_means(table: pd.DataFrame, about: pd.DataFrame | None = None, *metrics: str) -> pd.DataFrame:
    """Single layers and the mean over heads of some metrics (all by default), as `over_clips`.

    Example:
        >>> rows = metrics.clips.layer_means(tables["speakers"], None, "speaker_consistency_lift")
        >>> sorted(set(rows["layer"])), {"low", "high", "clips"} <= set(rows)
        ([0, 1, 2, 3, 4, 5], True)
    """
    rows = table[(table["head"] == OVER) & (table["layer"] != OVER)]
    return over_clips(rows[rows["metric"].isin(metrics)] if metrics else rows, about)


def attention_scores(
    modality: pd.DataFrame, query: str = TEXT, *, sinks: str = "with", about: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Text and visual attention score by layer, what even attention would give, and how many times one is the other.

    Args:
        modality: The table of the family.
        query: Whose attention, for example `text`, `role:question` or `answer_position`.
        sinks: `with` or `without` the sinks among the keys.
        about: What the captures are of (`labels`).

    Returns:
        As `over_clips`, with `metric` = `score` (mean attention per pair), `even` (the score over its lift) and
        `ratio` (text over visual, `key` ""), and `queries`: how many the scores are over.

    Example:
        >>> scores = metrics.clips.attention_scores(tables["modality"], "answer_position")
        >>> sorted(set(scores["metric"])), sorted(set(scores["key"]))
        (['even', 'ratio', 'score'], ['', 'text', 'visual'])
    """
    rows = modality[(modality["query"] == query) & modality["key"].isin(SCORED) & (modality["sinks"] == sinks)]
    on = ["capture", "layer"] if "capture" in rows else ["layer"]
    score = by_layer(rows, "pair_mean").assign(metric="score")
    both = score.merge(by_layer(rows, "lift")[[*on, "key", "value"]], on=[*on, "key"], suffixes=("", "_lift"))
    even = both.drop(columns="value_lift").assign(metric="even", value=both["value"] / _above_0(both["value_lift"]))
    text, visual = (score[score["key"] == key] for key in SCORED)
    both = text.merge(visual[[*on, "value"]], on=on, suffixes=("", "_visual"))
    value = (both["value"] / _above_0(both["value_visual"])).replace([np.inf], np.nan)
    ratio = both.drop(columns="value_visual").assign(metric="ratio", key="", value=value)
    queries = by_layer(rows, "mass_share")["n"].max()
    curves = [over_clips(part, about) for part in (score, even, ratio)]
    return pd.concat(curves, ignore_index=True).assign(queries=queries)


def fit_means(decay: pd.DataFrame, about: pd.DataFrame | None = None) -> pd.DataFrame:
    """Gamma, intercept and R² of each fit: `link`, `sinks`, `gamma`, `intercept`, `r2`; of many captures their means.

    Args:
        decay: The table of the family.
        about: What the captures are of (`labels`).

    Example:
        >>> metrics.clips.fit_means(tables["decay"]).columns.tolist()
        ['link', 'sinks', 'gamma', 'intercept', 'r2']
    """
    names = {f"decay_{name}": name for name in ("gamma", "intercept", "r2")}
    rows = over_clips(decay[decay["metric"].isin(list(names))], about)
    wide = rows.pivot_table(index=["link", "sinks"], columns="metric", values="value", dropna=False, observed=True)
    return wide.rename(columns=names).reindex(columns=list(names.values())).reset_index()


def answer_shares(answer: pd.DataFrame, about: pd.DataFrame | None = None) -> pd.DataFrame:
    """The answer's shares of the speakers by layer; of several captures that of the asked one and of the others.

    Args:
        answer: The table of the family; of several captures only those count whose question names one speaker.
        about: What the captures are of (`labels`).

    Returns:
        As `over_clips`, with `curve` (the speaker, "asked speaker", "others, each" or "chance": even attention on the
        speakers) and `asked` (whether the question names the speaker), the asked one first and chance last. Curves
        without any value are left out.

    Example:
        >>> shares = metrics.clips.answer_shares(tables["answer"])
        >>> list(dict.fromkeys(shares["curve"]))
        ['Dan', 'Eva', 'Cleo', 'Ada', 'Ben', 'chance']
    """
    rows = by_layer(answer, "answer_share")
    rows = rows if "capture" in rows else rows.assign(capture="")
    several = rows["capture"].nunique() > 1
    if several:
        rows = rows[rows["named"] == 1]
    speakers = rows.groupby(["capture", "layer"])["value"].count()
    chance = (1 / speakers.where(speakers > 0)).rename("value").reset_index().assign(curve=CHANCE, asked=False, n=1)
    if several:
        rows = rows.groupby(["capture", "layer", "asked"])["value"].mean().reset_index()
        rows = rows.assign(curve=np.where(rows["asked"], ASKED_SPEAKER, OTHER_SPEAKERS), n=1)
    else:
        rows = rows.assign(curve=rows["speaker"])
    rows = rows.sort_values("asked", ascending=False, kind="stable")
    columns = ["capture", "layer", "curve", "asked", "value", "n"]
    curves = [over_clips(part[columns], about) for part in (rows, chance)]
    whole = pd.concat(curves, ignore_index=True)
    return whole[whole.groupby("curve")["value"].transform("count") > 0].reset_index(drop=True)


def _matching(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows without the numbers of captures that say nothing to compare them with; all, if no capture does."""
    if "match" not in rows or rows["match"].nunique() < 2:
        return rows
    keys = [c for c in rows.columns if c not in ("match", *FOUND)]
    known = rows["value"].notna().groupby([rows[key] for key in keys], dropna=False)
    both = known.transform("all") & (known.transform("size") == rows["match"].nunique())
    return rows.assign(value=rows["value"].where(both)) if both.any() else rows


def _above_0(values: pd.Series[float]) -> pd.Series[float]:
    """The values above 0, NaN for all others: what may be divided by."""
    return values.where(values > 0)

"""Heads in order: by which number, how sure the order is, and whether other numbers would order them alike.

The value of a head is its mean over clips (`attnscope.metrics.pool`). The interval of a head that was chosen for being
the best of many is too favourable: choose heads on some clips, and report them on others.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import friedmanchisquare, rankdata, spearmanr

from attnscope.errors import RequestError
from attnscope.metrics.answer import ASKED
from attnscope.metrics.pool import by_clip
from attnscope.metrics.registry import OVER, all_metrics
from attnscope.metrics.resample import DRAWS, interval, means

Floats = NDArray[np.float64]
Tables = Mapping[str, pd.DataFrame]
NOT_CAUSE = (
    "Attention mass is not causal importance: a head that attends somewhere need not matter there. None of these heads "
    "was knocked out."
)
FRAMES = ("live", "all")  # the first that a capture defines


@dataclass(frozen=True)
class Criterion:
    """A number by which heads are ordered.

    Attributes:
        name: as it is asked for.
        metric: the metric; averaged over its keys that `where` leaves open (speakers, mostly).
        where: rows of its table that count.
        lowest: the lowest value is the best.
        gate: rows of `mass_share` above whose elbow a head must be, if there is a second condition.
    """

    name: str
    metric: str
    where: Mapping[str, object] = field(default_factory=dict)
    lowest: bool = False
    gate: Mapping[str, object] | None = None

    @property
    def metrics(self) -> list[str]:
        """All the metrics that it reads."""
        return [self.metric] if self.gate is None else [self.metric, "mass_share"]


_LOOK = {"query": "answer_position", "key": "visual", "sinks": "without"}
_CRITERIA = (
    Criterion("speaker-lift", "speaker_consistency_lift"),
    Criterion("grounding-auc", "grounding_auc", {"speaker": "", "turn": OVER}),
    Criterion("cross-mass", "mass_share", {"query": "text", "key": "visual", "sinks": "with"}),
    Criterion("answer-lift", "answer_lift", ASKED),
    # 2nd: P1's active heads
    Criterion("active", "cross_attention"),
    # code: localization heads, but for the sinks, which stand in for its rule about the bottom row (ours)
    Criterion("localization", "spatial_entropy", {"sinks": "without"}, lowest=True, gate=_LOOK),
)


def criteria() -> dict[str, Criterion]:
    """The criteria by name."""
    known = {entry.name for entry in all_metrics()}
    return {c.name: c for c in _CRITERIA if known.issuperset(c.metrics)}


def criterion(name: str) -> Criterion:
    """The criterion of that name.

    Raises:
        RequestError: if there is none, with the names that exist.
    """
    known = criteria()
    if name not in known:
        raise RequestError(f"--by {name}: is no criterion; choose from {', '.join(known)}")
    return known[name]


@dataclass(frozen=True)
class Scores:
    """One number of X heads in C clips.

    Attributes:
        criterion: which number.
        frames: the choice of frames that it is of; "" if it has none.
        places: columns `layer` and `head`, [X].
        values: [X, C]; NaN where a clip does not define it, and everywhere for a head below the gate.
        mass: the mean over clips of the gate's mass, [X]; NaN without a gate.
        gate: what `mass` must exceed; NaN without a gate.
    """

    criterion: Criterion
    frames: str
    places: pd.DataFrame
    values: Floats
    mass: Floats
    gate: float

    @property
    def oriented(self) -> Floats:
        """Mean over clips, [X], with its sign such that more is better."""
        return means(self.values)[0] * (-1 if self.criterion.lowest else 1)


def scores(
    tables: Tables,
    about: pd.DataFrame,
    chosen: Criterion,
    *,
    layers: Sequence[int] | None = None,
    least_mass: float | None = None,
) -> Scores | None:
    """Take a criterion's numbers out of tables.

    Args:
        tables: by family, of one or more captures, with a column `capture`.
        about: `labels` of the captures.
        chosen: the criterion.
        layers: the layers whose heads take part; all by default.
        least_mass: in place of the gate's elbow.

    Returns:
        The numbers; None if no head has one.
    """
    found = _heads(tables, about, chosen.metric, chosen.where, layers)
    if found is None:
        return None
    frames, places, values = found
    mass, gate = np.full(len(places), np.nan), np.nan
    if chosen.gate is not None:
        looks = _heads(tables, about, "mass_share", chosen.gate, layers)
        if looks is None:
            return None
        mass = means(looks[2])[0]
        gate = elbow(mass) if least_mass is None else least_mass
        values = np.where((mass > gate)[:, None], values, np.nan)
    return Scores(chosen, frames, places, values, mass, gate) if np.isfinite(values).any() else None


def _heads(
    tables: Tables, about: pd.DataFrame, metric: str, where: Mapping[str, object], layers: Sequence[int] | None
) -> tuple[str, pd.DataFrame, Floats] | None:
    """Choice of frames, places [X] by layer and head, and values by clip [X, C]; None if nothing is defined."""
    table = next((t[t["metric"] == metric] for t in tables.values() if (t["metric"] == metric).any()), None)
    if table is None:
        return None
    keep = (table["layer"] != OVER) & (table["head"] != OVER)
    for column, value in where.items():
        keep &= table[column] == value
    if layers is not None:
        keep &= table["layer"].isin(list(layers))
    table = table[keep]
    for frames in FRAMES if "frames" in table else ("",):
        part = table if not frames else table[table["frames"] == frames]
        if part["value"].notna().any():
            mean = part.groupby(["capture", "layer", "head"])["value"].mean().reset_index().assign(metric=metric)
            keys, (values,) = by_clip(mean.sort_values(["layer", "head"]), about, [about["capture"].tolist()])
            return frames, keys[["layer", "head"]], values
    return None


def elbow(values: Floats) -> float:
    """Where sorted values bend: the one farthest from the line between the least and the largest (code).

    Args:
        values: [X]; NaN are left out.
    """
    ordered = np.sort(values[np.isfinite(values)])
    if len(ordered) < 3:
        return float(ordered[0]) if len(ordered) else np.nan
    line = np.linspace(ordered[0], ordered[-1], len(ordered))
    return float(ordered[np.abs(ordered - line).argmax()])


def ranked(found: Scores, top: int, *, draws: int = DRAWS, seed: int = 0) -> pd.DataFrame:
    """All heads that have a value, the best first.

    Args:
        found: the numbers.
        top: how many of the first `top_share` is about.
        draws: bootstrap samples.
        seed: of the random numbers.

    Returns:
        Columns `rank` (from 1), `layer`, `head`, `value` (mean over clips), `low`, `high` (95 % bootstrap over clips,
        NaN for one), `n` (clips), `top_share` (share of the clips in which the head is among the first `top`), `mass`
        (of the gate) and `effect` (of knocking the head out; NaN: not measured).
    """
    value, n = means(found.values)
    low, high = interval(found.values, draws=draws, seed=seed)
    table = found.places.assign(value=value, low=low, high=high, n=n, top_share=top_share(found, top))
    table = table.assign(mass=found.mass, effect=np.nan)[np.isfinite(value)]
    order = np.argsort(-found.oriented[np.isfinite(value)], kind="stable")
    table = table.iloc[order].reset_index(drop=True)
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return table


def top_share(found: Scores, top: int) -> Floats:
    """How often each head is among the first `top` of a clip, as a share of the clips that define anything, [X]."""
    use = found.values[:, np.isfinite(found.values).any(0)]
    sign = 1 if found.criterion.lowest else -1
    order = rankdata(np.where(np.isfinite(use), sign * use, np.inf), method="ordinal", axis=0)
    among = (order <= top) & np.isfinite(use)
    return np.asarray(among.mean(1), dtype=np.float64)


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
        both choose) and `chance` (its expectation for unrelated orders).
    """
    rows: list[dict[str, Any]] = []
    for one, two in combinations(several, 2):
        a, b = one.oriented, two.oriented
        both = np.isfinite(a) & np.isfinite(b)
        k = min(top, int(np.isfinite(a).sum()), int(np.isfinite(b).sum()))
        first = [set(np.argsort(-np.where(np.isfinite(v), v, -np.inf), kind="stable")[:k].tolist()) for v in (a, b)]
        varied = both.sum() > 2 and np.ptp(a[both]) > 0 and np.ptp(b[both]) > 0
        rho = float(spearmanr(a[both], b[both]).statistic) if varied else np.nan
        names = {"by": one.criterion.name, "other": two.criterion.name}
        overlap = len(first[0] & first[1]) / k if k else np.nan
        rows.append(names | {"spearman": rho, "n": both.sum(), "top": k, "overlap": overlap, "chance": k / len(a)})
    return pd.DataFrame(rows, columns=pd.Index(["by", "other", "spearman", "n", "top", "overlap", "chance"]))

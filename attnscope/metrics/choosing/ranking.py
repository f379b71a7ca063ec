"""Heads in order: how sure the order is, and whether other numbers would order them alike.

The interval of a head that was chosen for being the best of many is too favourable: choose heads on some clips, and
report them on others.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Collection, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import friedmanchisquare, rankdata, spearmanr

from attnscope.errors import FormatError, RequestError
from attnscope.layers import select_layers
from attnscope.metrics import registry
from attnscope.metrics.choosing.criteria import GATE, Criterion, Scores, Tables, criteria, criterion, gates, scores
from attnscope.metrics.choosing.headlist import By, Head, HeadList, OfModel, shown
from attnscope.metrics.clips.keys import labels
from attnscope.metrics.clips.resample import DRAWS, interval, means
from attnscope.metrics.tables import records
from attnscope.progress import Progress, part_of
from attnscope.weights import rounded, same_model

if TYPE_CHECKING:
    from attnscope.capture import Capture

Floats = NDArray[np.float64]
HALF = 0.5  # of its output, below which a head is called shut (ours)
NOT_CAUSE = (
    "Attention mass is not causal importance: a head that attends somewhere need not matter there. None of these heads "
    "was knocked out."
)


def ranked(head_scores: Scores, top: int, *, draws: int = DRAWS, seed: int = 0) -> pd.DataFrame:
    """All heads that have a value, the best first.

    Args:
        head_scores: The numbers.
        top: How many of the first `top_share` is about.
        draws: Bootstrap samples.
        seed: Seed of the random numbers.

    Returns:
        Columns `rank` (from 1), `layer`, `head`, `value` (mean over clips), `low`, `high` (95 % bootstrap over clips,
        NaN for fewer than six), `n` (clips), `top_share` (share of the clips in which the head is among the first
        `top`), `mass` (of the gate; of equal heads the one with more comes first) and `effect` (of knocking the head
        out; NaN: not measured).
    """
    value, n = means(head_scores.values)
    low, high = interval(head_scores.values, draws=draws, seed=seed)
    table = head_scores.places.assign(value=value, low=low, high=high, n=n, top_share=top_share(head_scores, top))
    table = table.assign(mass=head_scores.mass, effect=np.nan)[np.isfinite(value)]
    order = np.lexsort((-table["mass"], -head_scores.oriented[np.isfinite(value)]))  # of equal ones the heavier
    table = table.iloc[order].reset_index(drop=True)
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return table


def top_share(head_scores: Scores, top: int) -> Floats:
    """How often each head is among the first `top` of a clip, as a share of the clips that define anything, [X].

    Equal heads share the places that are left for them.
    """
    use = head_scores.values[:, np.isfinite(head_scores.values).any(0)]
    sign = 1 if head_scores.criterion.lowest else -1
    order = np.where(np.isfinite(use), sign * use, np.inf)
    first, last = (rankdata(order, method=end, axis=0) for end in ("min", "max"))
    among = np.clip((top + 1 - first) / (last + 1 - first), 0.0, 1.0)
    return np.asarray(np.where(np.isfinite(use), among, 0.0).mean(1), dtype=np.float64)


def stability(head_scores: Scores) -> dict[str, float]:
    """Do clips order the heads alike?

    Returns:
        `clips`, `heads` (those with a value in each of them), `kendall_w` (Kendall's coefficient of concordance: 0
        none, 1 the same order; corrected for ties) and `spearman` (mean over pairs of clips); NaN for one clip, or
        fewer than three heads.
    """
    use = head_scores.values[:, np.isfinite(head_scores.values).any(0)]
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
        several: The numbers of several criteria over the same heads.
        top: How many of the first are compared.

    Returns:
        One row a pair: `by`, `other`, `spearman` (of the means over clips, each with its better side up), `n` (heads
        that have both), `top` (at most `top`: as many heads as both order), `overlap` (share of the first `top` that
        both choose) and `chance` (its expectation if the orders had nothing to do with each other).
    """
    rows: list[dict[str, Any]] = []
    for first_group, second_group in combinations(several, 2):
        a, b = first_group.oriented, second_group.oriented
        both = np.isfinite(a) & np.isfinite(b)
        sizes = int(np.isfinite(a).sum()), int(np.isfinite(b).sum())
        k = min(top, *sizes)
        first = [set(np.argsort(-np.where(np.isfinite(v), v, -np.inf), kind="stable")[:k].tolist()) for v in (a, b)]
        rho = rank_correlation(a[both], b[both])
        names = {"by": first_group.criterion.name, "other": second_group.criterion.name}
        row = {"spearman": rho, "n": both.sum(), "top": k, "overlap": np.nan, "chance": np.nan}
        if k:
            row |= {"overlap": len(first[0] & first[1]) / k, "chance": k * both.sum() / (sizes[0] * sizes[1])}
        rows.append(names | row)
    return pd.DataFrame(rows, columns=pd.Index(["by", "other", "spearman", "n", "top", "overlap", "chance"]))


def rank_correlation(values: ArrayLike, other: ArrayLike) -> float:
    """Spearman's rank correlation; NaN for fewer than three pairs, or where one side is all alike."""
    a, b = np.asarray(values, dtype=np.float64), np.asarray(other, dtype=np.float64)
    defined = len(a) > 2 and np.ptp(a) > 0 and np.ptp(b) > 0
    return float(spearmanr(a, b).statistic) if defined else float("nan")


# Choosing heads of a model from its captures.


def choose(
    caps: Sequence[Capture],
    names: Sequence[str],
    by: str = "speaker-lift",
    *,
    top: str | int = 10,
    least: float | None = None,
    layers: str | None = None,
    threshold: float = 0.5,
    tables: Tables | None = None,
    progress: Progress | None = None,
) -> HeadList:
    """Rank the heads of a model by what it did in captures, and take the best.

    Args:
        caps: Open captures of one model.
        names: A short name for each.
        by: A criterion (`attnscope.metrics.choosing.criteria`).
        top: How many heads, or a share of those that take part ("9%").
        least: Only heads above this value (for `localization`: of the mass on the video, in place of the elbow).
        layers: Which layers take part, as numbers ("10-19") or a range of depth ("0.36-0.71").
        threshold: Covered fraction from which a cell counts as a speaker's.
        tables: What `measure` returned for the captures and the threshold; measured if not given.
        progress: Called with (what, done, total).

    Raises:
        RequestError: If the captures are of several models, do not define the criterion, or no head is above `least`;
            if an option is out of range.
        FormatError: If a capture does not say of which model it is.
    """
    chosen, model = criterion(by), _model(caps)
    if least is not None and not math.isfinite(least):
        raise RequestError.of("least", least, "is not a number")
    taking = select_layers(layers, [int(n) for n in caps[0].layers], model.layers)
    count, about = _how_many(top, len(taking) * model.heads), labels(caps, names)
    tables = measure(caps, names, threshold, progress) if tables is None else tables
    by_criterion = {
        name: scores(tables, about, other, layers=taking, least_mass=least if name == by else None)
        for name, other in criteria().items()
    }
    defined = {name: of for name, of in by_criterion.items() if of is not None}
    if by not in defined:
        if chosen.gate is not None and least is not None and scores(tables, about, chosen, layers=taking) is not None:
            raise RequestError.of("least", least, "no head has a mass on the video above it", where=f"{_files(caps)}: ")
        raise RequestError.of("by", by, _undefined(caps, chosen, defined), where=f"{_files(caps)}: ")
    own = defined.pop(by)
    table = ranked(own, count).merge(gates(tables, about), on=["layer", "head"], how="left")
    if least is not None and chosen.gate is None:
        table = table[table["value"] < least if chosen.lowest else table["value"] > least]
    if table.empty:
        raise RequestError.of("least", least, "no head is above it", where=f"{_files(caps)}: ")
    rows = agreement([own, *defined.values()], count)
    return HeadList(
        model=model,
        criterion=_by(own, count, least, layers, threshold),
        captures=[str(cap.path) for cap in caps],
        shown=[shown(cap.path, cap.scene) for cap in caps],
        clips=int(about["clip"].nunique()),
        heads=[Head(**row) for row in records(table.head(count))],
        stability=records(pd.DataFrame([stability(own)]))[0],
        agreement=records(rows[rows["by"] == by]),
        notes=[*_notes(caps, own, table, least), *_shut(table.head(count))],
    )


def measure(
    caps: Sequence[Capture], names: Sequence[str], threshold: float = 0.5, progress: Progress | None = None
) -> dict[str, pd.DataFrame]:
    """The numbers of all criteria, and output gates, of every capture: tables by family with a column `capture`."""
    wanted = sorted({GATE, *(name for c in criteria().values() for name in c.metrics)})
    parts: dict[str, list[pd.DataFrame]] = {}
    for number, (name, cap) in enumerate(zip(names, caps, strict=True)):
        own = part_of(progress, number, len(caps))
        for family, table in registry.compute(cap, wanted, threshold=threshold, progress=own).items():
            parts.setdefault(family, []).append(table.assign(capture=name))
    return {family: pd.concat(several, ignore_index=True) for family, several in parts.items()}


def _by(own: Scores, top: int, least: float | None, layers: str | None, threshold: float) -> By:
    entry = registry.get(own.criterion.metric)
    return By(
        name=own.criterion.name,
        metric=entry.id,
        definition=entry.definition,
        lowest=own.criterion.lowest,
        frames=own.frames,
        threshold=threshold,
        gate=None if own.gate != own.gate else own.gate,
        least=least,
        top=top,
        layers=layers,
    )


def _model(caps: Sequence[Capture]) -> OfModel:
    """The one model of all captures."""
    required = [name for name in OfModel.model_fields if name != "weights_sha256"]
    for cap in caps:
        missing = [name for name in required if name not in cap.model]
        if missing:
            raise FormatError(f"{cap.path}: /model: field '{missing[0]}' is missing")
    models = [
        OfModel(**{name: cap.model[name] for name in required}, weights_sha256=rounded(cap.model)) for cap in caps
    ]
    for cap, model in zip(caps, models, strict=True):
        alike = all(getattr(model, name) == getattr(models[0], name) for name in required)
        if not alike or not same_model(model.known, models[0].known):
            raise RequestError(
                f"{cap.path}: is of the model {model}, and {caps[0].path} of {models[0]}; rank them apart"
            )
    return models[0]


def _how_many(top: str | int, heads: int) -> int:
    """A number of heads, from itself or from a share of all."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(%?)", str(top).strip())
    number = float(match[1]) if match else 0.0
    share = bool(match and match[2])
    if not number or (share and number > 100) or (not share and number % 1):
        raise RequestError.of("top", top, "is neither a number of heads, like 10, nor a share of them, like 9%")
    return min(heads, max(1, round(heads * number / 100)) if share else int(number))


def _notes(caps: Sequence[Capture], own: Scores, table: pd.DataFrame, least: float | None) -> list[str]:
    """What a user should read beside the numbers."""
    notes = []
    if own.frames:
        notes.append(f"At {own.frames} frames.")
    if own.gate == own.gate:
        above = int((own.mass > own.gate).sum())
        notes.append(f"{above} of {len(own.places)} heads have a mass on the video above {own.gate:.3g}.")
    if own.criterion.name == "active":
        length = sum(cap.prompt_length for cap in caps) / len(caps)
        notes.append(f"g shrinks as prompts grow: the mean length here is {length:.0f} tokens.")
        if least is not None:
            scaled = f"{least:g} x mean length = {least * length:.3g}"
            notes.append(f"{len(table)} of {len(own.places)} heads have g above {least:g}; {scaled}.")
    for cap in caps:
        if cap.correction:
            notes.append(f"{cap.path} was made under {cap.correction[0]['method']}.")
        if cap.check.get("passed") is False:
            notes.append(f"{cap.path}: the self-check FAILED: do not trust its numbers.")
    if table["effect"].isna().all():
        notes.append(NOT_CAUSE)
    return notes


def _shut(table: pd.DataFrame) -> list[str]:
    """How many of the chosen heads contribute little for all that they attend."""
    if table[GATE].isna().all():
        return []
    shut = int((table[GATE] < HALF).sum())
    return [
        f"{shut} of these {len(table)} heads let less than half of their output through at the answer position"
        " (output gate)."
    ]


def _undefined(caps: Sequence[Capture], chosen: Criterion, defined: Collection[str]) -> str:
    """Why there is nothing to rank, and by what there is."""
    for name in chosen.metrics:
        for reading in registry.get(name).needs:
            if not caps[0].has(reading):
                return f"{name} needs the reading '{reading}', which is not there"
    others = f"; these are: {', '.join(defined)}" if defined else ""
    return f"{chosen.metric} is not defined for any head (attnscope analyze says why){others}"


def _files(caps: Sequence[Capture]) -> str:
    return str(caps[0].path) if len(caps) == 1 else f"{caps[0].path} and {len(caps) - 1} more"

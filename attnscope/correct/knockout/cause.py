"""A ranking of heads with the effect of cutting each of them beside it (ours)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import permutation_test, rankdata

from attnscope.capture.run import Progress
from attnscope.correct.heads import fixed
from attnscope.correct.knockout.effects import EFFECT, ODDS, knock_out_captures
from attnscope.correct.notes import counted
from attnscope.errors import RequestError
from attnscope.metrics.choosing.headlist import HeadList
from attnscope.metrics.choosing.ranking import NOT_CAUSE, rank_correlation
from attnscope.metrics.clips.pool import pooled
from attnscope.metrics.tables import defined, records

if TYPE_CHECKING:
    from attnscope.model import LoadedModel

FEW = 10  # heads, below which a rank correlation is not worth a reading


def with_effects(
    found: HeadList,
    names: Sequence[str],
    *,
    model: LoadedModel | str | Path | None = None,
    edges: str = "",
    batch: int = 8,
    progress: Progress | None = None,
) -> tuple[HeadList, dict[str, Any]]:
    """Cut each head of a ranking by itself, in every capture that the ranking is from.

    Args:
        found: The ranking.
        names: A short name for each of its captures.
        model: The model, or where it is, if it is not to be loaded again from where the captures had it.
        edges: What is cut of a head, as in `Knockout`; empty: its whole output.
        batch: Most copies of a prompt that run together.
        progress: Called with (what, done, total).

    Returns:
        The ranking with its `effect`s (means over clips), its `cause` and what there is to say of them in place of the
        sentence that nothing was cut. `cause` holds Spearman's rank correlation of the order, best first, with the
        effect (`spearman`, with its two-sided permutation p `spearman_p`), with the change of the log-odds
        (`spearman_log_odds`) and with the size of that change
        (`spearman_size`), `n` heads, what was `cut` ("output", or edges), and the mean log-probability `before`.
        And the parts: `effects`, both numbers of each head with 95 % bootstrap intervals over clips, and `answers`, a
        capture each.

    Raises:
        RequestError: As `attnscope.correct.knockout.effects.knock_out_captures`.
    """
    places = [(head.layer, head.head) for head in found.heads]
    how: dict[str, Any] = {"coverage": found.criterion.threshold, "batch": batch, "progress": progress}
    effects, answers = knock_out_captures(found.captures, names, places, model=model, edges=edges, **how)
    table = pooled(effects, answers)
    rows = pd.MultiIndex.from_frame(table[["metric", "layer", "head"]])
    value = pd.Series(table["value"].to_numpy(), index=rows)
    change, odds = (value[name].loc[places].to_numpy(np.float64) for name in (EFFECT, ODDS))
    heads = [head.model_copy(update={"effect": own}) for head, own in zip(found.heads, change.tolist(), strict=True)]
    order = np.array([head.value for head in heads]) * (-1 if found.criterion.lowest else 1)
    rhos = {"": change, "_log_odds": odds, "_size": abs(odds)}
    said = {f"spearman{name}": defined(rank_correlation(order, values)) for name, values in rhos.items()}
    said["spearman_p"] = defined(rank_correlation_p(order, change))
    said |= {"n": len(heads), "cut": edges or "output", "before": float(answers["before"].mean())}
    notes = [note for note in found.notes if note != NOT_CAUSE] + _notes(found, answers, edges, said)
    parts = {"effects": records(table), "answers": records(answers)}
    return found.model_copy(update={"heads": heads, "cause": said, "notes": notes}), parts


def rank_correlation_p(one: ArrayLike, other: ArrayLike) -> float:
    """Two-sided permutation p of `rank_correlation`: all orders where there are few, else a seeded sample.

    It takes heads as exchangeable, which heads of one layer are not quite.
    """
    a, b = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if np.isnan(rank_correlation(a, b)):
        return float("nan")
    found = permutation_test(
        (rankdata(a),),
        lambda ranks, axis=-1: np.apply_along_axis(lambda row: np.corrcoef(row, rankdata(b))[0, 1], axis, ranks),
        permutation_type="pairings",
        n_resamples=1999,
        rng=np.random.default_rng(0),
    )
    return float(found.pvalue)


def only(found: HeadList, every: HeadList, heads: str) -> HeadList:
    """A ranking with the heads that are named in place of its first, in order.

    Args:
        found: The ranking.
        every: The same ranking of all heads.
        heads: "2.3,4.0", or a heads file.

    Raises:
        RequestError: If one of them is not in the ranking, or the heads file is of another model.
    """
    given = fixed.opened(heads, "")
    if isinstance(given, HeadList):
        given.check_model(*found.model.known)
    wanted = {(layer, head) for layer, several in fixed.parse(given).items() for head in several}
    missing = sorted(wanted - {(head.layer, head.head) for head in every.heads})
    if missing:
        layer, head = missing[0]
        raise RequestError.of("heads", f"{layer}.{head}", f"has no value of {found.criterion.name} in these captures")
    named = [head for head in every.heads if (head.layer, head.head) in wanted]
    # All of them are among the first of all heads in every clip, which says nothing
    return found.model_copy(update={"heads": [head.model_copy(update={"top_share": None}) for head in named]})


def _notes(found: HeadList, answers: pd.DataFrame, edges: str, said: dict[str, Any]) -> list[str]:
    whose = "the right answer" if answers["right"].all() else "the model's own answer"
    if answers["right"].any() and not answers["right"].all():
        whose = "the answer (the right one where the scene says it, else the model's own)"
    among = " among the options" if (answers["options"] > 0).all() else ""
    cut = f"edges {edges} are" if edges else "whole output is"
    notes = [
        f"effect: change of the log-probability of {whose}{among}, in nats, when the head's {cut} cut;"
        f" negative: it speaks for that answer. With nothing cut the log-probability is {answers['before'].mean():.3g}."
    ]
    wrong = int((~answers["likeliest"]).sum())
    if wrong:
        notes.append(
            f"In {wrong} of {counted(len(answers), 'capture')} the model prefers another answer than the right one:"
            " what a cut does to the right one there says little about what the model's own answer rests on."
        )
    rho = {name: "not defined" if value is None else f"{value:.2f}" for name, value in said.items() if "spear" in name}
    notes.append(
        f"Spearman's rank correlation of {found.criterion.name} (best first) and effect over these {said['n']} heads:"
        f" {rho['spearman']}{_sure(said)}. Negative: the heads ranked first are those that speak for it most."
        " With the change of the log-odds, which does not flatten where an answer is nearly certain:"
        f" {rho['spearman_log_odds']}; with the size of that change, whichever way it goes: {rho['spearman_size']}."
    )
    if answers["alone"].any():
        notes.append(f"Up to {answers['alone'].max()} tokens would have lost all their keys and were not cut.")
    return notes


def _sure(said: dict[str, Any]) -> str:
    """How far a rank correlation may be chance: its two-sided p, by counting out orders where there are few."""
    if said["spearman"] is None:
        return ""
    few = "; so few heads show next to nothing" if said["n"] < FEW else ""
    return f" (p = {said['spearman_p']:.2g}{few})"

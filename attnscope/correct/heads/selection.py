"""On which heads a correction acts: by P1's threshold, the best `topk`, a quantile, or heads fixed beforehand.

The threshold decides in the very call that is edited, as published (2nd). All other rules have to know every layer
first: they look at the plain model once more and choose by what they find there (ours). Where a capture of the very
prompt is at hand that holds it, no model is run; else the prefill is run once more, as far as the last of the layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from attnscope.correct.base import Decoder, layers_parameter
from attnscope.correct.heads import fixed
from attnscope.correct.heads.scores import ActiveScores, HeadScores, LocalizationScores, Pairs
from attnscope.correct.notes import counted, require_places
from attnscope.correct.params import check, parameter, wrong
from attnscope.errors import RequestError
from attnscope.layers import select_layers
from attnscope.metrics.choosing.headlist import HeadList

if TYPE_CHECKING:
    from attnscope.correct.controls.wrapper import Controlled
    from attnscope.model import Prompt

THRESHOLD = 5e-5
LAYERS = "0.36-0.71"
FEW = 3  # localization heads, where neither topk nor quantile says how many (paper of those heads: three suffice)


@dataclass(frozen=True, kw_only=True)
class HeadRule:
    """A rule that chooses heads; corrections that act on chosen heads inherit its parameters.

    It is used by itself with `choose`, or as a base beside `Correction`: `class Mine(HeadRule, Correction)`.

    Example:
        >>> rule = attnscope.correct.HeadRule(topk=8, layers="0.0-1.0")
        >>> isinstance(social, attnscope.correct.HeadRule), rule.topk
        (True, 8)
    """

    method: ClassVar[str] = "heads"  # whose rule it is, for messages

    threshold: float = parameter(
        THRESHOLD,
        "A head is active if g, its mean attention from the chosen rows of the prompt to speakers' visual tokens,"
        " exceeds this, decided in every call anew (2nd, for utterance tokens: lambda = 5e-5). It is a mean over pairs"
        " and so shrinks with the length of the prompt.",
        "2nd",
        ge=0,
        lt=1,
    )
    layers: str = layers_parameter(
        LAYERS,
        "Layers in which heads may be chosen (2nd: layers 10-19 of 28; ours: the same fraction of other depths).",
        "2nd",
    )
    heads: str | HeadList = fixed.heads_parameter(
        "Heads that are always active, `2.3,4.0` for head 3 of layer 2 and head 0 of layer 4, or a heads file (.json),"
        " which only its own model takes; then `threshold` and `layers` play no role. Empty: heads are chosen by"
        " `threshold`."
    )
    topk: int | None = parameter(
        None, "The `topk` heads with the highest g across all `layers`, in place of `threshold`.", ge=1
    )
    quantile: float | None = parameter(
        None, "The heads above this quantile of all in `layers`, 0.91 for about 9 % of them, likewise.", ge=0, lt=1
    )
    by: Literal["active", "localization"] = parameter(
        "active",
        "What makes a head good: `active`, its g (2nd), or `localization`: among the heads whose attention from the"
        " last position to visual tokens is above the elbow, a low spatial entropy of that attention (code; sinks do"
        " not count and three heads where neither `topk` nor `quantile` is given: ours). Both as `attnscope heads` has"
        " them.",
        "2nd",
    )

    def __post_init__(self) -> None:
        """Check ranges, refuse contradictions, and read the heads file."""
        check(self)
        rules = [f"{name}={getattr(self, name)}" for name in ("topk", "quantile") if getattr(self, name) is not None]
        if len(rules) > 1:
            raise self._contradicts("topk", f"{rules[1]} says otherwise how many heads are chosen; give one of them")
        rules += [f"by={self.by}"] * (self.by != "active")
        if rules and self.threshold != THRESHOLD:
            raise self._contradicts("threshold", f"{rules[0]} chooses the heads; give one of them")
        if rules and self.heads:
            raise self._contradicts("heads", f"are fixed, and {rules[0]} chooses others")

    def _contradicts(self, name: str, why: str) -> RequestError:
        value = getattr(self, name)
        return wrong(self.method, name, fixed.text(value) if name == "heads" else value, why)

    def refuse_control(self, control: Controlled) -> None:
        """Refuse the lowest heads where heads are fixed.

        Raises:
            RequestError: If they are.
        """
        if control.lowest and self.heads:
            raise self._contradicts("heads", "are fixed, and lowest=true chooses others")

    def unused_rules(self) -> set[str]:
        """Parameters of the rule that others rule out."""
        chosen = self.topk is not None or self.quantile is not None or self.by != "active"
        others = {"layers", "topk", "quantile", "by", "lowest"} if self.heads else set[str]()
        return others | ({"threshold"} if self.heads or chosen else set())

    @property
    def looks(self) -> bool:
        """Whether the plain model has to be looked at once before heads can be chosen."""
        return not self.heads and (self.topk is not None or self.quantile is not None or self.by != "active")


@dataclass(frozen=True)
class Chosen:
    """What a rule chose for one prompt.

    Attributes:
        heads: Heads by layer; None where every call decides, by the threshold.
        note: How many of how many heads, and where the cut is.
        warning: What is wrong with them, if anything.
    """

    heads: dict[int, list[int]] | None
    note: str = ""
    warning: str = ""


def choose(
    rule: HeadRule, method: str, prompts: Sequence[Prompt], decoder: Decoder, pairs: Sequence[Pairs]
) -> list[Chosen]:
    """Choose heads for each prompt, with one look at the plain model if the rule has to know all layers first.

    Args:
        rule: The rule.
        method: Whose heads, for messages.
        prompts: A left-padded batch.
        decoder: The model, and the control that asks for the lowest-ranked heads in place of the best.
        pairs: One a prompt: the rows and cells that g is over.

    Raises:
        RequestError: If the model has no such layer or head, or cannot be run.
    """
    given = fixed.heads_of(rule.heads, decoder)
    if given:
        note = f"{counted(sum(map(len, given.values())), 'fixed head')} in {counted(len(given), 'layer')}"
        return [Chosen(given, note, fixed.foreign(rule.heads, decoder))] * len(prompts)
    layers = select_layers(rule.layers, decoder.layers, decoder.depth)
    lowest = decoder.control is not None and decoder.control.lowest
    if not (rule.looks or lowest):
        return [Chosen(None)] * len(prompts)
    scores: HeadScores
    if rule.by == "localization":
        for prompt in prompts:
            require_places(f"{method} with heads by localization", prompt)
        scores = LocalizationScores(prompts, layers, pairs)
    else:
        scores = ActiveScores(prompts, layers, pairs)
    source = decoder.look(method, [scores], layers).source
    return [_chosen(rule, scores, number, len(prompt.tokens), lowest, source) for number, prompt in enumerate(prompts)]


def _chosen(rule: HeadRule, scores: HeadScores, number: int, length: int, lowest: bool, source: str) -> Chosen:
    """Apply a rule to the numbers of one prompt, which come from a source."""
    ranking = scores.of(number)
    taken, cut = take(rule, ranking.rank, ranking.value)
    count, ranked = len(taken), int(np.isfinite(ranking.value).sum())
    note = f"{count} of {counted(len(ranking.value), 'head')} in {counted(len(scores.layers), 'layer')}, "
    if rule.topk is not None and rule.topk > ranked:
        there = f"only {ranked} of them can be chosen" if ranked < len(ranking.value) else "there are no more"
        note += f"where topk asks for {rule.topk} and {there}, "
    if rule.by == "localization":
        note += (
            f"of the {ranked} with image mass above {ranking.gate:.3g} (the elbow)"
            f" those of the lowest spatial entropy, below {-cut:.3g} nat"
        )
    else:
        above = "at or above" if cut in ranking.value[taken] else "above"  # equal heads at the cut
        note += f"those whose mean attention to speakers' pixels (g) is {above} {cut:.3g};"
        note += f" {of_even(cut, length)} at the cut"
    if lowest:
        low = ranking.rank[::-1]
        low = low[ranking.sees[low]][:count]
        both = len(set(low.tolist()) & set(taken.tolist()))
        note += f"; in their place the {len(low)} lowest-ranked that see the cells"
        note += f", {both} of them the same heads" if both else ""
        taken = low
    note += f"; scores: from {source}"
    places = [scores.places[at] for at in taken.tolist()]
    return Chosen(
        {layer: sorted(h for at, h in places if at == layer) for layer in sorted({at for at, _ in places})}, note
    )


def of_even(g: float, length: int) -> str:
    """A mean attention per pair as a multiple of 1 / prompt length, which can be compared between prompts."""
    return f"g × prompt length = {g * length:.3g} (1: attention spread evenly over the prompt)"


def take(rule: HeadRule, rank: NDArray[np.int64], value: NDArray[np.float64]) -> tuple[NDArray[np.int64], float]:
    """The heads that a rule takes, best first, and the cut: that value above which exactly these lie, ties apart.

    Args:
        rule: The rule.
        rank: [X] heads, the best first.
        value: [X] number of each head, more is better; NaN: not to be chosen.
    """
    order = rank[np.isfinite(value[rank])]
    if not len(order):
        return order, np.nan
    if rule.quantile is not None:
        cut = float(np.quantile(value[order], rule.quantile))
    elif rule.topk is None and rule.by == "active":
        cut = rule.threshold
    else:
        count = rule.topk or FEW
        rest = value[order[count:]]
        floor = 0.0 if rule.by == "active" else -np.inf  # nothing is left out
        return order[:count], float(rest[0]) if len(rest) else floor
    return order[value[order] > cut], cut

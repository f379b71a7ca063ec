"""On which heads a correction acts: by P1's threshold, the best `topk`, a quantile, or heads fixed beforehand.

The threshold decides in the very call that is edited, as published (2nd). All other rules have to know every layer
first: they look at the plain model once more, which costs one prefill, and choose by what they find there (ours).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attnscope.correct import params as parameters
from attnscope.correct.base import Correction, Decoder
from attnscope.correct.heads import fixed
from attnscope.correct.heads.scores import ActiveScores, HeadScores, LocalizationScores, Pairs
from attnscope.correct.notes import counted, require_places
from attnscope.errors import RequestError
from attnscope.layers import select_layers
from attnscope.metrics.choosing.headlist import HeadList

if TYPE_CHECKING:
    from attnscope.model import Prompt

THRESHOLD = 5e-5
LAYERS = "0.36-0.71"
BY = ("active", "localization")
FEW = 3  # localization heads, where neither topk nor quantile says how many (paper of those heads: three suffice)
FIELDS = ("heads", "threshold", "topk", "quantile", "by", "lowest", "layers")


@dataclass(frozen=True)
class Selection:
    """A rule that chooses heads; corrections that act on heads have fields of these names.

    Attributes:
        heads: Fixed heads: "2.3,4.0", or a heads file, which may be of many clips; then `layers` and `threshold` play
            no role.
        threshold: A head is active if its g, the mean attention from some rows to speakers' cells, is above this (2nd:
            lambda = 5e-5); decided in every call anew.
        topk: The `topk` heads with the highest g across all `layers`.
        quantile: The heads above this quantile of all heads in `layers`: 0.91 for about 9 % of them.
        by: What makes a head good: "active", its g; or "localization": among the heads whose attention from the last
            position to visual tokens is above the elbow, a low spatial entropy of that attention (code; sinks do not
            count and three heads where nothing is said: ours). Both as `attnscope heads` has them.
        lowest: A control: as many heads as the rule would choose, but the lowest-ranked of those that see the cells.
        layers: Layers in which heads may be chosen (2nd: layers 10-19 of 28).
        method: Whose rule it is, for messages.
    """

    heads: str | HeadList = ""
    threshold: float = THRESHOLD
    topk: int | None = None
    quantile: float | None = None
    by: str = "active"
    lowest: bool = False
    layers: str = LAYERS
    method: str = "heads"

    def __post_init__(self) -> None:
        """Check ranges, refuse contradictions, and read the heads file."""
        if not 0 <= self.threshold < 1:
            raise self._wrong("threshold", "must be in [0, 1)")
        if self.topk is not None and self.topk < 1:
            raise self._wrong("topk", "must be a number of heads, at least 1")
        if self.quantile is not None and not 0 <= self.quantile < 1:
            raise self._wrong("quantile", "must be in [0, 1)")
        if self.by not in BY:
            raise self._wrong("by", f"choose from {', '.join(BY)}")
        object.__setattr__(self, "heads", fixed.opened(self.heads, self.method))
        self._check_alone()

    def _wrong(self, name: str, why: str) -> RequestError:
        value = getattr(self, name)
        return parameters.wrong(self.method, name, fixed.text(value) if name == "heads" else value, why)

    def _check_alone(self) -> None:
        """Refuse two rules at once; a threshold left at its default is none."""
        ruled = [f"{name}={getattr(self, name)}" for name in ("topk", "quantile") if getattr(self, name) is not None]
        if len(ruled) > 1:
            other = f"{ruled[1]} says otherwise how many heads are chosen; give one of them"
            raise self._wrong("topk", other)
        ruled += [f"by={self.by}"] * (self.by != "active")
        if ruled and self.threshold != THRESHOLD:
            raise self._wrong("threshold", f"{ruled[0]} chooses the heads; give one of them")
        ruled += ["lowest=true"] * self.lowest
        if ruled and self.heads:
            raise self._wrong("heads", f"are fixed, and {ruled[0]} chooses others")

    @classmethod
    def of(cls, correction: Correction) -> Selection:
        """The rule that a correction's fields state; those of `FIELDS` that it lacks keep their default.

        Raises:
            RequestError: If one is out of range, or two contradict each other.
        """
        own = {name: getattr(correction, name) for name in FIELDS if hasattr(correction, name)}
        return cls(**own, method=correction.method)

    @property
    def looks(self) -> bool:
        """Whether the plain model has to be run once before heads can be chosen."""
        return not self.heads and (
            self.topk is not None or self.quantile is not None or self.by != "active" or self.lowest
        )


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
    rule: Selection, method: str, prompts: Sequence[Prompt], decoder: Decoder, pairs: Sequence[Pairs]
) -> list[Chosen]:
    """Choose heads for each prompt, with one look at the plain model if the rule has to know all layers first.

    Args:
        rule: The rule.
        method: Whose heads, for messages.
        prompts: A left-padded batch.
        decoder: The model.
        pairs: One a prompt: the rows and cells that g is over.

    Raises:
        RequestError: If the model has no such layer or head, or cannot be run.
    """
    given = fixed.heads_of(rule.heads, decoder)
    if given:
        note = f"{counted(sum(map(len, given.values())), 'fixed head')} in {counted(len(given), 'layer')}"
        return [Chosen(given, note, fixed.foreign(rule.heads, decoder))] * len(prompts)
    layers = select_layers(rule.layers, decoder.layers, decoder.depth)
    if not rule.looks:
        return [Chosen(None)] * len(prompts)
    scores: HeadScores
    if rule.by == "localization":
        for prompt in prompts:
            require_places(f"{method} with heads by localization", prompt)
        scores = LocalizationScores(prompts, layers, pairs)
    else:
        scores = ActiveScores(prompts, layers, pairs)
    decoder.look(method, [scores])
    return [_chosen(rule, scores, number, len(prompt.tokens)) for number, prompt in enumerate(prompts)]


def _chosen(rule: Selection, scores: HeadScores, number: int, length: int) -> Chosen:
    """Apply a rule to the numbers of one prompt."""
    found = scores.of(number)
    taken, cut = take(rule, found.rank, found.value)
    count, ranked = len(taken), int(np.isfinite(found.value).sum())
    note = f"{count} of {counted(len(found.value), 'head')} in {counted(len(scores.layers), 'layer')}, "
    if rule.topk is not None and rule.topk > ranked:
        there = f"only {ranked} of them can be chosen" if ranked < len(found.value) else "there are no more"
        note += f"where topk asks for {rule.topk} and {there}, "
    if rule.by == "localization":
        note += (
            f"of the {ranked} with image mass above {found.gate:.3g} (the elbow)"
            f" those of the lowest spatial entropy, below {-cut:.3g} nat"
        )
    else:
        above = "at or above" if cut in found.value[taken] else "above"  # equal heads at the cut
        note += f"those whose mean attention to speakers' pixels (g) is {above} {cut:.3g};"
        note += f" {of_even(cut, length)} at the cut"
    if rule.lowest:
        low = found.rank[::-1]
        low = low[found.sees[low]][:count]
        both = len(set(low.tolist()) & set(taken.tolist()))
        note += f"; in their place the {len(low)} lowest-ranked that see the cells"
        note += f", {both} of them the same heads" if both else ""
        taken = low
    note += "; chosen in a run of the plain prompt, which costs one more prefill"
    places = [scores.places[at] for at in taken.tolist()]
    return Chosen(
        {layer: sorted(h for at, h in places if at == layer) for layer in sorted({at for at, _ in places})}, note
    )


def of_even(g: float, length: int) -> str:
    """A mean attention per pair as a multiple of 1 / prompt length, which can be compared between prompts."""
    return f"g × prompt length = {g * length:.3g} (1: attention spread evenly over the prompt)"


def take(rule: Selection, rank: NDArray[np.int64], value: NDArray[np.float64]) -> tuple[NDArray[np.int64], float]:
    """The heads that a rule takes, best first, and the cut: that value above which exactly these lie, ties apart.

    Args:
        rule: The rule; `lowest` is not its business.
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

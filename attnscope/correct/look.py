"""A look at the plain model before a correction acts: in a run of it, or in a capture of the very same prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from attnscope.errors import AttnscopeError

if TYPE_CHECKING:
    from torch import Tensor

    from attnscope.attention import AttentionCall, Edit

# Where numbers come from, as notes say it.
RUN = "a run of the plain model"
STORED = "the capture's queries and keys"
MAPS = "the capture's maps"
ANSWER = "the capture's answer"


class Known(Protocol):
    """What a capture knows of a plain run of the prompt that a correction is bound to."""

    def show(self, edits: Sequence[Edit], layers: Sequence[int]) -> str:
        """Show layers to edits that only look; returns where they came from, "" if the capture does not hold them."""
        ...

    @property
    def confidence(self) -> float | None:
        """Probability of the likeliest first token of the answer, None if the capture does not say."""
        ...


@dataclass(frozen=True)
class Look:
    """What a look at the plain model has found, beside what the edits kept.

    Attributes:
        source: Where the numbers come from, in words.
        logits: [B, vocabulary] after each prompt; None where they were not asked for.
    """

    source: str
    logits: Tensor | None = None


class EnoughError(AttnscopeError):
    """Ends a run whose layers have all been looked at."""


class Until:
    """An edit that ends a run once some layers have been seen: what follows them is not computed.

    Args:
        layers: Numbers of the layers.
    """

    def __init__(self, layers: Sequence[int]) -> None:
        self.layers = frozenset(layers)
        self._left = set(layers)

    def __call__(self, call: AttentionCall) -> AttentionCall:
        """Note that a layer has been seen."""
        self._left.discard(call.layer)
        if not self._left:
            raise EnoughError("all layers that were asked for have been seen")
        return call

"""A correction: visual keys gain a constant on their logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from attnscope.attention import add_bias
from attnscope.correct import Correction, Decoder, Running, correction, parameter
from attnscope.vocabulary import is_visual


@correction
@dataclass(frozen=True)
class Nudge(Correction):
    """Add a constant to the logits of visual keys, in every layer and row."""

    method: ClassVar[str] = "example-nudge"
    source: ClassVar[str] = "ours"
    summary: ClassVar[str] = "adds a constant to the logits of visual keys"

    strength: float = parameter(1.0, "What is added, in nats; 0 is the identity.", ge=0)
    sign: Literal["up", "down"] = parameter("up", "Towards visual keys, or away from them.")
    layers: tuple[int, ...] = parameter((), "Numbers of the layers; empty for all.")

    def bind(self, prompts: Sequence, decoder: Decoder) -> Nudging:  # noqa: ARG002
        """Find the visual keys of the prompt."""
        (prompt,) = prompts
        return Nudging(self, torch.from_numpy(is_visual(prompt.tokens)))


class Nudging(Running):
    """The nudge at work on one prompt."""

    def __init__(self, settings: Nudge, visual: torch.Tensor) -> None:
        self.settings, self.visual = settings, visual
        self.heads: dict[int, list[int]] = {}

    def __call__(self, call):
        """Append one channel: a constant in every row, and the visual keys."""
        if self.settings.layers and call.layer not in self.settings.layers:
            return call
        self.heads[call.layer] = list(range(call.query.shape[1]))
        bias = self.settings.strength * (1 if self.settings.sign == "up" else -1)
        member = torch.zeros(call.query.shape[0], call.key.shape[2], 1)
        member[:, : len(self.visual), 0] = self.visual.float()
        return add_bias(call, torch.full((*call.query.shape[:3], 1), bias), member)

    def records(self):
        """What was done."""
        return [self.settings.record(self.heads, ["every visual key is nudged"])]

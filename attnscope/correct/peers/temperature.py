"""Attention temperature: z / T on chosen heads and rows (ours; the plainest edit of attention to compare with).

Queries are divided by T, so that nothing is computed densely and all rows can be edited under the model's own kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch

from attnscope.attention import AttentionCall
from attnscope.correct.base import Correction, Decoder, Running, layers_parameter
from attnscope.correct.heads import fixed
from attnscope.correct.notes import Caution, counted
from attnscope.correct.params import parameter
from attnscope.correct.peers.tokens import ROWS, Places, Tokens
from attnscope.correct.placing import Placing
from attnscope.correct.registry import correction
from attnscope.errors import ModelError
from attnscope.layers import select_layers
from attnscope.metrics.choosing.headlist import HeadList

if TYPE_CHECKING:
    from attnscope.model import Prompt


@correction
@dataclass(frozen=True)
class Temperature(Correction):
    """Sharpen or flatten attention: logits divided by a temperature, on chosen heads and rows.

    Unlike a factor on some keys, it does not depend on the level of the logits. In half precision the divided queries
    are rounded once more; a temperature that is a power of 2 is exact. A model that caps its logits is refused. Prefill
    and cached decoding give what one pass over the whole text gives.

    Example:
        >>> edit = attnscope.correct.Temperature(temperature=0.5)
        >>> [score] = attnscope.evaluate.score(model, [prompt], [edit])
        >>> round(score.logprobs[-1], 1)  # of the right answer; -9.6 without the edit
        -4.7
    """

    method: ClassVar[str] = "temperature"
    source: ClassVar[str] = "ours"
    summary: ClassVar[str] = "divides logits by a temperature, on chosen heads and rows"

    temperature: float = parameter(0.5, "T; below 1 sharpens, above 1 flattens, 1 is the identity.", gt=0)
    rows: Literal["answer", "text", "all"] = parameter(
        "answer",
        "`answer`, the answer position and every later token, `text`, also all text after the first visual token, or"
        " `all`.",
    )
    heads: str | HeadList = fixed.heads_parameter(
        "Heads that are edited, `2.3,4.0` for head 3 of layer 2 and head 0 of layer 4, or a heads file (.json), which"
        " only its own model takes; then `layers` plays no role. Empty: all heads of `layers`."
    )
    layers: str = layers_parameter(meaning="Layers that are edited.")

    def bind(self, prompts: Sequence[Prompt], decoder: Decoder) -> RunningTemperature:
        """Find the heads and the rows.

        Raises:
            RequestError: If the model has no such layer or head.
        """
        heads = fixed.heads_of(self.heads, decoder) or {
            layer: list(range(decoder.heads)) for layer in select_layers(self.layers, decoder.layers, decoder.depth)
        }
        warning = fixed.foreign(self.heads, decoder)
        return RunningTemperature(self, heads, [Tokens.of(prompt, self.rows) for prompt in prompts], warning)


class RunningTemperature(Running):
    """A temperature bound to a left-padded batch."""

    settings: Temperature

    def __init__(
        self, settings: Temperature, heads: dict[int, list[int]], tokens: Sequence[Tokens], warning: str = ""
    ) -> None:
        self.settings, self.heads, self.prompts, self.warning = settings, heads, len(tokens), warning
        self._placing = Placing(settings.method, [own.length for own in tokens])
        self._places = Places(self._placing, tokens)
        self._rounded: torch.dtype | None = None

    def __call__(self, call: AttentionCall) -> AttentionCall:
        """Divide queries of this layer."""
        if call.layer not in self.heads or self.settings.temperature == 1:
            return call
        if call.softcap is not None:
            raise ModelError(
                f"layer {call.layer}: this model caps its attention logits (softcap {call.softcap});"
                " temperature divides queries, and the cap would bend that"
            )
        factor = torch.ones(call.query.shape[:3], device=call.query.device)
        heads = torch.tensor(self.heads[call.layer], device=call.query.device)
        for sample, place in enumerate(self._places(call)):
            factor[sample, heads[:, None], place.rows] = 1 / self.settings.temperature
        if call.query.dtype != torch.float32:
            self._rounded = call.query.dtype
        return call.widened((call.query * factor[..., None]).to(call.query.dtype), call.key)

    def records(self) -> list[dict[str, Any]]:
        """Method, parameters, heads that were edited, and what a user should know, one a prompt."""
        nothing = self.settings.temperature == 1
        heads = sum(map(len, self.heads.values()))
        notes = [f"acts on {ROWS[self.settings.rows]}, {counted(heads, 'head')} in {counted(len(self.heads), 'layer')}"]
        if nothing:
            notes = [Caution("the temperature is 1: nothing is changed")]
        if self.warning:
            notes.append(Caution(self.warning))
        if self._rounded is not None and np.log2(self.settings.temperature) % 1:
            kind = str(self._rounded).removeprefix("torch.")
            notes.append(f"divided queries are rounded to {kind}; a temperature that is a power of 2 would be exact")
        return [self.settings.record({} if nothing else self.heads, notes) for _ in range(self.prompts)]

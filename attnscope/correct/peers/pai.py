"""PAI: pay more attention to the image where the answer is made (Liu et al., ECCV 2024; formula from their code).

z += alpha * |z| on the image's keys, in the row of the answer position and of every later token, before the softmax.
Their second part, guidance of the answer's logits (g * (lp - lp without image) + lp without image, g = 1.1), is no edit
of attention: it needs a second run of the model without the image, and is left out here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from attnscope.correct.base import Changed, Correction, Decoder, layers_parameter
from attnscope.correct.params import parameter
from attnscope.correct.peers.row_edits import RunningScale, Scale
from attnscope.correct.peers.tokens import Tokens, image_keys
from attnscope.correct.registry import correction
from attnscope.layers import select_layers

if TYPE_CHECKING:
    from attnscope.model import Prompt

_LEFT_OUT = "the guidance of the answer's logits that belongs to PAI is left out: it is no edit of attention"


@correction
@dataclass(frozen=True)
class Pai(Correction):
    """Raise the image's logits in the answer's rows by a share of their size; guidance of the logits is left out.

    Prefill and cached decoding give what one pass over the whole text gives.

    Example:
        >>> edit = attnscope.correct.Pai(alpha=0.5)
        >>> [score] = attnscope.evaluate.score(model, [prompt], [edit])
        >>> round(score.logprobs[-1], 1)  # of the right answer; -9.6 without the edit
        -10.5
    """

    method: ClassVar[str] = "pai"
    source: ClassVar[str] = "code"
    summary: ClassVar[str] = (
        "raises the image's logits in the answer's rows by a share of their size (without the guidance of logits)"
    )

    changes: ClassVar[tuple[Changed, ...]] = ("rows",)

    alpha: float = parameter(0.2, "Share of |z| that is added; 0 is the identity (code: 0.2).", "code", ge=0)
    layers: str = layers_parameter(
        "0.0625-1.0", "Layers that are edited (code: from layer 2 of 32 on, which is depth 0.0625).", "code"
    )

    def bind(self, prompts: Sequence[Prompt], decoder: Decoder) -> RunningScale:
        """Find the answer's row and the image's keys.

        Raises:
            RequestError: If the model has no such layer.
        """
        scale = Scale("image", 1 + self.alpha, 1 - self.alpha)
        return RunningScale(
            self,
            decoder,
            select_layers(self.layers, decoder.layers, decoder.depth),
            [Tokens.of(prompt, "answer", image_keys(prompt)) for prompt in prompts],
            "answer",
            [[scale]] * len(prompts),
            [[_LEFT_OUT]] * len(prompts),
        )

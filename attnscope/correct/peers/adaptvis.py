"""AdaptVis: sharpen attention to the image where the model is sure, smooth it where not (Chen et al., ICML 2025).

z *= w on the image's keys, in the row of the answer position and of every later token, before the softmax (formula
from their code). w follows from the plain model's probability of its first answer token.
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


@correction
@dataclass(frozen=True)
class AdaptVis(Correction):
    """Multiply the image's logits in the answer's rows by a factor that depends on the plain model's confidence.

    The plain model is run once on the prompts before (one more prefill), unless a capture of the prompt says how sure
    it is. Prefill and cached decoding give what one pass over the whole text gives.

    Example:
        >>> edit = attnscope.correct.AdaptVis(w_high=1.5)
        >>> [score] = attnscope.evaluate.score(model, [prompt], [edit])
        >>> round(score.logprobs[-1], 1)  # of the right answer; -9.6 without the edit
        -10.4
    """

    method: ClassVar[str] = "adaptvis"
    source: ClassVar[str] = "code"
    summary: ClassVar[str] = (
        "multiplies the image's logits in the answer's rows, by more than 1 where the plain model is sure of its answer"
    )

    changes: ClassVar[tuple[Changed, ...]] = ("rows",)

    confidence: float = parameter(
        0.35,
        "Below this probability of the first answer token `w_low` counts, from it on `w_high` (code: 0.3 to 0.4, by"
        " data set; 0.35 is ours).",
        "code",
        ge=0,
        le=1,
    )
    w_low: float = parameter(0.5, "Factor where the model is not sure; below 1 smooths (code: 0.5).", "code", gt=0)
    w_high: float = parameter(
        1.2, "Factor where it is; above 1 sharpens (code: 1.2 to 2.0, by data set).", "code", gt=0
    )
    layers: str = layers_parameter("0.0-1.0", "Layers that are edited (code: all).", "code")

    def bind(self, prompts: Sequence[Prompt], decoder: Decoder) -> RunningScale:
        """Ask the plain model how sure it is of each prompt's answer.

        Raises:
            RequestError: If the model has no such layer, or there is no model to run.
        """
        layers = select_layers(self.layers, decoder.layers, decoder.depth)
        confidences, source = decoder.confidence(self.method)
        factors = [self.w_low if probability < self.confidence else self.w_high for probability in confidences]
        return RunningScale(
            self,
            decoder,
            layers,
            [Tokens.of(prompt, "answer", image_keys(prompt)) for prompt in prompts],
            "answer",
            [[Scale("image", factor, factor)] for factor in factors],
            [
                [f"w = {factor:g}: the plain model's first token has probability {p:.3f}; scores: from {source}"]
                for p, factor in zip(confidences, factors, strict=True)
            ],
        )

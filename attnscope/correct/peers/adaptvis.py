"""AdaptVis: sharpen attention to the image where the model is sure, smooth it where not (Chen et al., ICML 2025).

z *= w on the image's keys, in the row of the answer position and of every later token, before the softmax (formula
from their code). w follows from the plain model's probability of its first answer token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from attnscope.correct.base import Correction, Decoder
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

    The plain model is run once on the prompts before (one more prefill). Prefill and cached decoding give what one
    pass over the whole text gives.

    Attributes:
        confidence: Below this probability of the first answer token `w_low` counts, from it on `w_high` (code: 0.3 to
            0.4, by data set; 0.35 is ours).
        w_low: Factor where the model is not sure; below 1 smooths (code: 0.5).
        w_high: Factor where it is; above 1 sharpens (code: 1.2 to 2.0, by data set).
        layers: Layers that are edited (code: all).
    """

    method: ClassVar[str] = "adaptvis"
    source: ClassVar[str] = "code"
    summary: ClassVar[str] = (
        "multiplies the image's logits in the answer's rows, by more than 1 where the plain model is sure of its answer"
    )

    confidence: float = 0.35
    w_low: float = 0.5
    w_high: float = 1.2
    layers: str = "0.0-1.0"

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        if not 0 <= self.confidence <= 1:
            raise self.wrong("confidence", "must be in [0, 1]")
        self.check_least(0, "w_low", "w_high", above=True)

    def bind(self, prompts: Sequence[Prompt], decoder: Decoder) -> RunningScale:
        """Ask the plain model how sure it is of each prompt's answer.

        Raises:
            RequestError: If the model has no such layer, or there is no model to run.
        """
        layers = select_layers(self.layers, decoder.layers, decoder.depth)
        sure = decoder.look(self.method, []).softmax(-1).amax(-1).tolist()
        factors = [self.w_low if one < self.confidence else self.w_high for one in sure]
        return RunningScale(
            self,
            decoder,
            layers,
            [Tokens.of(prompt, "answer", image_keys(prompt)) for prompt in prompts],
            "answer",
            [[Scale("image", factor, factor)] for factor in factors],
            [
                [f"w = {factor:g}: the plain model's first token has probability {one:.3f} (one more prefill was run)"]
                for one, factor in zip(sure, factors, strict=True)
            ],
        )

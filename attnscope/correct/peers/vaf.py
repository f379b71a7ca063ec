"""VAF: visual amplification fusion (Yin et al., "ClearSight", CVPR 2025; formula from their code).

In the rows of the text after the image, z *= 1.15 on the image's keys and z *= 0.95 on the system prompt's, before the
softmax, in the middle layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from attnscope.correct.base import Changed, Correction, Decoder, layers_parameter
from attnscope.correct.params import parameter
from attnscope.correct.peers.row_edits import RunningScale, Scale
from attnscope.correct.peers.tokens import Tokens, image_keys, keys_before_image
from attnscope.correct.registry import correction
from attnscope.layers import select_layers

if TYPE_CHECKING:
    from attnscope.model import Prompt


@correction
@dataclass(frozen=True)
class Vaf(Correction):
    """Multiply the logits of text towards the image by more than 1 and towards the system prompt by less.

    Text is what is not visual after the first visual token, labels between frames included (their code: what comes
    after the one image), and every later token. The system prompt is all that stands before the first visual token, as
    in their code, also in a model without a system message. Every text row is computed densely. Prefill and cached
    decoding give what one pass over the whole text gives.

    Example:
        >>> edit = attnscope.correct.Vaf(enhance=2.0, layers="0.0-1.0")
        >>> [score] = attnscope.evaluate.score(model, [prompt], [edit])
        >>> round(score.logprobs[-1], 1)  # of the right answer; -9.6 without the edit
        -10.6
    """

    method: ClassVar[str] = "vaf"
    source: ClassVar[str] = "code"
    summary: ClassVar[str] = "multiplies the logits of text towards the image, and towards the system prompt"

    changes: ClassVar[tuple[Changed, ...]] = ("rows",)

    enhance: float = parameter(
        1.15, "Factor on the logits of the image's keys; 1 leaves them as they are (code: 1.15).", "code", gt=0
    )
    suppress: float = parameter(0.95, "Factor on the logits of the system prompt's keys (code: 0.95).", "code", gt=0)
    layers: str = layers_parameter("0.28-0.47", "Layers that are edited (code: 9-14 of 32).", "code")

    def bind(self, prompts: Sequence[Prompt], decoder: Decoder) -> RunningScale:
        """Find the text's rows, and the keys of the image and the system prompt.

        Raises:
            RequestError: If the model has no such layer.
        """
        scales = [
            Scale("image", self.enhance, self.enhance),
            Scale("before the image", self.suppress, self.suppress),
        ]
        return RunningScale(
            self,
            decoder,
            select_layers(self.layers, decoder.layers, decoder.depth),
            [Tokens.of(prompt, "text", image_keys(prompt), keys_before_image(prompt)) for prompt in prompts],
            "text",
            [scales] * len(prompts),
            [[]] * len(prompts),
        )

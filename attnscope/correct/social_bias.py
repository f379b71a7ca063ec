"""Cross-modal head selection and social-aware attention bias (Ouyang et al., CVPR 2026; read in a secondary summary).

On heads that look across modalities at all, each word of a speaker is drawn to that speaker's pixels in the frames
where it is spoken. The bias of a word u towards a cell v of the same speaker and frame is alpha times the largest
logit of u over all speakers' cells, W(u, v) = alpha * max over v' of z(u, v'), and 0 elsewhere; A' = softmax(z + W).
Acting on names in the question and on the answer, fixed heads and a constant bias are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from attnscope.correct import _heads
from attnscope.correct._bias_rows import ROWS, draw
from attnscope.correct._bias_running import RunningSocialBias
from attnscope.correct.base import Correction, Decoder, correction
from attnscope.errors import RequestError
from attnscope.layers import check_layers
from attnscope.metrics.headlist import HeadList

if TYPE_CHECKING:
    from attnscope.model import Prompt

NEGATIVE = ("paper", "clamp", "gap")
STRENGTH = ("logit", "constant")


@correction
@dataclass(frozen=True)
class SocialBias(Correction):
    """Draw speakers' words, or the answer, to speakers' pixels, on the heads that look across modalities.

    Attributes:
        alpha: Strength; 0 is the identity (2nd: 1).
        threshold: A head is active if its mean attention from the chosen rows of the prompt to speakers' visual tokens
            exceeds this (2nd, for utterance tokens: lambda = 5e-5). It is a mean over pairs and so shrinks with the
            length of the prompt.
        layers: Layers in which heads may be active (2nd: layers 10-19 of 28).
        coverage: Fraction of a cell that a box must cover (ours).
        negative: What to do where the largest logit is negative, and the published bias would lower attention:
            "paper" keeps it, "clamp" sets the bias to 0, "gap" uses alpha * (max - mean) instead, which does not
            depend on the logits' level (ours).
        rows: Which tokens are drawn, comma-separated: "utterances", each to its speaker at the frames where the turn
            is live (2nd); "question", the tokens of the question that write a speaker's name, each to that speaker in
            all frames (ours); "answer", the last position of the prompt, which predicts the first answer token, and
            every later one, appended or generated (ours).
        toward: Whose cells, in all frames, the answer is drawn to (ours): "asked", the one speaker with a box whose
            name stands in the question; a speaker's name; or, to compare with, "other" (the next visible speaker after
            the asked one, in the scene's order), "everyone" (the cells of all speakers) and "visual" (all visual
            tokens with a place). These words win over a speaker of that name. The scene's right answer is not read.
        heads: Heads that are always active, "2.3,4.0" for head 3 of layer 2 and head 0 of layer 4, or a heads file
            (.json), which only its own model takes; then `threshold` and `layers` play no role (ours). Empty: heads are
            chosen by `threshold`.
        strength: "logit", alpha times the largest logit (2nd), or "constant", the bias is alpha itself: the odds of
            the cells grow by a factor of e^alpha, and `negative` plays no role (ours).
    """

    method: ClassVar[str] = "social-bias"
    source: ClassVar[str] = "2nd"
    summary: ClassVar[str] = (
        "draws each speaker's words, names in the question or the answer to speakers' pixels,"
        " on heads that look across modalities"
    )

    alpha: float = 1.0
    threshold: float = 5e-5
    layers: str = "0.36-0.71"
    coverage: float = 0.5
    negative: str = "paper"
    rows: str = "utterances"
    toward: str = "asked"
    heads: str | HeadList = ""
    strength: str = "logit"

    def __post_init__(self) -> None:
        """Check ranges, and read the heads file."""
        if not np.isfinite(self.alpha) or self.alpha < 0:
            raise RequestError(f"--alpha {self.alpha}: must be a number of at least 0")
        if not 0 <= self.threshold < 1:
            raise RequestError(f"--threshold {self.threshold}: must be in [0, 1)")
        if not 0 < self.coverage <= 1:
            raise RequestError(f"--coverage {self.coverage}: must be in (0, 1]")
        if self.negative not in NEGATIVE:
            raise RequestError(f'--negative "{self.negative}": choose from {", ".join(NEGATIVE)}')
        if self.strength not in STRENGTH:
            raise RequestError(f'--strength "{self.strength}": choose from {", ".join(STRENGTH)}')
        for kind in self.kinds:
            if kind not in ROWS:
                raise RequestError(f'--rows "{self.rows}": "{kind}" is none of {", ".join(ROWS)}')
        if self.toward != "asked" and "answer" not in self.kinds:
            raise RequestError(f'--toward "{self.toward}": is about the answer, and --rows is "{self.rows}"')
        check_layers(self.layers)
        object.__setattr__(self, "heads", _heads.opened(self.heads))

    def params(self) -> dict[str, Any]:
        """The parameters, as stored in a capture; of a heads file, the heads."""
        return super().params() | {"heads": _heads.text(self.heads)}

    @property
    def kinds(self) -> list[str]:
        """The kinds of `rows`, one by one."""
        return [kind.strip() for kind in self.rows.split(",")]

    def bind(self, prompts: Sequence[Prompt], decoder: Decoder) -> RunningSocialBias:
        """Find the tokens that are drawn, and the cells that each is drawn to.

        Raises:
            RequestError: If a scene has no boxes, or nothing to do for one of the kinds of `rows`; if the model has no
                such layer or head.
        """
        return RunningSocialBias(
            self, [draw(prompt, self.kinds, self.toward, self.coverage) for prompt in prompts], decoder
        )

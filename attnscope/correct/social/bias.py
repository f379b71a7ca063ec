"""Cross-modal head selection and social-aware attention bias (Ouyang et al., CVPR 2026; read in a secondary summary).

On heads that look across modalities at all, each word of a speaker is drawn to that speaker's pixels in the frames
where it is spoken. The bias of a word u towards a cell v of the same speaker and frame is alpha times the largest
logit of u over all speakers' cells, W(u, v) = alpha * max over v' of z(u, v'), and 0 elsewhere; A' = softmax(z + W).
Acting on names in the question and on the answer, other rules for heads, a constant bias and all that makes a control
are ours.

At decode: utterance and question tokens are of the prompt, and generated tokens are not drawn (2nd); they meet the
corrected prompt through the cache. With rows "answer", every generated or appended token is drawn like the last
position of the prompt, on the heads that the prompt chose, with its own largest logit; prefill and cached decoding
then equal one pass over the same text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from attnscope.correct.base import Correction, Decoder
from attnscope.correct.heads import fixed
from attnscope.correct.heads.scores import Pairs
from attnscope.correct.heads.selection import LAYERS, THRESHOLD, Selection, choose
from attnscope.correct.registry import correction
from attnscope.correct.social.boxes import WHOSE
from attnscope.correct.social.rows import ROWS, draw
from attnscope.correct.social.running import RunningSocialBias
from attnscope.correct.social.toward import TOWARD
from attnscope.metrics.choosing.headlist import HeadList
from attnscope.scene.problems import show

if TYPE_CHECKING:
    from attnscope.model import Prompt

CHOICES = {
    "negative": ("paper", "clamp", "gap"),
    "strength": ("logit", "constant"),
    "overlap": ("all", "none"),
    "whose": tuple(WHOSE),
}


@correction
@dataclass(frozen=True)
class SocialBias(Correction):
    """Draw speakers' words, or the answer, to speakers' pixels, on the heads that look across modalities.

    Attributes:
        alpha: Strength; 0 is the identity (2nd: 1).
        threshold: A head is active if its mean attention from the chosen rows of the prompt to speakers' visual tokens
            exceeds this (2nd, for utterance tokens: lambda = 5e-5). It is a mean over pairs and so shrinks with the
            length of the prompt.
        layers: Layers in which heads may be active (2nd: layers 10-19 of 28; ours: the same fraction of
            other depths).
        coverage: Fraction of a cell that a box must cover (ours).
        negative: What to do where the largest logit is negative, and the published bias would lower attention:
            "paper" keeps it, "clamp" sets the bias to 0 (ours); "gap" uses alpha * (max - mean) in every row, which
            does not depend on the logits' level (ours).
        rows: Which tokens are drawn, comma-separated: "utterances", each to its speaker at the frames where the turn
            is live (2nd); "question", the tokens of the question that write a speaker's name, each to that speaker in
            all frames (ours); "answer", the last position of the prompt, which predicts the first answer token, and
            every later one, appended or generated (ours).
        toward: Whose cells, in all frames, the answer is drawn to (ours): "asked", the one speaker with a box whose
            name stands in the question; a speaker's name; or, to compare with, "other" (the next visible speaker after
            the asked one, in the scene's order), "everyone" (the cells of all speakers), "visual" (all visual tokens
            with a place) and "random" (the asked one's cells, moved over the grid of cells by one step drawn from
            `seed`: as many in every frame, and off the asked one's own where there is room). These words win over a
            speaker of that name. The scene's right answer is not read.
        heads: Heads that are always active, "2.3,4.0" for head 3 of layer 2 and head 0 of layer 4, or a heads file
            (.json), which only its own model takes; then `threshold` and `layers` play no role (ours). Empty: heads are
            chosen by `threshold`.
        strength: "logit", alpha times the largest logit (2nd), or "constant", the bias is alpha itself: the odds of
            the cells grow by a factor of e^alpha, and `negative` plays no role (ours).
        topk: So many best heads over all `layers`, in place of `threshold` (ours).
        quantile: The heads above this quantile of all in `layers`, 0.91 for about 9 % of them, likewise (ours).
        by: What makes a head good: "active", its mean attention from `rows` to speakers' cells (2nd), or
            "localization", a low spatial entropy of the answer's look at the video, as in `Selection` (code).
        lowest: To compare with: as many heads as the rule would choose, but the lowest-ranked of those that see the
            cells (ours).
        window: Seconds before and after a turn whose frames are live for it too (ours).
        overlap: A cell in the boxes of several speakers belongs to each of them ("all", ours), or is nobody's target
            ("none", ours). The strength is over the cells of all speakers in either case.
        whose: To compare with: what all rows are drawn to in place of their speaker's "own" cells (ours): those of the
            "other" speaker after that one, of "everyone", all "visual" tokens, or "random" ones, as in `toward`.
        box_jitter: To compare with: standard deviation of noise on each edge of each box in each frame, as a fraction
            of its width or height, as in `attnscope.metrics.jitter` (ours). Boxes are made worse for this correction
            alone: metrics keep the true ones.
        box_shift: To compare with: how far each speaker's boxes are moved, in a random direction but the same in all
            frames, as a fraction of their width (sideways) and height (ours).
        box_drop: To compare with: the probability that a speaker's box is missing in a frame (ours).
        seed: Seed of the random numbers, which also depend on the clip's boxes.
    """

    method: ClassVar[str] = "social-bias"
    source: ClassVar[str] = "2nd"
    summary: ClassVar[str] = (
        "draws each speaker's words, names in the question or the answer to speakers' pixels,"
        " on heads that look across modalities"
    )

    alpha: float = 1.0
    threshold: float = THRESHOLD
    layers: str = LAYERS
    coverage: float = 0.5
    negative: str = "paper"
    rows: str = "utterances"
    toward: str = "asked"
    heads: str | HeadList = ""
    strength: str = "logit"
    topk: int | None = None
    quantile: float | None = None
    by: str = "active"
    lowest: bool = False
    window: float = 0.0
    overlap: str = "all"
    whose: str = "own"
    box_jitter: float = 0.0
    box_shift: float = 0.0
    box_drop: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check ranges, and read the heads file."""
        super().__post_init__()
        self.check_least(0, "alpha", "window", "box_jitter", "box_shift", "seed")
        if not 0 < self.coverage <= 1:
            raise self.wrong("coverage", "must be in (0, 1]")
        if not 0 <= self.box_drop <= 1:
            raise self.wrong("box_drop", "must be in [0, 1]")
        self.check_choices(CHOICES)
        for kind in self.kinds:
            if kind not in ROWS:
                raise self.wrong("rows", f"{show(kind)} is none of {', '.join(ROWS)}")
        if self.toward != "asked" and "answer" not in self.kinds:
            raise self.wrong("toward", f"is about the answer, and rows is {show(self.rows)}")
        if self.toward in TOWARD[1:] and self.whose != "own":
            raise self.wrong("whose", f"toward={show(self.toward)} says otherwise for the answer; give one")
        if self.window and "utterances" not in self.kinds:
            raise self.wrong("window", f"is about utterances, and rows is {show(self.rows)}")
        object.__setattr__(self, "heads", Selection.of(self).heads)

    def params(self) -> dict[str, Any]:
        """The parameters, as stored in a capture; of a heads file, the heads."""
        return super().params() | {"heads": fixed.text(self.heads)}

    def unused(self) -> list[str]:
        """What other parameters rule out: rules for heads beside fixed ones, what is about rows that are not drawn."""
        rule, random = Selection.of(self), "random" in (self.toward, self.whose)
        chosen = bool(self.topk is not None or self.quantile is not None or self.by != "active")
        idle = {name: bool(rule.heads) for name in ("layers", "topk", "quantile", "by", "lowest")}
        idle |= {
            "threshold": bool(rule.heads) or chosen,
            "negative": self.strength == "constant",
            "toward": "answer" not in self.kinds,
            "window": "utterances" not in self.kinds,
            "seed": not (random or self.box_jitter or self.box_shift or self.box_drop),
        }
        return [name for name in self.params() if idle.get(name)]

    @property
    def kinds(self) -> list[str]:
        """The kinds of `rows`, one by one."""
        return [kind.strip() for kind in self.rows.split(",")]

    def bind(self, prompts: Sequence[Prompt], decoder: Decoder) -> RunningSocialBias:
        """Find the tokens that are drawn and the cells that each is drawn to, and choose heads.

        Raises:
            RequestError: If a scene has no boxes, or nothing to do for one of the kinds of `rows`; if the model has no
                such layer or head.
        """
        drawn = [draw(prompt, self) for prompt in prompts]
        rule = Selection.of(self)
        if self.alpha == 0 and rule.looks:
            rule = Selection(layers=self.layers)  # nothing will be done, so nothing has to be looked at
        pairs = [Pairs(one.rows, one.visual) for one in drawn]
        return RunningSocialBias(self, drawn, choose(rule, self.method, prompts, decoder, pairs), decoder)

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
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

from attnscope.correct.base import Correction, Decoder
from attnscope.correct.controls.wrapper import Controlled
from attnscope.correct.heads.scores import Pairs
from attnscope.correct.heads.selection import HeadRule, choose
from attnscope.correct.params import parameter
from attnscope.correct.registry import correction
from attnscope.correct.social.rows import ROWS, draw
from attnscope.correct.social.running import RunningSocialBias
from attnscope.correct.social.toward import TOWARD
from attnscope.scene.problems import show

if TYPE_CHECKING:
    from attnscope.model import Prompt


@correction
@dataclass(frozen=True)
class SocialBias(HeadRule, Correction):
    """Draw speakers' words, or the answer, to speakers' pixels, on the heads that look across modalities.

    The heads are those of a `HeadRule`. Parameters of a control (`Controlled`) may stand among those of the correction,
    and then a control of it is made.

    Example:
        >>> bias = attnscope.SocialBias(rows="answer", strength="constant", alpha=8.0, heads="2.0,2.1,2.2,2.3")
        >>> with attnscope.corrected(model, scene, bias) as block:
        ...     block.answer()
        'Eva'
    """

    method: ClassVar[str] = "social-bias"
    source: ClassVar[str] = "2nd"
    summary: ClassVar[str] = (
        "draws each speaker's words, names in the question or the answer to speakers' pixels,"
        " on heads that look across modalities"
    )
    control: ClassVar[type[Correction] | None] = Controlled

    alpha: float = parameter(1.0, "Strength; 0, or no active head, leaves the model exactly as it is.", "2nd", ge=0)
    rows: str = parameter(
        "utterances",
        "Which tokens are drawn, comma-separated: `utterances`, each to its speaker at the frames where the turn is"
        " live (2nd); `question`, the tokens of the question that write a speaker's name, each to that speaker in all"
        " frames (ours); `answer`, the last position of the prompt, which predicts the first answer token, and every"
        " later one, appended or generated (ours).",
        "2nd",
    )
    toward: str = parameter(
        "asked",
        "Whose cells, in all frames, the answer is drawn to: `asked`, the one speaker with a box whose name stands in"
        " the question; a speaker's name; or, to compare with, `other` (the next visible speaker after the asked one,"
        " in the scene's order), `everyone` (the cells of all speakers), `visual` (all visual tokens with a place) and"
        " `random` (the asked one's cells, moved over the grid of cells by one step drawn from `seed`: as many in every"
        " frame, and off the asked one's own where there is room). These words win over a speaker of that name. The"
        " scene's right answer is not read.",
    )
    strength: Literal["logit", "constant"] = parameter(
        "logit",
        "`logit`, alpha times the largest logit, or `constant` (ours), the bias is alpha itself: the odds of the cells"
        " grow by a factor of e^alpha, and `negative` plays no role.",
        "2nd",
    )
    negative: Literal["paper", "clamp", "gap"] = parameter(
        "paper",
        "What to do where the largest logit is negative, and the published bias would lower attention: `paper` keeps"
        " it, `clamp` sets the bias to 0 (ours); `gap` uses alpha * (max - mean) in every row, which does not depend on"
        " the logits' level (ours).",
        "2nd",
    )
    coverage: float = parameter(0.5, "Fraction of a cell that a box must cover.", gt=0, le=1)
    window: float = parameter(0.0, "Seconds before and after a turn whose frames are live for it too.", ge=0)
    overlap: Literal["all", "none"] = parameter(
        "all",
        "A cell in the boxes of several speakers belongs to each of them (`all`), or is nobody's target (`none`). The"
        " strength is over the cells of all speakers in either case.",
    )
    seed: int = parameter(0, "Of the random place of `toward` `random`, which also depends on the clip's boxes.", ge=0)

    def __post_init__(self) -> None:
        """Check ranges, and read the heads file."""
        super().__post_init__()
        for kind in self.kinds:
            if kind not in ROWS:
                raise self.wrong("rows", f"{show(kind)} is none of {', '.join(ROWS)}")
        if self.toward != "asked" and "answer" not in self.kinds:
            raise self.wrong("toward", f"is about the answer, and rows is {show(self.rows)}")
        if self.window and "utterances" not in self.kinds:
            raise self.wrong("window", f"is about utterances, and rows is {show(self.rows)}")

    def refuse_control(self, control: Controlled) -> None:
        """Refuse other cells where `toward` says otherwise, and the lowest heads where they are fixed.

        Raises:
            RequestError: Naming the parameter of the control.
        """
        super().refuse_control(control)
        if self.toward in TOWARD[1:] and control.whose != "own":
            raise control.wrong("whose", f"toward={show(self.toward)} says otherwise for the answer; give one")

    def unused(self) -> list[str]:
        """What other parameters rule out: rules for heads beside fixed ones, what is about rows that are not drawn."""
        idle = {
            "negative": self.strength == "constant",
            "toward": "answer" not in self.kinds,
            "window": "utterances" not in self.kinds,
            "seed": self.toward != "random",
        }
        rules = self.unused_rules()
        return [name for name in self.values() if name in rules or idle.get(name)]

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
        draws = [draw(prompt, self, decoder.control) for prompt in prompts]
        rule: HeadRule = self
        if self.alpha == 0 and not self.heads:  # nothing will be done, so nothing has to be looked at
            rule, decoder = HeadRule(layers=self.layers), replace(decoder, control=None)
        pairs = [Pairs(targets.rows, targets.visual) for targets in draws]
        return RunningSocialBias(self, draws, choose(rule, self.method, prompts, decoder, pairs), decoder)

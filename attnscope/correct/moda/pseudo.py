"""Pseudo attention: scores for the keys that a causal row cannot see (Zhang et al., ICML 2025, Eq. 9 and 10).

paper: row i of n has n - i pseudo scores p = p_base - (j - 1) beta, j = 1 .. n - i; early rows, which see little, may
so attend to nothing. p_base and beta are not published. ours: the pseudo keys have value 0, so all they do is take
mass: the row's output is multiplied by S_i / (S_i + Z_i), with S_i the sum of exp(logits) of the row and Z_i that of
its pseudo scores, a geometric series. No key is appended, and S_i is read in the run that makes the output, with what
all other corrections make of the logits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor

from attnscope.attention import AttentionCall, Rescale
from attnscope.attention.stats import ANCHOR_GAIN, stats_of_all
from attnscope.correct.base import Changed, Correction, Decoder, layers_parameter
from attnscope.correct.moda._running import Modalities, ModaRunning, layers_said, modalities
from attnscope.correct.notes import Caution
from attnscope.correct.params import parameter
from attnscope.correct.registry import correction

if TYPE_CHECKING:
    from attnscope.model import Prompt


@correction
@dataclass(frozen=True)
class ModaPseudo(Correction):
    """Take mass from early rows as if the keys that they cannot see had pseudo scores.

    Row i of the n prompt tokens has n - i pseudo scores; the last token of the prompt and generated ones have none, so
    decoding steps are plain.

    Example:
        >>> edit = attnscope.correct.ModaPseudo(p_base=2.0)
        >>> [score] = attnscope.evaluate.score(model, [prompt], [edit])
        >>> round(score.logprobs[-1], 1)  # of the right answer; -9.6 without the edit
        -9.8
    """

    method: ClassVar[str] = "moda-pseudo"
    source: ClassVar[str] = "paper"
    summary: ClassVar[str] = "takes mass from early rows as if the keys that they cannot see had scores"

    changes: ClassVar[tuple[Changed, ...]] = ("outputs",)

    p_base: float = parameter(
        0.0,
        "The first pseudo score. Not published; the default 0 is the logit of a key that is orthogonal to the query.",
    )
    beta: float = parameter(
        1.0,
        "How much less each next one is. Not published; with the default 1 all pseudo keys of a row together weigh at"
        " most 1.58 keys of score `p_base`; 0 makes them all alike.",
        ge=0,
    )
    level: Literal["logit", "row"] = parameter(
        "logit",
        "What `p_base` is measured from: `logit`, 0 (what it does then depends on the level of a model's logits, which"
        " attention itself does not), or `row`, the log-sum-exp of the row's logits (ours: the factor of a row then"
        " depends on its position alone). A very low `p_base` is the identity, -100 for example.",
        "paper",
    )
    layers: str = layers_parameter()

    def bind(self, prompts: Sequence[Prompt], decoder: Decoder) -> RunningPseudo:
        """Count the pseudo keys of each row.

        Raises:
            RequestError: If the model has no such layer.
        """
        return RunningPseudo(self, [modalities(prompt, self.method) for prompt in prompts], self.layers, decoder)


def log_weight(count: Tensor, p_base: float, beta: float) -> Tensor:
    """Log Z of rows with some pseudo scores, p_base + log((1 - e^(-beta m)) / (1 - e^(-beta))) (paper).

    Args:
        count: [N] m, how many each row has.
        p_base: The first score.
        beta: Step, at least 0; in the limit 0 it is p_base + log m.

    Returns:
        [N] float64; -inf for a row without pseudo scores.
    """
    m = count.double()
    if beta == 0:
        return p_base + torch.log(m)
    return p_base + torch.log(-torch.expm1(-beta * m)) - math.log(-math.expm1(-beta))


class RunningPseudo(ModaRunning):
    """Pseudo attention bound to a left-padded batch.

    Attributes:
        settings: The correction.
        taken: One a prompt: by layer, the mean share of a row's mass that its pseudo keys take.
    """

    settings: ModaPseudo

    def __init__(self, settings: ModaPseudo, prompts: Sequence[Modalities], layers: str, decoder: Decoder) -> None:
        super().__init__(settings, prompts, layers, decoder)
        self.taken: list[dict[int, Tensor]] = [{} for _ in prompts]

    def __call__(self, call: AttentionCall) -> AttentionCall:
        """Scale the rows of the prompts."""
        if call.layer not in self.layers or call.is_decode:
            return call
        copies, _ = self.placing(call)
        for active in self.active:
            active[call.layer] = self.heads
        if self.settings.level == "row":
            return call.scaled(self._factor(call, copies, None))
        return call.rescaled(
            Rescale(self._anchors(call, copies)[:, None], lambda ran, read: self._factor(ran, copies, read))
        )

    def _factor(self, call: AttentionCall, copies: int, read: Tensor | None) -> Tensor:
        """[B, H, Nq] what is left of each row; `read` [B, Nq, H, 1] is what the channel of `_anchors` reads."""
        batch, heads, length, _ = call.query.shape
        device = call.query.device
        factor = torch.ones(batch, heads, length, device=device)
        for number, one in enumerate(self.prompts):
            place = self.place(number)
            own = torch.arange(place, place + one.length, device=device)
            weight = log_weight(own.flip(0) - place, self.settings.p_base, self.settings.beta)  # n - i for row i
            level = torch.zeros(heads, one.length, device=device)
            if read is not None:
                sample = number * copies
                mask = self.mask(call, sample, number).of(call)
                mass = read[sample, own, :, 0].T.float() / ANCHOR_GAIN
                level = stats_of_all(call, sample, own, mass, None, mask)[0]
            share = torch.sigmoid(level.double() - weight)  # S / (S + Z)
            factor[number * copies : (number + 1) * copies, :, own] = share.float()
            self.taken[number][call.layer] = 1 - share.mean()
        return factor

    def _anchors(self, call: AttentionCall, copies: int) -> Tensor:
        """[B, Nk, 1] a channel that reads the mass of every row on the anchors of its prompt, for its log-sum-exp."""
        member = torch.zeros(len(call.key), call.key.shape[2], 1, device=call.query.device)
        for number, one in enumerate(self.prompts):
            place, sample = self.place(number), number * copies
            anchors = self.mask(call, sample, number).of(call).anchors(one.length, member.device)
            member[sample, place + anchors] = ANCHOR_GAIN
        return member

    def notes(self, number: int) -> list[str]:
        """What the pseudo keys take."""
        taken = self.taken[number]
        if not taken:
            return ["the model has not run"]
        means = torch.stack(list(taken.values())).cpu()
        return [
            f"in {layers_said(self.active[number])}, pseudo keys take {means.mean():.3g} of a row's mass on average"
            f" ({means.min():.3g} to {means.max():.3g} over layers)",
            Caution(
                "recorded attention is that of the real keys, as if there were no pseudo keys; the output is scaled"
            ),
            "the last prompt token and generated tokens have no pseudo keys; p_base and beta are not published",
        ]

"""Attention within and between modalities, each with a softmax of its own (Zhang et al., ICML 2025, Eq. 7 and 8).

paper: masks M^m and M^m' split a row's keys into those of its own modality (self) and the others (cross), and each
part has its own softmax. How the two are added is not printed, and the released code has no such mask. ours: the
row is (1 - gate) self + gate cross. The joint softmax is the same sum with its own gate, rho = the row's mass on
the other modality, so one bias on the cross logits, logit(gate) - logit(rho), makes it exact under any fused
kernel. By default the gate of a row is the share of its keys that are of the other modality, so that both sides
have the same mean per pair: a share of one half would give the side with fewer keys more for each of them, and
widen the gap per pair that the paper means to lower. There are two sides: visual tokens, and all others. Special
and template tokens count as text (ours): the paper knows two modalities, and left out they would keep the attention
sinks out of both softmaxes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor

from attnscope.attention import AttentionCall, add_bias, allowed_pairs, dense_rows, least_mass, masses
from attnscope.correct.base import Correction, Decoder, layers_parameter
from attnscope.correct.knockout.running import CUT
from attnscope.correct.moda._running import Modalities, ModaRunning, layers_said, modalities
from attnscope.correct.moda.parts import Parts
from attnscope.correct.notes import Caution
from attnscope.correct.params import parameter
from attnscope.correct.registry import correction
from attnscope.vocabulary import TEXT, VISUAL, Text, Visual

if TYPE_CHECKING:
    from attnscope.model import Prompt

# ---- log-odds of a row's attention to visual keys against all others, and nothing N x N


def log_odds(call: AttentionCall, one: Tensor, two: Tensor, both: Tensor, mass: Tensor | None = None) -> Tensor:
    """log(mass on the first group) - log(mass on the second), by one more run of the kernel, or densely for few rows.

    Where a mass is below the kernel's precision, the row is computed densely: its log-sum-exps do not underflow.

    Args:
        call: The attention call, edits so far included.
        one: Boolean [B, Nk] keys.
        two: Boolean [B, Nk] keys, disjoint from those.
        both: Boolean [B, Nq] rows that see keys of both groups; the others are not read.
        mass: [B, H, Nq, 2] what the rows give to the groups, where the kernel has been asked already.

    Returns:
        [B, H, Nq] float32; 0 in rows that do not see both.
    """
    groups = torch.stack([one, two], -1)
    mass = masses(call, groups, both) if mass is None else mass  # [B, H, Nq, 2]
    counts = groups.sum(1).tolist()
    least = torch.tensor([[least_mass(call.value.dtype, n) for n in own] for own in counts], device=mass.device)
    least = least[:, None, None]  # [B, 1, 1, 2]
    odds = torch.log(torch.maximum(mass, least)) @ torch.tensor([1.0, -1.0], device=mass.device)
    lost = both & (mass < least).any(-1).any(1)
    for sample in lost.any(1).nonzero()[:, 0].tolist():
        for part, z, _, _ in dense_rows(call, sample, lost[sample].nonzero()[:, 0]):
            seen = allowed_pairs(call, sample, part)
            each = [z.masked_fill(~(seen & keys[sample]), -torch.inf).logsumexp(-1) for keys in (one, two)]
            odds[sample][:, part] = each[0] - each[1]
    return odds.where(both[:, None], 0.0)


RAISED = 0.005  # what a gap must grow by to be called so: below is rounding


@correction
@dataclass(frozen=True)
class ModaMask(Correction):
    """Give self and cross attention a softmax each, and add them by a gate.

    Generated tokens are text, and gated like it. Not for models that cap their logits.

    Example:
        >>> edit = attnscope.correct.ModaMask(gate=0.5)
        >>> [score] = attnscope.evaluate.score(model, [prompt], [edit])
        >>> round(score.logprobs[-1], 1)  # of the right answer; -9.6 without the edit
        -7.9
    """

    method: ClassVar[str] = "moda-mask"
    source: ClassVar[str] = "paper"
    summary: ClassVar[str] = "gives attention within and between modalities a softmax each, added by a gate"

    combine: Literal["fixed", "natural"] = parameter(
        "fixed",
        "`fixed`, by `gate`; `natural`, by each row's own mass on the other modality, which is the plain attention: a"
        " check of the machinery.",
    )
    gate: float | None = parameter(
        None,
        "Share of a row's attention that the other modality gets: 0 cuts cross attention, 1 leaves nothing else; if not"
        " given, the share of the row's keys that are of the other modality, which gives both sides the same mean per"
        " pair. Rows that see one side only stay as they are.",
        ge=0,
        le=1,
    )
    queries: Visual | Text | Literal["both"] = parameter(
        "both",
        "Whose rows: `text`, `visual` or `both`. In a causal model, visual rows see the text before them only: system"
        " prompt, template and sinks.",
        "paper",
    )
    layers: str = layers_parameter()

    def bind(self, prompts: Sequence[Prompt], decoder: Decoder) -> RunningMask:
        """Find the two sides of each prompt.

        Raises:
            RequestError: If the model has no such layer.
        """
        return RunningMask(self, [modalities(prompt, self.method) for prompt in prompts], self.layers, decoder)


class RunningMask(ModaRunning):
    """The mask bound to a left-padded batch.

    Attributes:
        settings: The correction.
        natural: One a prompt: by layer, the mean natural gate of its text rows and of its visual rows, [2]; NaN where
            no row sees both sides or the rows are not asked for.
        gaps: One a prompt: by layer, the gap between its two sides of text rows and of visual rows, before and after,
            [2, 2]; NaN likewise.
    """

    settings: ModaMask

    def __init__(self, settings: ModaMask, prompts: Sequence[Modalities], layers: str, decoder: Decoder) -> None:
        super().__init__(settings, prompts, layers, decoder)
        self.natural: list[dict[int, Tensor]] = [{} for _ in prompts]
        self.gaps: list[dict[int, Tensor]] = [{} for _ in prompts]

    def __call__(self, call: AttentionCall) -> AttentionCall:
        """Bias visual keys in every row that sees both sides: towards them in text rows, away in visual rows."""
        if call.layer not in self.layers or (call.is_decode and self.settings.queries == VISUAL):
            return call
        copies, first = self.placing(call)
        keys = self.keys(call, copies, first)
        visual, rest = keys[..., 0], keys[..., 1:].any(-1)
        rows = torch.stack([self.rows(call, n) for n in range(len(self.prompts))]).repeat_interleave(copies, 0)
        asked = {TEXT: ~rows[:, 0], VISUAL: rows[:, 0]}.get(self.settings.queries, rows.any(1)) & rows.any(1)
        pairs = self._pairs(call, copies, visual, rest)  # [B, Nq, 2]
        both = asked & (pairs > 0).all(-1)
        groups = torch.stack([visual, rest], -1)
        parts = Parts.of(call, groups, pairs > 0, both)
        mass = None if parts is None else parts.mass
        odds = log_odds(call, visual, rest, both, mass)  # of visual keys against the others
        towards = torch.where(rows[:, :1], -1.0, 1.0)  # the other modality is the visual one in text rows [B, 1, Nq]
        if self.settings.combine == "natural":
            wanted = odds
        elif self.settings.gate is None:
            counts = pairs.clamp(min=1).float()
            wanted = (counts[..., 0] / counts[..., 1]).log()[:, None]
        else:
            wanted = towards * max(-CUT, min(CUT, _logit(self.settings.gate)))
        # A half-precision query holds CUT / scaling, if not with a tiny scaling
        most = min(CUT, torch.finfo(call.query.dtype).max / 2 * call.scaling)
        bias = (wanted - odds).clamp(-most, most).where(both[:, None], 0.0)
        if not call.is_decode:
            self._note(call, copies, odds, wanted.expand_as(odds), pairs, both, rows[:, 0])
        # Away from one side rather than towards the other: a logit that a large bias raises loses digits
        away = torch.stack([bias.clamp(max=0), -bias.clamp(min=0)], -1)
        edited = add_bias(call, away, groups.float())
        return edited if parts is None else parts.biased(edited, away)

    def _pairs(self, call: AttentionCall, copies: int, visual: Tensor, rest: Tensor) -> Tensor:
        """[B, Nq, 2] how many visual keys and how many others each row sees."""
        if call.is_decode:
            row = torch.zeros(1, dtype=torch.long, device=visual.device)
            seen = torch.cat([allowed_pairs(call, sample, row) for sample in range(len(visual))])
            return torch.stack([(seen & visual).sum(1), (seen & rest).sum(1)], -1)[:, None]
        counts = self.pairs(call, copies)
        return torch.stack([counts[..., 0], counts[..., 1:].sum(-1)], -1)

    def _note(
        self, call: AttentionCall, copies: int, odds: Tensor, wanted: Tensor, pairs: Tensor, both: Tensor, seen: Tensor
    ) -> None:
        """Keep what the notes tell of each prompt: the gates and the gaps that its rows had and have.

        Args:
            call: The attention call.
            copies: Samples a prompt.
            odds: [B, H, Nq] log-odds of visual keys against the others, before.
            wanted: [B, H, Nq] after.
            pairs: [B, Nq, 2] visual and other keys of each row.
            both: [B, Nq] rows that are gated.
            seen: [B, Nq] rows of visual tokens.
        """
        for number in range(len(self.prompts)):
            row, end = number * copies, self.placing.padded
            sides = (both[row, :end] & ~seen[row, :end], both[row, :end] & seen[row, :end])
            visual = torch.sigmoid(odds[row, :, :end]), torch.sigmoid(wanted[row, :, :end])  # each [H, Nq]
            cross = visual[0], 1 - visual[0]  # of text rows, of visual rows
            self.natural[number][call.layer] = torch.stack(
                [share[:, side].mean() for share, side in zip(cross, sides, strict=True)]
            )
            count = pairs[row, :end]
            self.gaps[number][call.layer] = torch.stack(
                [torch.stack([_gap(share[:, side], count[side]) for share in visual]) for side in sides]
            )
            self.active[number][call.layer] = self.heads

    def notes(self, number: int) -> list[str]:
        """Which rows were gated, and what their gates were before."""
        natural = self.natural[number]
        if not natural:
            return ["the model has not run"]
        means = torch.stack(list(natural.values())).cpu().nanmean(0)
        said = [
            f"{name} rows gave {mean:.3g} of their attention to {other}"
            for name, other, mean in zip((TEXT, VISUAL), ("visual keys", "text keys"), means, strict=True)
            if not math.isnan(mean)
        ]
        gate = "their own share (the identity)" if self.settings.combine == "natural" else self._gate()
        notes = [f"all heads of {layers_said(self.active[number])}: the gate of rows that see both sides is {gate}"]
        nothing = Caution("no row sees both sides: nothing was changed")
        notes.append(f"before: {', '.join(said)}" if said else nothing)
        notes += self._raised(number)
        return [*notes, "special and template tokens count as text; generated tokens are gated like text"]

    def _gate(self) -> str:
        share = "the share of their keys that are of the other side: equal means per pair"
        return share if self.settings.gate is None else f"{self.settings.gate:g}"

    def _raised(self, number: int) -> list[str]:
        """The gap before and after, as a caution where it has grown: the mask is meant to lower it."""
        means = torch.stack(list(self.gaps[number].values())).cpu().nanmean(0)  # [2, 2]
        notes = list[str]()
        for name, (before, after) in zip((TEXT, VISUAL), means.tolist(), strict=True):
            if not math.isnan(before):
                change = (
                    f"the gap of {name} rows between the two sides, per pair, goes from {before:.3g} to {after:.3g}"
                )
                grown = after > before + RAISED
                notes.append(Caution(f"{change}: the mask is meant to lower it") if grown else change)
        return notes


def _gap(visual: Tensor, pairs: Tensor) -> Tensor:
    """|s - c| / max of means per pair of a layer, over heads and rows; NaN without rows.

    Args:
        visual: [H, R] mass on visual keys; the rest is on the others.
        pairs: [R, 2] visual and other keys that each row sees.
    """
    one, two = visual.mean(0).sum() / pairs[:, 0].sum(), (1 - visual).mean(0).sum() / pairs[:, 1].sum()
    return (one - two).abs() / torch.maximum(one, two)


def _logit(share: float) -> float:
    if share in (0, 1):
        return math.inf if share else -math.inf
    return math.log(share) - math.log1p(-share)

"""Token focus correction: self and cross attention of every head brought to one gap (ours).

A constant c on the cross logits of one modality's rows, one a layer and head, multiplies the odds of cross against
self attention by e^c. It is solved from the row masses of the prompt, so that the head's gap D_m = |s_m - c_m| /
max between mean attention per pair within and across modalities (ours; the paper prints gaps without a formula)
meets a target in the layer as it now runs: on inputs that earlier layers have changed already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor

from attnscope.attention import AttentionCall, add_bias, masses
from attnscope.correct.base import Correction, Decoder, layers_parameter
from attnscope.correct.moda._running import Modalities, ModaRunning, layers_said, modalities
from attnscope.correct.moda.parts import Parts
from attnscope.correct.notes import Caution, counted
from attnscope.correct.params import parameter
from attnscope.correct.registry import correction
from attnscope.errors import NotApplicableError
from attnscope.vocabulary import TEXT, VISUAL, Text, Visual

if TYPE_CHECKING:
    from attnscope.model import Prompt

# ---- the gap as a function of a constant c on the cross logits: a row's masses self, cross, rest become self,
# cross e^c, rest over their sum (the mixture identity), so one reading of the masses gives the gap under any c

_STEPS = 40  # halvings of the range of c


@dataclass(frozen=True)
class Rows:
    """Masses of the R rows of one modality in one layer.

    Attributes:
        own: [H, R] on the row's own modality.
        cross: [H, R] on the other one.
        rest: [H, R] on everything else.
        own_pairs: Allowed pairs with the own modality.
        cross_pairs: Allowed pairs with the other one.
    """

    own: Tensor
    cross: Tensor
    rest: Tensor
    own_pairs: int
    cross_pairs: int

    @property
    def defined(self) -> bool:
        """Whether there are allowed pairs of both kinds."""
        return self.own_pairs > 0 and self.cross_pairs > 0

    def signed_gap(self, c: Tensor, denominator: str) -> Tensor:
        """The gap of each head with its sign, (s - c) / denominator; it falls as c rises.

        Args:
            c: [H] constants on the cross logits.
            denominator: "max", "sum" or "self" (METHODS, section 2).

        Returns:
            [H].
        """
        grown = self.cross * torch.exp(c)[:, None]
        total = self.own + self.rest + grown
        own = (self.own / total).sum(1) / self.own_pairs
        cross = (grown / total).sum(1) / self.cross_pairs
        below = {"max": torch.maximum(own, cross), "sum": own + cross, "self": own}[denominator]
        return (own - cross) / below.clamp(min=torch.finfo(own.dtype).tiny)


@dataclass(frozen=True)
class Solved:
    """What was found for each head.

    Attributes:
        c: [H] constants.
        before: [H] signed gaps with c = 0.
        after: [H] signed gaps with these constants.
        reached: [H] whether the target is met, or the gap was to be kept.
    """

    c: Tensor
    before: Tensor
    after: Tensor
    reached: Tensor


def solve(rows: Rows, target: float, denominator: str, limit: float, *, down: bool = False) -> Solved:
    """The smallest constants with which heads have a gap: either sign will do, s above c or c above s.

    Args:
        rows: Masses of a layer, best in float64.
        target: The gap.
        denominator: As in `Rows.signed_gap`.
        limit: Constants stay within -limit and limit; where the target is beyond, the nearest gap is taken.
        down: Heads whose gap is below the target keep it, with constant 0.

    Returns:
        The constants. A head whose gap is the target already has 0.
    """
    zero = torch.zeros(len(rows.own), dtype=rows.own.dtype, device=rows.own.device)
    before = rows.signed_gap(zero, denominator)
    roots = torch.stack([_root(rows, wanted, denominator, limit, zero) for wanted in (target, -target)])
    gaps = torch.stack([rows.signed_gap(c, denominator) for c in roots])
    missed = (gaps.abs() - target).abs()
    best = missed.amin(0) + 1e-6
    least = torch.where(missed <= best, roots.abs(), torch.inf).argmin(0)[None]
    c, after = roots.gather(0, least)[0], gaps.gather(0, least)[0]
    keep = (before.abs() - target).abs() <= 1e-9
    if down:
        keep |= before.abs() <= target
    c, after = torch.where(keep, 0.0, c), torch.where(keep, before, after)
    return Solved(c, before, after, keep | ((after.abs() - target).abs() < 1e-4))


def _root(rows: Rows, wanted: float, denominator: str, limit: float, zero: Tensor) -> Tensor:
    """[H] where the signed gap is `wanted`, by bisection; an end of the range where it is beyond."""
    low, high = zero - limit, zero + limit
    for _ in range(_STEPS):
        middle = (low + high) / 2
        above = rows.signed_gap(middle, denominator) > wanted  # the gap has to fall: a larger c
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    return (low + high) / 2


RAISED = 0.005  # what a mean gap must grow by to be called so: below is rounding
_SIDE = {VISUAL: 0, TEXT: 1}  # in `Modalities.member`


@correction
@dataclass(frozen=True)
class ModaCalibrate(Correction):
    """Lower the gap between self and cross attention of every head to a target, by a constant on the cross logits.

    Text and visual tokens as in the gap of `analyze`: pairs with special and template tokens are neither self nor
    cross. Generated tokens, which are text, get their head's constant of the prompt. Not for models that cap their
    logits.

    Example:
        >>> edit = attnscope.correct.ModaCalibrate(target=0.0)
        >>> [score] = attnscope.evaluate.score(model, [prompt], [edit])
        >>> round(score.logprobs[-1], 1)  # of the right answer; -9.6 without the edit
        -9.8
    """

    method: ClassVar[str] = "moda-calibrate"
    source: ClassVar[str] = "ours"
    summary: ClassVar[str] = "lowers the gap between self and cross attention of every head to a target"

    target: float = parameter(
        0.45,
        "The gap of every head, at most 1 for `max` and `sum` (the default is a gap between the two that P2 prints for"
        " its model, 50 % of text and 41 % of visual tokens).",
        ge=0,
    )
    change: Literal["down", "both"] = parameter(
        "down",
        "`down`, only heads whose gap is above the target, which the paper means to lower; `both`, every head, also"
        " those whose gap has to be raised to meet it.",
    )
    denominator: Literal["max", "sum", "self"] = parameter("max", "Of the gap: `max`, `sum` (s + c) or `self` (s).")
    queries: Visual | Text | Literal["both"] = parameter(
        TEXT,
        "Whose rows: `text`, `visual` (in a causal model they see the text before them only, mostly sinks; where there"
        " is none, nothing is done) or `both`.",
    )
    limit: float = parameter(
        20.0, "Largest constant; a head whose target is beyond gets the nearest gap.", gt=0, le=100
    )
    layers: str = layers_parameter()

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        if self.denominator != "self" and self.target > 1:
            raise self.wrong("target", "must be in [0, 1]")

    def bind(self, prompts: Sequence[Prompt], decoder: Decoder) -> RunningCalibrate:
        """Find the modalities of each prompt's tokens.

        Raises:
            RequestError: If the model has no such layer.
            NotApplicableError: If only visual rows are asked for, and no text stands before any of them.
        """
        found = [modalities(prompt, self.method) for prompt in prompts]
        for prompt, one in zip(prompts, found, strict=True):
            last, first = (int(one.member[side, :-1].nonzero()[end]) for side, end in ((0, -1), (1, 0)))
            if self.queries == VISUAL and first > last:
                raise NotApplicableError(
                    f"{prompt.scene.video}: {self.method} with queries=visual: no text stands before the visual tokens"
                )
        return RunningCalibrate(self, found, self.layers, decoder)


class RunningCalibrate(ModaRunning):
    """The calibration bound to a left-padded batch.

    Attributes:
        settings: The correction.
        solved: One a prompt: what was found for the rows of a modality, by (layer, modality).
    """

    settings: ModaCalibrate

    def __init__(self, settings: ModaCalibrate, prompts: Sequence[Modalities], layers: str, decoder: Decoder) -> None:
        super().__init__(settings, prompts, layers, decoder)
        self.sides = list(_SIDE) if settings.queries == "both" else [settings.queries]
        self.solved: list[dict[tuple[int, str], Solved]] = [{} for _ in prompts]

    def __call__(self, call: AttentionCall) -> AttentionCall:
        """Solve for the constants from this very call in a prefill, then bias cross keys; later tokens follow."""
        if call.layer not in self.layers or (call.is_decode and TEXT not in self.sides):
            return call
        copies, first = self.placing(call)
        keys, parts = self.keys(call, copies, first), None
        if not call.is_decode:
            pairs, asked = self.pairs(call, copies), self._asked(call, copies)
            parts = Parts.of(call, keys, pairs > 0, asked)
            self._solve(call, copies, pairs, masses(call, keys, asked) if parts is None else parts.mass)
        batch, heads, length, _ = call.query.shape
        table = torch.zeros(batch, heads, length, 3, device=call.query.device)
        for number in range(len(self.prompts)):
            rows = self.rows(call, number)
            for side in self.sides:
                found = self.solved[number].get((call.layer, side))
                if found is not None:
                    own = _SIDE[side]
                    constant = found.c.float()[:, None] * rows[own]  # [H, Nq]
                    table[number * copies : (number + 1) * copies, ..., 1 - own] += constant
        edited = add_bias(call, table[..., :2], keys[..., :2].float())
        return edited if parts is None else parts.biased(edited, table)

    def _asked(self, call: AttentionCall, copies: int) -> Tensor:
        """[B, Nq] rows of the prompts that constants are solved from."""
        asked = torch.stack(
            [self.rows(call, n)[[_SIDE[side] for side in self.sides]].any(0) for n in range(len(self.prompts))]
        )
        asked[:, self.placing.padded :] = False
        return asked.repeat_interleave(copies, 0)

    def _solve(self, call: AttentionCall, copies: int, pairs: Tensor, mass: Tensor) -> None:
        """Solve for each prompt; `pairs` [B, Nq, 3] and `mass` [B, H, Nq, 3] as the rows of `Modalities.member`."""
        for number, one in enumerate(self.prompts):
            sample, place = number * copies, self.place(number)
            counts = pairs[sample, place : place + one.length]  # [N, 3]
            own_mass = mass[sample, :, place : place + one.length].double()  # [H, N, 3]
            kinds = self.on(call.query.device)[number].member[:, :-1]
            for side in self.sides:
                own, chosen = _SIDE[side], kinds[_SIDE[side]]
                a, x = own_mass[:, chosen, own], own_mass[:, chosen, 1 - own]
                rest = own_mass[:, chosen, 2]
                if call.sink_logits is not None:  # what no key gets
                    rest = (1 - a - x).clamp(min=0)
                rows = Rows(a, x, rest, *(int(counts[chosen, which].sum()) for which in (own, 1 - own)))
                self.solved[number].pop((call.layer, side), None)
                if rows.defined:
                    how = self.settings
                    found = solve(rows, how.target, how.denominator, how.limit, down=how.change == "down")
                    self.solved[number][call.layer, side] = found
                    self.active[number][call.layer] = self.heads

    def notes(self, number: int) -> list[str]:
        """The constants, and how many heads cannot reach the target."""
        solved, settings = self.solved[number], self.settings
        notes = list[str]()
        for side in self.sides:
            found = [one for (_, of), one in sorted(solved.items()) if of == side]
            if not found:
                none = "no layer has pairs both within and across modalities; nothing was changed"
                notes.append(Caution(f"{side} rows: {none}"))
                continue
            c, before, after, reached = (
                torch.cat([getattr(one, name) for one in found]).cpu() for name in ("c", "before", "after", "reached")
            )
            was, now = float(before.abs().mean()), float(after.abs().mean())
            change = (
                f"{side} rows: gap (over {settings.denominator}) of {len(c)} heads in {len(found)} layers brought from"
                f" {was:.3g} on average to {now:.3g} (target {settings.target:g}), by {c.min():.3g} to {c.max():.3g} on"
                " cross logits"
            )
            notes.append(Caution(f"{change}: it is meant to be lowered") if now > was + RAISED else change)
            left = int((before.abs() <= settings.target).sum())
            if settings.change == "down" and left:
                notes.append(f"{counted(left, 'head')} with a gap at or below the target kept it")
            if not reached.all():
                off = after[~reached].abs()
                far = off[(off - settings.target).abs().argmax()]
                lost = f"{int((~reached).sum())} heads cannot reach the target"
                notes.append(Caution(f"{lost} and have the nearest gap (farthest {far:.3g})"))
            if ((after > 0).any() and (after < 0).any()) and settings.target:
                notes.append(
                    f"{(after < 0).double().mean():.0%} of these heads look more across than within: the gap of a"
                    " layer's mean over heads is smaller than that of its heads"
                )
        several = layers_said(self.active[number])
        return [*notes, f"solved in each of {several} as it runs; generated tokens get the constants of the prompt"]

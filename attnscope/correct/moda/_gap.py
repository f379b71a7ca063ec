"""The gap between self and cross attention of a layer's heads, as a function of a constant on the cross logits.

With c on the cross logits, a row's masses self, cross, rest become self, cross e^c, rest over their sum (the mixture
identity): the gap under any c follows from one reading of the masses.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

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

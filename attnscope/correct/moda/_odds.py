"""Log-odds of a row's attention to visual keys against all others, for every row, and nothing N x N."""

from __future__ import annotations

import torch
from torch import Tensor

from attnscope.attention import AttentionCall, allowed_pairs, dense_rows, least_mass, masses


def log_odds(call: AttentionCall, one: Tensor, two: Tensor, both: Tensor) -> Tensor:
    """log(mass on the first group) - log(mass on the second), by one more run of the kernel, or densely for few rows.

    Where a mass is below the kernel's precision, the row is computed densely: its log-sum-exps do not underflow.

    Args:
        call: The attention call, edits so far included.
        one: Boolean [B, Nk] keys.
        two: Boolean [B, Nk] keys, disjoint from those.
        both: Boolean [B, Nq] rows that see keys of both groups; the others are not read.

    Returns:
        [B, H, Nq] float32; 0 in rows that do not see both.
    """
    groups = torch.stack([one, two], -1)
    mass = masses(call, groups, both)  # [B, H, Nq, 2]
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

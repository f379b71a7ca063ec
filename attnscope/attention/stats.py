"""Log-sum-exp and entropy of every row of one sample, exactly, and nothing N x N.

One value channel marks a few anchor keys; their joint mass and their logits give the log-sum-exp (docs/decisions/0003).
"""

from __future__ import annotations

import torch
from torch import Tensor

from attnscope.attention.call import AttentionCall
from attnscope.attention.channels import least_mass, masses
from attnscope.attention.dense import CHUNK_BYTES, dense_rows, logits
from attnscope.attention.masks import SampleMask

# The anchors' channel holds this instead of 1: small masses then survive float16 outputs.
ANCHOR_GAIN = 1024.0


def row_lse(call: AttentionCall, sample: int, index: Tensor, mask: SampleMask) -> Tensor:
    """Log-sum-exp of every row of one sample, by one more run of the kernel.

    Args:
        call: The attention call, edits so far included.
        sample: Index in the batch.
        index: [N] places of the sample's tokens on the padded axis.
        mask: The sample's mask.

    Returns:
        [H, N] float32.
    """
    member = torch.zeros(len(call.key), call.key.shape[2], 1, device=index.device)
    member[sample, index[mask.anchors(len(index), index.device)]] = ANCHOR_GAIN
    mass = masses(call, member)[sample, :, index, 0] / ANCHOR_GAIN
    return stats_of_all(call, sample, index, mass, None, mask)[0]


def stats_of_all(
    call: AttentionCall, sample: int, index: Tensor, anchor_mass: Tensor, mean_key: Tensor | None, mask: SampleMask
) -> tuple[Tensor, Tensor | None]:
    """Log-sum-exp and entropy of every query: from the channels, densely where these cannot give them.

    Capped logits and edited rows have no closed form, and a mass below the kernel's precision has no logarithm.
    Arguments and results as of `stats_from_channels`.
    """
    if call.softcap is not None:
        return stats_from_rows(call, sample, index, torch.arange(len(index), device=index.device))
    lse, entropy = stats_from_channels(call, sample, index, anchor_mass, mean_key, mask)
    edited = torch.isin(index, call.edited_rows(sample))  # their logits are not the products of queries and keys
    lost = (lse.isnan().any(0) | edited).nonzero()[:, 0]
    if len(lost):
        lse[:, lost], exact = stats_from_rows(call, sample, index, lost)
        if entropy is not None:
            entropy[:, lost] = exact
    return lse, entropy


def stats_from_channels(
    call: AttentionCall, sample: int, index: Tensor, anchor_mass: Tensor, mean_key: Tensor | None, mask: SampleMask
) -> tuple[Tensor, Tensor | None]:
    """Log-sum-exp and entropy of every row, from the joint mass of a few known keys and the mean key.

    lse_i = log(sum over anchors of exp z_ia) - log(their mass), entropy_i = lse_i - scale q_i . (A K)_i (ours, exact).

    Args:
        call: The call; must have no softcap.
        sample: Index in the batch.
        index: [N] places of the sample's tokens.
        anchor_mass: [H, N] attention to the anchors that the row sees.
        mean_key: [H, N, D] attention-weighted mean of the keys; None if no entropy is wanted.
        mask: The sample's mask.

    Returns:
        Lse and entropy (None without `mean_key`), [H, N]; NaN where the anchors' mass is below the kernel's precision.
    """
    least = least_mass(call.value.dtype, len(mask.anchors(len(index), index.device)))
    known = _anchor_logits(call, sample, index, mask)
    lse = torch.where(anchor_mass > least, known - torch.log(anchor_mass.clamp(min=least)), torch.nan)
    if mean_key is None:
        return lse, None
    total = 1.0 if call.sink_logits is None else 1 - torch.exp(call.sink_logits.float()[:, None] - lse)
    mean_logit = call.scaling * (call.query[sample][:, index].float() * mean_key).sum(-1)
    return lse, (lse * total - mean_logit).clamp(min=0)  # rounding puts one-hot rows a hair below zero


def _anchor_logits(call: AttentionCall, sample: int, index: Tensor, mask: SampleMask) -> Tensor:
    """[H, N] log of the sum of exp(logit) over the anchors that each row sees; -inf where it sees none."""
    anchors = mask.anchors(len(index), index.device)
    key = call.key[sample][:, index[anchors]]
    rows = torch.arange(len(index), device=index.device)
    parts = []
    for part in rows.split(max(1, CHUNK_BYTES // (4 * call.query.shape[1] * len(anchors)))):
        z = logits(call.query[sample][:, index[part]], key, scaling=call.scaling)
        parts.append(torch.logsumexp(z.masked_fill(~mask.block(part, anchors), float("-inf")), -1))
    return torch.cat(parts, 1)


def stats_from_rows(call: AttentionCall, sample: int, index: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Log-sum-exp and entropy of some rows, densely: where channels cannot give them (softcap, underflow)."""
    pairs = [
        (lse, -(attention * (z - lse[..., None])).sum(-1))
        for _, z, attention, lse in dense_rows(call, sample, index[rows])
    ]
    return torch.cat([p[0] for p in pairs], 1), torch.cat([p[1] for p in pairs], 1)

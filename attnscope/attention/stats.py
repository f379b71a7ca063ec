"""Log-sum-exp and entropy of every row of one sample, exactly, and nothing N x N.

Fused kernels return the log-sum-exp (docs/decisions/0039). Under other kernels one value channel marks a few anchor
keys; their joint mass and their logits give it (docs/decisions/0003).
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
_TRIED = 4  # dense rows that a kernel's log-sum-exp is held against before it is used
_AGREE = 0.02  # nats that it may be off: rounding stays far below, another base or scale far above (ours)


def row_lse(call: AttentionCall, sample: int, index: Tensor, mask: SampleMask) -> Tensor:
    """Log-sum-exp of every row of one sample: the kernel's own, or by one more run of it.

    Args:
        call: The attention call, edits so far included.
        sample: Index in the batch.
        index: [N] places of the sample's tokens on the padded axis.
        mask: The sample's mask.

    Returns:
        [H, N] float32.
    """
    return stats_of_all(call, sample, index, None, None, mask)[0]


def stats_of_all(
    call: AttentionCall,
    sample: int,
    index: Tensor,
    anchor_mass: Tensor | None,
    mean_key: Tensor | None,
    mask: SampleMask,
) -> tuple[Tensor, Tensor | None]:
    """Log-sum-exp and entropy of every query: from the kernel, densely where it cannot give them.

    The log-sum-exp is the one that the kernel returns (`AttentionCall.lse`), or follows from the anchors. Capped logits
    and edited rows have no closed form, and a mass below the kernel's precision has no logarithm.

    Args:
        call: The call.
        sample: Index in the batch.
        index: [N] places of the sample's tokens.
        anchor_mass: [H, N] attention to the anchors that the row sees; None to run the kernel once more if need be.
        mean_key: [H, N, D] attention-weighted mean of the keys; None if no entropy is wanted.
        mask: The sample's mask.

    Returns:
        Lse and entropy, [H, N]; no entropy without `mean_key`, unless all rows were read densely.
    """
    everything = torch.arange(len(index), device=index.device)
    if call.softcap is not None:
        return stats_from_rows(call, sample, index, everything)
    edited = torch.isin(index, call.edited_rows(sample))  # their logits are not the products of queries and keys
    lse = kernel_lse(call, sample, index, everything[~edited])
    if lse is None:
        if anchor_mass is None:
            anchor_mass = _anchor_mass(call, sample, index, mask)
        lse = lse_from_anchors(call, sample, index, anchor_mass, mask)
    entropy = None if mean_key is None else entropy_from_mean_key(call, sample, index, lse, mean_key)
    lost = (lse.isnan().any(0) | edited).nonzero()[:, 0]
    if len(lost):
        lse = lse.clone()
        lse[:, lost], exact = stats_from_rows(call, sample, index, lost)
        if entropy is not None:
            entropy[:, lost] = exact
    return lse, entropy


def kernel_lse(call: AttentionCall, sample: int, index: Tensor, rows: Tensor) -> Tensor | None:
    """The log-sum-exp that the kernel itself gives, if it does and a few dense rows agree.

    Args:
        call: The call, after its kernel has run.
        sample: Index in the batch.
        index: [N] places of the sample's tokens.
        rows: [R] rows of these that no edit has changed.

    Returns:
        [H, N] float32, or None: then the caller has to find out in another way.
    """
    if call.lse is None or call.sink_logits is not None or call.softcap is not None:
        return None
    lse = call.lse[sample].index_select(1, index)
    some = rows[torch.linspace(0, max(len(rows) - 1, 0), min(_TRIED, len(rows))).long().to(rows.device)]
    for part, _, _, exact in dense_rows(call, sample, index[some]):
        own = call.lse[sample].index_select(1, part)
        if not bool(((own - exact).abs() <= _AGREE).all()):
            return None
    return lse


def lse_from_anchors(call: AttentionCall, sample: int, index: Tensor, anchor_mass: Tensor, mask: SampleMask) -> Tensor:
    """Log-sum-exp of every row, from the joint mass of a few known keys.

    lse_i = log(sum over anchors of exp z_ia) - log(their mass) (ours, exact).

    Args:
        call: The call; must have no softcap.
        sample: Index in the batch.
        index: [N] places of the sample's tokens.
        anchor_mass: [H, N] attention to the anchors that the row sees.
        mask: The sample's mask.

    Returns:
        [H, N]; NaN where the anchors' mass is below the kernel's precision.
    """
    least = least_mass(call.value.dtype, len(mask.anchors(len(index), index.device)))
    known = _anchor_logits(call, sample, index, mask)
    return torch.where(anchor_mass > least, known - torch.log(anchor_mass.clamp(min=least)), torch.nan)


def entropy_from_mean_key(call: AttentionCall, sample: int, index: Tensor, lse: Tensor, mean_key: Tensor) -> Tensor:
    """Entropy of every row: entropy_i = lse_i - scale q_i . (A K)_i (ours, exact).

    Args:
        call: The call; must have no softcap.
        sample: Index in the batch.
        index: [N] places of the sample's tokens.
        lse: [H, N].
        mean_key: [H, N, D] attention-weighted mean of the keys.

    Returns:
        [H, N] nats.
    """
    total = 1.0 if call.sink_logits is None else 1 - torch.exp(call.sink_logits.float()[:, None] - lse)
    mean_logit = call.scaling * (call.query[sample][:, index].float() * mean_key).sum(-1)
    return (lse * total - mean_logit).clamp(min=0)  # rounding puts one-hot rows a hair below zero


def _anchor_mass(call: AttentionCall, sample: int, index: Tensor, mask: SampleMask) -> Tensor:
    member = torch.zeros(len(call.key), call.key.shape[2], 1, device=index.device)
    member[sample, index[mask.anchors(len(index), index.device)]] = ANCHOR_GAIN
    return masses(call, member)[sample, :, index, 0] / ANCHOR_GAIN


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

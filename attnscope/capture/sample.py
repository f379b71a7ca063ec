"""The readings of one sample from one layer's attention call: pure tensor work, nothing N x N.

Dense float32 rows serve the few text queries; value channels (read by the caller in the model's own kernel) serve all
queries. Sums over sinks need no channel: sinks are few by definition, so their attention exp(z - lse) is computed
directly.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from attnscope.attention import AttentionCall, dense_rows, logits
from attnscope.attention.dense import CHUNK_BYTES
from attnscope.capture.masks import SampleMask

# The anchors' channel holds this instead of 1: small masses then survive float16 outputs.
ANCHOR_GAIN = 1024.0


@dataclass
class ProbeRows:
    """Dense readings of the probed rows of one layer; R probes, G groups, Q query groups."""

    masses: Tensor  # [H, R, G]
    maps: Tensor  # [H, Q, N]
    max: Tensor  # [H, R]
    entropy: Tensor  # [H, R]
    lse: Tensor  # [H, R]
    received: Tensor  # [N] summed over heads and rows
    uniform: Tensor  # [N] what uniform attention would give, summed over rows
    seen: Tensor  # [N] rows that may see the key


def read_probes(
    call: AttentionCall,
    sample: int,
    index: Tensor,
    probes: Tensor,
    groups: Tensor,
    queries: Tensor,
    mask: SampleMask,
) -> ProbeRows:
    """Dense rows of the probes, reduced chunk by chunk.

    Args:
        call: The prefill's call.
        sample: Index in the batch.
        index: [N] places of the sample's tokens on the padded axis.
        probes: [R] positions to read densely.
        groups: [G, N] key groups, 0/1 float.
        queries: [Q, R] weights of each probe in each query group's mean.
        mask: The sample's mask.

    Returns:
        The reduced rows, float32 on the device of the call.
    """
    heads, n = call.query.shape[1], len(index)
    device = call.query.device
    everything = torch.arange(n, device=device)
    maps = torch.zeros(heads, len(queries), n, device=device)
    received, uniform, seen = (torch.zeros(n, device=device) for _ in range(3))
    out: dict[str, list[Tensor]] = {"masses": [], "max": [], "entropy": [], "lse": []}
    start = 0
    for part, z, attention, lse in dense_rows(call, sample, index[probes]):
        z, attention = z[..., index], attention[..., index]
        stop = start + len(part)
        maps += torch.einsum("qr,hrn->hqn", queries[:, start:stop], attention)
        allowed = mask.block(probes[start:stop], everything).float()
        received += attention.sum((0, 1))
        uniform += (allowed / allowed.sum(1, keepdim=True)).sum(0)
        seen += allowed.sum(0)
        out["masses"].append(attention @ groups.T)
        out["max"].append(attention.amax(-1))
        out["entropy"].append(-(attention * (z - lse[..., None])).sum(-1))
        out["lse"].append(lse)
        start = stop
    return ProbeRows(
        maps=maps,
        received=received,
        uniform=uniform,
        seen=seen,
        **{k: torch.cat(v, 1) for k, v in out.items()},
    )


def find_sinks(rows: ProbeRows, sink_mass: float, sink_ratio: float) -> Tensor:
    """Keys that receive far more than uniform attention, averaged over heads and the probes that see them (ours).

    A key must be seen by at least half of the probes: the last tokens' attention to themselves is not a sink.

    Returns:
        Boolean [N].
    """
    heads = rows.masses.shape[0]
    often = rows.seen >= rows.masses.shape[1] / 2
    mean = rows.received / (heads * rows.seen.clamp(min=1))
    return often & (mean > sink_mass) & (mean > sink_ratio * rows.uniform / rows.seen.clamp(min=1))


def sink_attention(
    call: AttentionCall, sample: int, index: Tensor, sinks: Tensor, lse: Tensor, mask: SampleMask
) -> Tensor:
    """Attention of every query to each sink key: [H, N, number of sinks]."""
    columns = sinks.nonzero()[:, 0]
    query, key = call.query[sample][:, index], call.key[sample][:, index[columns]]
    z = logits(query, key, scaling=call.scaling, softcap=call.softcap)
    allowed = mask.block(torch.arange(len(index), device=index.device), columns)
    return torch.exp(z - lse[..., None]).masked_fill(~allowed, 0.0)


def stats_of_all(
    call: AttentionCall, sample: int, index: Tensor, anchor_mass: Tensor, mean_key: Tensor | None, mask: SampleMask
) -> tuple[Tensor, Tensor | None]:
    """Log-sum-exp and entropy of every query: from the channels, densely where these cannot give them.

    Capped logits have no closed form, and a mass below the kernel's precision has no logarithm. Arguments and results
    as of `stats_from_channels`.
    """
    if call.softcap is not None:
        return stats_from_rows(call, sample, index, torch.arange(len(index), device=index.device))
    lse, entropy = stats_from_channels(call, sample, index, anchor_mass, mean_key, mask)
    lost = lse.isnan().any(0).nonzero()[:, 0]
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
        lse and entropy (None without `mean_key`), [H, N]; NaN where the anchors' mass is below the kernel's precision.
    """
    # Kernels round each weight to the values' type: below its normal numbers a mass has few digits.
    least = 2 * torch.finfo(call.value.dtype).smallest_normal
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

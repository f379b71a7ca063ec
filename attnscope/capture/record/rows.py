"""The readings of one sample from one layer's attention call: pure tensor work, nothing N x N.

Dense float32 rows serve the few queries that are not visual; value channels (read by the caller in the model's own
kernel) serve all queries. Sums over sinks need no channel: sinks are few by definition, so their attention
exp(z - lse) is computed directly.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from attnscope.attention import AttentionCall, dense_rows, logits
from attnscope.attention.masks import SampleMask


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

    The probes are the prompt queries that are not visual: text, special and template tokens. At least half of them must
    see a key: the last tokens' attention to themselves is not a sink.

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
    attention_to_sinks = torch.exp(z - lse[..., None]).masked_fill(~allowed, 0.0)
    edited = torch.isin(index, call.edited_rows(sample)).nonzero()[:, 0]  # their logits are not these products
    for part, _, attention, _ in dense_rows(call, sample, index[edited]):
        attention_to_sinks[:, torch.isin(index, part)] = attention[..., index[columns]]
    return attention_to_sinks

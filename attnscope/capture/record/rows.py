"""The readings of one sample from one layer's attention call: pure tensor work, nothing N x N.

Dense float32 rows serve the few queries that are not visual, and a sample of the visual ones. Of all others the
attention to the few keys that are not visual, and to sinks, is computed directly as exp(z - lse).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from attnscope.attention import AttentionCall, column_blocks, row_blocks
from attnscope.attention.blocks import RowBlock
from attnscope.attention.masks import SampleMask

_ROWS = 512


@dataclass
class DenseRows:
    """Dense readings of some rows of one layer; R rows, G groups."""

    masses: Tensor  # [H, R, G]
    max: Tensor  # [H, R]
    entropy: Tensor  # [H, R]
    lse: Tensor  # [H, R]


@dataclass
class ProbeRows(DenseRows):
    """Those of the queries that are not visual, and what follows from all of them; Q query groups."""

    maps: Tensor  # [H, Q, N]
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
    lse: Tensor | None = None,
) -> ProbeRows:
    """Dense rows of the probes, reduced block by block.

    Args:
        call: The prefill's call.
        sample: Index in the batch.
        index: [N] places of the sample's tokens on the padded axis.
        probes: [R] positions to read densely, increasing.
        groups: [G, N] key groups, 0/1 float.
        queries: [Q, R] weights of each probe in each query group's mean.
        mask: The sample's mask.
        lse: [H, N] log-sum-exp of the rows, if it is known.

    Returns:
        The reduced rows, float32 on the device of the call.
    """
    weights = torch.cat([queries, queries.new_ones(1, len(probes))])  # the last row adds up what keys receive
    maps = torch.zeros(call.query.shape[1], len(weights), len(index), dtype=torch.float32, device=call.query.device)

    def add(block: RowBlock) -> None:
        some = weights[:, block.at]
        asked = some.any(1).nonzero()[:, 0]  # few query groups have a query in any one block
        maps[block.heads, asked, block.keys] += some[asked] @ block.attention

    dense = read_rows(call, sample, index, probes, groups, mask, lse, add)
    uniform, seen = availability(mask, probes, len(index))
    return ProbeRows(**vars(dense), maps=maps[:, :-1], received=maps[:, -1].sum(0), uniform=uniform, seen=seen)


def read_rows(
    call: AttentionCall,
    sample: int,
    index: Tensor,
    rows: Tensor,
    groups: Tensor,
    mask: SampleMask,
    lse: Tensor | None,
    look: Callable[[RowBlock], None] | None = None,
) -> DenseRows:
    """Dense rows, reduced block by block; arguments as of `read_probes`, and what else looks at each block."""
    heads, device = call.query.shape[1], call.query.device
    most, entropy, exact = (torch.zeros(heads, len(rows), dtype=torch.float32, device=device) for _ in range(3))
    masses = torch.zeros(heads, len(rows), len(groups), dtype=torch.float32, device=device)
    for block in row_blocks(call, sample, index, rows, mask, lse):
        where = (block.heads, block.at)
        masses[where] = block.attention @ groups[:, block.keys].T
        most[where], entropy[where], exact[where] = block.attention.amax(-1), block.entropy, block.lse
        if look is not None:
            look(block)
    return DenseRows(masses, most, entropy, exact)


def availability(mask: SampleMask, rows: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """What attention spread evenly would give each key, summed over some rows, and how many of these see it; [N]."""
    everything = torch.arange(length, device=rows.device)
    uniform, seen = (torch.zeros(length, device=rows.device) for _ in range(2))
    for part in rows.split(_ROWS):
        allowed = mask.block(part, everything).float()
        uniform += (1 / allowed.sum(1).clamp(min=1)) @ allowed
        seen += allowed.sum(0)
    return uniform, seen


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
    rows = torch.arange(len(index), device=index.device)
    found = torch.zeros(call.query.shape[1], len(index), len(columns), device=index.device)
    for at, keys, attention in column_blocks(call, sample, index, rows, columns, lse, mask):
        found[:, at, keys] = attention
    return found

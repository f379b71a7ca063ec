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
    max: Tensor  # [H, R], NaN where stats were not asked for
    entropy: Tensor  # [H, R], likewise
    lse: Tensor  # [H, R]

    def of(self, rows: Tensor) -> DenseRows:
        """Those of some of the rows, [r]."""
        return DenseRows(*(value[:, rows] for value in (self.masses, self.max, self.entropy, self.lse)))


@dataclass
class Availability:
    """How many keys the queries of a mask may see: the same in every layer that has the mask."""

    uniform: Tensor  # [N] what attention spread evenly would give, summed over the probes
    seen: Tensor  # [N] probes that may see the key


@dataclass
class ProbeRows(DenseRows):
    """Those of the queries that are not visual, and what follows from all of them; Q query groups."""

    maps: Tensor  # [H, Q, N]
    received: Tensor  # [N] summed over heads and rows
    available: Availability


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
    available = availability(mask, probes, len(index))
    others = probes[:0]
    return read_with_sample(call, sample, index, probes, others, groups, queries, mask, available, lse, stats=False)[0]


def read_with_sample(
    call: AttentionCall,
    sample: int,
    index: Tensor,
    probes: Tensor,
    others: Tensor,
    groups: Tensor,
    queries: Tensor,
    mask: SampleMask,
    available: Availability,
    lse: Tensor | None = None,
    look: Callable[[RowBlock, Tensor], None] | None = None,
    *,
    stats: bool = True,
) -> tuple[ProbeRows, DenseRows]:
    """As `read_probes`, and in the same blocks dense rows of visual queries, which add nothing to sinks.

    Args:
        call: The prefill's call.
        sample: Index in the batch.
        index: [N] places of the sample's tokens on the padded axis.
        probes: [R] positions, increasing.
        others: [n] positions, increasing; none of the probes.
        groups: [G, N] key groups, 0/1 float.
        queries: [Q, R + n] weights of each probe, then of each other, in each query group's mean.
        mask: The sample's mask.
        available: What the probes may see (`availability`).
        lse: [H, N] log-sum-exp of the rows, if it is known.
        look: Called with each block and the positions [r] of its rows.
        stats: Whether the largest attention of each row and its entropy are asked for.

    Returns:
        The rows of the probes, and those of the others.
    """
    rows, order = torch.cat([probes, others]).sort()
    device, length = call.query.device, len(index)
    weights = torch.zeros(len(queries) + 1, len(rows), device=device)
    weights[:-1] = queries[:, order]
    weights[-1, order < len(probes)] = 1  # what keys receive
    maps = torch.zeros(call.query.shape[1], len(queries), length, dtype=torch.float32, device=device)
    received = torch.zeros(length, dtype=torch.float32, device=device)

    def add(block: RowBlock) -> None:
        own = weights[:, block.at]
        if look is not None:
            look(block, rows[block.at])
        asked = own.any(1).nonzero()[:, 0].tolist()  # few query groups have a query in any one block
        if not asked:
            return
        means = (own[asked] / block.total[:, None]) @ block.weights  # [h, a, n]
        for place, group in enumerate(asked):
            if group < len(queries):
                maps[block.heads, group, block.keys] += means[:, place]
            else:
                received[block.keys] += means[:, place].sum(0)

    dense = _read_rows(call, sample, index, rows, groups, mask, lse, add, stats=stats)
    place = order.argsort()
    own = dense.of(place[: len(probes)])
    return ProbeRows(**vars(own), maps=maps, received=received, available=available), dense.of(place[len(probes) :])


def _read_rows(
    call: AttentionCall,
    sample: int,
    index: Tensor,
    rows: Tensor,
    groups: Tensor,
    mask: SampleMask,
    lse: Tensor | None,
    look: Callable[[RowBlock], None],
    *,
    stats: bool,
) -> DenseRows:
    """Dense rows, reduced block by block; arguments as of `read_with_sample`, and what else looks at each block."""
    heads, device = call.query.shape[1], call.query.device
    most, entropy, exact = (torch.full((heads, len(rows)), torch.nan, device=device) for _ in range(3))
    masses = torch.zeros(heads, len(rows), len(groups), dtype=torch.float32, device=device)
    for block in row_blocks(call, sample, index, rows, mask, lse):
        where = (block.heads, block.at)
        masses[where] = block.weights @ groups[:, block.keys].T / block.total[..., None]
        exact[where] = block.lse
        if stats:
            most[where], entropy[where] = block.weights.amax(-1) / block.total, block.entropy
        look(block)
    return DenseRows(masses, most, entropy, exact)


def availability(mask: SampleMask, probes: Tensor, length: int) -> Availability:
    """What the probes may see."""
    everything = torch.arange(length, device=probes.device)
    uniform, seen = (torch.zeros(length, device=probes.device) for _ in range(2))
    for part in probes.split(_ROWS):
        allowed = mask.block(part, everything).float()
        uniform += (1 / allowed.sum(1).clamp(min=1)) @ allowed
        seen += allowed.sum(0)
    return Availability(uniform, seen)


def find_sinks(rows: ProbeRows, sink_mass: float, sink_ratio: float) -> Tensor:
    """Keys that receive far more than uniform attention, averaged over heads and the probes that see them (ours).

    The probes are the prompt queries that are not visual: text, special and template tokens. At least half of them must
    see a key: the last tokens' attention to themselves is not a sink.

    Returns:
        Boolean [N].
    """
    heads = rows.masses.shape[0]
    seen = rows.available.seen
    often = seen >= rows.masses.shape[1] / 2
    mean = rows.received / (heads * seen.clamp(min=1))
    return often & (mean > sink_mass) & (mean > sink_ratio * rows.available.uniform / seen.clamp(min=1))


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

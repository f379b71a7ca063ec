"""Attention mass between groups of tokens: exact where few keys or the sum of all give it, else from a sample.

A query of the text is read densely. Of a visual query the attention to the few keys that are not visual is computed
directly, and what is left of 1 lies on the visual keys. That is exact for every group that holds all visual keys or
none. How a visual query divides its attention among frames and speakers' cells is known only of the queries in a
sample, unless the plan asks for all of them: then value channels read it in the model's own kernel
(docs/decisions/0039).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from attnscope.attention import AttentionCall, column_blocks
from attnscope.attention.masks import SampleMask
from attnscope.capture.plan import Plan
from attnscope.capture.record.groups import KeyGroups
from attnscope.estimate import is_sampled, means, spread
from attnscope.vocabulary import MASSES, media

_ROWS = 512


@dataclass(frozen=True)
class Estimate:
    """Flow between groups of one layer.

    Attributes:
        flow: [H, S, S] mean over the queries of a group of the mass on another group; NaN where it is not known.
        error: [H, S, S] its standard error: 0 where it is exact, NaN where it is not known.
    """

    flow: Tensor
    error: Tensor


class GroupFlow:
    """What does not change from layer to layer.

    Args:
        keys: The sample's key groups.
        plan: What to record.

    Attributes:
        member: [S, N] the groups but those of sinks, 0/1 float.
        size: [S] their members.
        probes: [R] positions that are read densely: all that are not visual.
        visual: [V] the other positions.
        sample: [n] those of the visual positions that are read densely as well.
        channelled: Which groups value channels read, [C].
        sampled: Which groups are known of the sample only, as keys of visual queries.
    """

    def __init__(self, keys: KeyGroups, plan: Plan) -> None:
        groups = keys.member[~keys.is_sink]
        families = np.array(keys.families)[~keys.is_sink]
        modalities = keys.modalities
        parts = [np.flatnonzero(modalities[name]) for name in media(modalities)]
        seen = np.zeros(groups.shape[1], bool)
        seen[np.concatenate([*parts, np.zeros(0, np.int64)])] = True
        within = (groups & seen).sum(1)
        partial = (within > 0) & (within < seen.sum())
        sampled = is_sampled(families, groups, seen) & (MASSES not in plan.exhaustive)
        drawn = [spread(part, plan.sample, [plan.seed, keys.digest]) for part in parts]
        self.member = torch.from_numpy(groups.astype(np.float32))
        self.size = self.member.sum(1)
        self.probes = torch.from_numpy(keys.probes)
        self.visual = torch.from_numpy(np.flatnonzero(seen))
        self.sample = torch.from_numpy(np.sort(np.concatenate([*drawn, np.zeros(0, np.int64)])))
        self.channelled = torch.from_numpy(np.flatnonzero(partial & ~sampled))
        self.sampled = torch.from_numpy(np.flatnonzero(sampled))
        self._whole = torch.from_numpy((within > 0) & ~partial)
        self._population = within

    def of_visual_queries(
        self, call: AttentionCall, number: int, index: Tensor, lse: Tensor, mask: SampleMask, read: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Exact masses of visual queries; what is of `sampled` is not known and 0.

        Args:
            call: The layer's call.
            number: The sample's index in the batch.
            index: [N] places of its tokens on the padded axis.
            lse: [H, N] log-sum-exp of the rows.
            mask: The sample's mask.
            read: [H, N, C] what the channels of `channelled` have read, or None if there are none.

        Returns:
            [H, S, S] summed over the visual queries of each group, and [H, n, S] of each query of `sample`.
        """
        device = lse.device
        visual, columns, member = self.visual.to(device), self.probes.to(device), self.member.to(device)
        onto, whole, own = member[:, columns].T, self._whole.to(lse), member[:, visual]
        place = torch.searchsorted(visual, self.sample.to(device))
        left = torch.ones(len(lse), len(visual), device=device)  # of 1, on the visual keys
        total = torch.zeros(len(lse), len(member), len(member), device=device)
        derived = torch.zeros(len(lse), len(place), len(member), device=device)
        for at, seen, attention in column_blocks(call, number, index, visual, columns, lse, mask):
            left[:, at] -= attention.sum(-1)
            total += by_group(own[:, at], attention) @ onto[seen]  # keys are few: groups of queries are summed first
            rank = torch.full((len(visual),), -1, device=device)
            rank[at] = torch.arange(attention.shape[1], device=device)
            here = rank[place] >= 0
            derived[:, here] = attention[:, rank[place[here]]] @ onto[seen]
        if call.sink_logits is not None:
            left -= torch.exp(call.sink_logits.float()[:, None] - lse[:, visual])
        if mask.explicit is not None:  # it may hide all visual keys, or all keys, from a visual query
            left *= torch.cat([mask.block(rows, visual).any(1) for rows in visual.split(_ROWS)])
        left.clamp_(min=0)
        total += by_group(own, left[..., None]) * whole
        derived += left[:, place, None] * whole
        if read is not None:
            channelled = self.channelled.to(device)
            total[..., channelled] = by_group(own, read[:, visual])
            derived[..., channelled] = read[:, visual[place]]
        total[..., self.sampled.to(device)] = 0
        return total, derived

    def measured(self, total: Tensor, sample: Tensor) -> Estimate:
        """Flow from sums over queries, and the part that rests on the sample.

        Args:
            total: [H, S, S] sums over the queries of a group; of groups in `sampled` over those that are not visual.
            sample: [H, n, S] masses of the sample.
        """
        size = self.size.to(total.device)[:, None]
        error = torch.zeros_like(total)
        if len(self.sampled):
            values = sample[..., self.sampled.to(sample.device)].transpose(0, 1).double().cpu().numpy()  # [n, H, G]
            member = self.member[:, self.sample].numpy() > 0
            mean, spread_of = means(values, member, self._population)
            some = self._population[:, None, None]
            parts = (np.where(some > 0, mean * some, 0.0), np.where(some > 0, spread_of * some, 0.0))
            onto, unsure = (torch.from_numpy(part).float().transpose(0, 1).to(total) for part in parts)
            columns = self.sampled.to(total.device)
            total = total.index_add(2, columns, onto)
            error[..., columns] = unsure
        flow = (total / size.clamp(min=1)).masked_fill(size == 0, torch.nan)
        return Estimate(flow, (error / size.clamp(min=1)).masked_fill(flow.isnan(), torch.nan))


def by_group(member: Tensor, masses: Tensor) -> Tensor:
    """Sums over the queries of groups, [H, S, G], from `member` [S, R] and masses [H, R, G]; one matrix product."""
    heads, rows, groups = masses.shape
    total = member @ masses.transpose(0, 1).reshape(rows, heads * groups)
    return total.view(len(member), heads, groups).transpose(0, 1)

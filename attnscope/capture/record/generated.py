"""The rows of generated tokens: one query over a cache at a time, densely."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from attnscope.attention import AttentionCall, allowed_pairs, dense_rows
from attnscope.attention.masks import MaskCache, SampleMask
from attnscope.capture.plan import Plan
from attnscope.capture.record.arrays import Datasets
from attnscope.capture.record.groups import KeyGroups
from attnscope.errors import ModelError

_FIRST = torch.zeros(1, dtype=torch.long)


class GeneratedRows:
    """Records the decoding steps of one sample.

    Args:
        masks: The sample and its masks.
        keys: Its key groups.
        plan: What to record.
        datasets: Where the rows go.

    Attributes:
        seen: For layers with an explicit mask, the allowed keys of each generated row.
    """

    def __init__(self, masks: MaskCache, keys: KeyGroups, plan: Plan, datasets: Datasets) -> None:
        self.masks, self.keys, self.plan, self.datasets = masks, keys, plan, datasets
        self.length = len(masks.index)
        self.steps: dict[int, int] = defaultdict(int)
        self.seen: dict[int, list[npt.NDArray[np.bool_]]] = defaultdict(list)

    def record(self, call: AttentionCall, padded: int, sinks: Tensor | None) -> None:
        """Record the row of one generated token in one layer.

        Args:
            call: The decoding step's call.
            padded: Padded length of the prefill.
            sinks: [N] the layer's sinks, if they were looked for.
        """
        layer, sample = call.layer, self.masks.sample
        self.steps[layer] += 1
        total, n_keys = padded + self.steps[layer], call.key.shape[2]
        if call.past + 1 != total:
            raise ModelError(
                f"layer {layer}: the cache held {call.past} tokens before token {total}; its row cannot be recorded"
            )
        if n_keys > total:
            raise ModelError(f"layer {layer}: the cache holds {n_keys} keys after {total} tokens; use a dynamic cache")
        places = torch.cat([self.masks.index, torch.arange(padded, total)])
        present = (places >= total - n_keys).nonzero()[:, 0]  # a sliding cache has dropped the oldest keys
        columns = (places[present] - (total - n_keys)).to(call.query.device)
        _, z, attention, lse = next(dense_rows(call, sample, _FIRST))
        z, attention = z[:, 0, columns], attention[:, 0, columns]
        row = torch.zeros(len(attention), len(places), device=attention.device)
        row[:, present.to(row.device)] = attention
        seen = np.zeros(len(places), dtype=bool)
        allowed = allowed_pairs(call, sample, _FIRST)[0]
        seen[present.numpy()] = allowed.to(columns.device)[columns].cpu().numpy()
        self._put_row(layer, row, lse[:, 0], -(attention * (z - lse)).sum(-1), seen, sinks)
        if self.plan.qk:
            self.datasets.append("qk/q", layer, call.query[sample])
            self.datasets.append("qk/k", layer, call.key[sample][:, -1:])
        self._keep_mask(layer, seen)

    def _keep_mask(self, layer: int, seen: npt.NDArray[np.bool_]) -> None:
        """Keep what the row may see, where the layer's closed form does not say it."""
        mask, positions = self.masks.by_layer[layer], len(seen)
        if mask.explicit is None:
            row = mask.block(torch.tensor([positions - 1]), torch.arange(positions))[0].numpy()
            if np.array_equal(row, seen):
                return
            every = torch.arange(positions - 1)
            self.masks.by_layer[layer] = SampleMask("explicit", explicit=mask.block(every, every))
            self.seen[layer] = []
        self.seen[layer].append(seen)

    def _put_row(
        self,
        layer: int,
        row: Tensor,
        lse: Tensor,
        entropy: Tensor,
        seen: npt.NDArray[np.bool_],
        sinks: Tensor | None,
    ) -> None:
        """Append a row [H, positions] and what follows from it."""
        members = torch.from_numpy(self.keys.extended(row.shape[1]).astype(np.float32))
        is_sink = torch.zeros(row.shape[1])
        if sinks is not None:
            is_sink[: self.length] = sinks.float()
        members[torch.from_numpy(self.keys.is_sink)] *= is_sink
        append = self.datasets.append
        if self.plan.masses:
            append("masses/rows", layer, (row @ members.T.to(row.device))[:, None])
            append("masses/rows_allowed", layer, (members @ torch.from_numpy(seen).float())[None].int())
        if self.plan.maps:
            append("maps/rows", layer, row[:, None])
        if self.plan.full:
            append("full/attention", layer, row[:, None])
        if self.plan.stats:
            append("stats/entropy", layer, entropy[:, None])
            append("stats/lse", layer, lse[:, None])
            append("stats/sink_mass", layer, (row @ is_sink.to(row.device))[:, None])
            append("stats/max", layer, row.amax(-1)[:, None])
            append("stats/allowed", layer, torch.tensor([int(seen.sum())], dtype=torch.int32))

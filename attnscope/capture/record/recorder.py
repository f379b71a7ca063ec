"""The reader that turns attention calls into a capture's arrays, layer by layer, as they leave the forward."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from attnscope.attention import AttentionCall, dense_rows
from attnscope.attention.masks import MaskCache
from attnscope.attention.stats import ANCHOR_GAIN, stats_of_all
from attnscope.capture.plan import Plan
from attnscope.capture.record import rows as reading
from attnscope.capture.record.arrays import Checks, Datasets
from attnscope.capture.record.generated import GeneratedRows
from attnscope.capture.record.groups import KeyGroups, QueryGroups
from attnscope.errors import ModelError, RequestError

_NO_QK = "queries and keys do not hold a correction that changes rows of logits; capture without 'qk'"


class SampleRecorder:
    """Records the prefill of one sample of a batch.

    Args:
        sample: Index in the batch.
        index: [N] places of its tokens on the padded axis of the prefill.
        keys: Its key groups.
        queries: Its query groups.
        plan: What to record; `plan.layers` holds numbers.
        datasets: Where the arrays go.
    """

    def __init__(
        self, sample: int, index: Tensor, keys: KeyGroups, queries: QueryGroups, plan: Plan, datasets: Datasets
    ) -> None:
        self.sample, self.index, self.plan, self.datasets = sample, index, plan, datasets
        self.keys, self.queries = keys, queries
        self.length = len(index)
        self.probes = torch.from_numpy(keys.probes)
        self.static = torch.from_numpy(keys.member[~keys.is_sink].astype(np.float32))
        self.modalities = torch.from_numpy(keys.member[keys.is_sink].astype(np.float32))
        weights = queries.member / queries.member.sum(1, keepdims=True)
        self.weights = torch.from_numpy(weights[:, self.probes.numpy()].astype(np.float32))
        self.masks = MaskCache(sample, index, torch.cat([self.static, torch.ones(1, self.length)]))
        self.sinks: dict[int, Tensor] = {}
        self.calls: dict[int, AttentionCall] = {}
        self.checks = Checks()
        self.width = 0  # channels of a hidden state, once one was recorded
        self.generated = GeneratedRows(self.masks, keys, plan, datasets)

    @property
    def wants_channels(self) -> bool:
        """Whether the plan asks for something about all queries."""
        return self.plan.masses or self.plan.stats

    def channels(self, call: AttentionCall) -> Tensor:
        """[Nk, groups + 1] value columns on the padded axis: key groups and the anchor keys."""
        columns = torch.zeros(call.key.shape[2], len(self.static) + 1, device=call.key.device)
        index = self.index.to(columns.device)
        columns[index, :-1] = self.static.T.to(columns.device)
        anchors = self.masks.of(call).anchors(self.length, index.device)
        columns[index[anchors], -1] = ANCHOR_GAIN
        return columns

    def prefill(self, call: AttentionCall, group_mass: Tensor | None, mean_key: Tensor | None) -> None:
        """Record a layer's prefill.

        Args:
            call: The call, edits included.
            group_mass: [H, N, groups + 1] readings of `channels`, or None.
            mean_key: [H, N, D] attention-weighted mean key, or None.
        """
        mask, device = self.masks.of(call), call.query.device
        index, probes = self.index.to(device), self.probes.to(device)
        self.calls[call.layer] = call.settings()
        if self.wants_channels or self.plan.maps:
            weights = self.weights.to(device)
            rows = reading.read_probes(call, self.sample, index, probes, self.static.to(device), weights, mask)
            sinks = reading.find_sinks(rows, self.plan.sink_mass, self.plan.sink_ratio)
            self.sinks[call.layer] = sinks.cpu()
            if group_mass is not None:
                self._all_queries(call, rows, sinks, group_mass, mean_key)
            if self.plan.maps:
                self.datasets.put("maps/rows", call.layer, rows.maps)
        if self.plan.qk:
            if call.row_edits:
                raise RequestError(f"layer {call.layer}: {_NO_QK}")
            self.datasets.put("qk/q", call.layer, call.query[self.sample][:, index])
            self.datasets.put("qk/k", call.layer, call.key[self.sample][:, index])
        if self.plan.full:
            for part, _, attention, _ in dense_rows(call, self.sample, index):
                start = int((index == part[0]).nonzero())
                self.datasets.put("full/attention", call.layer, attention[..., index], start)

    def _all_queries(
        self,
        call: AttentionCall,
        rows: reading.ProbeRows,
        sinks: Tensor,
        group_mass: Tensor,
        mean_key: Tensor | None,
    ) -> None:
        mask, device = self.masks.of(call), call.query.device
        index, probes = self.index.to(device), self.probes.to(device)
        lse, entropy = stats_of_all(call, self.sample, index, group_mass[..., -1] / ANCHOR_GAIN, mean_key, mask)
        masses = group_mass[..., :-1]
        self.checks.compare(rows, masses, lse, probes, self.keys, call.sink_logits)
        lse[:, probes] = rows.lse
        to_sinks = reading.sink_attention(call, self.sample, index, sinks, lse, mask)
        columns = sinks.nonzero()[:, 0]
        kinds = self.modalities.to(device)[:, columns].T
        counts = self.masks.counts(call).to(device)
        if self.plan.masses:
            seen = mask.block(torch.arange(self.length, device=device), columns).float() @ kinds
            allowed = torch.cat([counts[:, :-1].float(), seen], 1)
            self._put_masses(call.layer, rows.masses, torch.cat([masses, to_sinks @ kinds], -1), allowed, probes)
        if self.plan.stats and entropy is not None:
            entropy[:, probes] = rows.entropy
            self.datasets.put("stats/entropy", call.layer, entropy)
            self.datasets.put("stats/lse", call.layer, lse)
            self.datasets.put("stats/sink_mass", call.layer, to_sinks.sum(-1))
            self.datasets.put("stats/max", call.layer, rows.max)
            self.datasets.put("stats/allowed", call.layer, counts[:, -1].int())

    def _put_masses(self, layer: int, dense: Tensor, masses: Tensor, allowed: Tensor, probes: Tensor) -> None:
        """Write the masses of all queries by group, and of the probes one by one.

        Args:
            layer: Number of the layer.
            dense: [H, R, static groups] of the probes.
            masses: [H, N, groups] of all queries.
            allowed: [N, groups] allowed keys.
            probes: [R] positions.
        """
        members = self.static.to(masses.device)
        size = members.sum(1)
        flow = torch.einsum("sn,hng->hsg", members / size.clamp(min=1)[:, None], masses)
        self.datasets.put("masses/flow", layer, flow.masked_fill((size == 0)[None, :, None], torch.nan))
        self.datasets.put("masses/flow_pairs", layer, (members.double() @ allowed.double()).long())
        by_sink = masses[:, probes, dense.shape[-1] :]
        self.datasets.put("masses/rows", layer, torch.cat([dense, by_sink], -1))
        self.datasets.put("masses/rows_allowed", layer, allowed[probes].int())


class Recorder:
    """The seam's reader: one `SampleRecorder` for each sample of the batch.

    Args:
        samples: The recorders, one a sample.
        padded: Padded length of the prefill.
        on_layer: Called with the number of every layer whose prefill was recorded.
    """

    def __init__(
        self, samples: Sequence[SampleRecorder], padded: int, on_layer: Callable[[int], None] | None = None
    ) -> None:
        self.samples = samples
        self.padded = padded
        self.on_layer = on_layer

    def channels(self, call: AttentionCall) -> Tensor | None:
        """Key groups and anchors of every sample, then the keys themselves, whose mean gives the entropy."""
        if call.is_decode or not self.samples[0].wants_channels:
            return None
        columns = [recorder.channels(call) for recorder in self.samples]
        width = max(c.shape[1] for c in columns)
        groups = torch.zeros(len(columns), 1, call.key.shape[2], width, device=call.key.device)
        for row, block in enumerate(columns):
            groups[row, 0, :, width - block.shape[1] :] = block
        groups = groups.to(call.key.dtype).expand(-1, call.key.shape[1], -1, -1)
        return torch.cat([groups, call.key], -1) if self._reads_keys(call) else groups

    def _reads_keys(self, call: AttentionCall) -> bool:
        return self.samples[0].plan.stats and call.softcap is None

    def read(self, call: AttentionCall, readings: Tensor | None) -> None:
        """Hand each sample its part of the readings."""
        length = call.query.shape[2]
        if length != (1 if call.is_decode else self.padded):
            raise ModelError(
                f"layer {call.layer}: the model was run on {length} tokens at a time instead of the whole prompt of"
                f" {self.padded} and then one by one; its attention cannot be recorded"
            )
        for recorder in self.samples:
            if call.is_decode:
                recorder.generated.record(call, self.padded, recorder.sinks.get(call.layer))
                continue
            group_mass = mean_key = None
            if readings is not None:
                index = recorder.index.to(readings.device)
                own = readings[recorder.sample, index].transpose(0, 1).float()  # [H, N, C]
                width = own.shape[-1] - (call.key.shape[-1] if self._reads_keys(call) else 0)
                group_mass = own[..., width - len(recorder.static) - 1 : width]
                mean_key = own[..., width:] if self._reads_keys(call) else None
            recorder.prefill(call, group_mass, mean_key)
        if self.on_layer is not None and not call.is_decode:
            self.on_layer(call.layer)

"""The reader that turns attention calls into a capture's arrays, layer by layer, as they leave the forward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from attnscope.attention import AttentionCall, dense_rows
from attnscope.attention.blocks import RowBlock, taken
from attnscope.attention.fused import BACKENDS
from attnscope.attention.masks import MaskCache, SampleMask
from attnscope.attention.stats import ANCHOR_GAIN, kernel_lse, stats_of_all
from attnscope.capture.plan import Plan
from attnscope.capture.record import rows as reading
from attnscope.capture.record.arrays import Checks, Datasets
from attnscope.capture.record.flow import GroupFlow, by_group
from attnscope.capture.record.generated import GeneratedRows
from attnscope.capture.record.groups import KeyGroups, QueryGroups
from attnscope.errors import ModelError, RequestError
from attnscope.vocabulary import STATS

_TRIED = 4  # rows of each kind whose output is held against the kernel's
_NO_QK = "queries and keys do not hold a correction that changes rows of logits; capture without 'qk'"


@dataclass(frozen=True)
class _Available:
    """What queries may see under one mask; S groups but those of sinks."""

    of_probes: reading.Availability
    to_probes: Tensor  # [R, S] keys of each group that a probe may see
    pairs: Tensor  # [S, S] pairs of queries of a group and keys of another
    keys: Tensor  # [N] int32, keys that a query may see


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
        self.flow = GroupFlow(keys, plan)
        self.probes = self.flow.probes
        self.modalities = torch.from_numpy(keys.member[keys.is_sink].astype(np.float32))
        last = torch.tensor([self.length - 1])  # may be visual: the answer is predicted there, and has to be read
        some = self.flow.sample if self.wants_queries else self.flow.sample[:0]
        self.others = torch.cat([some, last[~torch.isin(last, self.probes)]]).unique()
        dense = torch.cat([self.probes, self.others]).numpy()
        weights = queries.member / queries.member.sum(1, keepdims=True)
        unread = queries.member[:, np.setdiff1d(np.arange(self.length), dense)].any(1)
        if unread.any():
            raise ModelError(f"query group {queries.names[unread.argmax()]!r} holds visual tokens, which maps lack")
        self.weights = torch.from_numpy(weights[:, dense].astype(np.float32))
        self.masks = MaskCache(sample, index, torch.cat([self.flow.member, torch.ones(1, self.length)]))
        self.sinks: dict[int, Tensor] = {}
        self.calls: dict[int, AttentionCall] = {}
        self.checks = Checks()
        self._seen: dict[int, _Available] = {}  # by mask
        self.width = 0  # channels of a hidden state, once one was recorded
        self.generated = GeneratedRows(self.masks, keys, plan, datasets)

    @property
    def wants_queries(self) -> bool:
        """Whether the plan asks for something about all queries."""
        return self.plan.masses or self.plan.stats

    def channels(self, call: AttentionCall, anchors: bool) -> Tensor:
        """[Nk, C or C + 1] value columns on the padded axis: groups that need one, and the anchor keys."""
        groups = self.flow.member[self.flow.channelled] if self.plan.masses else self.flow.member[:0]
        columns = torch.zeros(call.key.shape[2], len(groups) + anchors, device=call.key.device)
        index = self.index.to(columns.device)
        columns[index, : len(groups)] = groups.T.to(columns.device)
        if anchors:
            at = self.masks.of(call).anchors(self.length, index.device)
            columns[index[at], -1] = ANCHOR_GAIN
        return columns

    def prefill(
        self, call: AttentionCall, groups: Tensor | None, anchor_mass: Tensor | None, mean_key: Tensor | None
    ) -> None:
        """Record a layer's prefill.

        Args:
            call: The call, edits included, after it has run.
            groups: [H, N, C] what channels have read of the groups that need them, or None.
            anchor_mass: [H, N] what a channel has read of the anchors, or None.
            mean_key: [H, N, D] attention-weighted mean key, or None.
        """
        mask, device = self.masks.of(call), call.query.device
        index = self.index.to(device)
        self.calls[call.layer] = call.settings()
        if self.wants_queries or self.plan.maps:
            self._dense(call, index, mask, groups, anchor_mass, mean_key)
        if self.plan.qk:
            if call.row_edits:
                raise RequestError(f"layer {call.layer}: {_NO_QK}")
            self.datasets.put("qk/q", call.layer, taken(call.query[self.sample], index))  # of this call alone
            self.datasets.put("qk/k", call.layer, call.key[self.sample][:, index])
        if self.plan.full:
            for part, _, attention, _ in dense_rows(call, self.sample, index):
                start = int((index == part[0]).nonzero())
                self.datasets.put("full/attention", call.layer, attention[..., index], start)

    def _dense(
        self,
        call: AttentionCall,
        index: Tensor,
        mask: SampleMask,
        groups: Tensor | None,
        anchor_mass: Tensor | None,
        mean_key: Tensor | None,
    ) -> None:
        """What dense rows serve: maps, sinks, masses and stats, and what the kernel is held against."""
        device, every = call.query.device, torch.arange(self.length, device=call.query.device)
        lse, entropy = kernel_lse(call, self.sample, index, every) if not self.wants_queries else None, None
        if self.wants_queries:
            lse, entropy = stats_of_all(call, self.sample, index, anchor_mass, mean_key, mask)
        probes, others, sample = (x.to(device) for x in (self.probes, self.others, self.flow.sample))
        some = [x[torch.linspace(0, len(x) - 1, min(_TRIED, len(x))).long()] for x in (probes, sample)]
        tried = torch.cat(some).sort().values[: None if self.wants_queries else 0]
        place = torch.full((self.length,), -1, device=device)
        place[tried] = torch.arange(len(tried), device=device)
        kept = torch.zeros(call.query.shape[1], len(tried), self.length, device=device)

        def keep(block: RowBlock, rows: Tensor) -> None:
            at = (place[rows] >= 0).nonzero()[:, 0]
            if len(at):
                kept[block.heads, place[rows[at]], block.keys] = block.weights[:, at] / block.total[:, at, None]

        rows, visual = reading.read_with_sample(
            call,
            self.sample,
            index,
            probes,
            others,
            self.flow.member.to(device),
            self.weights.to(device),
            mask,
            self._available(call, mask).of_probes,
            lse,
            keep if len(tried) else None,
            stats=self.plan.stats,
        )
        self.checks.compare_output(call, self.sample, index, tried, kept, mask)
        sinks = reading.find_sinks(rows, self.plan.sink_mass, self.plan.sink_ratio)
        self.sinks[call.layer] = sinks.cpu()
        if self.plan.maps:
            self.datasets.put("maps/rows", call.layer, rows.maps)
        if self.wants_queries and lse is not None:
            sampled = visual.of(torch.searchsorted(others, sample))
            for at, dense in ((probes, rows), (sample, sampled)):
                self.checks.compare_lse(lse[:, at], dense.lse)
                lse[:, at] = dense.lse
            self._all_queries(call, index, mask, rows, sampled, sinks, groups, lse, entropy)

    def _available(self, call: AttentionCall, mask: SampleMask) -> _Available:
        """What the queries may see in a layer, worked out once for all layers with the same mask."""
        if id(mask) not in self._seen:  # `masks` keeps it
            device = call.query.device
            counts, member = self.masks.counts(call).to(device), self.flow.member.to(device).double()
            self._seen[id(mask)] = _Available(
                reading.availability(mask, self.probes.to(device), self.length),
                counts[:, :-1][self.probes.to(device)],
                (member @ counts[:, :-1].double()).long(),
                counts[:, -1].int(),
            )
        return self._seen[id(mask)]

    def _all_queries(
        self,
        call: AttentionCall,
        index: Tensor,
        mask: SampleMask,
        rows: reading.ProbeRows,
        sampled: reading.DenseRows,
        sinks: Tensor,
        groups: Tensor | None,
        lse: Tensor,
        entropy: Tensor | None,
    ) -> None:
        probes, sample = self.probes.to(lse.device), self.flow.sample.to(lse.device)
        to_sinks = reading.sink_attention(call, self.sample, index, sinks, lse, mask)
        if self.plan.masses:
            columns = sinks.nonzero()[:, 0]
            kinds = self.modalities.to(lse.device)[:, columns].T
            seen = mask.block(torch.arange(self.length, device=lse.device), columns).float() @ kinds
            self._put_masses(call, index, mask, rows.masses, sampled.masses, to_sinks @ kinds, seen, lse, groups)
        if self.plan.stats:
            if entropy is None or STATS not in self.plan.exhaustive:
                entropy = torch.full_like(lse, torch.nan)
            entropy[:, probes], entropy[:, sample] = rows.entropy, sampled.entropy
            self.datasets.put("stats/entropy", call.layer, entropy)
            self.datasets.put("stats/lse", call.layer, lse)
            self.datasets.put("stats/sink_mass", call.layer, to_sinks.sum(-1))
            self.datasets.put("stats/max", call.layer, rows.max)
            self.datasets.put("stats/allowed", call.layer, self._available(call, mask).keys)

    def _put_masses(
        self,
        call: AttentionCall,
        index: Tensor,
        mask: SampleMask,
        dense: Tensor,
        sampled: Tensor,
        to_sinks: Tensor,
        seen: Tensor,
        lse: Tensor,
        groups: Tensor | None,
    ) -> None:
        """Write the masses of all queries by group, and of the probes one by one.

        Args:
            call: The layer's call.
            index: [N] places of the sample's tokens on the padded axis.
            mask: The sample's mask.
            dense: [H, R, S] masses of the probes.
            sampled: [H, n, S] masses of the sample.
            to_sinks: [H, N, kinds] masses of all queries on sinks.
            seen: [N, kinds] sinks that a query may see.
            lse: [H, N] log-sum-exp of all queries.
            groups: [H, N, C] what channels have read, or None.
        """
        layer, device, flow = call.layer, dense.device, self.flow
        member, size, probes = flow.member.to(device), flow.size.to(device), flow.probes.to(device)
        available = self._available(call, mask)
        visual, derived = flow.of_visual_queries(call, self.sample, index, lse, mask, groups)
        self.checks.compare_masses(derived, sampled, flow.sampled, self.keys, call.sink_logits, lse[:, flow.sample])
        found = flow.measured(by_group(member[:, probes], dense) + visual, sampled)
        sinks = by_group(member / size.clamp(min=1)[:, None], to_sinks)
        mean = torch.cat([found.flow, sinks.masked_fill((size == 0)[:, None], torch.nan)], -1)
        self.datasets.put("masses/flow", layer, mean)
        if len(flow.sampled):
            exact = torch.zeros_like(sinks).masked_fill((size == 0)[:, None], torch.nan)
            self.datasets.put("masses/flow_error", layer, torch.cat([found.error, exact], -1))
        pairs = torch.cat([available.pairs, (member.double() @ seen.double()).long()], 1)
        self.datasets.put("masses/flow_pairs", layer, pairs)
        self.datasets.put("masses/rows", layer, torch.cat([dense, to_sinks[:, probes]], -1))
        self.datasets.put("masses/rows_allowed", layer, torch.cat([available.to_probes, seen[probes].long()], 1).int())


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
        self._silent = False  # whether a kernel has kept its log-sum-exp to itself

    def channels(self, call: AttentionCall) -> Tensor | None:
        """Groups that need a channel, anchors where the kernel keeps the log-sum-exp to itself, keys for entropy."""
        if call.is_decode or not self.samples[0].wants_queries:
            return None
        columns = [recorder.channels(call, self._asks_anchors(call)) for recorder in self.samples]
        width = max(c.shape[1] for c in columns)
        groups = torch.zeros(len(columns), 1, call.key.shape[2], width, device=call.key.device)
        for row, block in enumerate(columns):
            groups[row, 0, :, width - block.shape[1] :] = block
        groups = groups.to(call.key.dtype).expand(-1, call.key.shape[1], -1, -1)
        if self._reads_keys(call):
            return torch.cat([groups, call.key], -1)
        return groups if width else None

    def _asks_anchors(self, call: AttentionCall) -> bool:
        return call.softcap is None and (call.backend not in BACKENDS or self._silent)

    def _reads_keys(self, call: AttentionCall) -> bool:
        return STATS in self.samples[0].plan.exhaustive and call.softcap is None

    def read(self, call: AttentionCall, readings: Tensor | None) -> None:
        """Hand each sample its part of the readings."""
        length = call.query.shape[2]
        if length != (1 if call.is_decode else self.padded):
            raise ModelError(
                f"layer {call.layer}: the model was run on {length} tokens at a time instead of the whole prompt of"
                f" {self.padded} and then one by one; its attention cannot be recorded"
            )
        anchors = self._asks_anchors(call)
        for recorder in self.samples:
            if call.is_decode:
                recorder.generated.record(call, self.padded, recorder.sinks.get(call.layer))
                continue
            groups = anchor_mass = mean_key = None
            if readings is not None:
                index = recorder.index.to(readings.device)
                own = readings[recorder.sample, index].transpose(0, 1).float()  # [H, N, C]
                width = own.shape[-1] - (call.key.shape[-1] if self._reads_keys(call) else 0)
                mean_key = own[..., width:] if self._reads_keys(call) else None
                anchor_mass = own[..., width - 1] / ANCHOR_GAIN if anchors else None
                end = width - anchors
                count = len(recorder.flow.channelled) if recorder.plan.masses else 0
                groups = own[..., end - count : end] if count else None
            recorder.prefill(call, groups, anchor_mass, mean_key)
        if not call.is_decode:
            self._silent |= call.lse is None
            if self.on_layer is not None:
                self.on_layer(call.layer)

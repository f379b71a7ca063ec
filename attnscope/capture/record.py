"""The reader that turns attention calls into a capture's arrays, layer by layer, as they leave the forward."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from attnscope.attention import AttentionCall, allowed_pairs, dense_rows
from attnscope.capture import sample as reading
from attnscope.capture.groups import KeyGroups, QueryGroups
from attnscope.capture.masks import SampleMask, classify
from attnscope.capture.plan import Plan
from attnscope.capture.stage import Checks, Stage

_TAIL_BYTES = 64 * 2**20


class SampleRecorder:
    """Records one sample of a batch.

    Args:
        sample: Index in the batch.
        index: [N] places of its tokens on the padded axis of the prefill.
        keys: Its key groups.
        queries: Its query groups.
        plan: What to record; `plan.layers` holds numbers.
        stage: Where the arrays go.
    """

    def __init__(
        self, sample: int, index: Tensor, keys: KeyGroups, queries: QueryGroups, plan: Plan, stage: Stage
    ) -> None:
        self.sample, self.index, self.keys, self.queries, self.plan, self.stage = (
            sample,
            index,
            keys,
            queries,
            plan,
            stage,
        )
        self.length = len(index)
        self.probes = torch.from_numpy(
            np.flatnonzero(~keys.member[0])
        )  # family modality comes first, visual first in it
        self.static = torch.from_numpy(keys.member[~keys.is_sink].astype(np.float32))
        self.modalities = torch.from_numpy(keys.member[keys.is_sink].astype(np.float32))
        weights = queries.member / queries.member.sum(1, keepdims=True)
        self.weights = torch.from_numpy(weights[:, self.probes.numpy()].astype(np.float32))
        self.masks: dict[tuple[int, int | None, bool], tuple[Any, SampleMask, Tensor]] = {}
        self.layer_masks: dict[int, SampleMask] = {}
        self.sinks: dict[int, Tensor] = {}
        self.calls: dict[int, AttentionCall] = {}
        self.steps: dict[int, int] = defaultdict(int)
        self.tail: dict[tuple[str, int], list[npt.NDArray[Any]]] = defaultdict(list)
        self.tail_bytes = 0
        self.explicit_rows: dict[int, list[npt.NDArray[np.bool_]]] = defaultdict(list)
        self.checks = Checks()

    @property
    def wants_channels(self) -> bool:
        """Whether the plan asks for something about all queries."""
        return self.plan.masses or self.plan.stats

    def channels(self, call: AttentionCall, mask: SampleMask) -> Tensor:
        """[Nk, groups + 1] value columns on the padded axis: key groups and the anchor keys."""
        columns = torch.zeros(call.key.shape[2], len(self.static) + 1, device=call.key.device)
        index = self.index.to(columns.device)
        columns[index, :-1] = self.static.T.to(columns.device)
        anchors = mask.anchors(self.length, index.device).unique()
        columns[index[anchors], -1] = reading.ANCHOR_GAIN
        return columns

    def mask(self, call: AttentionCall) -> SampleMask:
        """The sample's mask in this layer, recognised once for each mask that the model uses."""
        key = (id(call.mask), call.window, call.causal)
        if key not in self.masks:
            mask = classify(call, self.sample, self.index.to(call.query.device))
            everything = torch.cat([self.static, torch.ones(1, self.length)]).to(call.query.device)
            self.masks[key] = (
                call.mask,
                mask,
                mask.counts(everything),
            )  # holds the mask: its id stays its own
        self.layer_masks[call.layer] = self.masks[key][1]
        return self.masks[key][1]

    def prefill(self, call: AttentionCall, group_mass: Tensor | None, mean_key: Tensor | None) -> None:
        """Record a layer's prefill.

        Args:
            call: The call, edits included.
            group_mass: [H, N, groups + 1] readings of `channels`, or None.
            mean_key: [H, N, D] attention-weighted mean key, or None.
        """
        mask, device = self.mask(call), call.query.device
        index, probes = self.index.to(device), self.probes.to(device)
        self.calls[call.layer] = without_tensors(call)
        if self.wants_channels or self.plan.maps:
            weights = self.weights.to(device)
            rows = reading.read_probes(call, self.sample, index, probes, self.static.to(device), weights, mask)
            sinks = reading.find_sinks(rows, self.plan.sink_mass, self.plan.sink_ratio)
            self.sinks[call.layer] = sinks.cpu()
            if group_mass is not None:
                self._all_queries(call, rows, sinks, group_mass, mean_key, mask)
            if self.plan.maps:
                self._put("maps/rows", call.layer, rows.maps)
        if self.plan.qk:
            self._put("qk/q", call.layer, call.query[self.sample][:, index])
            self._put("qk/k", call.layer, call.key[self.sample][:, index])
        if self.plan.full:
            for part, _, attention, _ in dense_rows(call, self.sample, index):
                start = int((index == part[0]).nonzero())
                self._put("full/attention", call.layer, attention[..., index], start)

    def _all_queries(
        self,
        call: AttentionCall,
        rows: reading.ProbeRows,
        sinks: Tensor,
        group_mass: Tensor,
        mean_key: Tensor | None,
        mask: SampleMask,
    ) -> None:
        device = call.query.device
        index, probes = self.index.to(device), self.probes.to(device)
        masses = group_mass[..., :-1]
        everyone = torch.arange(self.length, device=device)
        if mean_key is None:  # capped logits: no closed form, so densely
            lse, entropy = reading.stats_from_rows(call, self.sample, index, everyone)
        else:
            anchor = group_mass[..., -1] / reading.ANCHOR_GAIN
            lse, entropy = reading.stats_from_channels(call, self.sample, index, anchor, mean_key, mask)
            lost = lse.isnan().any(0).nonzero()[:, 0]
            if len(lost):
                lse[:, lost], entropy[:, lost] = reading.stats_from_rows(call, self.sample, index, lost)
        self.checks.compare(rows, masses, lse, probes, self.keys, call.sink_logits)
        lse[:, probes], entropy[:, probes] = rows.lse, rows.entropy
        to_sinks = reading.sink_attention(call, self.sample, index, sinks, lse, mask)
        _, _, counts = self.masks[(id(call.mask), call.window, call.causal)]
        columns = sinks.nonzero()[:, 0]
        seen_sinks = mask.block(everyone, columns).float() @ self.modalities.to(device)[:, columns].T
        allowed = torch.cat([counts[:, :-1].float(), seen_sinks], 1)
        if self.plan.masses:
            by_sink = to_sinks @ self.modalities.to(device)[:, columns].T
            everything = torch.cat([masses, by_sink], -1)
            members = self.static.to(device)
            size = members.sum(1).clamp(min=1)[:, None]
            flow = torch.einsum("sn,hng->hsg", members / size, everything)
            self._put("masses/flow", call.layer, flow.masked_fill((members.sum(1) == 0)[None, :, None], torch.nan))
            self._put("masses/flow_pairs", call.layer, (members.double() @ allowed.double()).long())
            self._put("masses/rows", call.layer, torch.cat([rows.masses, by_sink[:, probes]], -1))
            self._put("masses/rows_allowed", call.layer, allowed[probes].int())
        if self.plan.stats:
            self._put("stats/entropy", call.layer, entropy)
            self._put("stats/lse", call.layer, lse)
            self._put("stats/sink_mass", call.layer, to_sinks.sum(-1))
            self._put("stats/max", call.layer, rows.max)
            self._put("stats/allowed", call.layer, counts[:, -1].int())

    def decode(self, call: AttentionCall, padded: int) -> None:
        """Record one generated token's row, densely; `padded` is the padded length of the prefill."""
        layer, device = call.layer, call.query.device
        self.steps[layer] += 1
        total, n_keys = padded + self.steps[layer], call.key.shape[2]
        places = torch.cat([self.index, torch.arange(padded, total)])
        present = (places >= total - n_keys).nonzero()[:, 0]  # a sliding cache has dropped the oldest keys
        columns = (places[present] - (total - n_keys)).to(device)
        _, z, attention, lse = next(dense_rows(call, self.sample, torch.zeros(1, dtype=torch.long)))
        z, attention = z[:, 0, columns], attention[:, 0, columns]
        positions = self.length + self.steps[layer]
        row = torch.zeros(attention.shape[0], positions, device=device)
        row[:, present.to(device)] = attention
        seen = np.zeros(positions, dtype=bool)
        seen[present.numpy()] = self._seen(call, columns)
        self._decode_row(layer, row, lse[:, 0], -(attention * (z - lse)).sum(-1), seen)
        if self.plan.qk:
            self._tail("qk/q", layer, call.query[self.sample])
            self._tail("qk/k", layer, call.key[self.sample][:, -1:])
        if self.layer_masks[layer].kind == "explicit":
            self.explicit_rows[layer].append(seen)

    def _seen(self, call: AttentionCall, columns: Tensor) -> npt.NDArray[np.bool_]:
        allowed = allowed_pairs(call, self.sample, torch.zeros(1, dtype=torch.long))[0]
        result: npt.NDArray[np.bool_] = allowed.to(columns.device)[columns].cpu().numpy()
        return result

    def _decode_row(self, layer: int, row: Tensor, lse: Tensor, entropy: Tensor, seen: npt.NDArray[np.bool_]) -> None:
        positions = row.shape[1]
        extended = self.keys.extended(positions).astype(np.float32)
        sinks = torch.zeros(positions)
        if layer in self.sinks:
            sinks[: self.length] = self.sinks[layer].float()
        extended[self.keys.is_sink] *= sinks.numpy()
        members = torch.from_numpy(extended).to(row.device)
        if self.plan.masses:
            self._tail("masses/rows", layer, (row @ members.T)[:, None])
            self._tail("masses/rows_allowed", layer, torch.from_numpy(extended @ seen.astype(np.float32))[None].int())
        if self.plan.maps:
            self._tail("maps/rows", layer, row[:, None])
        if self.plan.full:
            self._tail("full/attention", layer, row[:, None])
        if self.plan.stats:
            self._tail("stats/entropy", layer, entropy[:, None])
            self._tail("stats/lse", layer, lse[:, None])
            self._tail("stats/sink_mass", layer, (row @ sinks.to(row.device))[:, None])
            self._tail("stats/max", layer, row.amax(-1)[:, None])
            self._tail("stats/allowed", layer, torch.tensor([int(seen.sum())], dtype=torch.int32))

    def _put(self, name: str, layer: int, values: Tensor, start: int = 0) -> None:
        self.stage.put(name, layer, to_numpy(values), start)

    def _tail(self, name: str, layer: int, values: Tensor) -> None:
        rows = to_numpy(values)
        self.tail[name, layer].append(rows)
        self.tail_bytes += rows.nbytes
        if self.tail_bytes > _TAIL_BYTES:
            self.flush_tail()

    def flush_tail(self) -> None:
        """Hand the rows of generated tokens to the writer, in blocks rather than one by one."""
        for (name, layer), rows in self.tail.items():
            self.stage.append(name, layer, rows)
        self.tail.clear()
        self.tail_bytes = 0


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
        """Key groups and anchors of every sample, then (without softcap) the keys themselves."""
        if call.is_decode or not self.samples[0].wants_channels:
            return None
        columns = [s.channels(call, s.mask(call)) for s in self.samples]
        width = max(c.shape[1] for c in columns)
        groups = torch.zeros(len(columns), 1, call.key.shape[2], width, device=call.key.device)
        for row, block in enumerate(columns):
            groups[row, 0, :, width - block.shape[1] :] = block
        groups = groups.to(call.key.dtype).expand(-1, call.key.shape[1], -1, -1)
        return groups if call.softcap is not None else torch.cat([groups, call.key], -1)

    def read(self, call: AttentionCall, readings: Tensor | None) -> None:
        """Hand each sample its part of the readings."""
        for recorder in self.samples:
            if call.is_decode:
                recorder.decode(call, self.padded)
                continue
            group_mass = mean_key = None
            if readings is not None:
                index = recorder.index.to(readings.device)
                own = readings[recorder.sample, index].transpose(0, 1).float()  # [H, N, C]
                width = own.shape[-1] - (0 if call.softcap is not None else call.key.shape[-1])
                group_mass = own[..., width - len(recorder.static) - 1 : width]
                mean_key = None if call.softcap is not None else own[..., width:]
            recorder.prefill(call, group_mass, mean_key)
        if self.on_layer is not None and not call.is_decode:
            self.on_layer(call.layer)


def without_tensors(call: AttentionCall) -> AttentionCall:
    """The call's settings, without holding on to its queries, keys and values."""
    empty = call.query.new_empty(0)
    return replace(call, query=empty, key=empty, value=empty, mask=None)


def to_numpy(values: Tensor) -> npt.NDArray[Any]:
    """An array on the CPU, sharing memory if the tensor lies there; bfloat16 as the uint16 of its bits."""
    values = values.detach()
    if values.dtype == torch.bfloat16:
        values = values.contiguous().view(torch.uint16)
    array: npt.NDArray[Any] = values.cpu().numpy()
    return array

"""Where a recorder's arrays go: the datasets of docs/format.md, sized for the longest answer, trimmed at the end."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from attnscope.attention import AttentionCall
from attnscope.attention.blocks import taken
from attnscope.attention.masks import SampleMask
from attnscope.capture.file import encode
from attnscope.capture.file.specification import Rule, rule_of
from attnscope.capture.file.writer import CaptureWriter
from attnscope.capture.record.groups import KeyGroups
from attnscope.vocabulary import hidden_groups, media

_TAIL_BYTES = 64 * 2**20


@dataclass
class Datasets:
    """Maps a recorder's blocks onto the file.

    Attributes:
        writer: The capture being written.
        layers: Numbers of the recorded layers.
        heads: Query heads of each recorded layer; the largest sizes the arrays, missing heads stay NaN.
        prompt: Number of prompt tokens.
        spare: Most generated positions.
        maps_dtype: Stored type of maps.
    """

    writer: CaptureWriter
    layers: Sequence[int]
    heads: int
    prompt: int
    spare: int
    maps_dtype: str = "float32"
    _written: dict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))
    _made: dict[str, tuple[int, ...]] = field(default_factory=dict)
    _tail: dict[tuple[str, int], list[npt.NDArray[Any]]] = field(default_factory=lambda: defaultdict(list))
    _tail_bytes: int = 0

    def put(self, name: str, layer: int, block: Tensor, start: int = 0) -> None:
        """Write rows of one layer, from `start` along the row axis.

        Args:
            name: Dataset, such as "masses/rows"; "qk/q" and "qk/k" go to the layer's own group.
            layer: Number of the layer; of states, any other number is the end of the stream.
            block: Without the layer dimension; must not be changed afterwards.
            start: First row.
        """
        self._put(name, layer, to_numpy(block), start)

    def append(self, name: str, layer: int, row: Tensor) -> None:
        """Keep the row of a generated token until there are enough to write after what is there.

        Args:
            name: Dataset.
            layer: Number of the layer.
            row: One row; along the last dimension it may be shorter than the dataset.
        """
        self._tail[name, layer].append(to_numpy(row.clone()))  # a view would hold on to the whole key cache
        self._tail_bytes += self._tail[name, layer][-1].nbytes
        if self._tail_bytes > _TAIL_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write the rows that wait."""
        for (name, layer), rows in self._tail.items():
            axis = _axis(_rule(name)) or 0
            width = max(row.shape[-1] for row in rows)
            if rows[0].ndim > 1:
                rows = [np.pad(row, [(0, 0)] * (row.ndim - 1) + [(0, width - row.shape[-1])]) for row in rows]
            self._put(name, layer, np.concatenate(rows, axis), self._written[name, layer])
        self._tail.clear()
        self._tail_bytes = 0

    def _put(self, name: str, layer: int, block: npt.NDArray[Any], start: int) -> None:
        if name.startswith("qk/"):
            self._put_qk(name, layer, block, start)
            return
        rule = _rule(name)
        axis = _axis(rule)
        self._make(name, rule, block)
        end = rule.dims[0] == "state" and layer not in self.layers
        where: list[Any] = [len(self.layers) if end else self.layers.index(layer), *(slice(0, n) for n in block.shape)]
        if axis is not None:
            where[axis + 1] = slice(start, start + block.shape[axis])
            self._written[name, layer] = max(self._written[name, layer], start + block.shape[axis])
        self.writer.put(name, tuple(where), block)

    def _make(self, name: str, rule: Rule, block: npt.NDArray[Any]) -> None:
        if name in self._made:
            return
        dims, axis = rule.dims, _axis(rule)
        shape = [len(self.layers) + (dims[0] == "state"), *block.shape]
        if "head" in dims:
            shape[1] = self.heads
        if axis is not None:
            rows = self.prompt if name == "full/attention" else block.shape[axis]
            shape[axis + 1] = rows + self.spare
        if dims[-1] == "key":
            shape[-1] = self.prompt + self.spare
        dtype = self.maps_dtype if name == "maps/rows" else rule.dtypes[0]
        fill = 0.0 if dims[-1] == "key" or dtype.startswith("int") else np.nan
        self.writer.create(name, shape, dtype, dims, rule.unit, fill)
        self._made[name] = tuple(shape)

    def _put_qk(self, name: str, layer: int, block: npt.NDArray[Any], start: int) -> None:
        heads, rows, width = block.shape
        path = f"qk/{layer}/{name[3:]}"
        if path not in self._made:
            self._made[path] = (heads, self.prompt + self.spare, width)
            self.writer.create(path, self._made[path], block.dtype, _rule(path).dims)
        self._written[name, layer] = start + rows
        self.writer.put(path, (slice(0, heads), slice(start, start + rows), slice(0, width)), block)

    def trim(self, file: h5py.File, probes: int, positions: int) -> None:
        """Cut what was reserved for tokens that were not generated.

        Args:
            file: The capture.
            probes: Number of prompt probes.
            positions: Number of positions of the capture.
        """
        extra = positions - self.prompt
        for name in self._made:
            dataset = file[name]
            shape = list(dataset.shape)
            for axis, dim in enumerate(_rule(name).dims):
                if dim in ("query", "key"):
                    shape[axis] = positions
                elif dim == "probe":
                    shape[axis] = probes + extra
                elif dim == "query_group" and name == "maps/rows":
                    shape[axis] = dataset.shape[axis] - self.spare + extra
            dataset.resize(tuple(shape))


def _rule(name: str) -> Rule:
    """The specification of a dataset; "qk/q" stands for that of any layer."""
    return rule_of(f"/{name}".replace("/qk/q", "/qk/0/q").replace("/qk/k", "/qk/0/k"))


def _axis(rule: Rule) -> int | None:
    """The axis of one layer's block along which generated tokens add rows, None if they add none."""
    dims = rule.dims[1:] if rule.dims[0] in ("layer", "state") else rule.dims
    return dims.index(rule.grows) if rule.grows else None


def finish_qk(file: h5py.File, layer: int, scale: float, softcap: float | None, dtype: torch.dtype) -> None:
    """Write the attributes that a reader needs to recompute a layer's attention."""
    encode.set_attributes(
        file[f"qk/{layer}"],
        scale=scale,
        softcap=np.nan if softcap is None else softcap,
        logical_dtype=str(dtype).removeprefix("torch."),
    )


def finish_hidden(file: h5py.File, keys: KeyGroups, width: int) -> None:
    """Write what a reader needs to understand the summed-up hidden states."""
    encode.set_attributes(file["hidden"], width=width)
    encode.write(file, "/hidden/group", hidden_groups(keys.modalities))


def to_numpy(values: Tensor) -> npt.NDArray[Any]:
    """An array on the CPU, sharing memory if the tensor lies there; bfloat16 as the uint16 of its bits."""
    values = values.detach()
    if values.dtype == torch.bfloat16:
        values = values.contiguous().view(torch.uint16)
    array: npt.NDArray[Any] = values.cpu().numpy()
    return array


@dataclass
class Checks:
    """What the readings say about themselves and the deployed kernel; the largest deviation over layers and heads.

    None where there was nothing to compare.
    """

    conservation: float | None = None
    masses: float | None = None
    kernel_lse: float | None = None
    kernel_output: float | None = None
    norm: float = 0.0

    def compare_lse(self, kernel: Tensor, dense: Tensor) -> None:
        """Compare the kernel's log-sum-exp with that of dense rows, both [H, R]."""
        if dense.numel():
            self.kernel_lse = _larger(self.kernel_lse, kernel - dense)

    def compare_output(
        self, call: AttentionCall, sample: int, index: Tensor, rows: Tensor, attention: Tensor, mask: SampleMask
    ) -> None:
        """Compare what the kernel gave for some rows with dense attention times the values, by the largest value.

        Args:
            call: The call, after it has run.
            sample: Index in the batch.
            index: [N] places of the sample's tokens on the padded axis.
            rows: [T] positions.
            attention: [H, T, N] their dense rows.
            mask: The sample's mask: the largest value is that of the keys that a row sees.
        """
        if call.output is None or not len(rows):
            return
        value = taken(call.value[sample], index).float()  # [Hkv, N, D]
        dense = (attention.reshape(len(value), -1, len(index)) @ value).view(*attention.shape[:2], -1)
        seen = mask.block(rows, torch.arange(len(index), device=rows.device))
        largest = (torch.linalg.vector_norm(value, torch.inf, -1)[:, None] * seen).amax(-1).clamp(min=1e-30)
        largest = largest.repeat_interleave(len(dense) // len(value), 0)[..., None]
        given = call.output[sample, index[rows]].transpose(0, 1).float()
        self.kernel_output = _larger(self.kernel_output, (dense - given) / largest)

    def compare_masses(
        self,
        derived: Tensor,
        dense: Tensor,
        unknown: Tensor,
        keys: KeyGroups,
        sink_logits: Tensor | None,
        lse: Tensor,
    ) -> None:
        """Compare masses that follow from the kernel with those of dense rows, and add up both kinds.

        Args:
            derived: [H, n, G] masses of visual queries from the kernel's log-sum-exp, its channels and what is left
                of 1.
            dense: [H, n, G] of the same queries, read densely.
            unknown: Groups of which `derived` says nothing.
            keys: The key groups.
            sink_logits: [H] or None.
            lse: [H, n] of these queries.
        """
        if not dense.numel():
            return
        apart = (derived - dense).abs()
        apart[..., unknown] = 0
        self.masses = _larger(self.masses, apart)
        names = list(keys.modalities)  # the first groups
        seen = [names.index(name) for name in media(names)]
        others = [i for i in range(len(names)) if i not in seen]
        total = dense[..., seen].sum(-1) + derived[..., others].sum(-1)
        if sink_logits is not None:
            total = total + torch.exp(sink_logits.float()[:, None] - lse)
        self.conservation = _larger(self.conservation, total - 1)


def _larger(known: float | None, differences: Tensor) -> float:
    """The largest difference so far; infinite if one is not a number, so that no check passes by it."""
    largest = float(differences.abs().max())
    return max(known or 0.0, largest) if math.isfinite(largest) else math.inf

"""Where a recorder's arrays go: the datasets of docs/format.md, sized for the longest answer, trimmed at the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from attnscope.capture.file import encode
from attnscope.capture.file.specification import Rule, rule_of
from attnscope.capture.file.writer import CaptureWriter
from attnscope.capture.record.groups import KeyGroups
from attnscope.capture.record.rows import ProbeRows
from attnscope.vocabulary import MODALITY, hidden_groups

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
    """What the readings of the deployed kernel say about themselves; the largest deviation over layers and heads."""

    conservation: float = 0.0
    kernel_mass: float = 0.0
    kernel_lse: float = 0.0
    norm: float = 0.0

    def compare(
        self,
        rows: ProbeRows,
        masses: Tensor,
        lse: Tensor,
        probes: Tensor,
        keys: KeyGroups,
        sink_logits: Tensor | None,
    ) -> None:
        """Compare the kernel's value channels with the dense rows, and masses with 1.

        Args:
            rows: Dense readings of the probes.
            masses: [H, N, G] channel readings.
            lse: [H, N] from channels.
            probes: [R] positions.
            keys: The key groups.
            sink_logits: [H] or None.
        """
        partition = [i for i, family in enumerate(keys.families) if family == MODALITY]
        total = masses[..., partition].sum(-1)
        if sink_logits is not None:
            total = total + torch.exp(sink_logits.float()[:, None] - lse)
        self.conservation = max(self.conservation, float((total - 1).abs().max()))
        self.kernel_mass = max(self.kernel_mass, float((masses[:, probes] - rows.masses).abs().max()))
        self.kernel_lse = max(self.kernel_lse, float((lse[:, probes] - rows.lse).abs().max()))

"""The attention of looks: a head, the mean of a layer's heads, or the mean of all; equal wherever it is asked for.

Maps are lifts, the attention of a group of queries on a cell over what uniform attention would give, exactly
`attnscope.metrics.people.cells.cell_lift`. Masses are shares of a word's attention. Rows are lifts of single words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attnscope.metrics.people.cells import Uniform
from attnscope.metrics.scan import Scan
from attnscope.report.viewer.captures import KeySet, keys, queries

if TYPE_CHECKING:
    from attnscope.capture import Capture
    from attnscope.report.viewer.shown import Shown

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Look:
    """A head, or means: of a layer's heads (head None), of all recorded layers and heads (both None).

    Attributes:
        layer: Number of the layer in the model.
        head: Number of the head.
    """

    layer: int | None = None
    head: int | None = None

    def entry(self) -> dict[str, int | None]:
        """A `Look` of viewer/src/document.ts."""
        return {"layer": self.layer, "head": self.head}


MEAN = Look()


class Attention:
    """The attention of a capture in the places of its stage.

    Args:
        shown: The capture.
        names: Groups of queries whose maps are asked for, [G]; by default all.
        sets: Sets of keys on which masses are asked for, [K]; by default all that are shown.
    """

    def __init__(self, shown: Shown, names: Sequence[str] | None = None, sets: Sequence[KeySet] | None = None) -> None:
        self.shown, self.cap = shown, shown.cap
        known = self.cap.query_groups["name"].tolist() if self.cap.has("maps") else []
        self.names = known if names is None else [name for name in known if name in set(names)]
        self.sets = (keys(self.cap) if self.cap.has("masses") else []) if sets is None else list(sets)
        self._uniform = Uniform(self.cap, self.names)
        self._shares: dict[object, NDArray[np.float64]] = {}

    # ---- maps

    def maps(self, look: Look) -> Floats:
        """Lift of every group on every cell, [G, T]; NaN where no layer of the look lets the group see the cell.

        Raises:
            RequestError: If the capture has no such layer or head.
            FormatError: If it has no maps.
        """
        numbers = self._numbers(look)
        total = np.zeros((len(self.names), len(self.shown.cells)))
        seen = np.zeros(total.shape, bool)
        for number in numbers:
            total += self._of_layer(number, self._read(number, look.head))[0 if look.head is not None else -1]
            seen |= self._seen(number)
        return np.where(seen, total / len(numbers), np.nan).astype(np.float32)

    def scan(self, looks: Sequence[Look]) -> Scan[Floats]:
        """The maps of many looks in one pass, [V, G, T]."""
        out = np.full((len(looks), len(self.names), len(self.shown.cells)), np.nan, dtype=np.float32)
        total, ever = np.zeros(out.shape[1:]), np.zeros(out.shape[1:], bool)
        layers = self.cap.layers.tolist()

        def take(row: int, maps: NDArray[np.float32]) -> None:
            own = [(v, look) for v, look in enumerate(looks) if look.layer == layers[row]]
            some = sorted({look.head for _, look in own if look.head is not None})
            lifts = self._of_layer(layers[row], maps, some)
            seen = self._seen(layers[row])
            np.add(total, lifts[-1], out=total)
            np.logical_or(ever, seen, out=ever)
            for v, look in own:
                out[v] = np.where(seen, lifts[-1 if look.head is None else some.index(look.head)], np.nan)

        def result() -> Floats:
            for v, look in enumerate(looks):
                if look.layer is None:
                    out[v] = np.where(ever, total / len(layers), np.nan)
            return out

        return Scan(self.names, take, result)

    def _read(self, number: int, head: int | None) -> NDArray[np.float32]:
        maps = np.asarray(self.cap.maps(layer=number, head=head, group=self.names).values, np.float32)
        return maps if head is None else maps[None]

    def _seen(self, number: int) -> NDArray[np.bool_]:
        """Cells that some query of each group may see in a layer, [G, T]."""
        return self._uniform.seen(number)[:, self.shown.cells]

    def _of_layer(self, number: int, maps: NDArray[np.float32], heads: Sequence[int] | None = None) -> NDArray[Any]:
        """Lifts of some heads of [H, G, P] on the cells, and last those of the mean, [heads + 1, G, T], in float64."""
        even = self._uniform.of(number)[:, None]
        some = range(len(maps)) if heads is None else heads
        out = np.empty((len(some) + 1, len(self.names), len(self.shown.cells)))
        for row, head in enumerate(some):
            np.divide(maps[head][:, self.shown.cells], even, out=out[row])
        np.divide(maps.mean(0, dtype=np.float64)[:, self.shown.cells], even, out=out[-1])
        return out

    # ---- masses of single words

    @cached_property
    def queries(self) -> NDArray[np.int64]:
        """Positions of the words whose masses are known, [Q]; none without masses."""
        return queries(self.cap) if self.cap.has("masses") else np.zeros(0, np.int64)

    def masses(self, look: Look) -> Floats:
        """Share of the attention of each word on each set of keys, [Q, K].

        Raises:
            RequestError: If the capture has no such layer or head.
            FormatError: If it has no masses.
        """
        numbers = self._numbers(look)
        total = np.zeros((len(self.queries), len(self.sets)))
        for number in numbers:
            own = self._masses(number)
            total += own[look.head] if look.head is not None else own.mean(0, dtype=np.float64)
        return (total / len(numbers)).astype(np.float32)

    def all_masses(self, looks: Sequence[Look]) -> Floats:
        """The masses of many looks, [V, Q, K]; each layer is read once."""
        out = np.full((len(looks), len(self.queries), len(self.sets)), np.nan, dtype=np.float32)
        total = np.zeros(out.shape[1:])
        for number in self.cap.layers.tolist() if self.sets else ():
            own = self._masses(number)
            mean = own.mean(0, dtype=np.float64)
            total += mean
            for v, look in enumerate(looks):
                if look.layer == number:
                    out[v] = mean if look.head is None else own[look.head]
        for v, look in enumerate(looks):
            if look.layer is None:
                out[v] = total / len(self.cap.layers)
        return out

    def uniform(self, look: Look) -> Floats:
        """What uniform attention would put on each set of keys, [Q, K]: its share of the keys that a word may see."""
        numbers = self._numbers(look)
        return (sum(map(self._share, numbers), np.zeros(())) / len(numbers)).astype(np.float32)

    @cached_property
    def alike(self) -> bool:
        """Whether `uniform` is the same for every look."""
        masks = [self.cap.mask(number) for number in self.cap.layers.tolist()]
        return all(mask == masks[0] for mask in masks)

    def _masses(self, number: int) -> NDArray[np.float32]:
        rows = [one.row for one in self.sets]
        return np.asarray(self.cap.masses(layer=number).values, np.float32)[..., rows]  # [H, Q, K]

    def _share(self, number: int) -> NDArray[np.float64]:
        mask = self.cap.mask(number)
        if mask not in self._shares:  # most models have one in all layers
            counts = np.asarray(self.cap.masses_allowed(layer=number).values, np.float64)  # [Q, all groups]
            everything = counts[:, (self.cap.key_groups["family"] == "modality").to_numpy()].sum(1, keepdims=True)
            self._shares[mask] = counts[:, [one.row for one in self.sets]] / everything
        return self._shares[mask]

    # ---- rows of single words

    def rows(self, look: Look, positions: NDArray[np.int64]) -> Floats:
        """Lift of single words on every cell, [Q, T]; NaN where no layer of the look lets the word see the cell.

        Raises:
            RequestError: If the capture has no such layer, head or position.
            FormatError: If it has neither queries and keys nor the attention itself.
        """
        numbers = self._numbers(look)
        total, seen = np.zeros((len(positions), len(self.shown.cells))), np.zeros(len(self.shown.cells), bool)
        for number in numbers:
            own = self._rows(number, look.head, positions)
            seen = seen | np.isfinite(own)
            total += np.nan_to_num(own)
        return np.where(seen, total / len(numbers), np.nan).astype(np.float32)

    def _rows(self, number: int, head: int | None, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        allowed = self.cap.allowed(number, positions)
        heads = range(self.cap.heads) if head is None else [head]
        total = np.zeros((len(positions), len(self.shown.cells)))
        for own in heads:  # one after the other: all at once would take much memory
            total += self.cap.attention(layer=number, head=own, queries=positions, keys=self.shown.cells)
        seen = allowed.sum(1)[:, None]
        return np.where(allowed[:, self.shown.cells], total / len(heads) * seen, np.nan)

    def _numbers(self, look: Look) -> list[int]:
        return self.cap.layers.tolist() if look.layer is None else [look.layer]


def all_looks(cap: Capture) -> list[Look]:
    """Every look of a capture: the mean of all, of each layer, and each head."""
    layers = cap.layers.tolist()
    return [MEAN, *(Look(n) for n in layers), *(Look(n, h) for n in layers for h in range(cap.heads))]

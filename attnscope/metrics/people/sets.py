"""Many ways in which the cells of speakers may lie, and the attention on them: arrays in, arrays out.

Boxes that are disturbed, or shifted in time, mostly cover the same cells in a temporal unit. So the distinct sets of
cells are found first, each is measured once, and its numbers stand for every way that has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from attnscope.metrics.people.density import Turns, Units, unit_counts

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Boxes:
    """The distinct sets of cells that one speaker has in one temporal unit, over D ways in which cells may lie.

    Attributes:
        unit: The unit.
        speaker: The speaker.
        tokens: Positions of the U tokens that some set holds.
        sets: Which of them each of the K sets holds, [K, U].
        which: The set of each way, [D].
    """

    unit: int
    speaker: int
    tokens: Ints
    sets: Bools
    which: Ints


@dataclass(frozen=True)
class OnCells:
    """Attention of T turns on the cells of S speakers in F units, in D ways.

    Attributes:
        masses: Sums over the cells, head by head, [F, S, D, H, T].
        peaks: The highest on the cells, likewise; 0 where a speaker has no cell.
        mean_mass, top_mass: Mean and highest of the masses over heads, [F, S, D, T].
        mean_peak, top_peak: The same of the peaks.
    """

    masses: Floats
    peaks: Floats
    mean_mass: Floats
    top_mass: Floats
    mean_peak: Floats
    top_peak: Floats

    @classmethod
    def of(cls, masses: Floats, peaks: Floats) -> OnCells:
        """From numbers of every head."""
        return cls(masses, peaks, masses.mean(3), masses.max(3), peaks.mean(3), peaks.max(3))


class Ways:
    """D ways in which the cells of S speakers may lie in F temporal units.

    Args:
        units: The units.
        cells: The cells, [D, S, P].

    Attributes:
        units: The units.
        cells: The cells.
        counts: Cells of each speaker in each unit, [D, F, S].
    """

    def __init__(self, units: Units, cells: Bools) -> None:
        self.units, self.cells = units, cells
        self.counts = unit_counts(units, cells)
        self._last: tuple[NDArray[np.float32], list[Floats]] | None = None

    def __len__(self) -> int:
        """D."""
        return len(self.cells)

    @cached_property
    def boxes(self) -> list[Boxes]:
        """The distinct sets of every speaker in every unit."""
        out = []
        for unit, tokens in enumerate(self.units.tokens):
            for speaker in range(self.cells.shape[1]):
                own = self.cells[:, speaker, tokens]
                held = own.any(0)
                sets, which = np.unique(own[:, held], axis=0, return_inverse=True)
                out.append(Boxes(unit, speaker, tokens[held], sets, which.reshape(-1)))
        return out

    def masses(self, maps: NDArray[np.float32]) -> Floats:
        """Sums of maps [H, T, P] over the cells, [F, S, D, H, T].

        What was asked last is remembered, for others who ask about the same maps.
        """
        return self._spread(self._sums(maps), maps)

    def on_cells(self, maps: NDArray[np.float32]) -> OnCells:
        """Sums of maps [H, T, P] over the cells, and the highest there."""
        heads, turns, _ = maps.shape
        sums = self._sums(maps)
        tops = [np.stack([own[held].max(0, initial=0) for held in box.sets]) for box, own in self._on_tokens(maps)]
        means = [
            [values.reshape(-1, heads, turns).mean(1, dtype=np.float64) for values in some] for some in (sums, tops)
        ]
        highest = [[values.reshape(-1, heads, turns).max(1) for values in some] for some in (sums, tops)]
        parts = (means[0], highest[0], means[1], highest[1])
        return OnCells(
            self._spread(sums, maps),
            self._spread(tops, maps),
            *(self._spread(part, maps[:1])[..., 0, :] for part in parts),
        )

    def _sums(self, maps: NDArray[np.float32]) -> list[Floats]:
        """Sums over every set of each box, [K, H * T]."""
        if self._last is None or not _same(self._last[0], maps):
            sums = [box.sets.astype(np.float64) @ own.astype(np.float64) for box, own in self._on_tokens(maps)]
            self._last = maps, sums
        return self._last[1]

    def _on_tokens(self, maps: NDArray[np.float32]) -> Iterator[tuple[Boxes, NDArray[np.float32]]]:
        """Attention on the tokens of each box, [U, H * T]."""
        rows = maps.reshape(maps.shape[0] * maps.shape[1], -1)
        for box in self.boxes:
            yield box, np.ascontiguousarray(rows[:, box.tokens].T)

    def _spread(self, values: Sequence[NDArray[np.floating]], maps: NDArray[np.float32]) -> Floats:
        """Numbers of the sets of each box [K, H * T] for every way, [F, S, D, H, T]."""
        heads, turns, _ = maps.shape
        out = np.zeros((len(self.units.times), self.cells.shape[1], len(self), heads * turns))
        for box, some in zip(self.boxes, values, strict=True):
            out[box.unit, box.speaker] = some[box.which]
        return out.reshape(*out.shape[:3], heads, turns)


def over_units(masses: Floats, turns: Turns) -> Floats:
    """Masses [F, S, D, H, T] summed over the units that count for each turn, [D, H, T, S]."""
    live = turns.live.T  # [F, T]
    total = masses.sum(0) if live.all() else np.zeros(masses.shape[1:])
    for unit in range(0 if live.all() else len(live)):
        total[..., live[unit]] += masses[unit][..., live[unit]]
    return np.moveaxis(total, 0, -1)


def over_live(peaks: Floats, turns: Turns) -> Floats:
    """Highest of [F, S, D, H, T] over the units that count for each turn, [D, H, T, S]; 0 where none does."""
    live = turns.live.T
    top = peaks.max(0, initial=0) if live.all() else np.zeros(peaks.shape[1:])
    for unit in range(0 if live.all() else len(live)):
        top[..., live[unit]] = np.maximum(top[..., live[unit]], peaks[unit][..., live[unit]])
    return np.moveaxis(top, 0, -1)


def _same(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """Whether two arrays are the same part of the same memory."""
    pointers = [array.__array_interface__["data"][0] for array in (one, other)]
    return one.shape == other.shape and one.strides == other.strides and pointers[0] == pointers[1]

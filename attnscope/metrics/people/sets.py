"""Many ways in which the cells of speakers may lie, and the attention on them: arrays in, arrays out.

Boxes that are disturbed, or shifted in time, mostly cover the same cells in a temporal unit. So the distinct sets of
cells are found first, each is measured once, and its numbers stand for every way that has it.
"""

from __future__ import annotations

from collections.abc import Callable
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
    """Attention of T turns on the cells of S speakers in F units, in D ways, head by head.

    Attributes:
        masses: Sums over the cells, [F, S, D, H, T].
        peaks: The highest, likewise; 0 where a speaker has no cell.
    """

    masses: Floats
    peaks: Floats

    @cached_property
    def mean_mass(self) -> Floats:
        """Mean of the masses over heads, [F, S, D, T]."""
        return np.asarray(self.masses.mean(3))

    @cached_property
    def top_mass(self) -> Floats:
        """Highest of the masses, [F, S, D, T]."""
        return np.asarray(self.masses.max(3))

    @cached_property
    def mean_peak(self) -> Floats:
        """Mean of the peaks over heads, [F, S, D, T]."""
        return np.asarray(self.peaks.mean(3))

    @cached_property
    def top_peak(self) -> Floats:
        """Highest of the peaks, [F, S, D, T]."""
        return np.asarray(self.peaks.max(3))


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
        self._last: tuple[NDArray[np.float32], Floats] | None = None

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
        if self._last is None or not _same(self._last[0], maps):
            self._last = maps, self._gathered(maps, lambda box, own: box.sets.astype(np.float64) @ own)
        return self._last[1]

    def on_cells(self, maps: NDArray[np.float32]) -> OnCells:
        """Sums of maps [H, T, P] over the cells, and the highest there."""
        peaks = self._gathered(maps, lambda box, own: np.stack([own[held].max(0, initial=0) for held in box.sets]))
        return OnCells(self.masses(maps), peaks)

    def _gathered(self, maps: NDArray[np.float32], measure: Callable[[Boxes, Floats], Floats]) -> Floats:
        """Numbers of the sets of each box [K, H * T], from the attention on its tokens [U, H * T], for every way."""
        heads, turns, _ = maps.shape
        rows = maps.reshape(heads * turns, -1)
        out = np.zeros((len(self.units.times), self.cells.shape[1], len(self), heads * turns))
        for box in self.boxes:
            own = rows[:, box.tokens].T.astype(np.float64, order="C")
            out[box.unit, box.speaker] = measure(box, own)[box.which]
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

"""Densities of turns on speakers in every layer and head, read in one pass, and the numbers made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attnscope.metrics.people.density import (
    FRAME_CHOICES,
    FrameChoice,
    Turns,
    over_units,
    seen_cells,
    turn_maps,
    unit_counts,
    unit_masses,
    unit_weights,
    units_of,
)
from attnscope.metrics.people.matrix import lifts, matrices, onehot, own_share, scores
from attnscope.metrics.tables import ALL, Part, Places, divide, with_head_mean

if TYPE_CHECKING:
    from attnscope.capture import Capture


@dataclass(frozen=True)
class Densities:
    """Densities at one choice of frames, for D ways in which the speakers' cells may lie.

    Attributes:
        frames: The choice.
        times: Times of the temporal units, seconds, [F].
        counts: Cells of each speaker in each unit, [D, F, S].
        turns: The turns in each way, [D].
        places: The X places.
        values: Densities of turns on speakers, [D, L, H, T, S].
        over_time: Own speaker's share by unit, for the first ways, [N, X, F].
    """

    frames: FrameChoice
    times: NDArray[np.float64]
    counts: NDArray[np.int64]
    turns: list[Turns]
    places: Places
    values: NDArray[np.float64]
    over_time: NDArray[np.float64]

    def flat(self, way: int) -> NDArray[np.float64]:
        """Densities of one way at all places, [X, T, S]."""
        return self.places.with_means(self.values[way])

    def lifts(self) -> NDArray[np.float64]:
        """Lift of speaker consistency in every way, [D, X]."""
        return np.stack([lifts(self.flat(way), turns, turns.labels[None])[0] for way, turns in enumerate(self.turns)])

    def parts(self, way: int) -> list[Part]:
        """Density matrix, score, chance level and lift, share by turn, and (of the first N ways) by unit."""
        turns, flat = self.turns[way], self.flat(way)
        m = matrices(flat, turns)  # [X, S, S]
        score, chance, rows = scores(m)
        tokens = onehot(turns, turns.labels[None])[0] @ (turns.cells > 0)  # [S, S]
        out = [self.part("speaker_density", m, tokens, speaker=turns.speakers, target=turns.speakers)]
        for name, value in (("", score), ("_chance", chance), ("_lift", divide(score, chance))):
            out.append(self.part(f"speaker_consistency{name}", value, rows))
        share, _, _ = own_share(flat, turns)
        _, level, rivals = own_share(np.where(turns.cells > 0, 1.0, np.nan), turns)
        for name, value in (("", share), ("_chance", level[None])):
            out.append(self.part(f"own_share_turn{name}", value, rivals, turn=np.array(turns.numbers, dtype=np.int64)))
        if way < len(self.over_time):
            out += self._by_unit(way)
        return out

    def _by_unit(self, way: int) -> list[Part]:
        turns = self.turns[way]
        even = np.where(turns.live.T[..., None] & (self.counts[way] > 0)[:, None], 1.0, np.nan)  # [F, T, S]
        level, n = time_share(even, turns)
        return [
            self.part("own_share_time", self.over_time[way], n, time=self.times),
            self.part("own_share_time_chance", level[None], n, time=self.times),
        ]

    def part(self, metric: str, values: NDArray[np.float64], n: NDArray[np.int64], **keys: ArrayLike) -> Part:
        """Numbers [X, ...] at all places, or [1, ...] that are the same for every layer and head."""
        place = self.places.table if len(values) == len(self.places) else ALL
        return Part(metric, values, n, {"place": place, "frames": self.frames, **keys})


def densities(cap: Capture, cells: NDArray[np.bool_], threshold: float, *, timed: int) -> list[Densities]:
    """Read how densely each turn attends to the cells of each speaker, in one pass over the maps.

    Args:
        cap: An open capture with the `maps` reading.
        cells: D ways in which the speakers' cells may lie, [D, S, P].
        threshold: Covered fraction from which a cell counts as a speaker's.
        timed: The share by unit is read too for this number of ways, from the first.

    Returns:
        One for each choice of frames.

    Raises:
        FormatError: If the capture has no `maps` reading.
    """
    units, places = units_of(cap), Places.of(cap)
    counts = unit_counts(units, cells)  # [D, F, S]
    choices = []
    for frames in FRAME_CHOICES:
        turns = seen_cells(cap, threshold, frames)
        shape = (len(cells), len(cap.layers), cap.heads, *turns.cells.shape)
        empty = np.full(shape, np.nan), np.full((timed, len(places), len(units.times)), np.nan)
        ways = [turns.showing(c) for c in counts]
        choices.append(Densities(frames, units.times, counts, ways, places, *empty))
    cells_of = [np.stack([way.cells for way in choice.turns]) for choice in choices]  # [D, T, S]
    total = np.zeros((1, *choices[0].turns[0].live.shape, timed, cells.shape[1]))
    weights = unit_weights(units, cells)
    for row, maps in turn_maps(cap, choices[0].turns[0].groups if len(units.times) else []):
        masses = unit_masses(maps, units, weights)  # [H, T, F, D * S]
        for choice, count in zip(choices, cells_of, strict=True):
            choice.values[:, row] = divide(over_units(masses, choice.turns[0], len(cells)), count[:, None])
        by_unit = with_head_mean(masses.reshape(*masses.shape[:3], *cells.shape[:2])[..., :timed, :], 0)
        total += np.nan_to_num(by_unit[-1:])  # a share is the same of a mean as of a sum
        _fill(choices, places.of_layer(row), by_unit)
    _fill(choices, np.array([len(places) - 1]), total)
    return choices


def time_share(dense: NDArray[np.float64], turns: Turns) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Own speaker's share within units, mean over the tokens of the turns that have one.

    Args:
        dense: [..., F, T, S]; NaN where a unit does not count for a turn, or does not show a speaker.
        turns: The turns.

    Returns:
        Share and number of turns, each [..., F].
    """
    share, _, _ = own_share(dense, turns)  # [..., F, T]
    weight = np.where(np.isfinite(share), turns.tokens, 0)
    return divide((np.nan_to_num(share) * weight).sum(-1), weight.sum(-1)), (weight > 0).sum(-1)


def _fill(choices: list[Densities], rows: NDArray[np.int64], masses: NDArray[np.float64]) -> None:
    """Share by unit at some places, from masses [len(rows), T, F, N, S]."""
    for choice in choices:
        for way, kept in enumerate(choice.over_time):
            turns = choice.turns[way]
            dense = divide(masses[..., way, :], choice.counts[way]).swapaxes(1, 2)  # [R, F, T, S]
            kept[rows] = time_share(np.where(turns.live.T[..., None], dense, np.nan), turns)[0]

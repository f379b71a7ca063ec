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
    seen_cells,
)
from attnscope.metrics.people.matrix import lifts, matrices, onehot, own_share, scores
from attnscope.metrics.people.sets import Ways, over_units
from attnscope.metrics.scan import Scan
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


def densities(cap: Capture, ways: Ways, threshold: float, *, timed: int) -> Scan[list[Densities]]:
    """How densely each turn attends to the cells of each speaker, in one pass over the maps.

    Args:
        cap: An open capture with the `maps` reading.
        ways: D ways in which the speakers' cells may lie.
        threshold: Covered fraction from which a cell counts as a speaker's.
        timed: The share by unit is read too for this number of ways, from the first.

    Returns:
        One for each choice of frames.

    Raises:
        FormatError: If the capture has no `maps` reading.
    """
    times, places = ways.units.times, Places.of(cap)
    choices = []
    for frames in FRAME_CHOICES:
        turns = seen_cells(cap, threshold, frames)
        shape = (len(ways), len(cap.layers), cap.heads, *turns.cells.shape)
        empty = np.full(shape, np.nan), np.full((timed, len(places), len(times)), np.nan)
        choices.append(Densities(frames, times, ways.counts, [turns.showing(c) for c in ways.counts], places, *empty))
    cells_of = [np.stack([way.cells for way in choice.turns]) for choice in choices]  # [D, T, S]
    first = choices[0].turns[0]
    total = np.zeros((len(times), len(first.speakers), timed, 1, len(first.groups)))

    def take(row: int, maps: NDArray[np.float32]) -> None:
        masses = ways.masses(maps)  # [F, S, D, H, T]
        for choice, count in zip(choices, cells_of, strict=True):
            choice.values[:, row] = divide(over_units(masses, choice.turns[0]), count[:, None])
        if timed:
            by_unit = with_head_mean(masses[:, :, :timed], 3)
            np.add(total, np.nan_to_num(by_unit[..., -1:, :]), out=total)  # a share is the same of a mean as of a sum
            _fill(choices, places.of_layer(row), by_unit)

    def result() -> list[Densities]:
        if timed:
            _fill(choices, np.array([len(places) - 1]), total)
        return choices

    return Scan(first.groups if len(times) else [], take, result)


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
    """Share by unit at some places, from masses [F, S, N, len(rows), T]."""
    turns = choices[0].turns[0]
    counts = np.moveaxis(choices[0].counts[: masses.shape[2]], 0, -1)[..., None, None]  # [F, S, N, 1, 1]
    dense = divide(masses, counts)
    own = np.empty((len(dense), *dense.shape[2:]))  # [F, N, R, T]
    for turn, who in enumerate(turns.labels):
        own[..., turn] = dense[:, who, :, :, turn]
    seen = np.isfinite(dense)
    several = np.isfinite(own) & (seen.sum(1) >= 2)
    share = np.where(several, divide(own, np.where(seen, dense, 0.0).sum(1)), np.nan)
    for choice in choices:
        known = np.isfinite(share) & choice.turns[0].live.T[:, None, None]
        weight = np.where(known, turns.tokens, 0)
        value = divide((np.where(known, share, 0.0) * weight).sum(-1), weight.sum(-1))
        choice.over_time[:, rows] = value.transpose(1, 2, 0)

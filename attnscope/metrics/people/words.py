"""Attention of words on the cells of their own speaker and of the others: arrays in, arrays out.

A number of a turn on a speaker (mean, maximum or sum over the speaker's cells) becomes two: `matched`, that on the
turn's own speaker, and `mismatched`, the mean of those on the other visible speakers. Both are then averaged over the
words of one turn, of the turns live in one temporal unit, or of all turns. Where the highest head (and layer) counts,
it is that of each turn and speaker, taken before anything is averaged: the highest head of a mean over several speakers
would be lower than that for one, whatever the model does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnscope.metrics.people.density import FrameChoice, Turns
from attnscope.metrics.people.sets import OnCells, over_live, over_units
from attnscope.metrics.tables import divide

MATCHES = ("matched", "mismatched")
TOGETHER = ("mean", "max")  # how heads are put together

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Words:
    """The words of T turns at one choice of frames, for D ways in which the cells of S speakers may lie.

    Attributes:
        frames: The choice.
        turns: Who speaks when.
        counts: Cells of each speaker in each temporal unit, [D, F, S].
        cells: Cells of each speaker that count for each turn, [D, T, S].
    """

    frames: FrameChoice
    turns: Turns
    counts: Ints
    cells: Ints

    @classmethod
    def at(cls, frames: FrameChoice, turns: Turns, counts: Ints) -> Words:
        """The words of turns where boxes cover `counts` [D, F, S] cells of each unit."""
        return cls(frames, turns, counts, np.stack([turns.showing(count).cells for count in counts]))

    def per_turn(self, numbers: Floats) -> tuple[Floats, Ints]:
        """Numbers of turns on speakers [D, H, T, S], matched and mismatched.

        Returns:
            [D, H, 2, T], NaN where no such speaker is visible, and the words that count, [D, 2, T].
        """
        weight = self._sides(self.cells > 0)  # [D, T, 2, S]
        n = np.swapaxes(weight.any(-1), -1, -2) * self.turns.tokens
        values = np.einsum("dhts,dtms->dhmt", numbers, weight)
        return np.where(n[:, None] > 0, values, np.nan), n

    def over_turns(self, values: Floats, n: Ints) -> tuple[Floats, Ints]:
        """Mean over all words of what `per_turn` gives, [D, H, 2], and the words that count, [D, 2]."""
        total, words = np.einsum("dhmt,dmt->dhm", np.nan_to_num(values), n), n.sum(-1)
        return divide(total, words[:, None]), words

    def per_unit(self, numbers: Floats) -> tuple[Floats, Ints]:
        """Numbers of turns on speakers in single units [H, T, F, D, S], mean over the words of the turns live in each.

        Returns:
            [D, H, 2, F], NaN where no such speaker is visible, and the words that count, [D, 2, F].
        """
        live = self.turns.live.T[:, :, None]  # [F, T, 1]
        weight = self._sides(live & (self.counts > 0)[:, :, None]) * self.turns.tokens[:, None, None]  # [D, F, T, 2, S]
        n = (weight.any(-1) * self.turns.tokens[:, None]).sum(2).swapaxes(-1, -2)
        ways, units, turns, sides, speakers = weight.shape
        flat = numbers.transpose(3, 2, 0, 1, 4).reshape(ways, units, len(numbers), turns * speakers)
        total = flat @ weight.swapaxes(-1, -2).reshape(ways, units, turns * speakers, sides)  # [D, F, H, 2]
        return divide(total.transpose(0, 2, 3, 1), n[:, None]), n

    def _sides(self, seen: Bools) -> Floats:
        """Share of each visible speaker [..., T, S] in the matched and the mismatched number, [..., T, 2, S]."""
        own = self.turns.labels[:, None] == np.arange(len(self.turns.speakers))
        sides = np.stack([seen & own, seen & ~own], axis=-2)
        return np.asarray(sides / np.maximum(sides.sum(-1, keepdims=True), 1))


@dataclass(frozen=True)
class PairNumbers:
    """Mean, maximum and mass (K = 3) in L layers and (row L) in all of them, for D ways in which cells may lie.

    Attributes:
        each: Numbers of every head, over all turns, [K, D, L, H, 2].
        whole: Numbers of the heads put together as in `TOGETHER`, over all turns, [K, D, L + 1, 2, 2].
        turn: The same by turn, [K, D, L + 1, 2, 2, T].
        time: The same by temporal unit, [K, D, L + 1, 2, 2, F].
        n: Words behind them: [D, 2], [D, 2, T], [D, 2, F].
        so_far: Numbers on each speaker over the layers so far, sum of means and highest: of turns [2, K, D, 1, T, S]
            and of turns in units [2, K, 1, T, F, D, S].
    """

    each: Floats
    whole: Floats
    turn: Floats
    time: Floats
    n: tuple[Ints, Ints, Ints]
    so_far: tuple[Floats, Floats]

    @classmethod
    def empty(cls, words: Words, layers: int, heads: int) -> PairNumbers:
        """NaN, for `fill` to replace."""
        ways, units, speakers = words.counts.shape
        turns = len(words.turns.tokens)
        _, by_turn = words.per_turn(np.zeros((ways, 1, turns, speakers)))
        _, by_unit = words.per_unit(np.zeros((1, turns, units, ways, speakers)))
        shape = (3, ways, layers + 1, 2, 2)
        return cls(
            each=np.full((3, ways, layers, heads, 2), np.nan),
            whole=np.full(shape, np.nan),
            turn=np.full((*shape, turns), np.nan),
            time=np.full((*shape, units), np.nan),
            n=(by_turn.sum(-1), by_turn, by_unit),
            so_far=(np.zeros((2, 3, ways, 1, turns, speakers)), np.zeros((2, 3, 1, turns, units, ways, speakers))),
        )

    def fill(self, row: int, words: Words, on: OnCells) -> None:
        """Put in a layer.

        Layers come in order; with the last one those of all of them are put in too.
        """
        layers = self.each.shape[2]
        mass = over_units(on.masses, words.turns)  # [D, H, T, S]
        top = over_live(on.peaks, words.turns)
        cells = np.maximum(np.moveaxis(words.counts, 0, -1), 1)[..., None]  # [F, S, D, 1]
        by_turn = (mass / np.maximum(words.cells, 1)[:, None], top, mass)
        by_unit = (
            (on.mean_mass / cells, on.top_mass / cells),
            (on.mean_peak, on.top_peak),
            (on.mean_mass, on.top_mass),
        )
        for k, (turn, unit) in enumerate(zip(by_turn, by_unit, strict=True)):
            self.each[k, :, row], _ = words.over_turns(*words.per_turn(turn))
            turn_heads, unit_heads = together(turn, 1), np.stack([_per_unit(heads) for heads in unit])
            for heads, so_far in ((turn_heads, self.so_far[0][:, k]), (unit_heads, self.so_far[1][:, k])):
                add_heads(so_far, heads)
            self._put(k, row, words, turn_heads, unit_heads)
            if row == layers - 1:
                self._put(k, layers, words, *(over_layers(some[:, k], layers) for some in self.so_far))

    def _put(self, k: int, row: int, words: Words, turn: Floats, unit: Floats) -> None:
        """One row of numbers on each speaker, [2, D, 1, T, S] and [2, 1, T, F, D, S]."""
        for i in range(len(TOGETHER)):
            values, n = words.per_turn(turn[i])
            self.whole[k, :, row, i] = words.over_turns(values, n)[0][:, 0]
            self.turn[k, :, row, i] = values[:, 0]
            self.time[k, :, row, i] = words.per_unit(unit[i])[0][:, 0]


def together(numbers: Floats, axis: int) -> Floats:
    """Heads put together as in `TOGETHER`, [2, ...] with one head left."""
    return np.stack([numbers.mean(axis, keepdims=True), numbers.max(axis, keepdims=True)])


def add_heads(so_far: Floats, heads: Floats) -> None:
    """Add a layer's heads, put `together`, to the sum of means over heads, and to the highest, so far [2, ...]."""
    so_far[0] += heads[0]
    np.maximum(so_far[1], heads[1], out=so_far[1])  # attention is never below 0


def _per_unit(heads: Floats) -> Floats:
    """Numbers [F, S, D, T] of heads put together as [1, T, F, D, S]."""
    return heads.transpose(3, 0, 2, 1)[None]


def over_layers(so_far: Floats, layers: int) -> Floats:
    """Mean over all layers and heads, and the highest of them, [2, ...], from what `add_heads` has gathered."""
    return np.stack([so_far[0] / layers, so_far[1]])

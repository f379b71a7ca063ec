"""How strongly do words attend to the pixels of their speaker, and how strongly to those of somebody else?

The labelled form of what papers print as AttnMax and AttnMean without saying over what: for the tokens u of a turn and
the cells v of one speaker at the frames that count, the mean over v, the maximum over v and the sum over v (the mass);
then the mean over all u. `match` is `matched` (v of the speaker of u) or `mismatched` (of another visible speaker, mean
over them). `heads` says how layers and heads are put together: `each` is a single head, `mean` and `max` are the mean
over heads and the highest head, of a layer and (layer -1) of all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.metrics.density import (
    FRAME_CHOICES,
    FrameChoice,
    Turns,
    Units,
    over_units,
    seen_cells,
    speaker_cells,
    turn_maps,
    unit_counts,
    unit_masses,
    unit_weights,
    units_of,
)
from attnscope.metrics.parts import Part, to_table
from attnscope.metrics.registry import OVER, metric
from attnscope.metrics.tidy import divide, over

if TYPE_CHECKING:
    from attnscope.capture import Capture

METRICS = ("speaker_pair_mean", "speaker_pair_max", "speaker_pair_mass")
MATCHES = ("matched", "mismatched")
COLUMNS = ["metric", "layer", "head", "frames", "threshold", "match", "heads", "rows", "value", "n"]
_OF = (
    "cells v of one speaker at the frames live for the turn (frames = all: at all frames), mean over the tokens u of "
    "all turns; matched: the speaker of u, mismatched: mean over the other visible speakers."
)


@metric(
    name="speaker_pair_mean",
    title="Attention per pair of word and speaker's cell (AttnMean)",
    definition=f"Mean of A(u, v) over the {_OF}",
    source="ours",
    unit="attention per pair",
    range=(0, 1),
    chance="matched = mismatched",
    needs=("maps",),
)
@metric(
    name="speaker_pair_max",
    title="Highest attention of a word on a speaker's cell (AttnMax)",
    definition=f"Maximum over the {_OF} rows = turn: of the turn's mean attention, which is what a map holds and at "
    "most as high as rows = token, the maximum of each word on its own. It grows with the number of cells.",
    source="ours",
    unit="attention per pair",
    range=(0, 1),
    chance="matched = mismatched, for boxes of equal size",
    needs=("maps",),
)
@metric(
    name="speaker_pair_mass",
    title="Attention mass of a word on a speaker",
    definition=f"Sum of A(u, v) over the {_OF} It grows with the number of cells.",
    source="ours",
    unit="1",
    range=(0, 1),
    chance="matched = mismatched, for boxes of equal size",
    needs=("maps",),
)
def pairs(cap: Capture, *, threshold: float = 0.5, exact: bool = False) -> pd.DataFrame:
    """Mean, maximum and mass over matched and mismatched pairs of words and cells (ours, after P1's AttnMax, AttnMean).

    Args:
        cap: an open capture with the `maps` reading.
        threshold: covered fraction from which a cell counts as a speaker's.
        exact: also take the maximum word by word, from `qk` or `full` where the capture has one (rows = token); that
            computes the attention of every word in every head.

    Returns:
        Columns `match`, `heads` and `rows` as above; n = tokens. NaN where no such box is visible.

    Raises:
        FormatError: if the capture has no `maps` reading.
    """
    cells = speaker_cells(cap, threshold)[None]
    parts = next(measure(cap, cells, threshold))
    if exact and (cap.has("qk") or cap.has("full")):
        parts += _word_peaks(cap, cells, threshold)
    return to_table(parts, COLUMNS, {}).assign(threshold=threshold)


@dataclass(frozen=True)
class Words:
    """The turns at one choice of frames, and how their numbers are put together in D ways in which cells may lie.

    Attributes:
        frames: the choice.
        turns: who speaks when.
        cells: of each speaker that count for each turn, [D, T, S].
        weight: of a number of a turn on a speaker, for matched and mismatched, [D, 2, T, S]: the words of the turn,
            shared among the speakers who are visible.
        n: words that count, [D, 2].
    """

    frames: FrameChoice
    turns: Turns
    cells: NDArray[np.int64]
    weight: NDArray[np.float64]
    n: NDArray[np.int64]

    def mean(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean over the words of numbers of turns on speakers [D, H, T, S], [D, H, 2]; NaN where none counts."""
        return divide(np.einsum("dhts,dmts->dhm", values, self.weight), self.n[:, None])

    def highest(self, peaks: NDArray[np.float64]) -> NDArray[np.float64]:
        """Peaks [H, T, F, D, S] of the units that count for each turn, [D, H, T, S]."""
        top = np.max(peaks, axis=2, where=self.turns.live[..., None, None], initial=0)
        return np.asarray(top.transpose(2, 0, 1, 3))


def measure(cap: Capture, cells: NDArray[np.bool_], threshold: float) -> Iterator[list[Part]]:
    """Every number of this family for each of D ways [D, S, P] in which the speakers' cells may lie."""
    units, choices = units_of(cap), _words(cap, cells, threshold)
    weights = unit_weights(units, cells)
    found = np.full((len(choices), len(METRICS), len(cells), len(cap.layers), cap.heads, 2), np.nan)
    for row, maps in turn_maps(cap, choices[0].turns.groups if len(units.times) else []):
        masses, peaks = unit_masses(maps, units, weights), unit_peaks(maps, units, cells)
        for values, words in zip(found, choices, strict=True):
            mass = over_units(masses, words.turns, len(cells))  # [D, H, T, S]
            density = mass / np.maximum(words.cells, 1)[:, None]
            for value, numbers in zip(values, (density, words.highest(peaks), mass), strict=True):
                value[:, row] = words.mean(numbers)
    for way in range(len(cells)):
        yield [
            part
            for words, values in zip(choices, found, strict=True)
            for name, value in zip(METRICS, values[:, way], strict=True)
            for part in _parts(cap, name, value, words.n[way], words.frames, "turn")
        ]


def unit_peaks(maps: NDArray[np.float32], units: Units, cells: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Highest attention of maps [H, T, P] on the cells [D, S, P] in each unit, [H, T, F, D, S]; 0 where none is."""
    ways, speakers, _ = cells.shape
    out = np.zeros((*maps.shape[:2], len(units.times), ways, speakers))
    for unit, tokens in enumerate(units.tokens):
        here = maps[:, :, tokens]
        for way, s in np.ndindex(ways, speakers):
            out[:, :, unit, way, s] = here[:, :, cells[way, s, tokens]].max(-1, initial=0)
    return out


def _words(cap: Capture, cells: NDArray[np.bool_], threshold: float) -> list[Words]:
    """The turns at live frames and at all."""
    counts, out = unit_counts(units_of(cap), cells), []
    for frames in FRAME_CHOICES:
        turns = seen_cells(cap, threshold, frames)
        size = np.stack([turns.showing(count).cells for count in counts])  # [D, T, S]
        own = turns.labels[:, None] == np.arange(len(turns.speakers))  # [T, S]
        sides = np.stack([(size > 0) & own, (size > 0) & ~own], axis=1)  # [D, 2, T, S]
        weight = sides * turns.tokens[:, None] / np.maximum(sides.sum(-1, keepdims=True), 1)
        out.append(Words(frames, turns, size, weight, (sides.any(-1) * turns.tokens).sum(-1)))
    return out


def _word_peaks(cap: Capture, cells: NDArray[np.bool_], threshold: float) -> list[Part]:
    """The maximum of every word on its own, mean over the words of each turn."""
    units, choices, turned = units_of(cap), _words(cap, cells, threshold), cap.tokens["turn"].to_numpy()
    found = np.full((len(choices), len(cap.layers), cap.heads, 2), np.nan)
    for row, layer in enumerate(cap.layers):
        tops = [np.zeros((1, cap.heads, *words.cells.shape[1:])) for words in choices]
        for t, number in enumerate(choices[0].turns.numbers):
            queries = np.flatnonzero(turned == number)
            peaks = unit_peaks(cap.attention(int(layer), queries=queries), units, cells)  # [H, words, F, 1, S]
            for top, words in zip(tops, choices, strict=True):
                live = words.turns.live[t][:, None, None]
                top[0, :, t] = np.max(peaks, axis=2, where=live, initial=0).mean(1)[:, 0]
        for value, top, words in zip(found, tops, choices, strict=True):
            value[row] = words.mean(top)[0]
    made = (_parts(cap, METRICS[1], v, w.n[0], w.frames, "token") for w, v in zip(choices, found, strict=True))
    return [part for parts in made for part in parts]


def _parts(
    cap: Capture, name: str, values: NDArray[np.float64], n: NDArray[np.int64], frames: FrameChoice, rows: str
) -> list[Part]:
    """Values [L, H, 2] of single heads, their means, and the highest head of each layer and of all."""
    flat, places = over(values, cap.layers)
    means = (places["head"] == OVER).to_numpy()
    by_layer = values.max(1)
    top = np.concatenate([by_layer, by_layer.max(0, keepdims=True)])
    out = []
    for heads, value, where in (("each", flat[~means], ~means), ("mean", flat[means], means), ("max", top, means)):
        keys = {"match": [*MATCHES], "heads": [heads] * 2, "frames": [frames] * 2, "rows": [rows] * 2}
        out.append(Part(name, value, n, places[where], keys))
    return out

"""How strongly do words attend to the pixels of their speaker, and how strongly to those of somebody else?

The labelled form of P1's AttnMax and AttnMean, of which the summary that was read gives no definition: for the tokens u
of a turn and the cells v of one speaker at the frames that count, the mean over v, the maximum over v and the sum over
v (the mass); then the mean over u. `match` is `matched` (v of the speaker of u) or `mismatched` (of another visible
speaker, mean over them). `heads` says how layers and heads are put together: `each` is a single head, `mean` and `max`
are the mean over heads and the highest head, of a layer and (layer -1) of all. The highest head is that of each turn
and speaker, taken before any mean over speakers and turns: so a model that aligns nothing has matched = mismatched
there too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attnscope.metrics.families import family
from attnscope.metrics.people.density import (
    FRAME_CHOICES,
    seen_cells,
    speaker_cells,
    units_of,
)
from attnscope.metrics.people.sets import Ways
from attnscope.metrics.people.words import (
    MATCHES,
    TOGETHER,
    PairNumbers,
    Words,
    add_heads,
    over_layers,
    together,
)
from attnscope.metrics.registry import Metric
from attnscope.metrics.scan import Scan
from attnscope.metrics.tables import Part, Places

if TYPE_CHECKING:
    from attnscope.capture import Capture

METRICS = ("speaker_pair_mean", "speaker_pair_max", "speaker_pair_mass")
_NUMBERS = (
    (
        "Attention per pair of word and speaker's cell (AttnMean)",
        "Mean of A(u, v) over {of}",
        "attention per pair",
        "matched = mismatched",
    ),
    (
        "Highest attention of a word on a speaker's cell (AttnMax)",
        "Maximum over {of} rows = turn: of the turn's mean attention, which is what a map holds and at most as high as "
        "rows = token, the maximum of each word on its own. It grows with the number of cells.",
        "attention per pair",
        "matched = mismatched, for boxes of equal size",
    ),
    (
        "Attention mass of a word on a speaker",
        "Sum of A(u, v) over {of} It grows with the number of cells.",
        "1",
        "matched = mismatched, for boxes of equal size",
    ),
)
_OF = (
    (
        "",
        "",
        "cells v of one speaker at the frames live for the turn (frames = all: at all frames), mean over the tokens u "
        "of all turns",
    ),
    (
        "_turn",
        ", by turn",
        "cells v of one speaker at the frames live for the turn (frames = all: at all frames), mean over the tokens u "
        "of the turn",
    ),
    (
        "_time",
        ", over the clip",
        "cells v of one speaker in one temporal unit (frames that share visual tokens), mean over the tokens u of the "
        "turns that are live in it (frames = all: of all turns)",
    ),
)


def _variants() -> list[Metric]:
    """Every metric of the family: mean, maximum and mass, over all turns, by turn and over the clip."""
    return [
        Metric(
            f"{name}{suffix}",
            f"{title}{more}",
            definition.format(
                of=f"the {of}; matched: the speaker of u, mismatched: mean over the other visible speakers. "
                "heads = max: the highest head for each turn and speaker, before these means."
            ),
            unit=unit,
            chance=chance,
            version=2,
        )
        for (suffix, more, of), (name, (title, definition, unit, chance)) in product(
            _OF, zip(METRICS, _NUMBERS, strict=True)
        )
    ]


@family(*_variants(), keys=("frames", "threshold", "match", "heads", "rows", "turn", "time"), needs=("maps",))
def pairs(cap: Capture, *, threshold: float = 0.5, exact: bool = False) -> Scan[list[Part]]:
    """Mean, maximum and mass over matched and mismatched pairs of words and cells (ours, after P1's AttnMax, AttnMean).

    Args:
        cap: An open capture with the `maps` reading.
        threshold: Covered fraction from which a cell counts as a speaker's.
        exact: Also take the maximum word by word, from `qk` or `full` where the capture has one (rows = token); that
            computes the attention of every word in every head.

    Returns:
        Columns `match`, `heads` and `rows` as above, `turn` (number in the transcript, -1: not of one turn) and `time`
        (seconds, NaN: not of one unit); n = tokens. Single turns and units have rows of heads put together only. NaN
        where no such box is visible.

    Raises:
        FormatError: If the capture has no `maps` reading.
    """
    ways = Ways(units_of(cap), speaker_cells(cap, threshold)[None])
    scan = measure(cap, ways, threshold)

    def result() -> list[Part]:
        parts = next(scan.result())
        if exact and (cap.has("qk") or cap.has("full")):
            parts += _word_peaks(cap, ways, threshold)
        return parts

    return Scan(scan.groups, scan.take, result)


def measure(cap: Capture, ways: Ways, threshold: float) -> Scan[Iterator[list[Part]]]:
    """Every number of this family for each of D ways in which the speakers' cells may lie."""
    choices, places, times = _words(cap, ways, threshold), Places.of(cap), ways.units.times
    numbers = [PairNumbers.empty(words, len(cap.layers), cap.heads) for words in choices]

    def take(row: int, maps: NDArray[np.float32]) -> None:
        on = ways.on_cells(maps)
        for words, own in zip(choices, numbers, strict=True):
            own.fill(row, words, on)

    def result() -> Iterator[list[Part]]:
        for way in range(len(ways)):
            parts: list[Part] = []
            for words, own in zip(choices, numbers, strict=True):
                n, by_turn, by_unit = (n[way] for n in own.n)
                same = {"frames": words.frames, "rows": "turn"}
                for k, name in enumerate(METRICS):
                    parts += _over_turns(name, own.each[k, way], own.whole[k, way], n, places, same)
                    turns = same | {"turn": words.turns.numbers}
                    parts += _together(f"{name}_turn", own.turn[k, way], by_turn, places, turns)
                    parts += _together(f"{name}_time", own.time[k, way], by_unit, places, same | {"time": times})
            yield parts

    return Scan(choices[0].turns.groups if len(times) else [], take, result)


def _words(cap: Capture, ways: Ways, threshold: float) -> list[Words]:
    """The words of the turns at live frames and at all."""
    return [Words.at(frames, seen_cells(cap, threshold, frames), ways.counts) for frames in FRAME_CHOICES]


def _word_peaks(cap: Capture, ways: Ways, threshold: float) -> list[Part]:
    """The maximum of every word on its own, mean over the words of each turn."""
    choices, turned, places = _words(cap, ways, threshold), cap.tokens["turn"].to_numpy(), Places.of(cap)
    each = np.full((len(choices), len(cap.layers), cap.heads, 2), np.nan)
    whole = np.full((len(choices), len(cap.layers) + 1, len(TOGETHER), 2), np.nan)
    n = np.zeros((len(choices), 2), dtype=np.int64)
    so_far = [np.zeros((2, 1, 1, *words.cells.shape[1:])) for words in choices]
    for row, layer in enumerate(cap.layers):
        tops = [np.zeros((1, cap.heads, *words.cells.shape[1:])) for words in choices]
        for t, number in enumerate(choices[0].turns.numbers):
            queries = np.flatnonzero(turned == number)
            peaks = ways.on_cells(cap.attention(int(layer), queries=queries)).peaks[:, :, 0]  # [F, S, H, words]
            for top, words in zip(tops, choices, strict=True):
                top[0, :, t] = peaks[words.turns.live[t]].max(0, initial=0).mean(-1).T
        for i, (top, words) in enumerate(zip(tops, choices, strict=True)):
            (each[i, row],), (n[i],) = words.over_turns(*words.per_turn(top))
            heads = together(top, 1)
            add_heads(so_far[i], heads)
            rows = {row: heads, len(cap.layers): over_layers(so_far[i], row + 1)}
            for at, of in rows.items():  # the last layer's turn leaves the numbers of all layers
                whole[i, at] = [words.over_turns(*words.per_turn(numbers))[0][0, 0] for numbers in of]
    return [
        part
        for words, single, pooled, count in zip(choices, each, whole, n, strict=True)
        for part in _over_turns(METRICS[1], single, pooled, count, places, {"frames": words.frames, "rows": "token"})
    ]


def _over_turns(
    name: str,
    each: NDArray[np.float64],
    whole: NDArray[np.float64],
    n: NDArray[np.int64],
    places: Places,
    same: Mapping[str, Any],
) -> list[Part]:
    """Values [L, H, 2] of single heads, and [L + 1, 2, 2] of the heads put together; n [2]."""
    keys = {"place": places.single_heads, "heads": "each", "match": MATCHES, **same}
    return [Part(name, each, n, keys), *_together(name, whole, n, places, same)]


def _together(
    name: str, values: NDArray[np.float64], n: NDArray[np.int64], places: Places, same: Mapping[str, Any]
) -> list[Part]:
    """Values [L + 1, 2, 2, ...] of the heads of each layer put together, and of all: mean and highest; n [2, ...]."""
    keys = {"place": places.head_means, "match": MATCHES, **same}
    return [Part(name, values[:, k], n, {"heads": heads, **keys}) for k, heads in enumerate(TOGETHER)]

"""Does the attention of words find the box of the one who says them?

The map of a turn, or of all words of a speaker, is taken as a detector of "inside the speaker's box" among the visual
tokens: at the frames live for the turn (for a speaker: live for any of his or her turns) and over all sampled frames.
Rows with head -1 are of the mean attention over heads, those with layer -1 of the mean over layers and heads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.metrics.density import FRAME_CHOICES, FrameChoice, seen_cells, speaker_cells, turn_maps, units_of
from attnscope.metrics.parts import ALL, Part, places_of, rows_of_layer, to_table, with_mean
from attnscope.metrics.registry import OVER, metric
from attnscope.metrics.tidy import divide

if TYPE_CHECKING:
    from attnscope.capture import Capture

HALF = 0.5  # of the visual mass
METRICS = ("grounding_auc", "pointing_hit", "box_iou")
COLUMNS = ["metric", "layer", "head", "frames", "threshold", "speaker", "turn", "value", "n"]


@metric(
    name="grounding_auc",
    title="Grounding AUC",
    definition="Area under the ROC curve of the attention of a turn, or of a speaker's words, as a detector of the "
    "cells of the speaker's box among the visual tokens at those frames: how often a cell inside has more attention "
    "than one outside, a tie counting half. The row without a speaker is the mean over speakers.",
    source="ours",
    unit="1",
    range=(0, 1),
    chance="0.5",
    needs=("maps",),
)
@metric(
    name="pointing_hit",
    title="Pointing game",
    definition="1 if the visual token with most attention lies in the speaker's box, 0 if not; of several equal ones "
    "the share inside. The row without a speaker is the mean over speakers.",
    source="ours",
    unit="1",
    range=(0, 1),
    chance="the box's share of the visual tokens (see box_area)",
    needs=("maps",),
)
@metric(
    name="box_iou",
    title="Box IoU at half the visual mass",
    definition="Intersection over union of the speaker's cells with the smallest set of visual tokens that holds 50 % "
    "of the mass on the visual tokens at those frames; of equal tokens at the set's edge each counts in part.",
    source="ours",
    unit="1",
    range=(0, 1),
    chance="a / (1 + a), a = box_area, for even attention",
    needs=("maps",),
)
@metric(
    name="box_area",
    title="Box area",
    definition="The speaker's share of the visual tokens at those frames; the same in all layers and heads.",
    source="ours",
    unit="1",
    range=(0, 1),
    needs=("maps",),
)
def grounding(cap: Capture, *, threshold: float = 0.5) -> pd.DataFrame:
    """Attention as a detector of the speaker's box (ours): AUC, pointing game, IoU at half the mass.

    Args:
        cap: an open capture with the `maps` reading.
        threshold: covered fraction from which a cell counts as a speaker's.

    Returns:
        Columns `speaker` and `turn`: a turn has both (`turn` is its number in the transcript), all words of a speaker
        have turn -1, the mean over speakers has speaker "" and turn -1. n = cells of the box, for the mean speakers.
        NaN where the box is not seen, or fills the picture, or no attention falls on the visual tokens.

    Raises:
        FormatError: if the capture has no `maps` reading.
    """
    parts = next(measure(cap, speaker_cells(cap, threshold)[None], threshold))
    return to_table(parts, COLUMNS, {}).assign(threshold=threshold)


def measure(cap: Capture, cells: NDArray[np.bool_], threshold: float) -> Iterator[list[Part]]:
    """Every number of this family for each of D ways [D, S, P] in which the speakers' cells may lie."""
    places = places_of(cap.layers, cap.heads)
    choices = [_detectors(cap, cells, threshold, frames) for frames in FRAME_CHOICES]
    names = choices[0].groups
    found = [np.full((len(METRICS), len(cells), len(places), len(names)), np.nan) for _ in choices]
    total = np.zeros((1, len(names), len(cap.tokens)))
    for row, maps in turn_maps(cap, names):
        everything = with_mean(maps)
        total += np.nan_to_num(everything[-1:])  # what is measured is the same of a mean as of a sum
        for choice, values in zip(choices, found, strict=True):
            choice.fill(values, rows_of_layer(row, len(cap.layers), cap.heads), everything)
    for choice, values in zip(choices, found, strict=True):
        choice.fill(values, np.array([len(places) - 1]), total)
    for way in range(len(cells)):
        yield [part for c, v in zip(choices, found, strict=True) for part in c.parts(v[:, way], way, places)]


@dataclass(frozen=True)
class Detectors:
    """G query groups at one choice of frames, and the cells that they should find.

    Attributes:
        frames: the choice.
        groups: names of the query groups, [G].
        speakers: whose words they are, [G].
        turns: number of the turn, -1 for all words of the speaker, [G].
        shown: positions of the visual tokens at the group's frames, [G] arrays [N].
        inside: which of them are in the speaker's box, in D ways, [G] arrays [D, N].
    """

    frames: FrameChoice
    groups: list[str]
    speakers: list[str]
    turns: list[int]
    shown: list[NDArray[np.int64]]
    inside: list[NDArray[np.bool_]]

    def fill(self, values: NDArray[np.float64], rows: NDArray[np.int64], maps: NDArray[np.floating]) -> None:
        """Put the numbers of maps [len(rows), G, P] into values [metric, D, X, G]."""
        for group, (shown, inside) in enumerate(zip(self.shown, self.inside, strict=True)):
            values[:, :, rows, group] = detect(maps[:, group, shown], inside)

    def parts(self, values: NDArray[np.float64], way: int, places: pd.DataFrame) -> list[Part]:
        """Values [metric, X, G] of one way, with the mean over speakers at the end."""
        whole = np.array(self.turns, dtype=np.int64) == OVER
        keys = {
            "frames": [self.frames] * (len(whole) + 1),
            "speaker": [*self.speakers, ""],
            "turn": [*self.turns, OVER],
        }
        cells = np.array([inside[way].sum() for inside in self.inside], dtype=np.int64)
        area = divide(cells, [len(shown) for shown in self.shown])
        out = []
        for name, value in [*zip(METRICS, values, strict=True), ("box_area", area[None])]:
            known = np.isfinite(value) & whole
            mean = divide(np.where(known, value, 0.0).sum(1), known.sum(1))
            n = np.column_stack([np.broadcast_to(cells, value.shape), known.sum(1)])
            out.append(Part(name, np.column_stack([value, mean]), n, ALL if name == "box_area" else places, keys))
        return out


def detect(maps: NDArray[np.floating], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """AUC, pointing game and IoU of attention as a detector.

    Args:
        maps: attention of R rows on N visual tokens, [R, N].
        inside: D sets of tokens to detect, [D, N].

    Returns:
        [3, D, R]. NaN where a set is empty, and for rows without attention; the AUC also where a set is everything.
    """
    out = np.full((len(METRICS), len(inside), len(maps)), np.nan)
    size, count = inside.sum(1)[:, None], maps.shape[-1]
    if not count:
        return out
    order = np.argsort(maps, axis=-1)
    value = np.take_along_axis(maps, order, axis=-1)
    target = inside.T.astype(np.float64)
    out[0] = divide((ranks(value, order) @ target).T - size * (size + 1) / 2, size * (count - size))
    top = maps == value[:, -1:]
    out[1] = divide(top @ target, top.sum(1, keepdims=True)).T
    half = half_mass(maps, value)
    both = (half @ target).T
    out[2] = divide(both, half.sum(1) + size - both)
    out[:, :, ~(value.sum(1) > 0)] = np.nan  # no attention on the picture, or NaN
    out[:, size[:, 0] == 0] = np.nan
    return out


def ranks(value: NDArray[np.floating], order: NDArray[np.int64]) -> NDArray[np.float64]:
    """Ranks from 1 of attention [R, N], given sorted; equal values share the mean of theirs.

    That is scipy.stats.rankdata, which would sort once more, stably and several times slower.
    """
    rows, count = value.shape
    step = np.ones((rows, count + 1), dtype=bool)
    np.not_equal(value[:, 1:], value[:, :-1], out=step[:, 1:-1])
    at = np.arange(count, dtype=np.int32)
    first = np.maximum.accumulate(np.where(step[:, :-1], at, 0), axis=-1)  # of each run of equal values
    last = np.minimum.accumulate(np.where(step[:, 1:], at, count)[:, ::-1], axis=-1)[:, ::-1]
    out = np.empty((rows, count))
    np.put_along_axis(out, order, (first + last) / 2 + 1, axis=-1)
    return out


def half_mass(maps: NDArray[np.floating], value: NDArray[np.floating]) -> NDArray[np.float64]:
    """The smallest set that holds half of each row's sum: 1 inside, 0 outside, a part for equal values at its edge.

    Args:
        maps: [R, N].
        value: the same, each row sorted.
    """
    held = np.cumsum(value[:, ::-1], axis=-1, dtype=np.float64)  # by the largest, the two largest, ...
    need = 1 + (held < HALF * held[:, -1:] * (1 - 1e-9)).sum(-1, keepdims=True)  # tokens in the set
    edge = np.take_along_axis(value, value.shape[1] - np.minimum(need, value.shape[1]), axis=-1)
    above, equal = maps > edge, maps == edge
    part = divide(need - above.sum(-1, keepdims=True), equal.sum(-1, keepdims=True))
    return np.where(equal, part, above.astype(np.float64))


def _detectors(cap: Capture, cells: NDArray[np.bool_], threshold: float, frames: FrameChoice) -> Detectors:
    """The turns, then the speakers who say them, with the visual tokens and cells at their frames."""
    turns, of = seen_cells(cap, threshold, frames), units_of(cap).of
    speaking = np.unique(turns.labels)
    live = [*turns.live, *(turns.live[turns.labels == s].any(0) for s in speaking)]
    who = [*turns.labels, *speaking]
    shown = [np.flatnonzero((of >= 0) & np.append(units, False)[of]) for units in live]
    return Detectors(
        frames=frames,
        groups=[*turns.groups, *(f"speaker:{turns.speakers[s]}" for s in speaking)],
        speakers=[turns.speakers[s] for s in who],
        turns=[*turns.numbers, *(OVER for _ in speaking)],
        shown=shown,
        inside=[cells[:, s, tokens] for s, tokens in zip(who, shown, strict=True)],
    )

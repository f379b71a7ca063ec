"""Words as detectors of their speaker's box: which visual tokens they should find, and how well they do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.metrics.people.density import FrameChoice, Units, seen_cells, unit_counts, units_of
from attnscope.metrics.registry import OVER
from attnscope.metrics.tables import ALL, Part, divide
from attnscope.vocabulary import SPEAKER, group_name

if TYPE_CHECKING:
    from attnscope.capture import Capture

METRICS = ("grounding_auc", "pointing_hit", "box_iou")


def detect_units(
    maps: NDArray[np.float64], cells: NDArray[np.bool_], units: Units
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """How well attention finds each speaker within each temporal unit.

    Args:
        maps: Attention of the words of S speakers, [R, S, P].
        cells: Cells of the same speakers, in D ways, [D, S, P].
        units: The F units.

    Returns:
        AUC, pointing game and IoU [3, D, R, S, F], and the cells of each speaker in each unit [D, S, F].
    """
    ways, speakers, _ = cells.shape
    values = np.full((len(METRICS), ways, len(maps), speakers, len(units.times)), np.nan)
    for unit, tokens in enumerate(units.tokens):
        for s in range(speakers):
            values[..., s, unit] = detect(maps[:, s, tokens], cells[:, s, tokens])
    return values, unit_counts(units, cells).swapaxes(1, 2)


@dataclass(frozen=True)
class Detectors:
    """G query groups at one choice of frames, and the cells that they should find.

    Attributes:
        frames: The choice.
        groups: Names of the query groups, [G]: turns, then the speakers who say them.
        speakers: Whose words they are, [G].
        labels: The same as indices into the scene's speakers, [G].
        turns: Number of the turn, -1 for all words of the speaker, [G].
        live: Units that count for the group, [G, F].
        tokens: Positions of the visual tokens in those units, [G] arrays [N].
        inside: Which of them are in the speaker's box, in D ways, [G] arrays [D, N].
    """

    frames: FrameChoice
    groups: list[str]
    speakers: list[str]
    labels: NDArray[np.int64]
    turns: NDArray[np.int64]
    live: NDArray[np.bool_]
    tokens: list[NDArray[np.int64]]
    inside: list[NDArray[np.bool_]]

    @property
    def whole(self) -> NDArray[np.int64]:
        """The groups that hold all words of a speaker."""
        return np.flatnonzero(self.turns == OVER)

    def fill(self, values: NDArray[np.float64], rows: NDArray[np.int64], maps: NDArray[np.floating]) -> None:
        """Put the numbers of maps [len(rows), G, P] into values [metric, D, X, G]."""
        for group, (tokens, inside) in enumerate(zip(self.tokens, self.inside, strict=True)):
            values[:, :, rows, group] = detect(maps[:, group, tokens], inside)

    def parts(self, values: NDArray[np.float64], way: int, places: pd.DataFrame) -> list[Part]:
        """Values [metric, X, G] of one way, with the mean over speakers at the end."""
        cells = np.array([inside[way].sum() for inside in self.inside], dtype=np.int64)
        area = divide(cells, [len(tokens) for tokens in self.tokens])
        groups = pd.DataFrame({"speaker": [*self.speakers, ""], "turn": np.append(self.turns, OVER)})
        out = []
        for name, value in [*zip(METRICS, values, strict=True), ("box_area", area[None])]:
            mean, speakers = mean_of(value[:, self.whole])
            n = np.column_stack([np.broadcast_to(cells, value.shape), speakers])
            place = ALL if name == "box_area" else places
            keys = {"place": place, "frames": self.frames, "groups": groups}
            out.append(Part(name, np.column_stack([value, mean]), n, keys))
        return out

    def over_time(
        self, values: NDArray[np.float64], cells: NDArray[np.int64], way: int, units: Units, places: pd.DataFrame
    ) -> list[Part]:
        """Values [metric, D, R, S, F] and cells [D, S, F] by unit, of one way; the mean over speakers at the end."""
        live, size = self.live[self.whole], [len(tokens) for tokens in units.tokens]
        names = [*(self.speakers[group] for group in self.whole), ""]
        out = []
        area = divide(cells[way], size)[None]
        for name, value in [*zip(METRICS, values[:, way], strict=True), ("box_area", area)]:
            at_live = np.where(live, value, np.nan)  # [R, S, F]
            mean, speakers = mean_of(at_live)
            n = np.concatenate([np.broadcast_to(np.where(live, cells[way], 0), value.shape), speakers[:, None]], 1)
            every = np.concatenate([at_live, mean[:, None]], axis=1)
            place = ALL if name == "box_area" else places
            keys = {"place": place, "frames": self.frames, "speaker": names, "time": units.times}
            out.append(Part(f"{name}_time", every, n, keys))
        return out


def mean_of(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mean over the speakers [X, S, ...] who have a number, [X, ...], and how many they are."""
    known = np.isfinite(values)
    n = known.sum(1)
    return divide(np.where(known, values, 0.0).sum(1), n), n


def detectors(cap: Capture, cells: NDArray[np.bool_], threshold: float, frames: FrameChoice) -> Detectors:
    """The turns, then the speakers who say them, with the visual tokens and cells at their frames."""
    turns, of = seen_cells(cap, threshold, frames), units_of(cap).of
    speaking = np.unique(turns.labels)
    spoken = (turns.live & (turns.labels == speaking[:, None])[..., None]).any(1)  # [S, F]
    live, who = np.concatenate([turns.live, spoken]), np.concatenate([turns.labels, speaking])
    visible = [np.flatnonzero((of >= 0) & np.append(units, False)[of]) for units in live]
    return Detectors(
        frames=frames,
        groups=[*turns.groups, *(group_name(SPEAKER, turns.speakers[s]) for s in speaking)],
        speakers=[turns.speakers[s] for s in who],
        labels=who,
        turns=np.array([*turns.numbers, *(OVER for _ in speaking)], dtype=np.int64),
        live=live,
        tokens=visible,
        inside=[cells[:, s, tokens] for s, tokens in zip(who, visible, strict=True)],
    )


# How well attention detects a set of tokens: area under the ROC curve, pointing game, overlap at half the mass.


HALF = 0.5  # of the mass


def detect(maps: NDArray[np.floating], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """AUC, pointing game and IoU of attention as a detector.

    Args:
        maps: Attention of R rows on N visual tokens, [R, N].
        inside: D sets of tokens to detect, [D, N].

    Returns:
        [3, D, R]. NaN where a set is empty, and for rows without attention; the AUC also where a set is everything.
    """
    out = np.full((3, len(inside), len(maps)), np.nan)
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
        value: The same, each row sorted.
    """
    held = np.cumsum(value[:, ::-1], axis=-1, dtype=np.float64)  # by the largest, the two largest, ...
    need = 1 + (held < HALF * held[:, -1:] * (1 - 1e-9)).sum(-1, keepdims=True)  # tokens in the set
    edge = np.take_along_axis(value, value.shape[1] - np.minimum(need, value.shape[1]), axis=-1)
    above, equal = maps > edge, maps == edge
    part = divide(need - above.sum(-1, keepdims=True), equal.sum(-1, keepdims=True))
    return np.where(equal, part, above.astype(np.float64))

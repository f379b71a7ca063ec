"""Words as detectors of their speaker's box: which visual tokens they should find, and how well they do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.metrics.people.density import FrameChoice, Units, seen_cells, unit_counts, units_of
from attnscope.metrics.registry import OVER
from attnscope.metrics.tables import ALL, Part, divide
from attnscope.threads import spread
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

        def one(group: int) -> None:
            own = np.take(maps[:, group], self.tokens[group], axis=-1)
            values[:, :, rows, group] = detect(own, self.inside[group])

        spread(one, range(len(self.groups)))

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
BLOCK = 1 << 16  # numbers that are sorted at once: what they need fits into a processor's cache
PIECE = 64  # numbers of a row that are summed together
_INFINITY = 0x7F800000  # bits of a float32: above are NaN and what is below 0


def detect(maps: NDArray[np.floating], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """AUC, pointing game and IoU of attention as a detector.

    Args:
        maps: Attention of R rows on N visual tokens, [R, N].
        inside: D sets of tokens to detect, [D, N].

    Returns:
        [3, D, R]. NaN where a set is empty, and for rows without attention; the AUC also where a set is everything.
    """
    out = np.full((3, len(inside), len(maps)), np.nan)
    own = np.flatnonzero(inside.any(0))  # the tokens that some set holds: no other one enters a sum
    step = max(1, BLOCK // max(maps.shape[-1], 1))
    for start in range(0, len(maps) if len(own) else 0, step):
        out[:, :, start : start + step] = _detect(maps[start : start + step], inside, own)
    out[:, ~inside.any(1)] = np.nan
    return out


def _detect(
    maps: NDArray[np.floating], inside: NDArray[np.bool_], own: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """As `detect`, each [D, R], where `own` are the tokens of all sets."""
    size, count = inside.sum(1)[:, None], maps.shape[-1]
    order = ascending(maps)
    value = _taken(maps, order)
    near, target = maps[:, own], inside[:, own].T.astype(np.float64)
    auc = divide((ranks(value, order)[:, own] @ target).T - size * (size + 1) / 2, size * (count - size))
    top = value[:, -1:]
    hit = divide((near == top) @ target, _counts(value == top)).T
    edge, held, part = half_mass(value)
    both = (np.where(near == edge, part, near > edge) @ target).T
    iou = divide(both, held + size - both)
    undefined = ~(value.sum(1) > 0)  # no attention on the picture, or NaN
    for numbers in (auc, hit, iou):
        numbers[:, undefined] = np.nan
    return auc, hit, iou


def ascending(maps: NDArray[np.floating]) -> NDArray[np.int64]:
    """Order of attention [R, N] from low to high, as `numpy.argsort`.

    The bits of numbers from 0 are ordered as the numbers are, so that float32 is sorted by its lower half and then,
    with numpy's stable sort of 16 bits, by its upper half: some three times as fast.
    """
    bits = np.ascontiguousarray(maps).view(np.uint32) if maps.dtype == np.float32 else None
    if bits is None or bits.max(initial=0) > _INFINITY:  # another type, a number below 0, or NaN
        return np.argsort(maps, axis=-1)
    low = np.argsort(bits.astype(np.uint16), axis=-1, kind="stable")
    high = np.argsort(_taken((bits >> 16).astype(np.uint16), low), axis=-1, kind="stable")
    return _taken(low, high)


def ranks(value: NDArray[np.floating], order: NDArray[np.int64]) -> NDArray[np.float64]:
    """Ranks from 1 of attention [R, N], given sorted; equal values share the mean of theirs.

    That is scipy.stats.rankdata, which would sort once more, stably and several times slower.
    """
    rows, count = value.shape
    rank = np.tile(np.arange(1.0, count + 1), rows)
    same = np.zeros(value.shape, dtype=bool)
    np.equal(value[:, 1:], value[:, :-1], out=same[:, 1:])
    later = np.flatnonzero(same)  # whatever equals the value before it
    if len(later):
        begins = np.flatnonzero(~same.reshape(-1)[later - 1])  # of each run of equal values, its second one
        length = np.diff(begins, append=len(later)) + 1
        first = later[begins] - 1
        mean = np.repeat(rank[first] + (length - 1) / 2, length)
        rank[np.repeat(first, length) + _counted(length)] = mean
    out = np.empty(value.shape)
    out.reshape(-1)[(order + np.arange(rows)[:, None] * count).reshape(-1)] = rank
    return out


def half_mass(
    value: NDArray[np.floating],
) -> tuple[NDArray[np.floating], NDArray[np.float64], NDArray[np.float64]]:
    """The smallest set that holds half of each row's sum.

    The sums of pieces of a row say in which piece the half is reached; single numbers are added up there alone.

    Args:
        value: Attention [R, N], each row sorted.

    Returns:
        The least value in the set [R, 1]; the size of the set [R]; and which part of each of the values equal to the
        least one is in it [R, 1].
    """
    count, each = value.shape[1], np.arange(len(value))
    pieces = np.zeros((len(value), -(-count // PIECE), PIECE), value.dtype)  # filled up with zeros at the low end
    pieces.reshape(len(value), -1)[:, -count:] = value
    pieces = pieces[:, ::-1, ::-1]  # from high to low
    held = np.cumsum(pieces.sum(-1, dtype=np.float64), axis=1)  # by the highest piece, the two highest, ...
    half = HALF * held[:, -1:] * (1 - 1e-9)
    whole = np.minimum(_counts(held < half)[:, 0], held.shape[1] - 1)  # pieces that are wholly in the set
    before = np.where(whole > 0, held[each, whole - 1], 0.0)[:, None]
    within = before + np.cumsum(pieces[each, whole], axis=1, dtype=np.float64)
    need = 1 + PIECE * whole[:, None] + _counts(within < half)  # tokens in the set
    edge = np.take_along_axis(value, count - np.minimum(need, count), axis=-1)
    above, equal = _counts(value > edge), _counts(value == edge)
    part = divide(need - above, equal)
    return edge, (above + part * equal)[:, 0], part


def _taken(values: NDArray[Any], order: NDArray[np.int64]) -> NDArray[Any]:
    """numpy.take_along_axis of the last axis of [R, N], which is slower."""
    taken: NDArray[Any] = np.take(values, order + np.arange(len(values))[:, None] * values.shape[1])
    return taken


def _counts(where: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many are true in each row [R, N], [R, 1]; numpy counts one row much faster than along an axis."""
    return np.array([[np.count_nonzero(row)] for row in where], dtype=np.int64)


def _counted(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, ... within each of several runs, one after another."""
    return np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)

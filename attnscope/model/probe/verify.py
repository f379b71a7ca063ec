"""Whether tokens answer to the cells that they are said to have: the proof of places, written or probed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attnscope.model.probe.trial import Trial

if TYPE_CHECKING:
    from attnscope.model.layouts import Places

_ROUNDS = 3  # random halves: a token with the cell of another passes one of them half the time
_INSIDE = 0.2  # of a cell's side, left unpainted at each end: resampling reaches over the rim of a cell
_AROUND = 0.1  # of a cell's side (cells beside it may be half as wide): where nothing is painted so near, no answer
_PAINTED = 0.15  # of a cell's area, from where on its token has to answer
_PIXELS = 2  # of the shorter side of a cell, from where on its inside can be painted
_SMALL = 9  # pixels of the shorter side: resampling to larger pixels spills over smaller cells
_CLEARLY = 2  # times: an answer to its own cell, beside the largest to other cells


def agreement(trial: Trial, places: Places) -> NDArray[np.bool_]:
    """Repaint the inside of random halves of the cells: exactly the tokens that own them have to answer.

    Cells of one size are repainted together, each in one of two runs, in all frames that they cover; this is done three
    times, with other halves. A token without a cell must answer to nothing at all. One that is said to mix neighbours
    (`Places.note`) has to answer to its cell, and may answer to others too.

    Args:
        trial: The model and frames.
        places: Where its V visual tokens are said to be.

    Returns:
        Boolean [V]: whether each token with a cell answered to it in every run that painted it, more than twice as much
        as to any painting beside it (more, if the cell has a few pixels), and there was a run of either kind; and
        whether each without a cell is silent. A sliver of less than two pixels (the rest of a padded cell) cannot be
        painted alone: its token has to answer to something.
    """
    boxes = places.box.astype(np.float64)
    placed = ~np.isnan(boxes[:, 0])
    own, others = np.full(len(boxes), np.inf), np.zeros(len(boxes))  # weakest and strongest answer
    sides = (boxes[:, 2:] - boxes[:, :2]).min(axis=1)
    both = _alone(places)  # a token that shares its frames with no other has nothing beside its cell
    rng = np.random.default_rng(1)
    for cells in _ROUNDS * _sizes(boxes):
        spot = _spots(places, cells)
        half = rng.permutation(np.arange(spot.max() + 1) % 2)[spot]
        for chosen in (cells[half == side] for side in np.unique(half)):
            painted = _paint(trial, places, chosen)
            response = trial.response(painted)
            must, must_not = _expected(painted, places)
            must[chosen] |= sides[chosen] >= _PIXELS
            own = np.where(must, np.minimum(own, response), own)
            others = np.where(must_not, np.maximum(others, response), others)
            both |= must_not
    mixed = np.array([bool(note) for note in places.note or [""] * len(boxes)])
    tried = both & np.isfinite(own)
    times = np.where(mixed, 0, np.where(sides < _SMALL, 1, _CLEARLY))
    answered = np.where(tried, own > times * others, (sides < _PIXELS) & trial.answers)
    return np.where(placed, answered, ~trial.answers)


def _alone(places: Places) -> NDArray[np.bool_]:
    """Whether no other token with a cell has the frames of each token; [V]."""
    kinds, number = np.unique(places.frames, axis=0, return_inverse=True)
    placed = ~np.isnan(places.box[:, 0])
    return np.asarray(np.bincount(number[placed].ravel(), minlength=len(kinds))[number.ravel()] == 1)


def _sizes(boxes: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Tokens with a cell, those of one size together: a side that is half as long again is another size."""
    sides = boxes[:, 2:] - boxes[:, :2]
    cells = np.flatnonzero((sides > 0).all(axis=1))
    size = np.unique(np.round(2 * np.log2(sides[cells])), axis=0, return_inverse=True)[1].ravel()
    return [cells[size == value] for value in np.unique(size)]


def _spots(places: Places, cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of the spot that each of some tokens of one size has, one for those that show the same in two views."""
    box = places.box[cells].astype(np.float64)
    size = box[:, 2:] - box[:, :2]
    centre = np.floor((box[:, :2] + size / 2) / size)
    return np.unique(np.column_stack([places.frames[cells], centre]), axis=0, return_inverse=True)[1].ravel()


def _paint(trial: Trial, places: Places, tokens: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The inside of some tokens' cells in their frames; [F, H, W]."""
    painted = np.zeros(trial.shape, bool)
    for token in tokens:
        x0, y0, x1, y1 = _shrunk(places.box[token], -_INSIDE)
        first, last = places.frames[token]
        painted[first : last + 1, _pixel(y0) : _end(y0, y1), _pixel(x0) : _end(x0, x1)] = True
    return painted


def _expected(painted: NDArray[np.bool_], places: Places) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which tokens have to answer to what is painted, and which have to stay as they are; [V] each."""
    count, height, width = painted.shape
    total = np.zeros((count, height + 1, width + 1))
    total[:, 1:, 1:] = painted.cumsum(1).cumsum(2)
    must, must_not = np.zeros(len(places), bool), np.ones(len(places), bool)
    for token, box in enumerate(places.box.astype(np.float64)):
        if np.isnan(box[0]):
            must_not[token] = False  # it answers to nothing at all, which is known already
            continue
        first, last = places.frames[token]
        area = (box[2] - box[0]) * (box[3] - box[1]) * (last - first + 1)
        must[token] = _sum(total[first : last + 1], box) >= _PAINTED * area
        must_not[token] = _sum(total[first : last + 1], _shrunk(box, _AROUND)) == 0
    return must, must_not


def _sum(total: NDArray[np.float64], box: NDArray[np.float64]) -> float:
    """Painted pixels in a rectangle, over all frames, from running sums [f, H + 1, W + 1]."""
    height, width = total.shape[1] - 1, total.shape[2] - 1
    x0, x1 = np.clip([np.floor(box[0]), np.ceil(box[2])], 0, width).astype(int)
    y0, y1 = np.clip([np.floor(box[1]), np.ceil(box[3])], 0, height).astype(int)
    return float((total[:, y1, x1] - total[:, y0, x1] - total[:, y1, x0] + total[:, y0, x0]).sum())


def _shrunk(box: NDArray[np.floating], by: float) -> NDArray[np.float64]:
    """A rectangle grown by a part of its sides at each end, shrunk where that is negative."""
    x0, y0, x1, y1 = box.astype(np.float64)
    dx, dy = by * (x1 - x0), by * (y1 - y0)
    return np.array([x0 - dx, y0 - dy, x1 + dx, y1 + dy])


def _pixel(start: float) -> int:
    return int(np.ceil(start))


def _end(start: float, end: float) -> int:
    """One past the last pixel of a span, one pixel at least."""
    return max(int(np.floor(end)), int(np.ceil(start)) + 1)

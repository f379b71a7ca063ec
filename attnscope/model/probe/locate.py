"""Where each visual token looks, found by repainting parts of the frames: for families that nobody has written down.

First one frame after the other is repainted: a token belongs to those it answers to. Then stripes, upright and lying:
combs of stripes with a period of eight widths, the widest stripes first, say where a token's centre is, each finer comb
within what the coarser one left open. Tokens are then joined to rows and grids in their order, and the spans of a
grid's columns follow from the centres of all its rows: every family resizes, crops, pads and tiles separably.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import ModelError
from attnscope.model.layouts import Places
from attnscope.model.probe.trial import Trial

if TYPE_CHECKING:
    from attnscope.model.load import LoadedModel

Floats = NDArray[np.float64]

_PERIOD = 8  # stripes of a comb
_FINER = 4  # times narrower is the next comb
_FRAME = 0.02  # of the answer to everything, from where on a token belongs to a frame
_NOISE = 0.1  # of a token's strongest answer in a comb: less is what resampling spills
_TRACE = 0.02  # of it: so little, far away, tells a token that mixes patches from one that keeps to a place
_WHOLE = 5  # eighths of both sides: a token that answers to more looks at the whole frame
_SHARP = 0.3  # length of the mean phase, from where on a comb tells a place (1: one stripe, 0: all of them alike)


@dataclass(frozen=True)
class Span:
    """Where tokens look along one side of the frames, as parts of that side.

    Attributes:
        centre: [V], NaN for a token that answers to no stripe.
        start: First point it answers to, as exact as the stripes are wide; [V].
        end: Last point; [V].
        eighths: To how many eighths of the side they answer, however little; [V].
        scattered: Whether these do not follow each other; boolean [V].
    """

    centre: Floats
    start: Floats
    end: Floats
    eighths: NDArray[np.int64]
    scattered: NDArray[np.bool_]


def locate(trial: Trial) -> Places:
    """Find the frames and the cell of every visual token.

    Args:
        trial: The model and frames.

    Returns:
        Places of the V visual tokens; a token that answers to no pixel (a class token, a line break) has none.

    Raises:
        ModelError: If tokens answer to frames that do not follow each other, or all of them to everything.
    """
    _, height, width = trial.shape
    frames = _frames(trial)
    stripes = 2 * _tokens_a_side(trial, frames)
    xs, ys = (_spans(trial, axis, max(stripes, 2 * _PERIOD)) for axis in (2, 1))
    _refuse_mixed(trial.loaded, frames, xs, ys)
    grid, box = np.full((len(trial), 2), -1, np.int32), np.full((len(trial), 4), np.nan, np.float32)
    for tokens in _grids(frames, xs, ys):
        rows, columns = tokens.shape
        left, right = _cells(xs, tokens.T)
        top, bottom = _cells(ys, tokens)
        for row in range(rows):
            for column in range(columns):
                token = tokens[row, column]
                grid[token] = row, column
                box[token] = left[column] * width, top[row] * height, right[column] * width, bottom[row] * height
    return Places(frames=frames, grid=grid, box=np.clip(box, 0, [width, height, width, height]).astype(np.float32))


def _frames(trial: Trial) -> NDArray[np.int32]:
    """First and last frame that each token answers to, -1 none; [V, 2]."""
    count = trial.shape[0]
    if count == 1:
        return np.where(trial.answers[:, None], 0, -1).astype(np.int32).repeat(2, axis=1)
    number = np.arange(count)[:, None, None]
    answered = np.stack([trial.response(number == frame) > _FRAME for frame in range(count)], axis=1)  # [V, F]
    first, last = answered.argmax(1), count - 1 - answered[:, ::-1].argmax(1)
    number_of_frames = answered.sum(1)
    if np.any((last - first + 1 != number_of_frames) & (number_of_frames > 0)):
        raise ModelError(f"{trial.loaded.id}: visual tokens answer to frames that do not follow each other")
    both = np.stack([first, last], axis=1)
    return np.where(number_of_frames[:, None] > 0, both, -1).astype(np.int32)


def _tokens_a_side(trial: Trial, frames: NDArray[np.int32]) -> int:
    """About how many tokens the longer side of a frame has, if all of one frame were one grid."""
    _, height, width = trial.shape
    most = max(np.unique(frames[trial.answers], axis=0, return_counts=True)[1])
    return int(np.ceil(np.sqrt(most * max(width / height, height / width))))


def _spans(trial: Trial, axis: int, stripes: int) -> Span:
    """Where tokens look along one axis of [F, H, W], by combs from one period over the whole side to fine ones."""
    side = trial.shape[axis]
    centre, start, end = (np.full(len(trial), value) for value in (np.nan, 0.0, 1.0))
    eighths, scattered = np.zeros(len(trial), int), np.zeros(len(trial), bool)
    width = 1 / _PERIOD  # of a stripe, as a part of the side
    while True:
        comb = np.stack([trial.response(_comb(side, axis, width, phase)) for phase in range(_PERIOD)], axis=1)
        if width * _PERIOD == 1:
            eighths, scattered = _spread(comb > _TRACE * comb.max(1, keepdims=True))
        comb[comb < _NOISE * comb.max(1, keepdims=True)] = 0
        _narrow(comb, width, centre, start, end)
        if width <= 1 / min(stripes, side):
            return Span(centre, start, end, eighths, scattered)
        width /= _FINER


def _spread(answered: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """How many of eight stripes tokens answer to [V, 8], and whether they leave some out between them; [V] each."""
    first, last = answered.argmax(1), _PERIOD - 1 - answered[:, ::-1].argmax(1)
    number = answered.sum(1)
    return number, (number > 0) & (last - first + 1 != number)


def _comb(side: int, axis: int, width: float, phase: int) -> NDArray[np.bool_]:
    """Every eighth stripe; boolean, shaped to broadcast to [F, H, W]."""
    stripe = np.floor((np.arange(side) + 0.5) / side / width + 1e-9).astype(int)
    return np.asarray(stripe % _PERIOD == phase).reshape([-1 if other == axis else 1 for other in range(3)])


def _narrow(comb: Floats, width: float, centre: Floats, start: Floats, end: Floats) -> None:
    """Take in the answers [V, 8] to one comb: centres and ends are written over where it tells more than was known."""
    total = comb.sum(1)
    if width * _PERIOD >= 1:  # the first: one period over the whole side, without a way around its edge
        silent = total == 0
        place = (np.arange(_PERIOD) + 0.5) * width
        centre[:] = np.where(silent, np.nan, (comb * place).sum(1) / np.maximum(total, 1e-300))
        start[:] = np.where(silent, np.nan, comb.astype(bool).argmax(1) * width)
        end[:] = np.where(silent, np.nan, (_PERIOD - comb[:, ::-1].astype(bool).argmax(1)) * width)
        return
    turn = (comb * np.exp(2j * np.pi * (np.arange(_PERIOD) + 0.5) / _PERIOD)).sum(1) / np.maximum(total, 1e-300)
    sharp = np.abs(turn) > _SHARP
    period = width * _PERIOD
    phase = (np.angle(turn) / (2 * np.pi)) % 1 * period
    found = phase + np.round((centre - phase) / period) * period
    reach = (comb > 0).sum(1) * width / 2
    centre[:] = np.where(sharp, found, centre)
    start[:] = np.where(sharp, np.maximum(start, found - reach), start)
    end[:] = np.where(sharp, np.minimum(end, found + reach), end)


def _refuse_mixed(loaded: LoadedModel, frames: NDArray[np.int32], xs: Span, ys: Span) -> None:
    """Refuse tokens that answer to places far apart, as those of a resampler, a perceiver or a Q-Former."""
    placed = ~np.isnan(xs.centre)
    several = np.unique(frames[placed], axis=0, return_counts=True)[1].min() > 1
    whole = (xs.eighths > _WHOLE) & (ys.eighths > _WHOLE)
    if several and (whole | xs.scattered | ys.scattered)[placed].mean() > 0.5:
        raise ModelError(
            f"{loaded.id}: each visual token of {type(loaded.model).__name__} answers to places all over the"
            " frame, as behind a resampler or a Q-Former, so that its tokens have no places"
        )


def _grids(frames: NDArray[np.int32], xs: Span, ys: Span) -> list[NDArray[np.int64]]:
    """Tokens joined to grids, in their order: each an array of token numbers [rows, columns]."""
    grids: list[list[NDArray[np.int64]]] = []
    for row in _rows(frames, xs, ys):
        above = grids[-1][-1] if grids else None
        if above is not None and _continues(above, row, frames, xs, ys):
            grids[-1].append(row)
        else:
            grids.append([row])
    return [np.stack(rows) for rows in grids]


def _rows(frames: NDArray[np.int32], xs: Span, ys: Span) -> list[NDArray[np.int64]]:
    """Runs of tokens of the same frames, each to the right of the one before it."""
    rows: list[list[int]] = []
    for token in np.flatnonzero(~np.isnan(xs.centre)):
        last = rows[-1][-1] if rows else -1
        half = (ys.end[token] - ys.start[token]) / 2
        right = (
            rows
            and (frames[last] == frames[token]).all()
            and xs.centre[token] > xs.centre[last] + (xs.end[token] - xs.start[token]) / 8
            and abs(ys.centre[token] - ys.centre[last]) < half
        )
        if right:
            rows[-1].append(int(token))
        else:
            rows.append([int(token)])
    return [np.array(row) for row in rows]


def _continues(above: NDArray[np.int64], row: NDArray[np.int64], frames: NDArray[np.int32], xs: Span, ys: Span) -> bool:
    """Whether a row lies right below another in one grid: as many tokens, in the same columns."""
    if len(above) != len(row) or (frames[above[0]] != frames[row[0]]).any():
        return False
    wide = np.median(xs.end[row] - xs.start[row])
    aligned = np.abs(xs.centre[above] - xs.centre[row]).max() < wide / 2
    return bool(aligned and np.median(ys.centre[row]) > np.median(ys.centre[above]))


def _cells(span: Span, lines: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Start and end of the columns (or rows) of one grid.

    Args:
        span: Where its tokens look along the side.
        lines: Token numbers, one line a column, [columns, rows].
    """
    centre = np.median(span.centre[lines], axis=1)
    if len(centre) == 1:
        return np.median(span.start[lines], axis=1), np.median(span.end[lines], axis=1)
    edges = _cut(centre)
    if edges is not None:
        return edges[:-1], edges[1:]
    if len(centre) > 2:
        centre = _evenly(centre)
    between = (centre[1:] + centre[:-1]) / 2
    start = np.concatenate([[centre[0] - (between[0] - centre[0])], between])
    end = np.concatenate([between, [centre[-1] + (centre[-1] - between[-1])]])
    pitch = float(np.median(np.diff(centre)))
    if abs(start[0]) < pitch / 8:
        start[0] = 0.0
    if abs(end[-1] - 1) < pitch / 8:
        end[-1] = 1.0
    return start, end


def _cut(centre: Floats) -> Floats | None:
    """Edges of even cells of which the outermost are cut by the edge of the picture, None if none is cut by much.

    Where a picture is padded to a square, a cell at its edge looks at less of it, so that its centre lies further in.
    The cells between, which are whole, tell where the edges are.
    """
    if len(centre) < 4:
        return None
    inner = _evenly(centre[1:-1]) if len(centre) > 4 else centre[1:-1]
    pitch = (inner[-1] - inner[0]) / (len(inner) - 1)
    edges = np.clip(inner[0] + pitch * (np.arange(len(centre) + 1) - 1.5), 0, 1)
    apart = np.abs((edges[:-1] + edges[1:]) / 2 - centre).max()
    return edges if apart < min(pitch / 4, np.abs(_line(centre) - centre).max() / 2) else None


def _evenly(centre: Floats) -> Floats:
    """Centres on an even line where they lie near to one; else as they are."""
    even = _line(centre)
    return even if np.abs(even - centre).max() < np.diff(even).mean() / 3 else centre


def _line(centre: Floats) -> Floats:
    """Points of an even line through centres: its slope is the median of all slopes."""
    number = np.arange(len(centre))
    first, second = np.triu_indices(len(centre), 1)
    pitch = np.median((centre[second] - centre[first]) / (second - first))
    return np.asarray(pitch * number + np.median(centre - pitch * number))

"""Density matrices of speakers and the scores made of densities: arrays in, arrays out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attnscope.metrics.density import Turns
from attnscope.metrics.tidy import divide


def matrices(flat: NDArray[np.float64], turns: Turns) -> NDArray[np.float64]:
    """Density matrices.

    Args:
        flat: densities of turns on speakers, [X, T, S].
        turns: what they are of.

    Returns:
        M [X, S, S]: means over the tokens of each row's turns; NaN where no turn counts.
    """
    weight = onehot(turns, turns.labels[None])[0]  # [S, T]
    return divide(weight @ np.nan_to_num(flat), weight @ (turns.cells > 0))


def scores(
    m: NDArray[np.float64], enter: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Consistency score of density matrices.

    Args:
        m: [..., S, S].
        enter: speakers that enter, [S].

    Returns:
        Score, chance level and number of rows that entered, each [...]; NaN, NaN, 0 where no row enters.
    """
    inner = m[..., enter, :][..., enter]
    columns = np.isfinite(inner).sum(-1)  # [..., s]
    share = divide(np.einsum("...ss->...s", inner), np.nansum(inner, axis=-1))
    good = np.isfinite(share) & (columns >= 2)
    rows = good.sum(-1)
    score = divide(np.where(good, share, 0.0).sum(-1), rows)
    chance = divide(np.where(good, 1 / np.maximum(columns, 1), 0.0).sum(-1), rows)
    return score, chance, rows


def lifts(flat: NDArray[np.float64], turns: Turns, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Score over chance for many ways to label the turns, as `scores` of `matrices` but without making them.

    Args:
        flat: densities of turns on speakers, [X, T, S].
        turns: what they are of.
        labels: speaker of each turn, [A, T].

    Returns:
        [A, X]; NaN where no row enters.
    """
    enter = np.flatnonzero(turns.entering)
    if len(enter) < 2:
        return np.full((len(labels), len(flat)), np.nan)
    weight = onehot(turns, labels)[:, enter]  # [A, s, T]
    counted = weight @ (turns.cells[:, enter] > 0)  # tokens behind each entry of M, [A, s, s]
    scale = divide(1, counted)
    columns = (counted > 0).sum(-1)  # [A, s]
    enters = (columns >= 2) & (np.einsum("ass->as", counted) > 0)
    dense = np.nan_to_num(flat[..., enter]).transpose(1, 2, 0)  # [T, s, X]
    # row sums and diagonal of M are both linear in the densities: one product of matrices each, for all arrangements
    of_row = np.einsum("ast,asr->astr", weight, np.nan_to_num(scale)).reshape(weight.shape[0] * len(enter), -1)
    total = (of_row @ dense.reshape(-1, len(flat))).reshape(*weight.shape[:2], -1)  # [A, s, X]
    own = np.stack([weight[:, s] @ dense[:, s] for s in range(len(enter))], axis=1)
    own *= np.nan_to_num(np.einsum("ass->as", scale))[..., None]
    good = enters[..., None] & (total > 0)
    share = np.divide(own, total, out=np.zeros_like(own), where=good)
    return divide(share.sum(1), np.einsum("as,asx->ax", 1 / np.maximum(columns, 1), good))


def own_share(
    dense: NDArray[np.float64], turns: Turns
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Share of each turn's own speaker among the speakers that enter.

    Args:
        dense: densities of turns on speakers, [..., T, S]; NaN where a speaker has no cell.
        turns: what they are of.

    Returns:
        Share, chance level (1 / speakers with a cell) and number of those speakers, each [..., T]; NaN and 0 where the
        own speaker has no cell, or nobody else has one.
    """
    inner = np.where(turns.entering, dense, np.nan)
    columns = np.isfinite(inner).sum(-1)
    where = np.broadcast_to(turns.labels[:, None], (*inner.shape[:-1], 1))
    own = np.take_along_axis(inner, where, axis=-1)[..., 0]
    columns = np.where(np.isfinite(own) & (columns >= 2), columns, 0)
    share = np.where(columns > 0, divide(own, np.nansum(inner, axis=-1)), np.nan)
    return share, divide(1, columns), columns


def onehot(turns: Turns, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Tokens that each speaker has in each turn, [A, S, T], for labels [A, T]."""
    speakers = np.arange(len(turns.speakers))
    return np.asarray((labels[:, None] == speakers[:, None]) * turns.tokens.astype(np.float64))

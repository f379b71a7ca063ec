"""Density matrices of speakers and the score made of them: arrays in, arrays out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attnscope.metrics.density import Turns
from attnscope.metrics.tidy import divide


def matrices(flat: NDArray[np.float64], turns: Turns, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Density matrices for several ways to label the turns.

    Args:
        flat: densities of turns on speakers, [X, T, S].
        turns: what they are of.
        labels: speaker of each turn, [A, T].

    Returns:
        M [A, X, S, S]: means over the tokens of each row's turns; NaN where no turn counts.
    """
    weight = onehot(turns, labels)  # [A, S, T]
    seen = (turns.cells > 0).astype(np.float64)  # [T, S]
    total = np.einsum("ast,xtr->axsr", weight, np.nan_to_num(flat), optimize=True)
    return divide(total, (weight @ seen)[:, None])


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


def onehot(turns: Turns, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Tokens that each speaker has in each turn, [A, S, T], for labels [A, T]."""
    speakers = np.arange(len(turns.speakers))
    return np.asarray((labels[:, None] == speakers[:, None]) * turns.tokens.astype(np.float64))

"""Density matrices of speakers and the scores made of densities: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.metrics.people.density import Turns
from attnscope.metrics.registry import OVER
from attnscope.metrics.tables import divide


def matrices(flat: NDArray[np.float64], turns: Turns) -> NDArray[np.float64]:
    """Density matrices.

    Args:
        flat: Densities of turns on speakers, [X, T, S].
        turns: What they are of.

    Returns:
        M [X, S, S]: means over the tokens of each row's turns; NaN where no turn counts.
    """
    weight = onehot(turns, turns.labels[None])[0]  # [S, T]
    return divide(weight @ np.nan_to_num(flat), weight @ (turns.cells > 0))


def scores(m: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Consistency score of density matrices: a row for everybody who speaks, a column for everybody who is visible.

    Args:
        m: [..., S, S]; NaN where s has no words, or s' no cell when s speaks.

    Returns:
        Score, chance level and number of rows that entered, each [...]; NaN, NaN, 0 where no row enters.
    """
    columns = np.isfinite(m).sum(-1)  # [..., s]
    share = divide(np.einsum("...ss->...s", m), np.nansum(m, axis=-1))
    good = np.isfinite(share) & (columns >= 2)
    rows = good.sum(-1)
    score = divide(np.where(good, share, 0.0).sum(-1), rows)
    chance = divide(np.where(good, 1 / np.maximum(columns, 1), 0.0).sum(-1), rows)
    return score, chance, rows


def lifts(flat: NDArray[np.float64], turns: Turns, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Score over chance for many ways to label the turns, as `scores` of `matrices` but without making them.

    Args:
        flat: Densities of turns on speakers, [X, T, S].
        turns: What they are of.
        labels: Speaker of each turn, [A, T]; nobody but those who speak in `turns`.

    Returns:
        [A, X]; NaN where no row enters.
    """
    speak = np.unique(turns.labels)  # the r rows
    if not len(speak):
        return np.full((len(labels), len(flat)), np.nan)
    weight = onehot(turns, labels)[:, speak]  # [A, r, T]
    counted = weight @ (turns.cells > 0)  # tokens behind each entry of M, [A, r, S]
    scale = np.nan_to_num(divide(1, counted))
    columns = (counted > 0).sum(-1)  # [A, r]
    at = np.arange(len(speak)), speak  # the diagonal
    enters = (columns >= 2) & (counted[:, *at] > 0)
    dense = np.nan_to_num(flat).transpose(1, 2, 0)  # [T, S, X]
    # row sums and diagonal of M are both linear in the densities: one product of matrices each, for all arrangements
    of_row = np.einsum("ast,asr->astr", weight, scale).reshape(len(labels) * len(speak), -1)
    total = (of_row @ dense.reshape(-1, len(flat))).reshape(*weight.shape[:2], -1)  # [A, r, X]
    own = np.stack([weight[:, row] @ dense[:, s] for row, s in enumerate(speak)], axis=1)
    own *= scale[:, *at][..., None]
    good = enters[..., None] & (total > 0)
    share = np.divide(own, total, out=np.zeros_like(own), where=good)
    return divide(share.sum(1), np.einsum("as,asx->ax", 1 / np.maximum(columns, 1), good))


def own_share(
    dense: NDArray[np.float64], turns: Turns
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Share of each turn's own speaker among all speakers who are visible.

    Args:
        dense: Densities of turns on speakers, [..., T, S]; NaN where a speaker has no cell.
        turns: What they are of.

    Returns:
        Share, chance level (1 / speakers with a cell) and number of those speakers, each [..., T]; NaN and 0 where the
        own speaker has no cell, or nobody else has one.
    """
    columns = np.isfinite(dense).sum(-1)
    where = np.broadcast_to(turns.labels[:, None], (*dense.shape[:-1], 1))
    own = np.take_along_axis(dense, where, axis=-1)[..., 0]
    columns = np.where(np.isfinite(own) & (columns >= 2), columns, 0)
    share = np.where(columns > 0, divide(own, np.nansum(dense, axis=-1)), np.nan)
    return share, divide(1, columns), columns


def onehot(turns: Turns, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Tokens that each speaker has in each turn, [A, S, T], for labels [A, T]."""
    speakers = np.arange(len(turns.speakers))
    return np.asarray((labels[:, None] == speakers[:, None]) * turns.tokens.astype(np.float64))


# The same from a table: who attends to whom, as shares of a row.


def row_shares(rows: pd.DataFrame, names: list[str] | None = None) -> NDArray[np.float64]:
    """Densities as shares of their row [S, S], averaged over layers and captures; NaN in a row with a single number.

    Args:
        rows: Of `speaker_density`.
        names: The speakers in order; by default those of the rows.
    """
    names = speakers_of(rows) if names is None else names
    wide = rows.pivot_table(index="speaker", columns="target", values="value", aggfunc="mean", dropna=False)
    m = wide.reindex(index=names, columns=names).to_numpy(np.float64, copy=True)
    m[np.isfinite(m).sum(1) < 2] = np.nan  # a share needs something to be a share of
    return divide(m, np.nansum(m, axis=1, keepdims=True))


def speakers_of(rows: pd.DataFrame) -> list[str]:
    """The speakers of a matrix, in their order."""
    return [str(name) for name in dict.fromkeys(rows["speaker"])]


def comparable(speakers: pd.DataFrame) -> bool:
    """Whether any words can be compared over the pixels of two speakers."""
    rows = speakers[(speakers["metric"] == "speaker_density") & (speakers["head"] == OVER)]
    return any(np.isfinite(row_shares(part)).any() for _, part in rows.groupby("frames"))


def chance_of(matrices: Iterable[NDArray[np.float64]], default: float = 0.5) -> float:
    """Mean over the rows of matrices of the share that every speaker has by chance."""
    counts = [np.isfinite(row).sum() for matrix in matrices for row in matrix if np.isfinite(row).any()]
    return float(np.mean([1 / count for count in counts])) if counts else default

"""Patches pooled bilinearly to fewer tokens: the cell of each, and how much of a token lies outside its cell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_MIXED = 1 / 6  # share of a token's weight outside its cell from which on that is noted (ours)


def pooled_spans(spans: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return ideal spans after a bilinear pooling to `count`: equal shares of the patches (ours); [count, 2].

    Args:
        spans: Start and end of each patch; [patches, 2].
        count: Tokens along this side.
    """
    edges = np.linspace(0, len(spans), count + 1)
    first = np.minimum(np.floor(edges[:-1]).astype(int), len(spans) - 1)
    last = np.maximum(np.ceil(edges[1:] - 1e-9).astype(int) - 1, first)
    patch = spans[0, 1] - spans[0, 0]
    starts = spans[first, 0] + (edges[:-1] - first) * patch
    ends = spans[last, 0] + (edges[1:] - last) * patch
    return np.stack([starts, ends], axis=1)


def pooled_notes(patches: tuple[int, int], tokens: tuple[int, int]) -> Sequence[str] | None:
    """Return a note for each token that has more than a sixth of its weight outside its cell, row by row.

    A pooled token is a weighted mean of the two patches a side that are nearest to its centre. Where a cell has less
    than two patches a side, these reach over into the cells beside it.

    Args:
        patches: Rows and columns of patches.
        tokens: Rows and columns of tokens that they are pooled to.

    Returns:
        One note a token, "" for none; None if no token has one.
    """
    rows, cols = (_within(before, after) for before, after in zip(patches, tokens, strict=True))
    outside = 1 - np.outer(rows, cols).ravel()  # [tokens]
    if outside.max() <= _MIXED:
        return None
    return [f"pooled: {x:.0%} of its weight lies outside its cell" if x > _MIXED else "" for x in outside]


def _within(patches: int, count: int) -> NDArray[np.floating]:
    """Share of each token's bilinear weight that lies within its share of the patches, along one side; [count]."""
    size = patches / count
    starts = np.arange(count) * size
    centre = starts + size / 2 - 0.5  # in patches, 0 at the centre of the first
    left = np.floor(centre)
    weight = centre - left  # of the patch to the right
    return np.asarray((1 - weight) * _overlap(left, starts, size) + weight * _overlap(left + 1, starts, size))


def _overlap(patch: NDArray[np.floating], starts: NDArray[np.floating], size: float) -> NDArray[np.floating]:
    """Share of each patch that lies within a span; the patches are given by their numbers."""
    return np.asarray(np.clip(np.minimum(patch + 1, starts + size) - np.maximum(patch, starts), 0, 1))

"""The attention of any query token, exact: of a head, of a layer's heads together, or of all.

What is computed is `Capture.attention`, from the queries and keys as the kernel received them. A mean is over the heads
of a layer, then over the layers, in float64. The lift of a key is attention times the number of keys that the query may
see (`attnscope.metrics.people.cells.cell_lift` of a single query): 1 is uniform attention.
"""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from attnscope.capture.read.capture import Capture

Row = tuple[NDArray[np.float64], NDArray[np.float64]]
_HEADS = 7  # that are computed in one step: a quarter of a layer's in a model of 28 heads


def row_steps(cap: Capture, position: int, layer: int | None, head: int | None) -> Generator[None, None, Row]:
    """Compute a row, a few heads at a step.

    Args:
        cap: An open capture with `qk` or `full`.
        position: Of the query.
        layer: Its number in the model; None for the mean over all recorded layers.
        head: Its number; None for the mean over the heads.

    Yields:
        Between two steps.

    Returns:
        Lift and attention on every position, [P] each. The lift is NaN where no layer lets the query see the key. Both
        are NaN everywhere if one of the layers lets it see nothing.

    Raises:
        RequestError: If the capture has no such layer, head or position.
        FormatError: If it has no queries and keys, or the file is damaged.
    """
    numbers = cap.layers.tolist() if layer is None else [layer]
    count = len(cap.tokens)
    lift, attention, seen = np.zeros(count), np.zeros(count), np.zeros(count, bool)
    for number in numbers:
        allowed = cap.allowed(number, [position])[0]
        own = yield from _of_layer(cap, position, number, head)
        lift += own * allowed.sum()
        attention += own
        seen |= allowed
    return np.where(seen, lift / len(numbers), np.nan), attention / len(numbers)


def _of_layer(cap: Capture, position: int, layer: int, head: int | None) -> Generator[None, None, NDArray[np.float64]]:
    """Attention [P] of one layer: 0 where it is not allowed, NaN if nothing is."""
    heads = list(range(cap.heads)) if head is None else [head]
    total = np.zeros(len(cap.tokens))
    for start in range(0, len(heads), _HEADS):
        total += cap.attention(layer, heads[start : start + _HEADS], [position])[:, 0].sum(0, dtype=np.float64)
        yield
    return total / len(heads)

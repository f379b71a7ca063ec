"""Molmo2: frames squashed to a square; an image whole, then finer, in crops that overlap. Patches are pooled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attnscope.model.layouts.base import Blank, Layout, View

if TYPE_CHECKING:
    from attnscope.scene import Frames


class Molmo2Layout(Layout):
    """The processor says which patches each token pools; where patches do not divide, cells at the rim have fewer.

    Crops of the fine view overlap so that the tower sees around their rims, but each patch of it is used once.
    """

    labelled = True  # "0.5 " before each frame

    def views(self, model: Any, processor: Any, inputs: Mapping[str, Any], frames: Frames) -> Sequence[View | Blank]:  # noqa: ARG002
        """One view a frame, or the coarse and the fine view of an image."""
        if "video_grids" in inputs:
            count, rows, cols = inputs["video_grids"][0].tolist()
            part, pooled = processor.video_processor, inputs["video_token_pooling"]
            grids = [(frame, rows, cols) for frame in range(count)]
        else:
            part, pooled = processor.image_processor, inputs["image_token_pooling"]
            coarse, fine = inputs["image_grids"][0].reshape(2, 2).tolist()
            grids = [(0, *coarse), (0, *fine)]
        used = pooled.numpy() >= 0  # [V, h * w]: patches that a token pools, -1 for none
        views, start = [], 0
        for frame, rows, cols in grids:
            cells = used[start : start + rows * cols].reshape(rows, cols, *part.pooling_size)
            start += rows * cols
            ys, xs = _spans(cells.any((1, 3)), frames.height), _spans(cells.any((0, 2)), frames.width)
            views.append(View(ys, xs, first=frame, last=frame))
        return views


def _spans(used: NDArray[np.bool_], length: int) -> NDArray[np.float64]:
    """Start and end of each cell along one side of the source, from the patches that it pools: [cells, patches]."""
    counts = used.sum(1)
    ends = counts.cumsum()
    spans: NDArray[np.float64] = np.stack([ends - counts, ends], axis=1) * (length / ends[-1])
    return spans

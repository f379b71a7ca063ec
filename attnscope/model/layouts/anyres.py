"""LLaVA's "any resolution" images: a squashed base view, then the tiles of a padded canvas.

The image is scaled to fit the best canvas of `image_grid_pinpoints`, padded to it and cut into tiles; the
tiles' patches form one big grid, whose padded rows or columns are dropped. Each row ends with a newline
token.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attnscope.model.layouts.base import View, corner, whole
from attnscope.model.layouts.pooled import pooled_notes, pooled_spans
from attnscope.model.layouts.tower import patches, square
from attnscope.transformers_names import best_canvas

if TYPE_CHECKING:
    from attnscope.scene import Frames


def anyres_views(config: Any, frames: Frames, max_tiles: int | None = None) -> list[View]:
    """Return the base view and the unpadded grid of all tiles.

    Args:
        config: The model's configuration.
        frames: The image.
        max_tiles: Pool a grid larger than this many tiles' worth of patches (LLaVA-OneVision).
    """
    vision = config.vision_config
    count, share = patches(vision)
    size, patch = (
        square(vision.image_size, "vision image_size"),
        square(vision.patch_size, "vision patch_size"),
    )
    height, width = frames.height, frames.width
    canvas = best_canvas([height, width], config.image_grid_pinpoints)
    ys, xs = _patch_spans(canvas[0], size, patch), _patch_spans(canvas[1], size, patch)
    top, left = _padding(len(ys), len(xs), height, width)
    ys, xs = ys[top : len(ys) - top], xs[left : len(xs) - left]
    notes = None
    if max_tiles is not None:
        # as the model: only a grid clearly over the limit is pooled
        ratio = math.sqrt(len(ys) * len(xs) / (max_tiles * count**2))
        if ratio > 1.1:
            rows, cols = int(len(ys) // ratio), int(len(xs) // ratio)
            notes = pooled_notes((len(ys), len(xs)), (rows, cols))
            ys, xs = pooled_spans(ys, rows), pooled_spans(xs, cols)
    new_height, new_width = _resized(canvas, height, width)
    base = View.even(count, count, corner(whole(frames), share))
    ys, xs = _to_source(ys, height, new_height, canvas[0]), _to_source(xs, width, new_width, canvas[1])
    return [base, View(ys, xs, newline=True, note=notes)]


def _patch_spans(length: int, size: int, patch: int) -> NDArray[np.float64]:
    """Start and end of each patch along one side of the canvas; no patch sees the end of a tile."""
    starts = np.arange(length // size)[:, None] * size + np.arange(size // patch) * patch
    return np.stack([starts.ravel(), starts.ravel() + patch], axis=1).astype(np.float64)


def _padding(rows: int, cols: int, height: int, width: int) -> tuple[int, int]:
    """Rows and columns of patches that the model drops on each side."""
    if width / height > cols / rows:
        return (rows - int(round(height * (cols / width), 7))) // 2, 0
    return 0, (cols - int(round(width * (rows / height), 7))) // 2


def _resized(canvas: tuple[int, int], height: int, width: int) -> tuple[int, int]:
    """Height and width of the image scaled to fit the canvas, rounded as the image processor does."""
    y_scale, x_scale = canvas[0] / height, canvas[1] / width
    if x_scale < y_scale:
        return min(math.ceil(height * x_scale), canvas[0]), canvas[1]
    return canvas[0], min(math.ceil(width * y_scale), canvas[1])


def _to_source(spans: NDArray[np.float64], source: int, resized: int, canvas: int) -> NDArray[np.float64]:
    """Canvas pixels to source pixels along one side: take off the padding, undo the resize."""
    return (spans - (canvas - resized) // 2) * (source / resized)

"""Llama 4: each image in tiles of a canvas padded on the right and below, then whole; one tile has no second view."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attnscope.model.layouts.base import Blank, Layout, View, corner, of_each_image, tile, whole
from attnscope.model.layouts.tower import patches

if TYPE_CHECKING:
    from attnscope.scene import Frames


class Llama4Layout(Layout):
    """A token is a block of `1 / pixel_shuffle_ratio` patches a side."""

    def views(
        self,
        model: Any,
        processor: Any,
        inputs: Mapping[str, Any],  # noqa: ARG002
        frames: Frames,
    ) -> Sequence[View | Blank]:
        """One view a tile and one for the whole image, for each image."""
        vision, part = model.config.vision_config, processor.image_processor
        count, share = patches(vision)
        side = round(count * vision.pixel_shuffle_ratio)
        rows, cols = _tiles(part, frames)
        canvas = (rows * part.size["height"], cols * part.size["width"])
        height, width = _resized(part, canvas, frames)
        padded = (0.0, 0.0, canvas[1] * frames.width / width, canvas[0] * frames.height / height)
        regions = [tile(padded, row, col, rows, cols) for row in range(rows) for col in range(cols)]
        regions += [whole(frames)] * (len(regions) > 1)
        return of_each_image([View.even(side, side, corner(region, share)) for region in regions], frames)


def _tiles(image_processor: Any, frames: Frames) -> tuple[int, int]:
    """Rows and columns of tiles; only the image processor's own call reports them."""
    rows, cols = image_processor([frames.images[0]], return_tensors="pt")["aspect_ratios"][0].tolist()
    return int(rows), int(cols)


def _resized(image_processor: Any, canvas: tuple[int, int], frames: Frames) -> tuple[int, int]:
    """Height and width of the image in its canvas; it grows beyond one tile only where the processor says so."""
    source = (frames.height, frames.width)
    limit = canvas
    if not image_processor.resize_to_max_canvas:
        edge = image_processor.size["height"]
        limit = (min(max(source[0], edge), canvas[0]), min(max(source[1], edge), canvas[1]))
    y_scale, x_scale = limit[0] / source[0], limit[1] / source[1]
    if x_scale < y_scale:
        return max(min(math.floor(source[0] * x_scale), limit[0]), 1), limit[1]
    return limit[0], max(min(math.floor(source[1] * y_scale), limit[1]), 1)

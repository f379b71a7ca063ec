"""InternVL: frames squashed to a square ("Frame1: " before each); images in tiles and a thumbnail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attnscope.model.layouts.base import Blank, Layout, View, corner, tile, whole
from attnscope.model.layouts.tower import patches
from attnscope.transformers_names import tiled_canvas

if TYPE_CHECKING:
    from attnscope.scene import Frames


class InternVLLayout(Layout):
    """A token is a block of `1 / downsample_ratio` patches a side."""

    labelled = True

    def views(self, model: Any, processor: Any, inputs: Mapping[str, Any], frames: Frames) -> Sequence[View | Blank]:
        """One view a frame, or one a tile and one for the thumbnail."""
        count, share = patches(model.config.vision_config)
        side = round(count * model.config.downsample_ratio)
        tiles = inputs["pixel_values"].shape[0]
        source = whole(frames)
        if frames.kind != "image":
            return [View.even(side, side, corner(source, share), first=i, last=i) for i in range(tiles)]
        rows, cols = _tiles(processor.image_processor, tiles, frames)
        tiles = [tile(source, row, col, rows, cols) for row in range(rows) for col in range(cols)]
        regions = tiles if len(tiles) == 1 else [*tiles, source]
        return [View.even(side, side, corner(region, share)) for region in regions]


def _tiles(image_processor: Any, tiles: int, frames: Frames) -> tuple[int, int]:
    """Rows and columns of tiles, as the image processor chose them."""
    if tiles == 1:
        return 1, 1
    size = image_processor.size
    cols, rows = tiled_canvas(
        (frames.height, frames.width),
        (size["height"], size["width"]),
        image_processor.min_patches,
        image_processor.max_patches,
    )
    return rows, cols

"""Images cut into equal tiles, each squashed to the tower's square, and the whole image after them.

InternVL's images are cut so, and those of Cohere2-Vision and Aya Vision, whose breaks between tiles are no visual
tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attnscope.model.layouts.base import Blank, Layout, View, corner, of_each_image, tile, whole
from attnscope.model.layouts.tower import patches
from attnscope.transformers_names import tiled_canvas

if TYPE_CHECKING:
    from attnscope.scene import Frames


class CohereVisionLayout(Layout):
    """A token is a block of `downsample_factor` x `downsample_factor` patches."""

    def views(self, model: Any, processor: Any, inputs: Mapping[str, Any], frames: Frames) -> Sequence[View | Blank]:
        """One view a tile and one for the thumbnail, for each image."""
        count, share = patches(model.config.vision_config)
        side = count // model.config.downsample_factor
        share *= side * model.config.downsample_factor / count
        return tiled_views(processor.image_processor, frames, inputs["pixel_values"].shape[0], side, share)


def tiled_views(image_processor: Any, frames: Frames, tiles: int, side: int, share: float) -> list[View | Blank]:
    """Return one view a tile and one for the thumbnail, for each image; an image of one tile has no thumbnail.

    Args:
        image_processor: The one that cut the images.
        frames: The images.
        tiles: Tiles that it made of all of them, thumbnails included.
        side: Tokens a side of a tile.
        share: Fraction of a tile's side that the tokens cover.
    """
    source = whole(frames)
    regions = [source]
    if tiles > len(frames.images):
        size = image_processor.size
        cols, rows = tiled_canvas(
            image_processor,
            (frames.height, frames.width),
            (size["height"], size["width"]),
            image_processor.min_patches,
            image_processor.max_patches,
        )
        regions = [*(tile(source, row, col, rows, cols) for row in range(rows) for col in range(cols)), source]
    return of_each_image([View.even(side, side, corner(region, share)) for region in regions], frames)

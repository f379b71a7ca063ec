"""InternVL: frames squashed to a square ("Frame1: " before each); images in tiles and a thumbnail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attnscope.model.layouts.base import Blank, Layout, View, corner, of_each_image, whole
from attnscope.model.layouts.tiled import tiled_views
from attnscope.model.layouts.tower import patches

if TYPE_CHECKING:
    from attnscope.scene import Frames


class InternVLLayout(Layout):
    """A token is a block of `1 / downsample_ratio` patches a side."""

    labelled = True

    def views(self, model: Any, processor: Any, inputs: Mapping[str, Any], frames: Frames) -> Sequence[View | Blank]:
        """One view a frame, or one a tile and one for the thumbnail."""
        count, share = patches(model.config.vision_config)
        side = round(count * model.config.downsample_ratio)
        if frames.kind != "image":
            return of_each_image([View.even(side, side, corner(whole(frames), share))], frames)
        return tiled_views(processor.image_processor, frames, inputs["pixel_values"].shape[0], side, share)

"""Cohere2-Vision and Aya Vision: each image in tiles and a thumbnail; the breaks between them are no visual tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attnscope.model.layouts.base import Blank, Layout, View
from attnscope.model.layouts.tiled import tiled_views
from attnscope.model.layouts.tower import patches

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

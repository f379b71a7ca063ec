"""LLaVA-NeXT-Video: a centre crop of each frame, 24 x 24 patches pooled to 12 x 12 tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attnscope.model.layouts.anyres import anyres_views
from attnscope.model.layouts.base import Blank, Layout, View, corner
from attnscope.model.layouts.tower import patches, squash_or_crop

if TYPE_CHECKING:
    from attnscope.scene import Frames


class LlavaNextVideoLayout(Layout):
    """What lies outside the centre crop has no token; an image is tiled (any resolution)."""

    def views(self, model: Any, processor: Any, inputs: Mapping[str, Any], frames: Frames) -> Sequence[View | Blank]:
        """One view a frame, or the base view and the tiles of an image."""
        config = model.config
        if "pixel_values_videos" not in inputs:
            return anyres_views(config, frames)
        count, share = patches(config.vision_config)
        pooled = count // config.spatial_pool_stride
        share *= pooled * config.spatial_pool_stride / count  # pooling drops a remainder
        crop = squash_or_crop(processor.video_processor, frames.width, frames.height)
        region = corner(crop, share)
        return [
            View.even(pooled, pooled, region, first=i, last=i) for i in range(inputs["pixel_values_videos"].shape[1])
        ]

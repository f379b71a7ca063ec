"""LLaVA-OneVision: frames squashed to a square, patches pooled bilinearly, one newline at the end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from attnscope.model.layouts.anyres import anyres_views
from attnscope.model.layouts.base import Blank, Layout, View, corner, of_each_image
from attnscope.model.layouts.pooled import pooled_notes
from attnscope.model.layouts.tower import patches, squash_or_crop

if TYPE_CHECKING:
    from attnscope.scene import Frames


class LlavaOnevisionLayout(Layout):
    """A pooled token gets its ideal cell, an equal share of the patches (ours), and a note where it sees much else."""

    def views(self, model: Any, processor: Any, inputs: Mapping[str, Any], frames: Frames) -> Sequence[View | Blank]:
        """One view a frame and one blank token, or the base view and the tiles of an image."""
        config = model.config
        if "pixel_values_videos" not in inputs:
            most = int(config.vision_aspect_ratio.removeprefix("anyres_max_"))
            return anyres_views(config, frames, max_tiles=most)
        count, share = patches(config.vision_config)
        pooled = math.ceil(count / 2)
        seen = squash_or_crop(processor.video_processor, frames.width, frames.height)
        region = corner(seen, share)
        notes = pooled_notes((count, count), (pooled, pooled))
        view = replace(View.even(pooled, pooled, region), note=notes)
        return [*of_each_image([view], frames), Blank()]

"""LLaVA, VipLLaVA and Video-LLaVA: a centre crop of each image; LLaVA-NeXT: each image whole and in tiles.

Pixtral's tower under LLaVA keeps the whole image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attnscope.model.layouts.anyres import anyres_views
from attnscope.model.layouts.base import Blank, Layout, Region, View, corner, of_each_image
from attnscope.model.layouts.pixtral import pixtral_views
from attnscope.model.layouts.tower import leading_tokens, patches, square, squash_or_crop

if TYPE_CHECKING:
    from attnscope.scene import Frames


class LlavaLayout(Layout):
    """A token is a patch; what lies outside the centre crop has no token."""

    def views(self, model: Any, processor: Any, inputs: Mapping[str, Any], frames: Frames) -> Sequence[View | Blank]:
        """One view an image, after its class token if that is kept."""
        if "image_sizes" in inputs:  # Pixtral: the tower takes images of any shape
            patch = square(model.config.vision_config.patch_size, "vision patch_size")
            return pixtral_views(patch, inputs, frames)
        leading = leading_tokens(processor, processor.vision_feature_select_strategy)
        return crop_views(model.config, processor.image_processor, frames, leading)


class LlavaNextLayout(Layout):
    """A token is a patch; what the padding of the canvas fills has no token."""

    def views(
        self,
        model: Any,
        processor: Any,  # noqa: ARG002
        inputs: Mapping[str, Any],  # noqa: ARG002
        frames: Frames,
    ) -> Sequence[View | Blank]:
        """The base view and the tiles of each image."""
        return of_each_image(anyres_views(model.config, frames), frames)


class VideoLlavaLayout(Layout):
    """A frame has its class token and one token a patch; an image drops the class token."""

    def views(self, model: Any, processor: Any, inputs: Mapping[str, Any], frames: Frames) -> Sequence[View | Blank]:
        """One class token and one view a frame."""
        if "pixel_values_videos" in inputs:
            return crop_views(model.config, processor.video_processor, frames, leading_tokens(processor, "full"))
        leading = leading_tokens(processor, processor.vision_feature_select_strategy)
        return crop_views(model.config, processor.image_processor, frames, leading)


def crop_views(config: Any, part: Any, frames: Frames, leading: int) -> list[View | Blank]:
    """Return the class token and the view of each image or frame.

    Args:
        config: The model's configuration.
        part: The image processor or the video processor.
        frames: The images.
        leading: Tokens without a place before the patches.
    """
    count, share = patches(config.vision_config)
    view = View.even(count, count, corner(_seen(part, frames), share))
    return of_each_image([Blank(leading), view] if leading else [view], frames)


def _seen(part: Any, frames: Frames) -> Region:
    """The rectangle of the source that reaches the tower; larger than the source where it is padded to a square."""
    width, height = frames.width, frames.height
    if not (hasattr(part, "pad_to_square") and part.do_pad):
        return squash_or_crop(part, width, height)
    side = max(width, height)
    left, top = (side - width) // 2, (side - height) // 2
    x0, y0, x1, y1 = squash_or_crop(part, side, side)
    return (x0 - left, y0 - top, x1 - left, y1 - top)

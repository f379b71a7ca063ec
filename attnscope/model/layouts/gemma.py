"""Gemma: PaliGemma and Gemma 3 squash an image to a square, 4 keeps its shape and says where each patch lies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attnscope.errors import ModelError
from attnscope.model.layouts.base import Blank, Layout, View, corner, whole
from attnscope.model.layouts.tower import patches

if TYPE_CHECKING:
    from attnscope.scene import Frames


class PaliGemmaLayout(Layout):
    """An image squashed to a square, one token a patch."""

    def views(self, model: Any, processor: Any, inputs: Mapping[str, Any], frames: Frames) -> Sequence[View | Blank]:  # noqa: ARG002
        """One view an image."""
        count, share = patches(model.config.vision_config)
        images = range(int(inputs["pixel_values"].shape[0]))
        return [View.even(count, count, corner(whole(frames), share), first=image, last=image) for image in images]


class Gemma3Layout(Layout):
    """The patches of the square are pooled to `mm_tokens_per_image` tokens."""

    def views(self, model: Any, processor: Any, inputs: Mapping[str, Any], frames: Frames) -> Sequence[View | Blank]:  # noqa: ARG002
        """One view an image."""
        count, share = patches(model.config.vision_config)
        kernel = count // math.isqrt(model.config.mm_tokens_per_image)
        side = count // kernel
        share *= side * kernel / count  # pooling drops a remainder
        squares, images = int(inputs["pixel_values"].shape[0]), len(frames.images)
        if squares != images:  # no call of the processor asks for it, whatever its configuration says
            raise ModelError(f"{squares} squares of {images} images: the crops of pan and scan have no known layout")
        return [View.even(side, side, corner(whole(frames), share), first=i, last=i) for i in range(images)]


class Gemma4Layout(Layout):
    """A frame is resized to whole cells of pooled patches, and the processor says where each patch lies."""

    labelled = True  # "00:07 " before each frame

    def views(self, model: Any, processor: Any, inputs: Mapping[str, Any], frames: Frames) -> Sequence[View | Blank]:
        """One view a frame or image."""
        video = "video_position_ids" in inputs
        part = processor.video_processor if video else processor.image_processor
        positions = inputs["video_position_ids" if video else "image_position_ids"]  # x, y; -1 padding
        positions = positions.reshape(-1, *positions.shape[-2:])  # [F, P, 2]; older versions list videos apart
        kernel = self.kernel(model)
        views = []
        for frame, places in enumerate(positions):
            cols, rows = (int(last) + 1 for last in places.amax(0))
            if cols % kernel or rows % kernel or not part.do_resize:
                raise ModelError(
                    f"{cols} x {rows} patches, pooled by {kernel}: only frames that are resized to whole cells have a"
                    " known layout"
                )
            views.append(View.even(rows // kernel, cols // kernel, whole(frames), first=frame, last=frame))
        return views

    def kernel(self, model: Any) -> int:
        """Patches a side that one token pools."""
        return int(model.config.vision_config.pooling_kernel_size)


class Gemma4UnifiedLayout(Gemma4Layout):
    """The processor joins patches itself, and a token is one of its patches."""

    def kernel(self, model: Any) -> int:  # noqa: ARG002
        """One: nothing is pooled after the processor."""
        return 1

"""Pixtral and Mistral 3: each image keeps its shape; a break ends each row of tokens and is no visual token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attnscope.model.layouts.base import Blank, Layout, View
from attnscope.model.layouts.tower import square

if TYPE_CHECKING:
    from attnscope.scene import Frames


class Mistral3Layout(Layout):
    """A token is a block of `spatial_merge_size` x `spatial_merge_size` patches."""

    def views(
        self,
        model: Any,
        processor: Any,  # noqa: ARG002
        inputs: Mapping[str, Any],
        frames: Frames,
    ) -> Sequence[View | Blank]:
        """One view an image."""
        patch = square(model.config.vision_config.patch_size, "vision patch_size")
        return pixtral_views(patch * model.config.spatial_merge_size, inputs, frames)


def pixtral_views(cell: int, inputs: Mapping[str, Any], frames: Frames) -> list[View | Blank]:
    """Return one view an image, whose resized height and width the processor gives as `image_sizes`.

    Args:
        cell: Pixels a side of a token in the resized image.
        inputs: What the processor returned.
        frames: The images.
    """
    views: list[View | Blank] = []
    for number, (height, width) in enumerate(inputs["image_sizes"].tolist()):
        rows, cols = height // cell, width // cell
        region = (0.0, 0.0, frames.width * cols * cell / width, frames.height * rows * cell / height)
        views.append(View.even(rows, cols, region, first=number, last=number))
    return views

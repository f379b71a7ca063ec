"""Kimi K2.5: chunks of four frames, of which each patch is the mean; frames keep their shape and are padded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attnscope.model.layouts.base import Layout, View
from attnscope.transformers_names import padded_canvas

if TYPE_CHECKING:
    from attnscope.scene import Frames


class KimiLayout(Layout):
    """Frames are scaled down if they have too many patches, and padded at the right and at the bottom to whole cells.

    A cell is `merge_size` patches wide and high. The last chunk of a video may have fewer frames.
    """

    def views(
        self,
        model: Any,  # noqa: ARG002
        processor: Any,
        inputs: Mapping[str, Any],
        frames: Frames,
    ) -> Sequence[View]:
        """One view for each chunk of frames; one for each of a row of images."""
        video = "video_grid_thw" in inputs
        part = processor.video_processor if video else processor.image_processor
        (height, width), (padded_height, padded_width) = padded_canvas(part, frames.height, frames.width)
        region = (0.0, 0.0, frames.width * padded_width / width, frames.height * padded_height / height)
        views, first = [], 0
        for steps, rows, cols in inputs["video_grid_thw" if video else "image_grid_thw"].tolist():
            if (rows * part.patch_size, cols * part.patch_size) != (padded_height, padded_width):
                return []  # another rule of sizes than the one that is known
            grid = rows // part.merge_size, cols // part.merge_size
            views.append(View.even(*grid, region, first=first, last=first + steps - 1))
            first += steps
        return views

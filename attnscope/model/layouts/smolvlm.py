"""SmolVLM and Idefics3: frames squashed to a square ("Frame from 00:01:" before each); images in tiles, then whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attnscope.model.layouts.base import Blank, Layout, View, corner, of_each_image, tile, whole
from attnscope.model.layouts.tower import patches

if TYPE_CHECKING:
    from attnscope.scene import Frames


class SmolVLMLayout(Layout):
    """A token is a block of `scale_factor` x `scale_factor` patches; Idefics3 sees a clip as a row of images."""

    labelled = True

    def views(self, model: Any, processor: Any, inputs: Mapping[str, Any], frames: Frames) -> Sequence[View | Blank]:  # noqa: ARG002
        """One view a frame, or one a tile and one for the whole image."""
        count, share = patches(model.config.vision_config)
        side = count // model.config.scale_factor
        share *= side * model.config.scale_factor / count
        source = whole(frames)
        regions = [source]
        if frames.kind == "image" or getattr(processor, "video_processor", None) is None:
            rows, cols = _tiles(processor.image_processor, frames)
            regions = [*(tile(source, row, col, rows, cols) for row in range(rows) for col in range(cols)), source]
        return of_each_image([View.even(side, side, corner(region, share)) for region in regions], frames)


def _tiles(image_processor: Any, frames: Frames) -> tuple[int, int]:
    """Rows and columns of tiles (0, 0 for none); only the image processor's own call reports them."""
    encoding = image_processor([[frames.images[0]]], return_row_col_info=True, return_tensors="pt")
    return int(encoding["rows"][0][0]), int(encoding["cols"][0][0])

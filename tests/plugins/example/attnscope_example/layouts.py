"""A family: each frame is squashed to a square of 4 x 4 cells."""

from __future__ import annotations

from attnscope.model.layouts import Family, Layout, View, add_layout


class SquareLayout(Layout):
    """One view a frame."""

    def views(self, model, processor, inputs, frames):  # noqa: ARG002
        """The grids of the visual tokens, in their order."""
        region = (0.0, 0.0, frames.width, frames.height)
        return [View.even(4, 4, region, first=i, last=i) for i in range(len(frames.images))]


add_layout(Family("example_vl", "Example-VL", "cell of the squashed frame", "the same", 1), SquareLayout())

"""LLaVA-NeXT: each image whole and in tiles of any resolution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attnscope.model.layouts.anyres import anyres_views
from attnscope.model.layouts.base import Blank, Layout, View, of_each_image

if TYPE_CHECKING:
    from attnscope.scene import Frames


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

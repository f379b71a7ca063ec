"""One small file a family: where each visual token is in the source video."""

from __future__ import annotations

from typing import TypeVar

from attnscope.model.layouts.base import Blank, Layout, NoLayout, Places, View, place
from attnscope.model.layouts.internvl import InternVLLayout
from attnscope.model.layouts.llava_next_video import LlavaNextVideoLayout
from attnscope.model.layouts.llava_onevision import LlavaOnevisionLayout
from attnscope.model.layouts.qwen import Qwen2VLLayout, Qwen3VLLayout, Qwen25VLLayout
from attnscope.model.layouts.smolvlm import SmolVLMLayout
from attnscope.plugins import Registry

SomeLayout = TypeVar("SomeLayout", bound=type[Layout])

# What cannot be known of any other family
NO_PLACES = (
    "the places of its visual tokens are unknown, so there will be no metrics of speakers, grounding, pairs, active "
    "heads, spatial entropy or of where the answer looks, and no correction that draws to or cuts a speaker's pixels "
    "(social-bias, knockout of them); attention between modalities, decay, sinks, rank and all other corrections work"
)

LAYOUTS: Registry[Layout] = Registry("family", "models", "video", "image")  # by the configuration's `model_type`


def layout(cls: SomeLayout) -> SomeLayout:
    """Class decorator: register the layout of the family that it names.

    Raises:
        TypeError: If it says nothing of `models`, `video` or `image`, or has no `views`.
        ValueError: If the family has a layout.

    Example:
        >>> class Family(attnscope.model.Layout):
        ...     family, models = "qwen3_vl", "Qwen3-VL"
        ...     video, image = "cell of the frame", "cell of the image"
        ...
        ...     def views(self, model, processor, inputs, frames):
        ...         return [attnscope.model.View.even(2, 2, (0, 0, frames.width, frames.height))]
        >>> attnscope.model.layout(Family)
        Traceback (most recent call last):
        ValueError: family 'qwen3_vl' is defined twice
    """
    LAYOUTS.add(cls.family, cls(), cls.__module__)
    return cls


# A new family is a file, and its class here: in the order in which families are listed.
for _layout in (
    Qwen2VLLayout,
    Qwen25VLLayout,
    Qwen3VLLayout,
    LlavaNextVideoLayout,
    LlavaOnevisionLayout,
    InternVLLayout,
    SmolVLMLayout,
):
    layout(_layout)


def families() -> list[dict[str, str | int]]:
    """The families as rows of a table: where their visual tokens are, in words, and the plugin that added them."""
    return [
        {
            "family": family,
            "models": entry.models,
            "video": entry.video,
            "image": entry.image,
            "frames": entry.frames_per_token,
            "plugin": LAYOUTS.plugin(family),
        }
        for family, entry in LAYOUTS.items()
    ]


__all__ = ["LAYOUTS", "NO_PLACES", "Blank", "Layout", "NoLayout", "Places", "View", "families", "layout", "place"]

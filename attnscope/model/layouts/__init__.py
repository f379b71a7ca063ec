"""One small file a family: where each visual token is in the source video."""

from __future__ import annotations

from attnscope.families import ADDED, Family
from attnscope.model.layouts.base import Blank, Layout, NoLayout, Places, View, place
from attnscope.model.layouts.internvl import InternVLLayout
from attnscope.model.layouts.llava_next_video import LlavaNextVideoLayout
from attnscope.model.layouts.llava_onevision import LlavaOnevisionLayout
from attnscope.model.layouts.qwen import Qwen2VLLayout, Qwen3VLLayout, Qwen25VLLayout
from attnscope.model.layouts.smolvlm import SmolVLMLayout
from attnscope.plugins import find_plugins

# by the configuration's `model_type`
LAYOUTS: dict[str, Layout] = {
    "qwen2_vl": Qwen2VLLayout(),
    "qwen2_5_vl": Qwen25VLLayout(),
    "qwen3_vl": Qwen3VLLayout(),
    "llava_next_video": LlavaNextVideoLayout(),
    "llava_onevision": LlavaOnevisionLayout(),
    "internvl": InternVLLayout(),
    "smolvlm": SmolVLMLayout(),
}


def layouts() -> dict[str, Layout]:
    """All layouts by `model_type`, those of plugins included."""
    find_plugins("layouts")
    return LAYOUTS


def add_layout(family: Family, layout: Layout) -> None:
    """Add a family whose visual tokens have places, as a plugin does.

    Args:
        family: What the family is, in words; its name is the configuration's `model_type`.
        layout: Where its tokens are.

    Raises:
        ValueError: If the family has a layout.
    """
    if family.family in LAYOUTS:
        raise ValueError(f"family '{family.family}' has a layout")
    LAYOUTS[family.family] = layout
    ADDED.append(family)


__all__ = ["LAYOUTS", "Blank", "Family", "Layout", "NoLayout", "Places", "View", "add_layout", "layouts", "place"]

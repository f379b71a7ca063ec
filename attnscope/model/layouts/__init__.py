"""One small file a family: where each visual token is in the source video."""

from __future__ import annotations

from attnscope.model.layouts.base import Blank, Layout, NoLayout, Places, View, place
from attnscope.model.layouts.internvl import InternVLLayout
from attnscope.model.layouts.llava_next_video import LlavaNextVideoLayout
from attnscope.model.layouts.llava_onevision import LlavaOnevisionLayout
from attnscope.model.layouts.qwen import Qwen2VLLayout, Qwen3VLLayout, Qwen25VLLayout
from attnscope.model.layouts.smolvlm import SmolVLMLayout

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

__all__ = ["LAYOUTS", "Blank", "Layout", "NoLayout", "Places", "View", "place"]

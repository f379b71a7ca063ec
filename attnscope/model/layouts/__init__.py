"""One small file a family: where each visual token is in the source video."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attnscope.errors import ModelError
from attnscope.model.layouts.base import Blank, LabelStyle, Layout, NoLayout, Places, View, place
from attnscope.model.layouts.gemma import Gemma3Layout, Gemma4Layout, Gemma4UnifiedLayout, PaliGemmaLayout
from attnscope.model.layouts.internvl import InternVLLayout
from attnscope.model.layouts.kimi import KimiLayout
from attnscope.model.layouts.llama4 import Llama4Layout
from attnscope.model.layouts.llava import LlavaLayout, LlavaNextLayout, VideoLlavaLayout
from attnscope.model.layouts.llava_next_video import LlavaNextVideoLayout
from attnscope.model.layouts.llava_onevision import LlavaOnevisionLayout
from attnscope.model.layouts.molmo import Molmo2Layout
from attnscope.model.layouts.pixtral import Mistral3Layout
from attnscope.model.layouts.qwen import (
    Cosmos3EdgeLayout,
    Ernie45VLLayout,
    Glm4VLayout,
    Glm5NextLayout,
    Qwen2VLLayout,
    Qwen3VLLayout,
    Qwen25VLLayout,
    QwenOmniLayout,
    VideoLlama3Layout,
)
from attnscope.model.layouts.smolvlm import SmolVLMLayout
from attnscope.model.layouts.tiled import CohereVisionLayout
from attnscope.plugins import Registry

if TYPE_CHECKING:
    from attnscope.model.load import LoadedModel
    from attnscope.scene import Frames

SomeLayout = TypeVar("SomeLayout", bound=type[Layout])

LAYOUTS: Registry[Layout] = Registry("family")  # by the configuration's `model_type`


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
    for words in ("models", "video", "image"):
        if not hasattr(cls, words):
            raise TypeError(f"family '{cls.family}' has no `{words}`")
    LAYOUTS.add(cls.family, cls(), cls.__module__)
    return cls


def layout_places(loaded: LoadedModel, processed: Mapping[str, Any], frames: Frames, count: int) -> Places:
    """Where a family's layout places the visual tokens of a prompt.

    Args:
        loaded: A model whose family has a layout.
        processed: What its processor made of the prompt.
        frames: What was shown.
        count: How many visual tokens there are.

    Raises:
        ModelError: If the layout places another number.
    """
    views = LAYOUTS[loaded.family].views(loaded.model, loaded.processor, processed, frames)
    places = place(views, frames)
    if len(places) != count:
        raise ModelError(
            f"{loaded.id}: the layout of family {loaded.family} places {len(places)} visual tokens, "
            f"but the processor made {count}"
        )
    return places


# A new family is a file, its line here and its words in `attnscope.families`.
for _family, _layout in (
    ("qwen2_vl", Qwen2VLLayout()),
    ("qwen2_5_vl", Qwen25VLLayout()),
    ("qwen3_vl", Qwen3VLLayout()),
    ("llava_next_video", LlavaNextVideoLayout()),
    ("llava_onevision", LlavaOnevisionLayout()),
    ("internvl", InternVLLayout()),
    ("smolvlm", SmolVLMLayout()),
    ("gemma3", Gemma3Layout()),
    ("gemma4", Gemma4Layout()),
    ("gemma4_unified", Gemma4UnifiedLayout()),
    ("molmo2", Molmo2Layout()),
    ("paligemma", PaliGemmaLayout()),
    ("idefics3", SmolVLMLayout()),
    ("llava", LlavaLayout()),
    ("llava_next", LlavaNextLayout()),
    ("vipllava", LlavaLayout()),
    ("video_llava", VideoLlavaLayout()),
    ("mistral3", Mistral3Layout()),
    ("cohere2_vision", CohereVisionLayout()),
    ("aya_vision", CohereVisionLayout()),
    ("qwen3_vl_moe", Qwen3VLLayout()),
    ("qwen3_5", Qwen3VLLayout()),
    ("qwen3_5_moe", Qwen3VLLayout()),
    ("qwen4_exp", Qwen3VLLayout()),
    ("cosmos3_omni", Qwen3VLLayout()),
    ("cosmos3_edge", Cosmos3EdgeLayout()),
    ("qwen2_5_omni_thinker", QwenOmniLayout()),
    ("qwen3_omni_moe_thinker", QwenOmniLayout()),
    ("glm4v", Glm4VLayout()),
    ("glm46v", Glm4VLayout()),
    ("glm4v_moe", Glm4VLayout()),
    ("glmga", Glm4VLayout()),
    ("glm5_next", Glm5NextLayout()),
    ("llama4", Llama4Layout()),
    ("ernie4_5_vl_moe", Ernie45VLLayout()),
    ("kimi_k25", KimiLayout()),
    ("video_llama_3", VideoLlama3Layout()),
):
    LAYOUTS.add(_family, _layout, __name__)

__all__ = ["LAYOUTS", "Blank", "LabelStyle", "Layout", "NoLayout", "Places", "View", "layout", "layout_places", "place"]

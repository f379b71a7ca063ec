"""The supported model families as a table to print, and the embedded models: what `attnscope models` says.

The rules themselves are code, one layout file a family in `attnscope.model.layouts`; a test holds the two together. A
layout of a plugin carries its words itself. Where no plugin is installed, listing the families imports no layout.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from attnscope.plugins import are_installed


@dataclass(frozen=True)
class Family:
    """Where the visual tokens of one family are, in words.

    Attributes:
        family: `model_type` of the configuration, and name of the layout.
        models: Published models that belong to it.
        video: What one token of a video covers.
        image: What one token of a single image covers.
        frames: Sampled frames that one token of a video covers.
        plugin: The distribution that added it, "" for attnscope itself.
    """

    family: str
    models: str
    video: str
    image: str
    frames: int

    plugin: str = ""


_CELLS_28 = ("28 pixel cell of the resized frame", "28 pixel cell of the resized image")
_CELLS_32 = ("32 pixel cell of the resized frame", "32 pixel cell of the resized image")
_TILES = "cell of a tile, or of the whole image"
_SQUARE = "pooled cell of the {} squashed to a square"
_WHOLE = "cell of the {} squashed to a square"
_RESIZED = "48 pixel cell of the resized {}"
_CROP = "patch of the centre crop"
_EACH = "as an image; each frame is one"

FAMILIES = (
    Family("qwen2_vl", "Qwen2-VL", *_CELLS_28, 2),
    Family("qwen2_5_vl", "Qwen2.5-VL", *_CELLS_28, 2),
    Family("qwen3_vl", "Qwen3-VL", *_CELLS_32, 2),
    Family("llava_next_video", "LLaVA-NeXT-Video", "pooled cell of the centre crop; none outside it", _TILES, 1),
    Family("llava_onevision", "LLaVA-OneVision", "pooled cell of the frame squashed to a square", _TILES, 1),
    Family("internvl", "InternVL3 (-hf checkpoints)", "cell of the frame squashed to a square", _TILES, 1),
    Family("smolvlm", "SmolVLM2", "cell of the frame squashed to a square", _TILES, 1),
    Family("gemma3", "Gemma 3", _SQUARE.format("frame"), _SQUARE.format("image"), 1),
    Family("gemma4", "Gemma 4", _RESIZED.format("frame"), _RESIZED.format("image"), 1),
    Family("gemma4_unified", "Gemma 4 12B", _RESIZED.format("frame"), _RESIZED.format("image"), 1),
    Family("molmo2", "Molmo2", _SQUARE.format("frame"), "pooled cell of the whole image, or of the fine view of it", 1),
    Family(
        "paligemma",
        "PaliGemma, PaliGemma 2",
        "cell of the frame squashed to a square",
        "cell of the image squashed to a square",
        1,
    ),
    Family("idefics3", "Idefics3, first SmolVLM", _EACH, _TILES, 1),
    Family("llava", "LLaVA-1.5, Pixtral 12B", _EACH, f"{_CROP}; Pixtral: of the whole image", 1),
    Family("llava_next", "LLaVA-NeXT (1.6)", _EACH, _TILES, 1),
    Family("vipllava", "VipLLaVA", _EACH, _CROP, 1),
    Family("video_llava", "Video-LLaVA", "patch of the centre crop; none for the class token", _CROP, 1),
    Family("mistral3", "Mistral Small 3.1 and 3.2", _EACH, "28 pixel cell of the resized image", 1),
    Family("cohere2_vision", "Command A Vision", _EACH, _TILES, 1),
    Family("aya_vision", "Aya Vision", _EACH, _TILES, 1),
    Family("qwen3_vl_moe", "Qwen3-VL with experts", *_CELLS_32, 2),
    Family("qwen3_5", "Qwen3.5", *_CELLS_32, 2),
    Family("qwen3_5_moe", "Qwen3.5 with experts", *_CELLS_32, 2),
    Family("qwen4_exp", "Qwen4-Exp", *_CELLS_32, 2),
    Family("cosmos3_omni", "Cosmos 3", *_CELLS_32, 2),
    Family("cosmos3_edge", "Cosmos 3 Edge", *_CELLS_32, 1),
    Family("qwen2_5_omni_thinker", "Qwen2.5-Omni", *_CELLS_28, 2),
    Family("qwen3_omni_moe_thinker", "Qwen3-Omni", *_CELLS_32, 2),
    Family("glm4v", "GLM-4.1V", *_CELLS_28, 2),
    Family("glm46v", "GLM-4.6V", *_CELLS_28, 2),
    Family("glm4v_moe", "GLM-4.5V", *_CELLS_28, 2),
    Family("glmga", "GLM-4.6V with other processors", *_CELLS_28, 2),
    Family("glm5_next", "GLM-5.3", "28 pixel cell of the padded frame", "28 pixel cell of the padded image", 2),
    Family("llama4", "Llama 4", _EACH, _TILES, 1),
    Family("ernie4_5_vl_moe", "ERNIE 4.5 VL", *_CELLS_28, 2),
    Family(
        "kimi_k25",
        "Kimi K2.5, K2.6",
        "28 pixel cell of the resized and padded frame",
        "28 pixel cell of the resized and padded image",
        4,
    ),
    Family("video_llama_3", "VideoLLaMA 3", f"{_CELLS_28[0]}, if it changed", "14 pixel cell of the resized image", 1),
)


def families() -> list[dict[str, str | int]]:
    """The families as rows of a table, those of plugins last."""
    rows = list(FAMILIES)
    if are_installed():
        from attnscope.model.layouts import LAYOUTS

        added = [(LAYOUTS.plugin(name), layout) for name, layout in LAYOUTS.items()]
        rows += [
            Family(own.family, own.models, own.video, own.image, own.frames_per_token, plugin)
            for plugin, own in added
            if plugin
        ]
    return [asdict(row) for row in rows]


# What cannot be known of any other family
NO_PLACES = (
    "the places of its visual tokens are unknown, so there will be no metrics of speakers, grounding, pairs, active "
    "heads, spatial entropy or of where the answer looks, and no correction that draws to or cuts a speaker's pixels "
    "(social-bias, knockout of them); attention between modalities, decay, sinks, rank and all other corrections work"
)

# Checkpoints in attnscope/demo/models, each with a model card.
EMBEDDED = ("roundtable", "roundtable-full")

"""GLM-4.1V, GLM-4.5V, GLM-4.6V and GLM-OCR, GLM-5.3: two frames a token, and a frame's time behind its tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import (
    Glm4vConfig,
    Glm4vForConditionalGeneration,
    Glm4vImageProcessor,
    Glm4vMoeConfig,
    Glm4vMoeForConditionalGeneration,
    Glm4vProcessor,
    Glm4vVideoProcessor,
    Glm46VConfig,
    Glm46VForConditionalGeneration,
    Glm46VImageProcessor,
    Glm46VProcessor,
    Glm46VVideoProcessor,
    GlmOcrConfig,
    GlmOcrForConditionalGeneration,
)

from tests.families.common import CHATML, generation
from training.checkpoint import save_checkpoint, tiny_text_config, train_tokenizer

_MEDIA = ("<|begin_of_image|>", "<|image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|video|>", "<|end_of_video|>")
_IDS = ("image_start", "image", "image_end", "video_start", "video", "video_end")


def build_glm4v(folder: Path) -> Path:
    parts = (Glm4vProcessor, Glm4vImageProcessor, Glm4vVideoProcessor)
    return _save(folder, Glm4vConfig, Glm4vForConditionalGeneration, parts, {}, seed=17)


def build_glm46v(folder: Path) -> Path:
    """The configuration has the text part of GLM-4V, the processor states seconds with a tenth."""
    parts = (Glm46VProcessor, Glm46VImageProcessor, Glm46VVideoProcessor)
    return _save(folder, Glm46VConfig, Glm46VForConditionalGeneration, parts, {}, seed=18)


def build_glm4v_moe(folder: Path) -> Path:
    """Every layer but the first has experts."""
    parts = (Glm4vProcessor, Glm4vImageProcessor, Glm4vVideoProcessor)
    experts = {
        "head_dim": 16,
        "moe_intermediate_size": 32,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "n_shared_experts": 1,
        "n_group": 1,
        "topk_group": 1,
        "first_k_dense_replace": 1,
    }
    return _save(folder, Glm4vMoeConfig, Glm4vMoeForConditionalGeneration, parts, experts, seed=19)


def build_glm5_next(folder: Path) -> Path:
    """Linear attention, and in the last layer latent attention to keys that an indexer chooses; frames are padded."""
    from transformers import (
        Glm5NextConfig,
        Glm5NextForConditionalGeneration,
        Glm5NextImageProcessor,
        Glm5NextProcessor,
        Glm5NextVideoProcessor,
    )

    text = {
        "rope_parameters": None,
        "num_key_value_heads": 4,
        "mlp_layer_types": ["dense", "sparse", "sparse", "sparse"],
        "moe_intermediate_size": 32,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "q_lora_rank": 24,
        "kv_lora_rank": 16,
        "qk_nope_head_dim": 16,
        "v_head_dim": 12,
        "index_topk": 64,
        "index_kpool": 4,
        "index_head_dim": 16,
        "index_n_heads": 16,  # a block that no head likes scores 0, and which of such blocks is taken is arbitrary
        "linear_head_dim": 16,
        "linear_num_heads": 4,
    }
    parts = (Glm5NextProcessor, Glm5NextImageProcessor, Glm5NextVideoProcessor)
    vision = {"projection_intermediate_size": 64}
    return _save(folder, Glm5NextConfig, Glm5NextForConditionalGeneration, parts, text, seed=24, vision=vision)


def build_glmga(folder: Path) -> Path:
    """The model of GLM-4.6V under another name, with processors of its own."""
    from transformers import AutoModelForImageTextToText, GlmgaConfig, GlmgaImageProcessor, GlmgaVideoProcessor

    parts = (Glm46VProcessor, GlmgaImageProcessor, GlmgaVideoProcessor)
    return _save(folder, GlmgaConfig, AutoModelForImageTextToText.from_config, parts, {}, seed=26)


def build_glm_ocr(folder: Path) -> Path:
    """The processor of GLM-4.6V; what the example of a plugin brings a layout for."""
    parts = (Glm46VProcessor, Glm46VImageProcessor, Glm46VVideoProcessor)
    return _save(folder, GlmOcrConfig, GlmOcrForConditionalGeneration, parts, {"head_dim": 16}, seed=21)


def _save(
    folder: Path, configuration, kind, parts, text: dict[str, Any], *, seed: int, vision: dict[str, Any] | None = None
) -> Path:
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *_MEDIA]
    attributes = {"image_token": "<|image|>", "video_token": "<|video|>"}
    tokenizer = train_tokenizer(marks, eos="<|im_end|>", pad="<|endoftext|>", attributes=attributes)
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e4, "partial_rotary_factor": 1.0}
    config = configuration(
        text_config=tiny_text_config(tokenizer) | {"rope_parameters": rope} | text,
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "num_heads": 2,
            "out_hidden_size": 64,
            "intermediate_size": 64,
            "image_size": 56,
        }
        | (vision or {}),
        **{
            f"{name}_token_id": tokenizer.convert_tokens_to_ids(token) for name, token in zip(_IDS, _MEDIA, strict=True)
        },
    )
    cell = 28 * 28
    processing, of_images, of_video = parts
    template = CHATML.replace("<image>", "".join(_MEDIA[:3])).replace("<video>", "".join(_MEDIA[3:]))
    budget = {"size": {"shortest_edge": 8 * cell, "longest_edge": 2 * 48 * cell}}  # an image counts as two frames
    clip_budget = {"size": {"shortest_edge": 4 * cell, "longest_edge": 8 * 48 * cell}}
    if vision is not None:  # GLM-5.3 counts tokens
        budget, clip_budget = ({"min_image_tokens": 4, "max_image_tokens": most} for most in (48, 4 * 48))
    processor = processing(of_images(**budget), tokenizer, of_video(**clip_budget), chat_template=template)
    model = kind(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, processor, seed=seed)

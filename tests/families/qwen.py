"""Qwen2-VL and Qwen3-VL (Qwen2.5-VL is the demo's own checkpoint)."""

from __future__ import annotations

from pathlib import Path

from transformers import (
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLMoeConfig,
    Qwen3VLMoeForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

from tests.families.common import generation
from training.checkpoint import (
    QWEN_CHAT_TEMPLATE,
    QWEN_SPECIAL_TOKENS,
    save_checkpoint,
    tiny_text_config,
    train_tokenizer,
)


def build_qwen2_vl(folder: Path) -> Path:
    tokenizer = train_tokenizer(QWEN_SPECIAL_TOKENS, eos="<|im_end|>", pad="<|endoftext|>")
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]}
    config = Qwen2VLConfig(
        text_config=tiny_text_config(tokenizer) | {"rope_parameters": rope},
        vision_config={"depth": 2, "embed_dim": 32, "hidden_size": 64, "num_heads": 2, "mlp_ratio": 2},
        **_media_ids(tokenizer),
    )
    cell = 28 * 28
    size = {"shortest_edge": 4 * cell, "longest_edge": 48 * cell}
    processor = Qwen2VLProcessor(
        Qwen2VLImageProcessor(size=size),
        tokenizer,
        Qwen2VLVideoProcessor(size=size),
        chat_template=QWEN_CHAT_TEMPLATE,
    )
    model = Qwen2VLForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, processor, seed=1)


def build_qwen3_vl(folder: Path) -> Path:
    tokenizer = train_tokenizer(QWEN_SPECIAL_TOKENS, eos="<|im_end|>", pad="<|endoftext|>")
    rope = {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [4, 2, 2], "mrope_interleaved": True}
    config = Qwen3VLConfig(
        text_config=tiny_text_config(tokenizer) | {"rope_parameters": rope, "head_dim": 16},
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 64,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0],
        },
        **_media_ids(tokenizer),
    )
    cell = 32 * 32
    processor = Qwen3VLProcessor(
        Qwen2VLImageProcessor(
            patch_size=16,
            size={"shortest_edge": 4 * cell, "longest_edge": 48 * cell},
            image_mean=[0.5] * 3,
            image_std=[0.5] * 3,
        ),
        tokenizer,
        # this family's budget is for the whole video, not for one frame
        Qwen3VLVideoProcessor(size={"shortest_edge": 4 * cell, "longest_edge": 8 * 48 * cell}),
        chat_template=QWEN_CHAT_TEMPLATE.replace("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n", ""),
    )
    model = Qwen3VLForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, processor, seed=2)


def build_qwen3_vl_moe(folder: Path) -> Path:
    """Qwen3-VL with experts: the same processor, and no layout."""
    tokenizer = train_tokenizer(QWEN_SPECIAL_TOKENS, eos="<|im_end|>", pad="<|endoftext|>")
    rope = {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [4, 2, 2], "mrope_interleaved": True}
    config = Qwen3VLMoeConfig(
        text_config=tiny_text_config(tokenizer)
        | {
            "rope_parameters": rope,
            "head_dim": 16,
            "moe_intermediate_size": 32,
            "num_experts": 4,
            "num_experts_per_tok": 2,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 64,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0],
        },
        **_media_ids(tokenizer),
    )
    size = {"shortest_edge": 4 * 32 * 32, "longest_edge": 48 * 32 * 32}
    processor = Qwen3VLProcessor(
        Qwen2VLImageProcessor(patch_size=16, size=size),
        tokenizer,
        Qwen3VLVideoProcessor(size=size),
        chat_template=QWEN_CHAT_TEMPLATE,
    )
    model = Qwen3VLMoeForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, processor, seed=14)


def _media_ids(tokenizer) -> dict[str, int]:
    token = tokenizer.convert_tokens_to_ids
    return {
        "image_token_id": token("<|image_pad|>"),
        "video_token_id": token("<|video_pad|>"),
        "vision_start_token_id": token("<|vision_start|>"),
        "vision_end_token_id": token("<|vision_end|>"),
    }

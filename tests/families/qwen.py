"""Qwen2-VL, Qwen3-VL, Qwen3.5 and Qwen4-Exp (Qwen2.5-VL is the demo's own checkpoint)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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

from tests.families.common import generation, tower
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
    return _save_qwen3(folder, Qwen3VLConfig, Qwen3VLForConditionalGeneration, _QWEN3_ROPE, seed=2)


def build_qwen3_vl_moe(folder: Path) -> Path:
    """Qwen3-VL with experts."""
    return _save_qwen3(
        folder, Qwen3VLMoeConfig, Qwen3VLMoeForConditionalGeneration, _QWEN3_ROPE | _EXPERTS, seed=14, budget=48
    )


def build_qwen3_5(folder: Path) -> Path:
    """Three layers of linear attention to one of full attention, whose heads are gated; a quarter of it turns."""
    from transformers import Qwen3_5Config, Qwen3_5ForConditionalGeneration

    types = {"layer_types": ["linear_attention"] * 3 + ["full_attention"]}
    return _save_qwen3(folder, Qwen3_5Config, Qwen3_5ForConditionalGeneration, _LINEAR | types, seed=15)


def build_qwen3_5_moe(folder: Path) -> Path:
    """Qwen3.5 with experts, and one that every token shares."""
    from transformers import Qwen3_5MoeConfig, Qwen3_5MoeForConditionalGeneration

    text = _LINEAR | _EXPERTS | {"shared_expert_intermediate_size": 32}
    text["layer_types"] = ["linear_attention", "full_attention"] * 2
    return _save_qwen3(folder, Qwen3_5MoeConfig, Qwen3_5MoeForConditionalGeneration, text, seed=16)


def build_cosmos3_omni(folder: Path) -> Path:
    """Qwen3-VL under another name: the part of Cosmos 3 that reads."""
    from transformers import Cosmos3OmniConfig, Cosmos3OmniForConditionalGeneration

    return _save_qwen3(folder, Cosmos3OmniConfig, Cosmos3OmniForConditionalGeneration, _QWEN3_ROPE, seed=25)


def build_cosmos3_edge(folder: Path) -> Path:
    """One frame a token, its time before it."""
    from transformers import (
        Cosmos3EdgeConfig,
        Cosmos3EdgeForConditionalGeneration,
        Cosmos3EdgeImageProcessor,
        Cosmos3EdgeProcessor,
        Cosmos3EdgeVideoProcessor,
    )

    tokenizer = train_tokenizer(QWEN_SPECIAL_TOKENS, eos="<|im_end|>", pad="<|endoftext|>")
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [4, 2, 2]}
    config = Cosmos3EdgeConfig(
        text_config=tiny_text_config(tokenizer) | {"rope_parameters": rope, "head_dim": 16},
        vision_config=tower(64, 16) | {"num_patches": 16},
        projector_hidden_size=64,
        **_media_ids(tokenizer),
    )
    cell = 32 * 32
    processor = Cosmos3EdgeProcessor(
        Cosmos3EdgeImageProcessor(size={"shortest_edge": 4 * cell, "longest_edge": 48 * cell}),
        tokenizer,
        Cosmos3EdgeVideoProcessor(size={"shortest_edge": 4 * cell, "longest_edge": 8 * 48 * cell}),
        chat_template=QWEN_CHAT_TEMPLATE,
    )
    model = Cosmos3EdgeForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, processor, seed=27)


def build_qwen4_exp(folder: Path) -> Path:
    """Experts, linear attention, and attention to the 64 keys that an indexer chooses in blocks of four."""
    from transformers import Qwen4ExpConfig, Qwen4ExpForConditionalGeneration

    text = _LINEAR | _EXPERTS | {"shared_expert_intermediate_size": 32}
    text["layer_types"] = ["linear_attention", "indexed_attention"] * 2
    indexer = {"n_heads": 16, "kv_heads": 1, "head_dim": 16, "budget": 64, "compress_ratio": 4}
    text |= {f"indexer_{name}": value for name, value in indexer.items()}
    return _save_qwen3(folder, Qwen4ExpConfig, Qwen4ExpForConditionalGeneration, text, seed=23)


_EXPERTS = {"moe_intermediate_size": 32, "num_experts": 4, "num_experts_per_tok": 2}
_QWEN3_ROPE = {
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 5e6,
        "mrope_section": [4, 2, 2],
        "mrope_interleaved": True,
    },
    "head_dim": 16,
}
_LINEAR = {
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 1e7,
        "partial_rotary_factor": 0.25,
        "mrope_section": [2, 1, 1],
        "mrope_interleaved": True,
    },
    "head_dim": 32,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
}


def _save_qwen3(folder: Path, configuration, kind, text: dict[str, Any], *, seed: int, budget: int = 8 * 48) -> Path:
    """A checkpoint with the processor of Qwen3-VL, whose budget of pixels is for a whole video, not for one frame."""
    tokenizer = train_tokenizer(QWEN_SPECIAL_TOKENS, eos="<|im_end|>", pad="<|endoftext|>")
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 64,
        "num_position_embeddings": 64,
    }
    if "layer_types" not in text:  # Qwen3.5 hands no features of the tower's inner layers on
        vision["deepstack_visual_indexes"] = [0]
    config = configuration(
        text_config=tiny_text_config(tokenizer) | text, vision_config=vision, **_media_ids(tokenizer)
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
        Qwen3VLVideoProcessor(size={"shortest_edge": 4 * cell, "longest_edge": budget * cell}),
        chat_template=QWEN_CHAT_TEMPLATE.replace("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n", ""),
    )
    model = kind(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, processor, seed=seed)


def _media_ids(tokenizer) -> dict[str, int]:
    token = tokenizer.convert_tokens_to_ids
    return {
        "image_token_id": token("<|image_pad|>"),
        "video_token_id": token("<|video_pad|>"),
        "vision_start_token_id": token("<|vision_start|>"),
        "vision_end_token_id": token("<|vision_end|>"),
    }

"""Kimi K2.5: latent attention, whose values are narrower than its keys, in a decoder with experts."""

from __future__ import annotations

from pathlib import Path

from tests.families.common import generation
from training.checkpoint import QWEN_CHAT_TEMPLATE, save_checkpoint, tiny_text_config, train_tokenizer

PLACEHOLDER = "<|kimi_k25_video_placeholder|>"
SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|media_begin|>",
    "<|media_content|>",
    "<|media_end|>",
    "<|media_pad|>",
    PLACEHOLDER,
)
_QWEN = ("<|vision_start|><|image_pad|><|vision_end|>", "<|vision_start|><|video_pad|><|vision_end|>")
_KIMI = ("<|media_begin|>image<|media_content|><|media_pad|><|media_end|>", PLACEHOLDER)


def build_kimi_k25(folder: Path) -> Path:
    """A video is cut into chunks of four frames, of which each patch is the mean."""
    from transformers import (
        Kimi_K25Config,
        Kimi_K25ForConditionalGeneration,
        Kimi_K25ImageProcessor,
        Kimi_K25Processor,
        Kimi_K25VideoProcessor,
    )

    attributes = {"image_token": "<|media_pad|>", "video_token": PLACEHOLDER}
    tokenizer = train_tokenizer(SPECIAL, eos="<|im_end|>", pad="<|endoftext|>", attributes=attributes)
    token = tokenizer.convert_tokens_to_ids
    latent = {"q_lora_rank": 24, "kv_lora_rank": 16, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 12}
    experts = {
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "n_group": 1,
        "topk_group": 1,
        "moe_intermediate_size": 32,
        "first_k_dense_replace": 1,
    }
    text = tiny_text_config(tokenizer) | latent | experts | {"model_type": "deepseek_v3", "num_key_value_heads": 4}
    config = Kimi_K25Config(
        text_config=text,
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "pos_emb_height": 8,
            "pos_emb_width": 8,
        },
        projection_hidden_size=32,
        image_token_id=token("<|media_pad|>"),
        video_token_id=token(PLACEHOLDER),
        vision_start_token_id=token("<|media_begin|>"),
        vision_end_token_id=token("<|media_end|>"),
        tie_word_embeddings=False,
    )
    size = {"size": {"max_height": 112, "max_width": 112}, "max_patches": 64}
    template = QWEN_CHAT_TEMPLATE
    for own, other in zip(_KIMI, _QWEN, strict=True):
        template = template.replace(other, own)
    processor = Kimi_K25Processor(
        Kimi_K25ImageProcessor(**size), tokenizer, Kimi_K25VideoProcessor(**size), chat_template=template
    )
    model = Kimi_K25ForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, processor, seed=25)

"""LLaVA-NeXT-Video and LLaVA-OneVision; LLaVA over Gemma 2 as the one with a softcap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import (
    CLIPImageProcessor,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextImageProcessor,
    LlavaNextVideoConfig,
    LlavaNextVideoForConditionalGeneration,
    LlavaNextVideoProcessor,
    LlavaNextVideoVideoProcessor,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionImageProcessor,
    LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor,
    LlavaProcessor,
)

from tests.families.common import CHATML, VICUNA, clip_tower, generation, siglip_tower
from training.checkpoint import save_checkpoint, tiny_text_config, train_tokenizer


def build_llava_next_video(folder: Path, **text: Any) -> Path:
    """Centre crop of 168 pixels, 12 x 12 patches pooled to 6 x 6 tokens a frame; no system prompt."""
    tokenizer = train_tokenizer(
        ["<unk>", "<s>", "</s>", "<pad>", "<image>", "<video>"], bos="<s>", eos="</s>", pad="<pad>"
    )
    size = 168
    pinpoints = [[size, 2 * size], [2 * size, size], [2 * size, 2 * size], [3 * size, size], [size, 3 * size]]
    config = LlavaNextVideoConfig(
        vision_config=clip_tower(size),
        text_config={"model_type": "llama"} | tiny_text_config(tokenizer) | text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=pinpoints,
        image_seq_length=144,
        video_seq_length=36,
    )
    square = {"height": size, "width": size}
    processor = LlavaNextVideoProcessor(
        LlavaNextVideoVideoProcessor(size={"shortest_edge": size}, crop_size=square),
        LlavaNextImageProcessor(size={"shortest_edge": size}, crop_size=square, image_grid_pinpoints=pinpoints),
        tokenizer,
        chat_template=VICUNA,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    model = LlavaNextVideoForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, processor, seed=3)


def build_sliding(folder: Path, window: int = 96) -> Path:
    """LLaVA-NeXT-Video over Mistral with a window, by default far below the prompt's length."""
    return build_llava_next_video(folder, model_type="mistral", sliding_window=window, head_dim=16)


def build_llava_onevision(folder: Path) -> Path:
    """Frames squashed to 130 pixels: 9 x 9 patches of 14 (4 pixels stay unseen), pooled to 5 x 5."""
    tokenizer = train_tokenizer(
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>"],
        eos="<|im_end|>",
        pad="<|endoftext|>",
    )
    size = 130
    pinpoints = [[size * i, size * j] for i in range(1, 5) for j in range(1, 5)]
    config = LlavaOnevisionConfig(
        vision_config=siglip_tower(size),
        text_config={"model_type": "qwen2"} | tiny_text_config(tokenizer),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=pinpoints,
        vision_aspect_ratio="anyres_max_4",
    )
    square = {"height": size, "width": size}
    processor = LlavaOnevisionProcessor(
        LlavaOnevisionImageProcessor(size=square, image_grid_pinpoints=pinpoints),
        tokenizer,
        LlavaOnevisionVideoProcessor(size=square),
        num_image_tokens=81,
        vision_feature_select_strategy="full",
        chat_template=CHATML,
        vision_aspect_ratio="anyres_max_4",
    )
    model = LlavaOnevisionForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, processor, seed=4)


def build_softcap(folder: Path) -> Path:
    """LLaVA over Gemma 2: attention logits capped at 5, every second layer with a window of 64 positions."""
    gemma = {"model_type": "gemma2", "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 64}
    return build_llava(folder, gemma | {"attn_logit_softcapping": 5.0})


def build_sink_logits(folder: Path) -> Path:
    """LLaVA over GPT-OSS: a learned sink logit a head, every second layer with a window of 48 positions."""
    return build_llava(folder, {"model_type": "gpt_oss", "num_local_experts": 4, "sliding_window": 48, "head_dim": 16})


def build_llava(folder: Path, text: dict[str, Any]) -> Path:
    """LLaVA 1.5 (images only, no layout) over any decoder."""
    tokenizer = train_tokenizer(["<pad>", "<eos>", "<bos>", "<image>"], bos="<bos>", eos="<eos>", pad="<pad>")
    size = 112
    config = LlavaConfig(
        vision_config=clip_tower(size),
        text_config=tiny_text_config(tokenizer) | {"tie_word_embeddings": False} | text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=64,
    )
    processor = LlavaProcessor(
        CLIPImageProcessor(size={"shortest_edge": size}, crop_size={"height": size, "width": size}),
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        chat_template=VICUNA,
        num_additional_image_tokens=1,
    )
    model = LlavaForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, processor, seed=5)

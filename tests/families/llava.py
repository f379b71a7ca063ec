"""The kin of LLaVA with a fixed square input; LLaVA over Gemma 2 as the one with a softcap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import (
    CLIPImageProcessor,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextImageProcessor,
    LlavaNextProcessor,
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
    PreTrainedTokenizerBase,
    VideoLlavaConfig,
    VideoLlavaForConditionalGeneration,
    VideoLlavaImageProcessor,
    VideoLlavaProcessor,
    VideoLlavaVideoProcessor,
    VipLlavaConfig,
    VipLlavaForConditionalGeneration,
)

from tests.families.common import CHATML, VICUNA, clip_tower, generation, siglip_tower
from training.checkpoint import save_checkpoint, tiny_text_config, train_tokenizer

_SIDE = 112  # of LLaVA's square input: 8 x 8 patches


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


def build_llava(folder: Path, text: dict[str, Any] | None = None) -> Path:
    """LLaVA 1.5 over any decoder: centre crop of 112 pixels, 8 x 8 patches, the class token dropped."""
    tokenizer = _llama_tokenizer("<image>")
    config = LlavaConfig(
        vision_config=clip_tower(_SIDE),
        text_config=_decoder(tokenizer) | (text or {"model_type": "llama"}),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=64,
    )
    model = LlavaForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, _llava_processor(tokenizer), seed=5)


def build_vipllava(folder: Path) -> Path:
    """As LLaVA 1.5, with features of five layers of the tower side by side."""
    tokenizer = _llama_tokenizer("<image>")
    config = VipLlavaConfig(
        vision_config=clip_tower(_SIDE) | {"num_hidden_layers": 3},
        text_config=_decoder(tokenizer) | {"model_type": "llama"},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layers=[-1, -2, 1],
        image_seq_length=64,
    )
    model = VipLlavaForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, _llava_processor(tokenizer), seed=13)


def build_llava_next(folder: Path) -> Path:
    """Images only: the image squashed to 112 pixels, then tiles of 112 pixels of a padded canvas."""
    tokenizer = _llama_tokenizer("<image>")
    pinpoints = [[_SIDE * rows, _SIDE * cols] for rows in (1, 2, 3) for cols in (1, 2, 3) if 1 < rows * cols < 5]
    config = LlavaNextConfig(
        vision_config=clip_tower(_SIDE),
        text_config=_decoder(tokenizer) | {"model_type": "llama"},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=pinpoints,
        image_seq_length=64,
    )
    processor = LlavaNextProcessor(
        LlavaNextImageProcessor(**_crop(), image_grid_pinpoints=pinpoints),
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        chat_template=VICUNA,
        num_additional_image_tokens=1,
    )
    model = LlavaNextForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, processor, seed=14)


def build_video_llava(folder: Path) -> Path:
    """Centre crop of 112 pixels: a class token and 8 x 8 patches a frame; an image without the class token."""
    tokenizer = _llama_tokenizer("<image>", "<video>")
    config = VideoLlavaConfig(
        vision_config=clip_tower(_SIDE),
        text_config=_decoder(tokenizer) | {"model_type": "llama"},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_seq_length=64,
        video_seq_length=8 * 65,
    )
    processor = VideoLlavaProcessor(
        VideoLlavaImageProcessor(**_crop()),
        VideoLlavaVideoProcessor(**_crop()),
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        chat_template=VICUNA,
        num_additional_image_tokens=1,
    )
    model = VideoLlavaForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, processor, seed=15)


def _llama_tokenizer(*media: str) -> PreTrainedTokenizerBase:
    return train_tokenizer(["<pad>", "<eos>", "<bos>", *media], bos="<bos>", eos="<eos>", pad="<pad>")


def _decoder(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    return tiny_text_config(tokenizer) | {"tie_word_embeddings": False}


def _crop() -> dict[str, Any]:
    return {"size": {"shortest_edge": _SIDE}, "crop_size": {"height": _SIDE, "width": _SIDE}}


def _llava_processor(tokenizer: PreTrainedTokenizerBase) -> LlavaProcessor:
    return LlavaProcessor(
        CLIPImageProcessor(**_crop()),
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        chat_template=VICUNA,
        num_additional_image_tokens=1,
    )

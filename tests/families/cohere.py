"""Cohere2-Vision and Aya Vision: images in tiles and a thumbnail."""

from __future__ import annotations

from pathlib import Path

from transformers import (
    AyaVisionConfig,
    AyaVisionForConditionalGeneration,
    AyaVisionProcessor,
    Cohere2VisionConfig,
    Cohere2VisionForConditionalGeneration,
    Cohere2VisionImageProcessor,
    Cohere2VisionProcessor,
    GotOcr2ImageProcessor,
    PreTrainedTokenizerBase,
)

from tests.families.common import CHATML, generation, siglip_tower
from training.checkpoint import save_checkpoint, tiny_text_config, train_tokenizer

_MEDIA = {
    "boi_token": "<|START_OF_IMG|>",
    "eoi_token": "<|END_OF_IMG|>",
    "image_token": "<|IMG_PATCH|>",
    "img_line_break_token": "<|IMG_LINE_BREAK|>",
}
_SIDE = 96  # of a tile: 6 x 6 patches of 16, 3 x 3 tokens


def build_cohere2_vision(folder: Path) -> Path:
    """3 x 3 tokens a tile, a break after each tile; a decoder with a window of 48 in every second layer."""
    tokenizer = _tokenizer()
    config = Cohere2VisionConfig(
        vision_config=siglip_tower(_SIDE, 16),
        text_config={
            "model_type": "cohere2",
            **tiny_text_config(tokenizer),
            "sliding_window": 48,
            "layer_types": ["sliding_attention", "full_attention"] * 2,
        },
        image_token_id=tokenizer.convert_tokens_to_ids(_MEDIA["image_token"]),
        downsample_factor=2,
        alignment_intermediate_size=64,
    )
    image_processor = Cohere2VisionImageProcessor(
        size={"height": _SIDE, "width": _SIDE}, patch_size=3, min_patches=1, max_patches=6
    )
    template = CHATML.replace("<image>", _MEDIA["image_token"])
    processor = Cohere2VisionProcessor(image_processor, tokenizer, chat_template=template)
    model = Cohere2VisionForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, processor, seed=18)


def build_aya_vision(folder: Path) -> Path:
    """3 x 3 tokens a tile, its number written before it; the same decoder."""
    tokenizer = _tokenizer()
    config = AyaVisionConfig(
        vision_config=siglip_tower(_SIDE, 16),
        text_config={"model_type": "cohere2", **tiny_text_config(tokenizer), "sliding_window": 48},
        image_token_index=tokenizer.convert_tokens_to_ids(_MEDIA["image_token"]),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        downsample_factor=2,
        alignment_intermediate_size=64,
    )
    image_processor = GotOcr2ImageProcessor(size={"height": _SIDE, "width": _SIDE}, min_patches=1, max_patches=6)
    processor = AyaVisionProcessor(
        image_processor, tokenizer, patch_size=16, img_size=_SIDE, downsample_factor=2, chat_template=CHATML
    )
    model = AyaVisionForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, processor, seed=19)


def _tokenizer() -> PreTrainedTokenizerBase:
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "TILE", "TILE_GLOBAL", *_MEDIA.values()]
    return train_tokenizer(marks, eos="<|im_end|>", pad="<|endoftext|>", attributes=_MEDIA)

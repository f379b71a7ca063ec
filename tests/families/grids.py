"""Families that keep an image's shape and state its grid, as Qwen's do, without a layout: what probing is tried on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import transformers

from tests.families.common import chatml, chatml_tokenizer, save, tower
from training.checkpoint import tiny_text_config

_MROPE = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e4}


def _size(cell: int, most: int = 100) -> dict[str, int]:
    """From 4 to `most` cells of that many pixels."""
    return {"shortest_edge": 4 * cell**2, "longest_edge": most * cell**2}


def build_paddleocr_vl(folder: Path) -> Path:
    """28 pixel cells of 2 x 2 patches."""
    tokenizer = chatml_tokenizer("<|vision_start|>", "<|vision_end|>", "<|video|>", image_token="<|image|>")
    number = tokenizer.convert_tokens_to_ids
    config = transformers.PaddleOCRVLConfig(
        text_config=tiny_text_config(tokenizer) | {"head_dim": 16, "rope_parameters": _MROPE},
        vision_config=tower(56, 14),
        image_token_id=number("<|image|>"),
        video_token_id=number("<|video|>"),
        vision_start_token_id=number("<|vision_start|>"),
        vision_end_token_id=number("<|vision_end|>"),
    )
    processor = transformers.PaddleOCRVLProcessor(
        transformers.PaddleOCRVLImageProcessor(size=_size(28)),
        tokenizer,
        chat_template=chatml("<|vision_start|><|image|><|vision_end|>"),
    )
    return save(folder, transformers.PaddleOCRVLForConditionalGeneration(config), processor, seed=30)


def build_exaone4_5(folder: Path) -> Path:
    """The tower of Qwen2.5-VL over EXAONE 4: two frames a token, and every second layer has a window."""
    media = {"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"}
    tokenizer = chatml_tokenizer("<|vision_start|>", "<|vision_end|>", **media)
    config = transformers.Exaone4_5_Config(
        text_config={
            "model_type": "exaone4",
            **tiny_text_config(tokenizer),
            "layer_types": ["sliding_attention", "full_attention"] * 2,
            "sliding_window": 64,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "num_key_value_heads": 2,
            "out_hidden_size": 64,
            "fullatt_block_indexes": [1],
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
    )
    image, video = (f"<|vision_start|>{token}<|vision_end|>" for token in media.values())
    processor = transformers.Exaone4_5_Processor(
        transformers.Qwen2VLImageProcessor(size=_size(28)),
        tokenizer,
        transformers.Qwen2VLVideoProcessor(size=_size(28)),
        chat_template=chatml(image, video),
    )
    return save(folder, transformers.Exaone4_5_ForConditionalGeneration(config), processor, seed=31)


def build_cohere_compass(folder: Path) -> Path:
    """32 pixel cells, two frames a token; features of the tower are also added inside the decoder."""
    media = {"image_token": "<|IMAGE_PAD|>", "video_token": "<|VIDEO_PAD|>"}
    tokenizer = chatml_tokenizer("<|VISION_START|>", "<|VISION_END|>", **media)
    number = tokenizer.convert_tokens_to_ids
    config = transformers.CohereCompassConfig(
        text_config=tiny_text_config(tokenizer)
        | {
            "layer_types": ["sliding_attention", "full_attention"] * 2,
            "sliding_window": 64,
            "rope_parameters": dict.fromkeys(("sliding_attention", "full_attention"), _MROPE),
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
        image_token_id=number("<|IMAGE_PAD|>"),
        video_token_id=number("<|VIDEO_PAD|>"),
        vision_start_token_id=number("<|VISION_START|>"),
        vision_end_token_id=number("<|VISION_END|>"),
    )
    image, video = (f"<|VISION_START|>{token}<|VISION_END|>" for token in media.values())
    processor = transformers.CohereCompassProcessor(
        transformers.CohereCompassImageProcessor(size=_size(32), patch_size=16),
        tokenizer,
        transformers.CohereCompassVideoProcessor(size=_size(32, most=800), patch_size=16),
        chat_template=chatml(image, video),
    )
    return save(folder, transformers.CohereCompassForConditionalGeneration(config), processor, seed=32)


def build_hunyuan_vl(folder: Path) -> Path:
    """32 pixel cells; each row ends with a token of its own, and so does the image on both sides."""
    tokenizer = chatml_tokenizer(
        image_token="<image>", image_start_token="<image_start>", image_end_token="<image_end>"
    )
    tokenizer.pad_token = "<|endoftext|>"
    number = tokenizer.convert_tokens_to_ids
    config = transformers.HunYuanVLConfig(
        text_config=tiny_text_config(tokenizer)
        | {"head_dim": 16, "rope_parameters": _MROPE | {"mrope_section": [2, 2, 2, 2]}},
        vision_config=tower(0, 16) | {"out_hidden_size": 64, "max_image_size": 512, "min_image_size": 32},
        image_token_id=number("<image>"),
        im_start_id=number("<image_start>"),
        im_end_id=number("<image_end>"),
    )
    processor = transformers.HunYuanVLProcessor(
        transformers.HunYuanVLImageProcessor(size=_size(32)),
        tokenizer,
        chat_template=chatml("<image_start><image><image_end>"),
    )
    return save(folder, transformers.HunYuanVLForConditionalGeneration(config), processor, seed=33)


def build_lighton_ocr(folder: Path) -> Path:
    """The tower of Pixtral over Qwen3: 28 pixel cells."""
    tokenizer = chatml_tokenizer(
        image_token="<|image_pad|>", image_break_token="<|vision_pad|>", image_end_token="<|vision_end|>"
    )
    config = transformers.LightOnOcrConfig(
        text_config={"model_type": "qwen3", **tiny_text_config(tokenizer), "head_dim": 16},
        vision_config={"model_type": "pixtral", "head_dim": 16, **tower(280, 14)},
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
    )
    processor = transformers.LightOnOcrProcessor(
        transformers.PixtralImageProcessor(size={"longest_edge": 280}, patch_size=28),
        tokenizer,
        chat_template=chatml("<|image_pad|>"),
    )
    return save(folder, transformers.LightOnOcrForConditionalGeneration(config), processor, seed=34)


def build_hyperclovax_vision_v2(folder: Path) -> Path:
    """The tower of Qwen2.5-VL over HyperCLOVA X."""
    media = {"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"}
    tokenizer = chatml_tokenizer("<|vision_start|>", "<|vision_end|>", **media)
    config = transformers.HyperCLOVAXVisionV2Config(
        text_config={"model_type": "hyperclovax", **tiny_text_config(tokenizer)},
        vision_config={
            "model_type": "qwen2_5_vl_vision",
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 64,
            "fullatt_block_indexes": [1],
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
    )
    image, video = (f"<|vision_start|>{token}<|vision_end|>" for token in media.values())
    processor = transformers.HyperCLOVAXVisionV2Processor(
        transformers.Qwen2VLImageProcessor(size=_size(28)),
        tokenizer,
        transformers.Qwen2VLVideoProcessor(size=_size(28)),
        chat_template=chatml(image, video),
    )
    return save(folder, transformers.HyperCLOVAXVisionV2ForConditionalGeneration(config), processor, seed=35)


def build_muse_glimmer(folder: Path) -> Path:
    """28 pixel cells, two frames a token, times before them; logits are capped."""
    marks = ("<|image_start|>", "<|image_end|>", "<|vid_frame_separator|>", "<|vid_start|>", "<|vid_end|>")
    tokenizer = chatml_tokenizer("<|patch|>", "<|video|>", *marks)
    config = transformers.MuseGlimmerConfig(
        text_config=tiny_text_config(tokenizer)
        | {"head_dim": 16, "layer_types": ["sliding_attention", "full_attention"] * 2, "sliding_window": 64},
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "pos_emb_height": 8,
            "pos_emb_width": 8,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<|patch|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video|>"),
        out_hidden_size=128,
        projector_hidden_size=64,
    )
    processor = transformers.MuseGlimmerProcessor(
        transformers.MuseGlimmerImageProcessor(size=_size(28)),
        transformers.MuseGlimmerVideoProcessor(size=_size(28)),
        tokenizer,
        chat_template=chatml("<|patch|>", "<|video|>"),
    )
    return save(folder, transformers.MuseGlimmerForConditionalGeneration(config), processor, seed=36)


def build_minimax_m3_vl(folder: Path) -> Path:
    """28 pixel cells, two frames a token; its processor resizes no frames of a video unless it is asked to."""
    kind = transformers.MiniMaxM3VLProcessor
    tokenizer = chatml_tokenizer(kind.IMAGE_TOKEN, kind.VIDEO_TOKEN, kind.VISION_START_TOKEN, kind.VISION_END_TOKEN)
    config = transformers.MiniMaxM3VLConfig(
        text_config=tiny_text_config(tokenizer)
        | {
            "head_dim": 16,
            "rotary_dim": 8,
            "num_experts_per_tok": 2,
            "num_local_experts": 4,
            "dense_intermediate_size": 64,
            "shared_intermediate_size": 32,
            "index_n_heads": 2,
            "index_head_dim": 16,
        },
        vision_config=tower(56, 14),
        image_token_index=tokenizer.convert_tokens_to_ids(kind.IMAGE_TOKEN),
        video_token_index=tokenizer.convert_tokens_to_ids(kind.VIDEO_TOKEN),
        projector_hidden_size=64,
    )
    processor = kind(
        transformers.MiniMaxM3VLImageProcessor(size=_size(28)),
        tokenizer,
        transformers.MiniMaxM3VLVideoProcessor(max_pixels=100 * 28**2),
        chat_template=chatml(kind.IMAGE_TOKEN, kind.VIDEO_TOKEN),
    )
    return save(folder, transformers.MiniMaxM3SparseForConditionalGeneration(config), processor, seed=37)


def build_lfm3_vl(folder: Path) -> Path:
    """Most layers of the tower are convolutions, so that tokens have no places; so are most of the decoder's."""
    media = {"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"}
    tokenizer = chatml_tokenizer("<|vision_start|>", "<|vision_end|>", **media)
    number = tokenizer.convert_tokens_to_ids
    config = transformers.Lfm3VlConfig(
        text_config={"model_type": "lfm3", **tiny_text_config(tokenizer)},
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
        },
        image_token_id=number("<|image_pad|>"),
        video_token_id=number("<|video_pad|>"),
        vision_start_token_id=number("<|vision_start|>"),
        vision_end_token_id=number("<|vision_end|>"),
        projector_hidden_size=64,
    )
    image, video = (f"<|vision_start|>{token}<|vision_end|>" for token in media.values())
    processor = transformers.Lfm3VlProcessor(
        transformers.Qwen2VLImageProcessor(size=_size(32), patch_size=16),
        tokenizer,
        transformers.Qwen3VLVideoProcessor(size=_size(32, most=800)),
        chat_template=chatml(image, video),
    )
    return save(folder, transformers.Lfm3VlForConditionalGeneration(config), processor, seed=38)


GRIDS: dict[str, Callable[[Path], Path]] = {
    "paddleocr_vl": build_paddleocr_vl,
    "exaone4_5": build_exaone4_5,
    "cohere_compass": build_cohere_compass,
    "hunyuan_vl": build_hunyuan_vl,
    "lighton_ocr": build_lighton_ocr,
    "hyperclovax_vision_v2": build_hyperclovax_vision_v2,
    "muse_glimmer": build_muse_glimmer,
    "minimax_m3_vl": build_minimax_m3_vl,
    "lfm3_vl": build_lfm3_vl,
}

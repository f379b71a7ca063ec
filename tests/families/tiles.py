"""Families that cut an image into tiles or slices and have no layout: what probing is tried on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import transformers

from tests.families.common import chatml, chatml_tokenizer, save, siglip_tower, tower
from training.checkpoint import tiny_text_config


def build_qianfan_ocr(folder: Path) -> Path:
    """Tiles and a thumbnail of 9 tokens each, as InternVL's, and no video."""
    tokenizer = chatml_tokenizer(
        "<image>", start_image_token="<img>", end_image_token="</img>", context_image_token="<IMG_CONTEXT>"
    )
    config = transformers.QianfanOCRConfig(
        text_config={"model_type": "qwen3", **tiny_text_config(tokenizer), "head_dim": 16},
        vision_config=tower(84, 14),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=9,
    )
    processor = transformers.QianfanOCRProcessor(
        transformers.GotOcr2ImageProcessor(size={"height": 84, "width": 84}, min_patches=1, max_patches=6),
        tokenizer,
        image_seq_length=9,
        chat_template=chatml("<image>"),
    )
    return save(folder, transformers.QianfanOCRForConditionalGeneration(config), processor, seed=40)


def build_granite4_vision(folder: Path) -> Path:
    """LLaVA-NeXT's tiles, whose patches a Q-Former pools in windows of 4 x 4 to 2 x 2 tokens, for several layers."""
    tokenizer = chatml_tokenizer(image_token="<image>")
    pinpoints = [[112, 224], [224, 112], [224, 224]]
    config = transformers.Granite4VisionConfig(
        text_config=tiny_text_config(tokenizer) | {"attention_multiplier": 0.25},
        vision_config=siglip_tower(112, 14) | {"hidden_size": 64, "num_hidden_layers": 3},
        qformer_config={"intermediate_size": 64, "num_hidden_layers": 1, "encoder_hidden_size": 64},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=pinpoints,
        image_seq_length=16,
        vision_feature_select_strategy="full",
        downsample_rate="2/4",
        deepstack_layer_map=[[-2, 0], [-1, 1]],
        spatial_target_layers=[2, 3],
    )
    processor = transformers.Granite4VisionProcessor(
        transformers.LlavaNextImageProcessor(
            size={"shortest_edge": 112}, crop_size={"height": 112, "width": 112}, image_grid_pinpoints=pinpoints
        ),
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy="full",
        chat_template=chatml("<image>"),
        downsample_rate="2/4",
    )
    return save(folder, transformers.Granite4VisionForConditionalGeneration(config), processor, seed=41)


def build_minicpmv4_6(folder: Path) -> Path:
    """Slices of clips and images that keep their shape, patches merged twice; most layers are recurrent."""
    media = {
        "image_token": "<|image_pad|>",
        "video_token": "<|video_pad|>",
        "image_start_token": "<image>",
        "image_end_token": "</image>",
        "slice_start_token": "<slice>",
        "slice_end_token": "</slice>",
        "image_id_start_token": "<image_id>",
        "image_id_end_token": "</image_id>",
    }
    tokenizer = chatml_tokenizer(**media)
    config = transformers.MiniCPMV4_6Config(
        text_config={
            "model_type": "qwen3_5_text",
            **tiny_text_config(tokenizer),
            "head_dim": 16,
            "layer_types": ["linear_attention", "full_attention"] * 2,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
            "linear_key_head_dim": 16,
            "linear_value_head_dim": 16,
        },
        vision_config=tower(112, 14),
        insert_layer_id=1,
        image_size=112,
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
    )
    processor = transformers.MiniCPMV4_6Processor(
        transformers.MiniCPMV4_6ImageProcessor(scale_resolution=112, max_slice_nums=4),
        transformers.MiniCPMV4_6VideoProcessor(scale_resolution=112, max_slice_nums=2),
        tokenizer,
        chat_template=chatml("<|image_pad|>", "<|video_pad|>"),
    )
    return save(folder, transformers.MiniCPMV4_6ForConditionalGeneration(config), processor, seed=42)


def build_step3p7(folder: Path) -> Path:
    """Crops, then the whole image, patches merged by convolutions."""
    marks = ("patch_start", "patch_end", "patch_newline", "im_start", "im_end")
    tokenizer = chatml_tokenizer("<im_patch>", *(f"<{mark}>" for mark in marks))
    text = tiny_text_config(tokenizer) | {"head_dim": 16, "num_experts_per_tok": 2, "n_routed_experts": 4}
    config = transformers.Step3p7Config(
        text_config=text
        | {
            "num_local_experts": 4,
            "moe_intermediate_size": 32,
            "share_expert_dim": 32,
            "mlp_layer_types": ["dense", "sparse", "sparse", "sparse"],
            "layer_types": ["sliding_attention", "full_attention"] * 2,
            "sliding_window": 64,
        },
        vision_config={
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 168,
            "patch_size": 14,
            "mlp_ratio": 2.0,
            "max_position_embeddings": 144,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<im_patch>"),
    )
    processor = transformers.Step3p7Processor(
        transformers.Step3p7ImageProcessor(size={"height": 168, "width": 168}, patch_size=112),
        tokenizer,
        chat_template=chatml("<im_patch>"),
    )
    return save(folder, transformers.Step3p7ForConditionalGeneration(config), processor, seed=43)


def build_granite_docling(folder: Path) -> Path:
    """Tiles and the whole image, 2 x 2 patches a token; features of the tower are also added inside the decoder."""
    marks = ["<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
    marks += [f"<row_{row}_col_{col}>" for row in range(1, 5) for col in range(1, 5)]
    tokenizer = chatml_tokenizer(*marks, image_token="<image>")
    config = transformers.GraniteDoclingConfig(
        text_config=tiny_text_config(tokenizer) | {"attention_multiplier": 0.25},
        vision_config=tower(64, 16) | {"out_hidden_size": 64, "scale_factor": 2, "deepstack_visual_indexes": [0, 0, 1]},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
    )
    processor = transformers.GraniteDoclingProcessor(
        transformers.GraniteDoclingImageProcessor(size={"height": 64, "width": 64}, max_patches=4),
        tokenizer,
        image_seq_len=4,
        chat_template=chatml("<image>"),
    )
    return save(folder, transformers.GraniteDoclingForConditionalGeneration(config), processor, seed=44)


TILES: dict[str, Callable[[Path], Path]] = {
    "qianfan_ocr": build_qianfan_ocr,
    "granite4_vision": build_granite4_vision,
    "minicpmv4_6": build_minicpmv4_6,
    "step3p7": build_step3p7,
    "granite_docling": build_granite_docling,
}

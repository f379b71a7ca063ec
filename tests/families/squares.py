"""Families that squash or pad an image to squares and have no layout: what probing is tried on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import transformers

from tests.families.common import chatml, chatml_tokenizer, save, siglip_tower, tower
from training.checkpoint import tiny_text_config


def build_deepseek_vl(folder: Path) -> Path:
    """An image is padded to a square: 36 tokens, some of them on the padding."""
    tokenizer = chatml_tokenizer(image_token="<image>")
    config = transformers.DeepseekVLConfig(
        text_config={"model_type": "llama", **tiny_text_config(tokenizer)},
        vision_config=siglip_tower(96, 16),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    processor = transformers.DeepseekVLProcessor(
        transformers.DeepseekVLImageProcessor(size={"height": 96, "width": 96}),
        tokenizer,
        chat_template=chatml("<image>"),
        num_image_tokens=36,
    )
    return save(folder, transformers.DeepseekVLForConditionalGeneration(config), processor, seed=20)


def build_janus(folder: Path) -> Path:
    """As DeepSeek-VL, beside a quantiser that draws images."""
    tokenizer = chatml_tokenizer(image_token="<image>", boi_token="<boi>", eoi_token="<eoi>")
    config = transformers.JanusConfig(
        text_config={"model_type": "llama", **tiny_text_config(tokenizer)},
        vision_config={
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 96,
            "patch_size": 16,
            "projection_dim": 64,
            "num_image_tokens": 36,
        },
        vq_config={
            "base_channels": 32,
            "channel_multiplier": [1, 1],
            "embed_dim": 8,
            "image_token_embed_dim": 64,
            "latent_channels": 32,
            "num_embeddings": 16,
            "num_res_blocks": 1,
            "projection_dim": 64,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    processor = transformers.JanusProcessor(
        transformers.JanusImageProcessor(size={"height": 96, "width": 96}),
        tokenizer,
        chat_template=chatml("<image>"),
        num_image_tokens=36,
    )
    return save(folder, transformers.JanusForConditionalGeneration(config), processor, seed=21)


def build_ovis2(folder: Path) -> Path:
    """Tiles and a thumbnail of 9 tokens each; a token is a mean of the words of a visual vocabulary."""
    marks = ["<IMG_START>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>"]
    tokenizer = chatml_tokenizer("<image>", "<IMG_ATOM>", *marks, image_token="<IMG_ATOM>")
    number = tokenizer.convert_tokens_to_ids
    config = transformers.Ovis2Config(
        text_config={"model_type": "qwen2", **tiny_text_config(tokenizer)},
        vision_config=tower(84, 14) | {"hidden_stride": 2, "vocab_size": 64},
        image_token_id=number("<IMG_ATOM>"),
        visual_indicator_token_ids=number(marks),
        vocab_size=len(tokenizer),
        hidden_size=64,
    )
    processor = transformers.Ovis2Processor(
        transformers.Ovis2ImageProcessor(size={"height": 84, "width": 84}, min_patches=1, max_patches=6),
        tokenizer,
        chat_template=chatml("<image>"),
        image_seq_length=9,
    )
    return save(folder, transformers.Ovis2ForConditionalGeneration(config), processor, seed=22)


def build_lfm2_vl(folder: Path) -> Path:
    """Tiles and a thumbnail that keeps the image's shape; most layers of the decoder are convolutions."""
    tokenizer = chatml_tokenizer(
        image_token="<image>",
        image_start_token="<|image_start|>",
        image_end_token="<|image_end|>",
        image_thumbnail_token="<|img_thumbnail|>",
    )
    config = transformers.Lfm2VlConfig(
        text_config={
            "model_type": "lfm2",
            **tiny_text_config(tokenizer),
            "layer_types": ["conv", "full_attention"] * 2,
            "block_auto_adjust_ff_dim": False,
        },
        vision_config={
            "model_type": "siglip2_vision_model",
            **tower(0, 16),
            "num_patches": 256,
            "vision_use_head": False,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        projector_hidden_size=64,
    )
    processor = transformers.Lfm2VlProcessor(
        transformers.Lfm2VlImageProcessor(
            tile_size=128, min_tiles=2, max_tiles=4, min_image_tokens=4, max_image_tokens=16, max_num_patches=64
        ),
        tokenizer,
        chat_template=chatml("<image>"),
    )
    return save(folder, transformers.Lfm2VlForConditionalGeneration(config), processor, seed=23)


def build_blip2(folder: Path) -> Path:
    """4 tokens an image, which a Q-Former asks of all patches: they have no places."""
    tokenizer = chatml_tokenizer("<image>")
    text = tiny_text_config(tokenizer) | {"ffn_dim": 128, "word_embed_proj_dim": 64, "do_layer_norm_before": True}
    config = transformers.Blip2Config(
        text_config={"model_type": "opt", **text},
        vision_config=tower(56, 14),
        qformer_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "encoder_hidden_size": 32,
        },
        num_query_tokens=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    # a processor that knows the number of queries would put their tokens before the whole prompt
    processor = transformers.Blip2Processor(
        transformers.BlipImageProcessor(size={"height": 56, "width": 56}), tokenizer, num_query_tokens=None
    )
    tokenizer.chat_template = chatml("<image>" * 4)  # one of the processor's own gets lost
    return save(folder, transformers.Blip2ForConditionalGeneration(config), processor, seed=24)


def build_aria(folder: Path) -> Path:
    """8 tokens an image, which queries ask of all patches: they have no places. The decoder has experts."""
    tokenizer = chatml_tokenizer("<unk>", image_token="<|img|>")
    tokenizer.unk_token = "<unk>"
    config = transformers.AriaConfig(
        text_config=tiny_text_config(tokenizer) | {"moe_num_experts": 4, "moe_topk": 2, "moe_num_shared_experts": 1},
        vision_config={"model_type": "idefics3_vision", **tower(980, 70)},
        projector_patch_to_query_dict={49: 4, 196: 8},
        image_token_index=tokenizer.convert_tokens_to_ids("<|img|>"),
    )
    processor = transformers.AriaProcessor(
        transformers.AriaImageProcessor(max_image_size=980, min_image_size=336),
        tokenizer,
        size_conversion={490: 4, 980: 8},
        chat_template=chatml("<|img|>"),
    )
    return save(folder, transformers.AriaForConditionalGeneration(config), processor, seed=25)


def build_deepseek_vl_hybrid(folder: Path) -> Path:
    """As DeepSeek-VL, with a second tower that ends in convolutions, so that tokens have no places."""
    tokenizer = chatml_tokenizer(image_token="<image>")
    config = transformers.DeepseekVLHybridConfig(
        text_config={"model_type": "llama", **tiny_text_config(tokenizer)},
        vision_config=siglip_tower(96, 16),
        high_res_vision_config={
            "model_type": "sam_vision_model",
            "hidden_size": 32,
            "output_channels": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 256,
            "patch_size": 16,
            "window_size": 4,
            "mlp_dim": 64,
            "global_attn_indexes": [0, 1],
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    processor = transformers.DeepseekVLHybridProcessor(
        transformers.DeepseekVLHybridImageProcessor(
            size={"height": 96, "width": 96}, high_res_size={"height": 256, "width": 256}
        ),
        tokenizer,
        chat_template=chatml("<image>"),
        num_image_tokens=36,
    )
    return save(folder, transformers.DeepseekVLHybridForConditionalGeneration(config), processor, seed=26)


SQUARES: dict[str, Callable[[Path], Path]] = {
    "deepseek_vl": build_deepseek_vl,
    "janus": build_janus,
    "ovis2": build_ovis2,
    "lfm2_vl": build_lfm2_vl,
    "blip2": build_blip2,
    "aria": build_aria,
    "deepseek_vl_hybrid": build_deepseek_vl_hybrid,
}

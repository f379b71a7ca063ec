"""Llama 4: images in tiles of a padded canvas and whole; some layers see a chunk of the text."""

from __future__ import annotations

from pathlib import Path

from transformers import (
    Llama4Config,
    Llama4ForConditionalGeneration,
    Llama4ImageProcessor,
    Llama4Processor,
)

from tests.families.common import CHATML, generation, tower
from training.checkpoint import save_checkpoint, tiny_text_config, train_tokenizer

_MEDIA = (
    "<|image|>",
    "<|image_start|>",
    "<|image_end|>",
    "<|patch|>",
    "<|tile_x_separator|>",
    "<|tile_y_separator|>",
)
_SIDE = 84  # of a tile: 6 x 6 patches of 14, 3 x 3 tokens


def build_llama4(folder: Path) -> Path:
    """3 x 3 tokens a tile, up to four tiles; two experts, three layers of chunks of 64 positions."""
    tokenizer = train_tokenizer(
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *_MEDIA], eos="<|im_end|>", pad="<|endoftext|>"
    )
    config = Llama4Config(
        vision_config={
            **tower(_SIDE, 14),
            "intermediate_size": 128,  # four times the hidden size, as pixel shuffle makes it
            "vision_output_dim": 64,
            "projector_input_dim": 64,
            "projector_output_dim": 64,
            "pixel_shuffle_ratio": 0.5,
        },
        text_config={
            **tiny_text_config(tokenizer),
            "head_dim": 16,
            "intermediate_size_mlp": 128,
            "num_local_experts": 2,
            "num_experts_per_tok": 1,
            "interleave_moe_layer_step": 2,
            "attention_chunk_size": 64,
            "no_rope_layers": [1, 1, 1, 0],
            "layer_types": ["chunked_attention"] * 3 + ["full_attention"],
        },
        image_token_index=tokenizer.convert_tokens_to_ids("<|patch|>"),
        boi_token_index=tokenizer.convert_tokens_to_ids("<|image_start|>"),
        eoi_token_index=tokenizer.convert_tokens_to_ids("<|image_end|>"),
    )
    processor = Llama4Processor(
        Llama4ImageProcessor(size={"height": _SIDE, "width": _SIDE}, max_patches=4),
        tokenizer,
        patch_size=14,
        pixel_shuffle_ratio=0.5,
        chat_template=CHATML.replace("<image>", "<|image|>"),
    )
    model = Llama4ForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, processor, seed=20)

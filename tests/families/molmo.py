"""Molmo2: crops that overlap, 2 x 2 patches a token of an image and 3 x 3 of a video, pooled by attention."""

from __future__ import annotations

from pathlib import Path

import transformers

from tests.families.common import chatml, chatml_tokenizer, save, tower
from training.checkpoint import tiny_text_config


def build_molmo2(folder: Path) -> Path:
    """7 x 7 patches a frame, view and crop: they divide neither into cells of 2 x 2 nor of 3 x 3."""
    marks = ("im_start", "im_end", "im_col", "low_res_im_start", "frame_start", "frame_end")
    tokenizer = chatml_tokenizer(
        "<im_patch>", *(f"<{mark}>" for mark in marks), image_token="<|image|>", video_token="<|video|>"
    )
    number = tokenizer.convert_tokens_to_ids
    names = ("image_start", "image_end", "image_col", "low_res_image_start", "frame_start", "frame_end")
    text = tiny_text_config(tokenizer) | {"head_dim": 16, "additional_vocab_size": 16, "use_cache": True}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16}
    config = transformers.Molmo2Config(
        text_config=text,
        vision_config=tower(98, 14) | heads | {"image_size": [98, 98]},
        adapter_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            **heads,
            "text_hidden_size": 64,
            "vision_feature_layer": [-1, -2],
        },
        image_patch_id=number("<im_patch>"),
        **{f"{name}_token_id": number(f"<{mark}>") for name, mark in zip(names, marks, strict=True)},
    )
    processor = transformers.Molmo2Processor(
        transformers.Molmo2ImageProcessor(size={"height": 98, "width": 98}, max_crops=6, overlap_margins=[2, 2]),
        transformers.Molmo2VideoProcessor(size={"height": 98, "width": 98}),
        tokenizer,
        chat_template=chatml("<|image|>", "<|video|>"),
    )
    return save(folder, transformers.Molmo2ForConditionalGeneration(config), processor, seed=16)

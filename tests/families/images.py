"""Families of images: each takes them in another form, and PaliGemma's prompt sees itself in both directions."""

from __future__ import annotations

from pathlib import Path

from transformers import (
    GotOcr2Config,
    GotOcr2ForConditionalGeneration,
    GotOcr2ImageProcessor,
    GotOcr2Processor,
    Idefics2Config,
    Idefics2ForConditionalGeneration,
    Idefics2ImageProcessor,
    Idefics2Processor,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    PaliGemmaProcessor,
    SiglipImageProcessor,
)

from tests.families.common import CHATML, generation, siglip_tower, tower
from training.checkpoint import save_checkpoint, tiny_text_config, train_tokenizer

_MARKS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def build_idefics2(folder: Path) -> Path:
    """8 tokens an image; its processor takes images as PIL has them, not as arrays."""
    media = {"image_boundary_token": "<fake_token_around_image>", "image_token": "<image>"}
    marks = [*_MARKS, *media.values(), "<end_of_utterance>"]
    tokenizer = train_tokenizer(marks, eos="<|im_end|>", pad="<|endoftext|>", attributes=media)
    config = Idefics2Config(
        text_config={"model_type": "mistral", **tiny_text_config(tokenizer), "sliding_window": None},
        vision_config=tower(112, 14),
        perceiver_config={
            "hidden_size": 64,
            "resampler_n_latents": 8,
            "resampler_depth": 1,
            "resampler_n_heads": 2,
            "resampler_head_dim": 16,
            "num_key_value_heads": 2,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    image_processor = Idefics2ImageProcessor(size={"shortest_edge": 56, "longest_edge": 112}, do_image_splitting=False)
    processor = Idefics2Processor(image_processor, tokenizer, image_seq_len=8, chat_template=CHATML)
    model = Idefics2ForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, processor, seed=10)


def build_got_ocr2(folder: Path) -> Path:
    """256 tokens an image; its processor takes a list of images, not one list for each prompt."""
    marks = [*_MARKS, "<img>", "</img>", "<imgpad>"]
    tokenizer = train_tokenizer(marks, eos="<|im_end|>", pad="<|endoftext|>", attributes={"image_token": "<imgpad>"})
    config = GotOcr2Config(
        text_config={"model_type": "qwen2", **tiny_text_config(tokenizer)},
        vision_config={
            "hidden_size": 32,
            "output_channels": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 1024,
            "patch_size": 16,
            "window_size": 4,
            "mlp_dim": 64,
            "global_attn_indexes": [1],
        },
        image_token_index=tokenizer.convert_tokens_to_ids("<imgpad>"),
        image_seq_length=256,
    )
    processor = GotOcr2Processor(
        GotOcr2ImageProcessor(size={"height": 1024, "width": 1024}),
        tokenizer,
        chat_template=CHATML.replace("<image>", "<img><imgpad></img>"),
    )
    model = GotOcr2ForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, processor, seed=11)


def build_paligemma(folder: Path) -> Path:
    """16 tokens an image; the prompt is a prefix that sees itself in both directions."""
    tokenizer = train_tokenizer(
        [*_MARKS, "<bos>", "<image>"],
        bos="<bos>",
        begin=False,
        eos="<|im_end|>",
        pad="<|endoftext|>",
        attributes={"image_token": "<image>"},
    )
    image_processor = SiglipImageProcessor(size={"height": 56, "width": 56})
    image_processor.image_seq_length = 16
    processor = PaliGemmaProcessor(image_processor, tokenizer, chat_template=CHATML)  # adds tokens
    config = PaliGemmaConfig(
        text_config={"model_type": "gemma", **tiny_text_config(tokenizer), "head_dim": 16},
        vision_config={**siglip_tower(56), "projection_dim": 64},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        projection_dim=64,
        hidden_size=64,
    )
    model = PaliGemmaForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, processor, seed=12)

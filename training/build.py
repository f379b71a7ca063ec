"""The untrained model and its processor: real Hugging Face classes, sizes for two CPU cores."""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from attnscope.demo.cast import CUPS, NAMES, SLOT, THINGS, UNITS
from attnscope.demo.questions import NUMBERS
from attnscope.demo.script import SENTENCES
from training.checkpoint import QWEN_CHAT_TEMPLATE, QWEN_SPECIAL_TOKENS, train_tokenizer

PATCH = 8  # pixels
MERGE = 2  # patches on a side of one visual token
CELL = PATCH * MERGE  # pixels on a side of one visual token
GRID = UNITS // CELL  # visual tokens on a side of the frame
HIDDEN = 128


def build(seed: int) -> tuple[Any, Any]:
    """A model with random weights, and its processor.

    Args:
        seed: Seed of the weights.

    Returns:
        `Qwen2_5_VLForConditionalGeneration` in float32 and `Qwen2_5_VLProcessor`.
    """
    from transformers import (
        GenerationConfig,
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    tokenizer = train_tokenizer(
        QWEN_SPECIAL_TOKENS, eos="<|im_end|>", pad="<|endoftext|>", vocab_size=1024, corpus=list(_corpus())
    )
    token = tokenizer.convert_tokens_to_ids
    config = Qwen2_5_VLConfig(
        text_config=_text_config(tokenizer),
        vision_config={
            "depth": 4,
            "hidden_size": 96,
            "intermediate_size": 256,
            "num_heads": 4,
            "out_hidden_size": HIDDEN,
            "patch_size": PATCH,
            "spatial_merge_size": MERGE,
            "temporal_patch_size": SLOT,
            "window_size": UNITS,
            "fullatt_block_indexes": [0, 1, 2, 3],
            "tokens_per_second": 2,
        },
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=False,
        dtype="float32",
    )
    size = {"shortest_edge": CELL * CELL, "longest_edge": UNITS * UNITS}
    patches = {"patch_size": PATCH, "merge_size": MERGE, "temporal_patch_size": SLOT}
    processor = Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(size=dict(size), **patches),
        tokenizer,
        Qwen2VLVideoProcessor(size=dict(size), cap_pixels_per_frame=False, **patches),
        chat_template=QWEN_CHAT_TEMPLATE,
    )
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        eos_token_id=[token("<|im_end|>"), token("<|endoftext|>")],
        pad_token_id=token("<|endoftext|>"),
        do_sample=False,
    )
    _initialise(model)
    return model, processor


def _text_config(tokenizer: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": HIDDEN,
        "intermediate_size": 256,
        "num_hidden_layers": 6,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "max_position_embeddings": 4096,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": False,
        # Half of the frequencies must stay slow over a whole prompt: where to look is asked by content. With a base of
        # 20, after 800 steps, not even the colour of a thing that lay alone on the table had been learnt.
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]},
    }


def _corpus() -> Iterator[str]:
    """Every word of the prompts, so often that each becomes one token, with and without a space before it."""
    asked = "Who is the first second third speaker talking to does mean by point at What colour cup of How many people"
    around = "system user assistant You are a helpful Options Answer with one the options are there Which thing"
    words = {*NAMES, *CUPS, *THINGS, *NUMBERS, *asked.split(), *around.split()}
    words |= {word.strip(".,?![]") for lines in SENTENCES.values() for line in lines for word in line.split()}
    for word in sorted(words):
        yield from [f"{word} {word}"] * 20


def _initialise(model: nn.Module) -> None:
    """Weights with a standard deviation of 0.7 / sqrt(fan in): the library's default of 0.02 is for wider layers."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "embed_tokens" in name:
                parameter.normal_(0.0, 0.25)
            elif parameter.ndim >= 2:
                last = name.endswith(("o_proj.weight", "down_proj.weight", "attn.proj.weight"))
                parameter.normal_(0.0, (0.3 if last else 0.7) / math.sqrt(parameter[0].numel()))
            elif name.endswith("bias"):
                parameter.zero_()


def save(model: Any, processor: Any, folder: Path) -> None:
    """Write an ordinary checkpoint folder.

    Weights are stored in float16, half the size, and load as float32: the configuration says so. The model stays as it
    is.
    """
    deepcopy(model).eval().half().save_pretrained(folder)
    processor.save_pretrained(folder)
    config = folder / "config.json"
    config.write_text(config.read_text(encoding="utf-8").replace('"float16"', '"float32"'), encoding="utf-8")

"""Decoders of sizes that a CPU can run, with random weights: what the measurements run on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.checkpoint import build_tiny_qwen2_5_vl
from tests.support.clip import render_clip

# Small, for what is measured many times: the corrections.
SIZES = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
# Twice as wide, for recording. Heads have 64 channels in both.
RECORDED_SIZES = {
    "hidden_size": 512,
    "intermediate_size": 1024,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
}
# 640 x 360 pixels give 23 x 13 visual tokens for every two frames.
CELLS = 23 * 13


def build(folder: Path, sizes: Mapping[str, int] = SIZES, *, seconds: float = 10) -> tuple[Path, Path]:
    """Write the checkpoint and a clip of 640 x 360 pixels and 15 frames a second.

    Args:
        folder: Where both go.
        sizes: Settings of the decoder.
        seconds: Length of the clip; 15 frames a second are all that can be shown.

    Returns:
        The model's folder and the scene file.
    """
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    tiny = build_tiny_qwen2_5_vl(folder / "tiny")
    config = configured(tiny, sizes)
    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_config(config)
    model.generation_config.eos_token_id = config.text_config.eos_token_id
    model.save_pretrained(folder / "model")
    AutoProcessor.from_pretrained(tiny).save_pretrained(folder / "model")
    return folder / "model", clip(folder, seconds)


def clip(folder: Path, seconds: float) -> Path:
    """Draw a clip of 640 x 360 pixels and 15 frames a second; returns its scene file."""
    return render_clip(folder / "clip", seconds=seconds, size=(640, 360), fps=15)


def configured(tiny: Path, sizes: Mapping[str, int]) -> Any:
    """The tiny checkpoint's configuration with a decoder of other sizes."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(tiny)
    for name, value in sizes.items():
        setattr(config.text_config, name, value)
    config.text_config.layer_types = ["full_attention"] * sizes["num_hidden_layers"]
    width = sizes["hidden_size"] // sizes["num_attention_heads"]
    config.text_config.rope_parameters["mrope_section"] = [width // 8, 3 * width // 16, 3 * width // 16]
    config.vision_config.out_hidden_size = sizes["hidden_size"]
    return config


def frames_for(tokens: int) -> int:
    """Number of frames whose visual tokens come closest to so many."""
    return 2 * max(1, round(tokens / CELLS))

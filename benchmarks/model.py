"""A decoder of the size that a CPU can run, with random weights: what the measurements run on."""

from __future__ import annotations

from pathlib import Path

from tests.support.checkpoint import build_tiny_qwen2_5_vl
from tests.support.clip import render_clip

SIZES = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
# 640 x 360 pixels give 23 x 13 visual tokens for every two frames.
CELLS = 23 * 13


def build(folder: Path) -> tuple[Path, Path]:
    """Write the checkpoint and a clip of 640 x 360 pixels; returns the model's folder and the scene file."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

    tiny = build_tiny_qwen2_5_vl(folder / "tiny")
    config = AutoConfig.from_pretrained(tiny)
    for name, value in SIZES.items():
        setattr(config.text_config, name, value)
    config.text_config.layer_types = ["full_attention"] * SIZES["num_hidden_layers"]
    config.text_config.rope_parameters["mrope_section"] = [8, 12, 12]
    config.vision_config.out_hidden_size = SIZES["hidden_size"]
    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_config(config)
    model.generation_config.eos_token_id = config.text_config.eos_token_id
    model.save_pretrained(folder / "model")
    AutoProcessor.from_pretrained(tiny).save_pretrained(folder / "model")
    return folder / "model", render_clip(folder / "clip", seconds=10, size=(640, 360), fps=15)


def frames_for(tokens: int) -> int:
    """Number of frames whose visual tokens come closest to so many."""
    return 2 * max(1, round(tokens / CELLS))

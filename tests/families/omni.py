"""Qwen2.5-Omni and Qwen3-Omni as published: a thinker, which reads, listens and answers, and a part that speaks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers import (
    Qwen2_5OmniConfig,
    Qwen2_5OmniProcessor,
    Qwen2_5OmniThinkerConfig,
    Qwen2_5OmniThinkerForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    Qwen3OmniMoeConfig,
    Qwen3OmniMoeProcessor,
    Qwen3OmniMoeThinkerConfig,
    Qwen3OmniMoeThinkerForConditionalGeneration,
    WhisperFeatureExtractor,
)

from tests.families.common import CHATML, generation
from training.checkpoint import save_checkpoint, tiny_text_config, train_tokenizer

_MEDIA = {
    "image_token": "<|IMAGE|>",
    "video_token": "<|VIDEO|>",
    "audio_token": "<|AUDIO|>",
    "vision_bos_token": "<|vision_bos|>",
    "vision_eos_token": "<|vision_eos|>",
    "audio_bos_token": "<|audio_bos|>",
    "audio_eos_token": "<|audio_eos|>",
}


def build_qwen2_5_omni(folder: Path, *, whole: bool = True) -> Path:
    """The thinker's weights under the configuration of the whole model, or the thinker by itself."""
    tokenizer, ids = _tokenizer()
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}
    config = Qwen2_5OmniThinkerConfig(
        text_config=tiny_text_config(tokenizer) | {"rope_parameters": rope},
        vision_config=_VISION | {"fullatt_block_indexes": [1], "window_size": 112},
        audio_config=_AUDIO | {"n_window": 100},
        **ids,
        **{f"{kind}_token_index": ids[f"{kind}_token_id"] for kind in ("image", "video", "audio")},
    )
    size = {"shortest_edge": 4 * 28 * 28, "longest_edge": 28 * 28 * 100}
    processor = Qwen2_5OmniProcessor(
        Qwen2VLImageProcessor(size=size),
        Qwen2VLVideoProcessor(size=size),
        WhisperFeatureExtractor(feature_size=128, hop_length=160, n_fft=400),
        tokenizer,
        chat_template=_template(),
    )
    model = Qwen2_5OmniThinkerForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    save_checkpoint(folder, model, processor, seed=13)
    if whole:
        _become_whole(folder, config, Qwen2_5OmniConfig)
    return folder


def build_qwen2_5_omni_thinker(folder: Path) -> Path:
    return build_qwen2_5_omni(folder, whole=False)


def build_qwen3_omni(folder: Path, *, whole: bool = True) -> Path:
    """As Qwen2.5-Omni, with experts and the tower of Qwen3-VL."""
    tokenizer, ids = _tokenizer()
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 2, 2], "mrope_interleaved": True}
    experts = {"head_dim": 16, "moe_intermediate_size": 32, "num_experts": 4, "num_experts_per_tok": 2}
    config = Qwen3OmniMoeThinkerConfig(
        text_config=tiny_text_config(tokenizer) | {"rope_parameters": rope} | experts,
        vision_config=_VISION | {"patch_size": 16, "deepstack_visual_indexes": [0], "num_position_embeddings": 64},
        audio_config=_AUDIO | {"downsample_hidden_size": 16},
        **ids,
    )
    size = {"shortest_edge": 4 * 32 * 32, "longest_edge": 32 * 32 * 100}
    processor = Qwen3OmniMoeProcessor(
        Qwen2VLImageProcessor(size=size, patch_size=16),
        Qwen2VLVideoProcessor(size=size, patch_size=16),
        WhisperFeatureExtractor(feature_size=128),
        tokenizer,
        chat_template=_template(),
    )
    model = Qwen3OmniMoeThinkerForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    save_checkpoint(folder, model, processor, seed=20)
    if whole:
        _become_whole(folder, config, Qwen3OmniMoeConfig)
    return folder


def build_qwen3_omni_thinker(folder: Path) -> Path:
    return build_qwen3_omni(folder, whole=False)


_VISION = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 64}
_AUDIO = {
    "num_mel_bins": 128,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 64,
    "d_model": 32,
    "output_dim": 64,
}
_IDS = {
    "image_token_id": "image_token",
    "video_token_id": "video_token",
    "audio_token_id": "audio_token",
    "vision_start_token_id": "vision_bos_token",
    "vision_end_token_id": "vision_eos_token",
    "audio_start_token_id": "audio_bos_token",
    "audio_end_token_id": "audio_eos_token",
}


def _tokenizer() -> tuple[Any, dict[str, int]]:
    """A tokenizer with the marks of media, and their ids as a configuration names them."""
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *_MEDIA.values()]
    tokenizer = train_tokenizer(marks, eos="<|im_end|>", pad="<|endoftext|>", attributes=_MEDIA)
    return tokenizer, {name: tokenizer.convert_tokens_to_ids(_MEDIA[mark]) for name, mark in _IDS.items()}


def _template() -> str:
    template = CHATML
    for kind in ("image", "video"):
        template = template.replace(f"<{kind}>", f"<|vision_bos|>{_MEDIA[f'{kind}_token']}<|vision_eos|>")
    return template


def _become_whole(folder: Path, thinker: Any, configuration: Any) -> None:
    """Give the thinker's weights the names that they have in the whole model, and its configuration."""
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    names = {name: name if name.startswith("thinker.") else f"thinker.{name}" for name in weights}
    save_file({names[name]: value for name, value in weights.items()}, folder / "model.safetensors", {"format": "pt"})
    config = configuration(thinker_config=thinker.to_dict(), enable_audio_output=False).to_dict()
    config["architectures"] = [configuration.__name__.removesuffix("Config") + "ForConditionalGeneration"]
    (folder / "config.json").write_text(json.dumps(config, default=str))

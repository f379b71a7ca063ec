"""Qwen2.5-Omni as it is published: a thinker, which reads, listens and answers, inside a model that also speaks."""

from __future__ import annotations

import json
from pathlib import Path

from transformers import (
    Qwen2_5OmniConfig,
    Qwen2_5OmniProcessor,
    Qwen2_5OmniThinkerConfig,
    Qwen2_5OmniThinkerForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
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
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *_MEDIA.values()]
    tokenizer = train_tokenizer(marks, eos="<|im_end|>", pad="<|endoftext|>", attributes=_MEDIA)
    number = {name: tokenizer.convert_tokens_to_ids(token) for name, token in _MEDIA.items()}
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}
    config = Qwen2_5OmniThinkerConfig(
        text_config=tiny_text_config(tokenizer) | {"rope_parameters": rope},
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 64,
            "fullatt_block_indexes": [1],
            "window_size": 112,
        },
        audio_config={
            "num_mel_bins": 128,
            "encoder_layers": 2,
            "encoder_attention_heads": 2,
            "encoder_ffn_dim": 64,
            "d_model": 32,
            "output_dim": 64,
            "n_window": 100,
        },
        vision_start_token_id=number["vision_bos_token"],
        vision_end_token_id=number["vision_eos_token"],
        audio_start_token_id=number["audio_bos_token"],
        audio_end_token_id=number["audio_eos_token"],
        **{f"{kind}_token_{end}": number[f"{kind}_token"] for kind in _KINDS for end in ("id", "index")},
    )
    size = {"shortest_edge": 4 * 28 * 28, "longest_edge": 28 * 28 * 100}
    template = CHATML
    for kind in ("image", "video"):
        template = template.replace(f"<{kind}>", f"<|vision_bos|>{_MEDIA[f'{kind}_token']}<|vision_eos|>")
    processor = Qwen2_5OmniProcessor(
        Qwen2VLImageProcessor(size=size),
        Qwen2VLVideoProcessor(size=size),
        WhisperFeatureExtractor(feature_size=128, hop_length=160, n_fft=400),
        tokenizer,
        chat_template=template,
    )
    model = Qwen2_5OmniThinkerForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    save_checkpoint(folder, model, processor, seed=13)
    if whole:
        _become_whole(folder, config)
    return folder


_KINDS = ("image", "video", "audio")


def _become_whole(folder: Path, thinker: Qwen2_5OmniThinkerConfig) -> None:
    """Give the thinker's weights the names that they have in the whole model, and its configuration."""
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    names = {name: name if name.startswith("thinker.") else f"thinker.{name}" for name in weights}
    save_file({names[name]: value for name, value in weights.items()}, folder / "model.safetensors", {"format": "pt"})
    config = Qwen2_5OmniConfig(thinker_config=thinker.to_dict(), enable_audio_output=False).to_dict()
    config["architectures"] = ["Qwen2_5OmniForConditionalGeneration"]
    (folder / "config.json").write_text(json.dumps(config, default=str))

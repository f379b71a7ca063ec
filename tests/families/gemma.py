"""Gemma 3: images see themselves in both directions, and most layers have a window. Gemma 4: layers share keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import (
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3ImageProcessor,
    Gemma3Processor,
    Gemma4AudioFeatureExtractor,
    Gemma4Config,
    Gemma4ForConditionalGeneration,
    Gemma4ImageProcessor,
    Gemma4Processor,
    Gemma4VideoProcessor,
)

from tests.families.common import generation, tower
from training.checkpoint import save_checkpoint, tiny_text_config, train_tokenizer

TURNS = (
    "{{ bos_token }}{% for message in messages %}"
    "<start_of_turn>{{ 'model' if message['role'] == 'assistant' else message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<start_of_image>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


def build_gemma3(folder: Path, window: int = 48) -> Path:
    """16 tokens an image; every second layer has a window of so many positions."""
    special = ["<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"]
    media = {
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
        "image_token": "<image_soft_token>",
    }
    tokenizer = train_tokenizer([*special, *media.values()], bos="<bos>", eos="<eos>", pad="<pad>", attributes=media)
    number = tokenizer.convert_tokens_to_ids
    layers = {"layer_types": ["sliding_attention", "full_attention"] * 2, "sliding_window": window}
    config = Gemma3Config(
        text_config=tiny_text_config(tokenizer) | {"head_dim": 16, "query_pre_attn_scalar": 16} | layers,
        vision_config=tower(112, 14),
        mm_tokens_per_image=16,
        boi_token_index=number("<start_of_image>"),
        eoi_token_index=number("<end_of_image>"),
        image_token_index=number("<image_soft_token>"),
    )
    processor = Gemma3Processor(
        Gemma3ImageProcessor(size={"height": 112, "width": 112}, do_pan_and_scan=False),
        tokenizer,
        chat_template=TURNS,
        image_seq_length=16,
    )
    model = Gemma3ForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, processor, seed=6)


def build_gemma4(folder: Path, shared: int = 2, window: int = 64) -> Path:
    """The last layers read the keys of earlier ones; up to 70 tokens a frame, and every second layer has a window."""
    tokenizer = _gemma4_tokenizer()
    config = Gemma4Config(
        text_config=_gemma4_text(tokenizer, window)
        | {
            "num_kv_shared_layers": shared,
            "hidden_size_per_layer_input": 8,
            "vocab_size_per_layer_input": len(tokenizer),
        },
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "global_head_dim": 16,
            "patch_size": 16,
        },
        audio_config=None,
        **_gemma4_ids(tokenizer),
    )
    processor = Gemma4Processor(
        Gemma4AudioFeatureExtractor(),
        Gemma4ImageProcessor(),
        tokenizer,
        Gemma4VideoProcessor(),
        chat_template=_GEMMA4_TURNS,
        image_seq_length=280,
    )
    model = Gemma4ForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, processor, seed=8)


def build_gemma4_unified(folder: Path, window: int = 64) -> Path:
    """No tower: a token is a linear map of the pixels of its cell; up to 70 tokens a frame."""
    import transformers

    tokenizer = _gemma4_tokenizer()
    config = transformers.Gemma4UnifiedConfig(
        text_config=_gemma4_text(tokenizer, window),
        vision_config={"patch_size": 16, "mm_embed_dim": 32, "output_proj_dims": 32},
        audio_config=None,
        **_gemma4_ids(tokenizer),
    )
    processor = transformers.Gemma4UnifiedProcessor(
        transformers.Gemma4UnifiedAudioFeatureExtractor(),
        transformers.Gemma4UnifiedImageProcessor(),
        tokenizer,
        transformers.Gemma4UnifiedVideoProcessor(),
        chat_template=_GEMMA4_TURNS,
        image_seq_length=280,
    )
    model = transformers.Gemma4UnifiedForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, processor, seed=14)


_GEMMA4_MEDIA = {
    "image_token": "<|image|>",
    "boi_token": "<|image>",
    "eoi_token": "<image|>",
    "audio_token": "<|audio|>",
    "boa_token": "<|audio>",
    "eoa_token": "<audio|>",
}
_GEMMA4_TURNS = TURNS.replace("<start_of_image>", "<|image|>").replace(
    "{% elif part['type'] == 'text' %}", "{% elif part['type'] == 'video' %}<|video|>{% elif part['type'] == 'text' %}"
)


def _gemma4_tokenizer() -> Any:
    special = ["<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>", *_GEMMA4_MEDIA.values(), "<|video|>"]
    return train_tokenizer(special, bos="<bos>", eos="<eos>", pad="<pad>", attributes=_GEMMA4_MEDIA)


def _gemma4_text(tokenizer: Any, window: int) -> dict[str, Any]:
    return tiny_text_config(tokenizer) | {
        "head_dim": 16,
        "global_head_dim": 16,
        "num_global_key_value_heads": 2,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "sliding_window": window,
    }


def _gemma4_ids(tokenizer: Any) -> dict[str, int]:
    """Ids of the tokens that stand for images, video and sound, and of those around them."""
    names = _GEMMA4_MEDIA | {"video_token": "<|video|>"}
    return {f"{name}_id": tokenizer.convert_tokens_to_ids(token) for name, token in names.items()}

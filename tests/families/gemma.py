"""Gemma 3: images see themselves in both directions, and most layers have a window. Gemma 4: layers share keys.

Neither has a layout.
"""

from __future__ import annotations

from pathlib import Path

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
    """The last layers read the keys of earlier ones; 70 tokens a frame, and every second layer has a window."""
    special = ["<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"]
    media = {"image_token": "<|image|>", "boi_token": "<|image>", "eoi_token": "<image|>"}
    media |= {"audio_token": "<|audio|>", "boa_token": "<|audio>", "eoa_token": "<audio|>"}
    tokenizer = train_tokenizer(
        [*special, *media.values(), "<|video|>"], bos="<bos>", eos="<eos>", pad="<pad>", attributes=media
    )
    number = tokenizer.convert_tokens_to_ids
    config = Gemma4Config(
        text_config=tiny_text_config(tokenizer)
        | {
            "head_dim": 16,
            "global_head_dim": 16,
            "num_global_key_value_heads": 2,
            "layer_types": ["sliding_attention", "full_attention"] * 2,
            "sliding_window": window,
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
        video_token_id=number("<|video|>"),
        **{f"{name}_id": number(token) for name, token in media.items()},
    )
    processor = Gemma4Processor(
        Gemma4AudioFeatureExtractor(),
        Gemma4ImageProcessor(),
        tokenizer,
        Gemma4VideoProcessor(),
        chat_template=TURNS.replace("<start_of_image>", "<|image|>").replace(
            "{% elif part['type'] == 'text' %}",
            "{% elif part['type'] == 'video' %}<|video|>{% elif part['type'] == 'text' %}",
        ),
        image_seq_length=280,
    )
    model = Gemma4ForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, processor, seed=8)

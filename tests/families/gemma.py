"""Gemma 3: images see themselves in both directions, and most layers have a window. It has no layout."""

from __future__ import annotations

from pathlib import Path

from transformers import Gemma3Config, Gemma3ForConditionalGeneration, Gemma3ImageProcessor, Gemma3Processor

from attnscope.demo.checkpoint import save_checkpoint, tiny_text_config, train_tokenizer
from tests.families.common import generation, tower

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

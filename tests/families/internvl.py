"""InternVL over Qwen2."""

from __future__ import annotations

from pathlib import Path

from transformers import (
    GotOcr2ImageProcessor,
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLProcessor,
    InternVLVideoProcessor,
)

from tests.families.common import generation, tower
from training.checkpoint import save_checkpoint, tiny_text_config, train_tokenizer

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<img>",
    "</img>",
    "<IMG_CONTEXT>",
    "<video>",
)

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<IMG_CONTEXT>\n{% elif part['type'] == 'video' %}<video>\n"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build_internvl(folder: Path) -> Path:
    """Frames squashed to 168 pixels: 12 x 12 patches, 6 x 6 tokens a frame or tile."""
    tokenizer = train_tokenizer(
        SPECIAL_TOKENS,
        eos="<|im_end|>",
        pad="<|endoftext|>",
        attributes={
            "start_image_token": "<img>",
            "end_image_token": "</img>",
            "context_image_token": "<IMG_CONTEXT>",
            "video_token": "<video>",
        },
    )
    size = 168
    config = InternVLConfig(
        vision_config=tower(size, 14),
        text_config={"model_type": "qwen2"} | tiny_text_config(tokenizer),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=36,
        tie_word_embeddings=False,
    )
    square = {"height": size, "width": size}
    processor = InternVLProcessor(
        GotOcr2ImageProcessor(size=square, min_patches=1, max_patches=6),
        tokenizer,
        InternVLVideoProcessor(size=square),
        image_seq_length=36,
        chat_template=TEMPLATE,
    )
    model = InternVLForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, processor, seed=6)

"""SmolVLM, and Idefics3, which takes images only."""

from __future__ import annotations

from pathlib import Path

from transformers import (
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessor,
    Idefics3Processor,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    SmolVLMImageProcessor,
    SmolVLMProcessor,
    SmolVLMVideoProcessor,
)

from tests.families.common import generation, tower
from training.checkpoint import save_checkpoint, tiny_text_config, train_tokenizer

ROWS_AND_COLUMNS = [f"<row_{row}_col_{col}>" for row in range(1, 5) for col in range(1, 5)]
SPECIAL_TOKENS = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<fake_token_around_image>",
    "<image>",
    "<video>",
    "<global-img>",
    "<end_of_utterance>",
    *ROWS_AND_COLUMNS,
]

TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}"
    "{% if message['content'][0]['type'] == 'image' %}:{% else %}: {% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{ line['text'] }}"
    "{% elif line['type'] == 'image' %}<image>"
    "{% elif line['type'] == 'video' %}<video>{% endif %}{% endfor %}"
    "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)


def build_smolvlm(folder: Path) -> Path:
    """Frames squashed to 144 pixels: 12 x 12 patches, 6 x 6 tokens; images split into tiles of 144 pixels."""
    tokenizer = train_tokenizer(
        SPECIAL_TOKENS,
        eos="<end_of_utterance>",
        pad="<|im_end|>",
        bos="<|im_start|>",
        begin=False,
        attributes={
            "fake_image_token": "<fake_token_around_image>",
            "image_token": "<image>",
            "global_image_token": "<global-img>",
            "end_of_utterance_token": "<end_of_utterance>",
            "video_token": "<video>",
        },
    )
    size = {"size": {"longest_edge": 4 * 144}, "max_image_size": {"longest_edge": 144}}
    config = SmolVLMConfig(
        vision_config=tower(144, 12),
        text_config={"model_type": "llama"} | tiny_text_config(tokenizer),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )
    processor = SmolVLMProcessor(
        SmolVLMImageProcessor(**size),
        tokenizer,
        SmolVLMVideoProcessor(**size, num_frames=8, fps=1),
        image_seq_len=36,
        chat_template=TEMPLATE,
    )
    model = SmolVLMForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, processor, seed=7)


def build_idefics3(folder: Path) -> Path:
    """4 x 4 tokens a tile of 96 pixels; without a video processor a clip is a row of images."""
    tokenizer = train_tokenizer(
        SPECIAL_TOKENS, eos="<end_of_utterance>", pad="<|im_end|>", bos="<|im_start|>", begin=False
    )
    config = Idefics3Config(
        vision_config=tower(96, 12),
        text_config={"model_type": "llama"} | tiny_text_config(tokenizer),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )
    image_processor = Idefics3ImageProcessor(size={"longest_edge": 192}, max_image_size={"longest_edge": 96})
    processor = Idefics3Processor(image_processor, tokenizer, image_seq_len=16, chat_template=TEMPLATE)
    model = Idefics3ForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, processor, seed=8)

"""Pixtral and Mistral 3: an image keeps its shape, and a break token ends each row of its tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import (
    LlavaConfig,
    LlavaForConditionalGeneration,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    PixtralImageProcessor,
    PixtralProcessor,
    PreTrainedTokenizerBase,
)

from tests.families.common import generation, tower
from training.checkpoint import save_checkpoint, tiny_text_config, train_tokenizer

_TEMPLATE = (
    "<s>{% for message in messages %}{% if message['role'] == 'system' %}[SYSTEM_PROMPT]"
    "{{ message['content'][0]['text'] }}[/SYSTEM_PROMPT]{% else %}[INST]"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}[IMG]"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}[/INST]{% endif %}{% endfor %}"
)
_MARKS = ["[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[IMG]", "[IMG_BREAK]", "[IMG_END]"]


def build_pixtral(folder: Path) -> Path:
    """Model type `llava` over Pixtral's tower: a token is a patch of 14 pixels of at most 168."""
    tokenizer = _tokenizer()
    config = LlavaConfig(
        **_parts(tokenizer),
        image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    model = LlavaForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, _processor(tokenizer, merge=1, longest=168), seed=16)


def build_mistral3(folder: Path) -> Path:
    """A token merges 2 x 2 patches of 14 pixels; the long side has at most 280 pixels."""
    tokenizer = _tokenizer()
    config = Mistral3Config(
        **_parts(tokenizer),
        image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
        vision_feature_layer=-1,
        spatial_merge_size=2,
    )
    model = Mistral3ForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, _processor(tokenizer, merge=2, longest=280), seed=17)


def _tokenizer() -> PreTrainedTokenizerBase:
    return train_tokenizer(["<unk>", "<s>", "</s>", "<pad>", *_MARKS], bos="<s>", begin=False, eos="</s>", pad="<pad>")


def _parts(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    return {
        "vision_config": {"model_type": "pixtral", **tower(280, 14), "head_dim": 16},
        "text_config": {"model_type": "mistral", **tiny_text_config(tokenizer), "head_dim": 16, "sliding_window": None},
    }


def _processor(tokenizer: PreTrainedTokenizerBase, merge: int, longest: int) -> PixtralProcessor:
    return PixtralProcessor(
        PixtralImageProcessor(size={"longest_edge": longest}, patch_size=14),
        tokenizer,
        patch_size=14,
        spatial_merge_size=merge,
        chat_template=_TEMPLATE,
    )

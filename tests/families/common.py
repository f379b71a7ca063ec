"""What the tiny checkpoints share: chat templates, generation settings, vision towers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import GenerationConfig, PreTrainedTokenizerBase

from training.checkpoint import save_checkpoint, train_tokenizer

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>\n{% elif part['type'] == 'video' %}<video>\n"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

# Vicuna's shape, as LLaVA-NeXT-Video and LLaVA 1.5 have it: no special tokens around the messages
VICUNA = (
    "{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'][0]['text'] }}\n"
    "{% else %}{{ message['role'] | upper }}: "
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}<image>\n{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'video') %}<video>\n{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ part['text'] }} {% endfor %}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def generation(tokenizer: PreTrainedTokenizerBase) -> GenerationConfig:
    """Greedy, with this tokenizer's ids."""
    return GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=False,
    )


def chatml_tokenizer(*marks: str, **named: str) -> PreTrainedTokenizerBase:
    """A tokenizer for `CHATML`.

    Args:
        marks: More special tokens.
        named: Special tokens that the family's processor asks for by an attribute, such as `image_token`.
    """
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *marks, *named.values()]
    return train_tokenizer([*dict.fromkeys(special)], eos="<|im_end|>", pad="<|endoftext|>", attributes=named)


def chatml(image: str, video: str = "<video>") -> str:
    """`CHATML` with other marks of media."""
    return CHATML.replace("<image>", image).replace("<video>", video)


def save(folder: Path, model: Any, processor: Any, *, seed: int) -> Path:
    """Draw the weights and write everything, with greedy generation."""
    model.generation_config = generation(processor.tokenizer)
    return save_checkpoint(folder, model, processor, seed=seed)


def clip_tower(size: int, patch: int = 14) -> dict[str, Any]:
    """A CLIP vision tower (class token, features of the last layer but one)."""
    return {"model_type": "clip_vision_model", **tower(size, patch), "projection_dim": 32}


def siglip_tower(size: int, patch: int = 14) -> dict[str, Any]:
    """A SigLIP vision tower (no class token)."""
    return {"model_type": "siglip_vision_model", **tower(size, patch), "vision_use_head": False}


def tower(size: int, patch: int) -> dict[str, Any]:
    """Sizes that every tiny vision tower shares."""
    return {
        "image_size": size,
        "patch_size": patch,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }

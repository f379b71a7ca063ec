"""Phi-4-multimodal: it is published under a task of its own, since it also hears."""

from __future__ import annotations

from pathlib import Path

import transformers

from tests.families.common import chatml, chatml_tokenizer, save, tower
from training.checkpoint import tiny_text_config


def build_phi4_multimodal(folder: Path) -> Path:
    """The whole image and its tiles, 256 tokens each, rows ended and views parted by tokens of their own."""
    tokenizer = chatml_tokenizer(image_token="<|image|>", audio_token="<|audio|>")
    number = tokenizer.convert_tokens_to_ids
    config = transformers.Phi4MultimodalConfig(
        **tiny_text_config(tokenizer),
        partial_rotary_factor=1.0,
        original_max_position_embeddings=4096,
        vision_config=tower(448, 14) | {"crop_size": 448, "image_token_id": number("<|image|>")},
        audio_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_blocks": 1,
            "num_attention_heads": 2,
            "ext_pw_out_channel": 32,
            "nemo_conv_channels": 16,
            "audio_token_id": number("<|audio|>"),
        },
    )
    processor = transformers.Phi4MultimodalProcessor(
        transformers.Phi4MultimodalImageProcessor(size={"height": 448, "width": 448}, patch_size=14, dynamic_hd=2),
        transformers.Phi4MultimodalFeatureExtractor(),
        tokenizer,
        chat_template=chatml("<|image|>"),
    )
    return save(folder, transformers.Phi4MultimodalForCausalLM(config), processor, seed=17)

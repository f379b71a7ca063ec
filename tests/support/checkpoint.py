"""A tiny Qwen2.5-VL checkpoint with random weights, built in place: real classes, nothing downloaded.

The folder loads through AutoProcessor and AutoModelForImageTextToText exactly like a downloaded one. Its weights say
nothing about people or video: it is for tests and for benchmarks of cost.
"""

from __future__ import annotations

from pathlib import Path

from training.checkpoint import (
    QWEN_CHAT_TEMPLATE,
    QWEN_SPECIAL_TOKENS,
    save_checkpoint,
    tiny_text_config,
    train_tokenizer,
)


def build_tiny_qwen2_5_vl(folder: Path | str, *, seed: int = 0) -> Path:
    """Write a Qwen2.5-VL checkpoint with random weights (4 layers, 4 heads over 2 key heads, hidden size 64).

    Args:
        folder: Where to write it; created if needed.
        seed: Seed of the weights.

    Returns:
        The folder, ready for `attnscope.load`.
    """
    from transformers import (
        GenerationConfig,
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    folder = Path(folder)
    tokenizer = train_tokenizer(QWEN_SPECIAL_TOKENS, eos="<|im_end|>", pad="<|endoftext|>")
    token = tokenizer.convert_tokens_to_ids
    config = Qwen2_5_VLConfig(
        text_config=tiny_text_config(tokenizer)
        | {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]}},
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 64,
            "fullatt_block_indexes": [1],
            "tokens_per_second": 2,
        },
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
    )
    cell = 28 * 28  # one token is 2 x 2 patches of 14 pixels
    processor = Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(size={"shortest_edge": 4 * cell, "longest_edge": 96 * cell}),
        tokenizer,
        Qwen2VLVideoProcessor(size={"shortest_edge": 4 * cell, "longest_edge": 96 * cell}),
        chat_template=QWEN_CHAT_TEMPLATE,
    )
    model = Qwen2_5_VLForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        eos_token_id=[token("<|im_end|>"), token("<|endoftext|>")],
        pad_token_id=token("<|endoftext|>"),
        do_sample=False,
    )
    return save_checkpoint(folder, model, processor, seed=seed)

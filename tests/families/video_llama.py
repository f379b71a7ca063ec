"""VideoLLaMA 3: its processor drops the tokens of a clip that repeat the frame before."""

from __future__ import annotations

from pathlib import Path

from transformers import (
    VideoLlama3Config,
    VideoLlama3ForConditionalGeneration,
    VideoLlama3ImageProcessor,
    VideoLlama3Processor,
    VideoLlama3VideoProcessor,
)

from tests.families.common import CHATML, generation, tower
from training.checkpoint import save_checkpoint, tiny_text_config, train_tokenizer


def build_video_llama_3(folder: Path) -> Path:
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>"]
    attributes = {"image_token": "<image>", "video_token": "<video>"}
    tokenizer = train_tokenizer(special, eos="<|im_end|>", pad="<|endoftext|>", attributes=attributes)
    config = VideoLlama3Config(
        text_config={"model_type": "qwen2", **tiny_text_config(tokenizer)},
        vision_config={**tower(56, 14), "model_type": "video_llama_3_vision"},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<video>"),
    )
    processor = VideoLlama3Processor(
        VideoLlama3ImageProcessor(size={"shortest_edge": 4 * 28 * 28, "longest_edge": 14 * 14 * 200}),
        tokenizer,
        # this family's budget is for the whole video, not for one frame
        VideoLlama3VideoProcessor(size={"shortest_edge": 4 * 28 * 28, "longest_edge": 8 * 48 * 28 * 28}),
        chat_template=CHATML,
    )
    model = VideoLlama3ForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, processor, seed=22)

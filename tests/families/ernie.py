"""ERNIE 4.5 VL: experts are chosen by the kind of each token, which an input of the family's own name says."""

from __future__ import annotations

from pathlib import Path

from matplotlib import get_data_path
from transformers import (
    Ernie4_5_VLMoeConfig,
    Ernie4_5_VLMoeForConditionalGeneration,
    Ernie4_5_VLMoeImageProcessor,
    Ernie4_5_VLMoeProcessor,
    Ernie4_5_VLMoeVideoProcessor,
)

from tests.families.common import CHATML, generation
from training.checkpoint import save_checkpoint, tiny_text_config, train_tokenizer


def build_ernie4_5_vl(folder: Path) -> Path:
    """Every layer but the first has experts, other ones for visual tokens than for text; times are drawn on frames."""
    media = {
        f"{kind}{part}_token": f"<|{kind.upper()}_{mark}|>" for kind in ("image", "video") for part, mark in _PARTS
    }
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *media.values()]
    tokenizer = train_tokenizer(special, eos="<|im_end|>", pad="<|endoftext|>", attributes=media)
    config = Ernie4_5_VLMoeConfig(
        text_config=tiny_text_config(tokenizer)
        | {
            "rope_parameters": {"rope_type": "default", "mrope_section": [3, 3, 2], "rope_theta": 1e4},
            "moe_intermediate_size": [32, 32],
            "moe_num_experts": 4,
            "moe_k": 2,
            "mlp_layer_types": ["dense", "sparse", "sparse", "sparse"],
        },
        vision_config={"depth": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 64, "patch_size": 14},
        **{f"{name}_id": tokenizer.convert_tokens_to_ids(token) for name, token in media.items()},
    )
    size = {"shortest_edge": 4 * 28 * 28, "longest_edge": 28 * 28 * 100}
    template = CHATML
    for kind in ("image", "video"):
        parts = [media[f"{kind}{part}_token"] for part in ("_start", "", "_end")]
        template = template.replace(f"<{kind}>", "".join(parts))
    processor = Ernie4_5_VLMoeProcessor(
        Ernie4_5_VLMoeImageProcessor(size=size),
        tokenizer,
        Ernie4_5_VLMoeVideoProcessor(size=size, font=str(Path(get_data_path()) / "fonts/ttf/DejaVuSans.ttf")),
        chat_template=template,
    )
    model = Ernie4_5_VLMoeForConditionalGeneration(config)
    model.generation_config = generation(tokenizer)
    return save_checkpoint(folder, model, processor, seed=9)


_PARTS = (("", "PLACEHOLDER"), ("_start", "START"), ("_end", "END"))

"""Tiny checkpoints of real families: real classes and processors, random weights, a second each.

`SUPPORTED` are the seven families with a layout that the default tests run on, `PLACED` the other families with one,
which slow tests run on, and `OTHERS` those without. `FAMILIES` adds to `SUPPORTED` the variants that attention tests
need: `sliding` (a window smaller than the prompt), `softcap` (Gemma 2 logits) and `sink_logits` (GPT-OSS; load both
with `attn="eager"`), `gemma3` (images see themselves in both directions), `gemma4` (layers that read other layers'
keys), `ernie4_5_vl` (an input per token of its own name), `idefics3` (images in tiles).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.families.cohere import build_aya_vision, build_cohere2_vision
from tests.families.ernie import build_ernie4_5_vl
from tests.families.gemma import build_gemma3, build_gemma4, build_gemma4_unified
from tests.families.glm import build_glm4v, build_glm4v_moe, build_glm5_next, build_glm46v, build_glm_ocr, build_glmga
from tests.families.grids import GRIDS
from tests.families.images import build_got_ocr2, build_idefics2, build_paligemma
from tests.families.internvl import build_internvl
from tests.families.kimi import build_kimi_k25
from tests.families.llama4 import build_llama4
from tests.families.llava import (
    build_llava,
    build_llava_next,
    build_llava_next_video,
    build_llava_onevision,
    build_sink_logits,
    build_sliding,
    build_softcap,
    build_video_llava,
    build_vipllava,
)
from tests.families.molmo import build_molmo2
from tests.families.omni import (
    build_qwen2_5_omni,
    build_qwen2_5_omni_thinker,
    build_qwen3_omni,
    build_qwen3_omni_thinker,
)
from tests.families.phi import build_phi4_multimodal
from tests.families.pixtral import build_mistral3, build_pixtral
from tests.families.qwen import (
    build_cosmos3_edge,
    build_cosmos3_omni,
    build_qwen2_vl,
    build_qwen3_5,
    build_qwen3_5_moe,
    build_qwen3_vl,
    build_qwen3_vl_moe,
    build_qwen4_exp,
)
from tests.families.smolvlm import build_idefics3, build_smolvlm
from tests.families.squares import SQUARES
from tests.families.tiles import TILES
from tests.families.video_llama import build_video_llama_3
from tests.support.checkpoint import build_tiny_qwen2_5_vl

SUPPORTED: dict[str, Callable[[Path], Path]] = {
    "qwen2_vl": build_qwen2_vl,
    "qwen2_5_vl": build_tiny_qwen2_5_vl,
    "qwen3_vl": build_qwen3_vl,
    "llava_next_video": build_llava_next_video,
    "llava_onevision": build_llava_onevision,
    "internvl": build_internvl,
    "smolvlm": build_smolvlm,
}

# Of the seven, those that the default tests of places and of exactness build; the others share their mechanisms, and
# stand in the slow tests.
QUICK = ("qwen2_5_vl", "qwen3_vl", "llava_onevision", "internvl")


def by_speed(names: Iterable[str], quick: Iterable[str] = QUICK) -> list[Any]:
    """Parameters of a test: families that are not `quick` are slow."""
    return [pytest.param(name, marks=[pytest.mark.slow] * (name not in quick)) for name in names]


# What corrections are tried on: positions of three axes and of one, tokens of frames in a grid and in tiles.
CORRECTED = by_speed(("qwen2_5_vl", "qwen3_vl", "llava_next_video", "internvl"), quick=("qwen2_5_vl", "internvl"))


# Families with a layout beyond the seven, by the name of their checkpoint (two may be of the same model type).
PLACED: dict[str, Callable[[Path], Path]] = {
    "gemma3": build_gemma3,
    "gemma4": build_gemma4,
    "gemma4_unified": build_gemma4_unified,
    "molmo2": build_molmo2,
    "paligemma": build_paligemma,
    "idefics3": build_idefics3,
    "llava": build_llava,
    "pixtral": build_pixtral,
    "llava_next": build_llava_next,
    "vipllava": build_vipllava,
    "video_llava": build_video_llava,
    "mistral3": build_mistral3,
    "cohere2_vision": build_cohere2_vision,
    "aya_vision": build_aya_vision,
    "qwen3_vl_moe": build_qwen3_vl_moe,
    "qwen3_5": build_qwen3_5,
    "qwen3_5_moe": build_qwen3_5_moe,
    "qwen4_exp": build_qwen4_exp,
    "cosmos3_omni": build_cosmos3_omni,
    "cosmos3_edge": build_cosmos3_edge,
    "qwen2_5_omni": build_qwen2_5_omni,
    "qwen2_5_omni_thinker": build_qwen2_5_omni_thinker,
    "qwen3_omni": build_qwen3_omni,
    "qwen3_omni_moe_thinker": build_qwen3_omni_thinker,
    "glm4v": build_glm4v,
    "glm46v": build_glm46v,
    "glm4v_moe": build_glm4v_moe,
    "glm5_next": build_glm5_next,
    "glmga": build_glmga,
    "llama4": build_llama4,
    "ernie4_5_vl_moe": build_ernie4_5_vl,
    "video_llama_3": build_video_llama_3,
    "kimi_k25": build_kimi_k25,
}

# Families without a layout.
OTHERS: dict[str, Callable[[Path], Path]] = {
    "glm_ocr": build_glm_ocr,
    "idefics2": build_idefics2,
    "got_ocr2": build_got_ocr2,
    "phi4_multimodal": build_phi4_multimodal,
    **SQUARES,
    **GRIDS,
    **TILES,
}

EAGER = ("softcap", "sink_logits")  # sdpa has neither

FAMILIES: dict[str, Callable[[Path], Path]] = SUPPORTED | {
    "sliding": build_sliding,
    "softcap": build_softcap,
    "sink_logits": build_sink_logits,
    "gemma3": build_gemma3,
    "gemma4": build_gemma4,
    "ernie4_5_vl": build_ernie4_5_vl,
    "idefics3": build_idefics3,
}

# What docs/models.md lists and its tests measure. The tower of GOT-OCR 2.0 takes squares of 1,024 pixels: minutes.
EVERY = {name: build for name, build in (SUPPORTED | PLACED | OTHERS).items() if name != "got_ocr2"}

"""A prompt that is longer than the model's context window is said to be, in positions and not in tokens."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLTextConfig

import attnscope
from attnscope.model import build_prompt
from attnscope.scene import read_scene_frames
from attnscope.transformers_names import context_window


def small(folder: Path, to: Path, window: int) -> Path:
    """A copy of a checkpoint with a small context window."""
    shutil.copytree(folder, to)
    config = json.loads((to / "config.json").read_text())
    config.get("text_config", config)["max_position_embeddings"] = window
    (to / "config.json").write_text(json.dumps(config))
    return to


@pytest.mark.parametrize("family", ["qwen2_5_vl", "smolvlm"])
def test_what_reaches_beyond_the_window_is_said(
    family: str, checkpoint: Callable[[str], Path], stage: Path, tmp_path: Path
) -> None:
    scene = attnscope.Scene.read(stage)
    frames = read_scene_frames(scene, attnscope.Sampling(frames=4))
    prompt = build_prompt(attnscope.load(checkpoint(family), device="cpu"), scene, frames)
    assert not [note for note in prompt.warnings if "context window" in note]
    model = attnscope.load(small(checkpoint(family), tmp_path / "small", 16), device="cpu")
    (note,) = [note for note in build_prompt(model, scene, frames).warnings if "context window" in note]
    positions = int(note.split(" positions")[0].rpartition(" ")[2].replace(",", ""))
    assert "has 16;" in note
    tokens = len(prompt.tokens)
    assert positions == tokens if family == "smolvlm" else 16 < positions < tokens


@pytest.mark.parametrize(
    ("rope", "window"),
    [
        ({"rope_type": "default", "mrope_section": [2, 2, 4]}, 1000),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 500}, 2000),
        ({"rope_type": "yarn", "factor": 4.0}, 4000),
        ({"rope_type": "linear", "factor": 8.0}, 8000),
        ({"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 500}, 1000),
    ],
)
def test_stretched_positions_widen_the_window(rope: dict[str, Any], window: int) -> None:
    class Config:  # the two fields that are asked for; configurations complete and check the others
        max_position_embeddings = 1000
        rope_parameters = rope

    assert context_window(Config()) == window


def test_each_type_of_layer_may_have_its_own_positions() -> None:
    config = Qwen2_5_VLTextConfig(max_position_embeddings=1000)
    assert context_window(config) == 1000
    config.rope_parameters = {"full_attention": {"rope_type": "linear", "factor": 8.0}, "sliding_attention": {}}
    assert context_window(config) == 8000
    assert context_window(object()) is None

"""The text that belongs to a frame: where each family writes it, and the rate that a processor gets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attnscope.model import build_prompt, load
from attnscope.model.place import label_frames
from attnscope.scene import Scene
from tests.model.test_places import frames

NONE = [-1, -1]

# Of a block of two frames: its texts, "V" for a visual token, and the frame that each token belongs to
BLOCKS = {
    "closed": ("intro \n 0s < V V > 1s < V > end", [-1, -1, 0, 0, 0, 0, 0, 1, 1, 1, 1, -1]),
    "open": ("0s : V V ,then 1s : V", [0, 0, 0, 0, 1, 1, 1, 1]),
    "after": ("< V V > 0s sec < V > 1s sec", [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1]),
}


@pytest.mark.parametrize("style", BLOCKS)
def test_the_text_of_a_frame_gets_the_frame(style):
    text, expected = BLOCKS[style]
    words = [word or "\n" for word in text.split(" ")]
    visual = np.array([False, *(word == "V" for word in words), False])
    covered = np.full((len(visual), 2), -1, np.int32)
    covered[visual] = np.array([[frame, frame] for frame in np.array(expected)[visual[1:-1]]])
    label_frames(covered, visual, (1, len(visual) - 1), ["before", *words, "behind"], style)
    assert covered.tolist() == [NONE, *([frame, frame] for frame in expected), NONE]


def test_a_block_without_visual_tokens_has_no_frames():
    covered = np.full((3, 2), -1, np.int32)
    label_frames(covered, np.zeros(3, bool), (0, 3), ["a", "b", "c"], "after")
    assert (covered == -1).all()


LABELS = {
    "qwen3_5": ["<0.7 seconds>", "<2.0 seconds>", "<3.1 seconds>"],  # the mean of a step's two frames
    "glm4v": ["0", "1", "3"],
    "glm46v": ["0.3 seconds", "1.7 seconds", "3.1 seconds"],  # the first of them
    "glm4v_moe": ["0", "1", "3"],
    "glm5_next": ["0.3 seconds", "1.7 seconds", "3.1 seconds"],
    "glmga": ["0.3 seconds", "1.7 seconds", "3.1 seconds"],
    "cosmos3_edge": [f"<{seconds} seconds>" for seconds in ("0.3", "1.0", "1.7", "2.4", "3.1")],
    "video_llama_3": ["Time 0.3s:", *(f",Time {seconds}s:" for seconds in ("1.0", "1.7", "2.4", "3.1"))],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LABELS)
def test_each_frame_has_its_own_time(name, checkpoint):
    """Five frames at 0.3, 1.0, 1.7, 2.4 and 3.1 seconds, two of them a token, or one."""
    loaded = load(checkpoint(name), dtype="float32", device="cpu")
    tokens = build_prompt(loaded, Scene(video=Path("clip.mp4")), frames(640, 360, 5)).tokens
    words = tokens[(tokens["modality"] != "visual") & (tokens["frame_first"] >= 0)]
    steps = words.groupby("frame_first")["text"].agg("".join).str.replace(r"<\|\w+\|>", "", regex=True)
    assert steps.to_dict() == dict(zip(range(0, 5, 2 if len(LABELS[name]) == 3 else 1), LABELS[name], strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["qwen2_5_omni", "qwen3_omni"])
def test_an_omni_model_is_given_the_rate_of_the_frames(name, checkpoint):
    """Its processor takes any clip for one of two, or of one, frames a second; these are 0.7 seconds apart."""
    loaded = load(checkpoint(name), dtype="float32", device="cpu")
    scene = Scene(video=Path("clip.mp4"))
    assert float(build_prompt(loaded, scene, frames(320, 180, 5)).inputs["video_second_per_grid"]) == pytest.approx(1.4)
    assert float(build_prompt(loaded, scene, frames(320, 180, 1)).inputs["video_second_per_grid"]) == pytest.approx(2)

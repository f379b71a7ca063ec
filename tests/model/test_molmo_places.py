"""Molmo2: its processor begins the prompt with a token that no template wrote, and cells at the rim are smaller."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from attnscope.model import build_prompt, load
from attnscope.model.layouts import LAYOUTS, place
from attnscope.model.probe import Trial, agreement
from attnscope.scene import Scene
from tests.model.test_places import frames


def test_a_token_before_the_template_has_no_characters(checkpoint: Callable[[str], Path]) -> None:
    loaded = load(checkpoint("molmo2"), dtype="float32", device="cpu")
    scene = Scene(video=Path("clip.mp4"), system="Be brief.", question="Who?")
    prompt = build_prompt(loaded, scene, frames(640, 360, 2))
    first, tokens = prompt.tokens.iloc[0], prompt.tokens.iloc[1:]
    assert (first.text, first.role, first.char_start, first.char_end) == ("<|im_end|>", "template", 0, 0)
    for role, text in (("system", "Be brief."), ("question", "Who?")):
        rows = tokens[tokens.role == role]
        assert prompt.text[rows.char_start.min() : rows.char_end.max()] == text
    assert set(tokens[tokens.role == "visual"].frame_first) == {0, 1}


def test_cells_at_the_rim_pool_fewer_patches(checkpoint: Callable[[str], Path]) -> None:
    """Of 7 patches a side, 3 x 3 are pooled in a video (2, 3, 2), and 2 x 2 in an image (2, 2, 2, 1)."""
    loaded = load(checkpoint("molmo2"), dtype="float32", device="cpu")
    for kind, shares in (("video", [2, 3, 2]), ("image", [2, 2, 2, 1])):
        tokens = build_prompt(loaded, Scene(video=Path("clip.mp4")), frames(700, 350, 1, kind)).tokens
        view = tokens[tokens.role == "visual"][: len(shares) ** 2]
        widths = (view.x1 - view.x0)[: len(shares)]
        assert widths.to_numpy() == pytest.approx(np.array(shares) * 100, abs=1e-3)
        assert (view.y1 - view.y0)[:: len(shares)].to_numpy() == pytest.approx(np.array(shares) * 50, abs=1e-3)


def test_cells_of_several_sizes_answer_to_their_pixels(checkpoint: Callable[[str], Path]) -> None:
    """The cell in the middle, which has smaller ones all around, is tried too."""
    loaded = load(checkpoint("molmo2"), dtype="float32", device="cpu")
    trial = Trial(loaded, frames(640, 360, 2))
    views = LAYOUTS["molmo2"].views(loaded.model, loaded.processor, trial.processed, trial.frames)
    assert agreement(trial, place(views, trial.frames)).all()

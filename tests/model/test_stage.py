"""The token table on a real clip (or, in a clone without one, a drawn one), for every family."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from attnscope.model import build_prompt, load
from attnscope.scene import Frames, Sampling, Scene, read_frames, scene_boxes
from tests.families import SUPPORTED


@pytest.fixture(scope="module")
def shown(stage: Path) -> tuple[Scene, Frames]:
    scene = Scene.read(stage)
    return scene, read_frames(scene.video, Sampling(frames=7))


@pytest.mark.parametrize("name", SUPPORTED)
def test_coverage_adds_up_to_the_boxes(
    checkpoint: Callable[[str], Path], shown: tuple[Scene, Frames], name: str
) -> None:
    scene, frames = shown
    boxes = scene_boxes(scene, frames)
    tokens = build_prompt(load(checkpoint(name), device="cpu"), scene, frames).tokens
    cells = tokens[tokens.x0.notna()]
    for speaker, xyxy in zip(boxes.speakers, boxes.xyxy, strict=True):
        covered = cells[f"covered:{speaker}"]
        assert covered.between(0, 1).all()
        for first, own in cells.groupby("frame_first"):
            last = int(own.frame_last.iloc[0])
            inside = (covered[own.index] * area(own)).sum()
            whole = [seen_part(box, own) for box in xyxy[int(first) : last + 1] if not np.isnan(box).any()]
            if not whole:
                assert inside == 0
            elif len(whole) == 1 or first == last:
                assert inside == pytest.approx(whole[0], rel=1e-3, abs=1)
            else:  # a token of two frames takes the larger share: between the larger box and both
                assert max(whole) * 0.999 - 1 <= inside <= sum(whole) * 1.001 + 1


@pytest.mark.parametrize("name", SUPPORTED)
def test_generates_on_the_clip(checkpoint: Callable[[str], Path], shown: tuple[Scene, Frames], name: str) -> None:
    loaded = load(checkpoint(name), device="cpu")
    prompt = build_prompt(loaded, *shown)
    out = loaded.model.generate(**prompt.inputs, max_new_tokens=16, do_sample=False)
    assert out.shape == (1, len(prompt.tokens) + 16)
    assert prompt.tokens.turn.max() == len(prompt.scene.transcript) - 1


def area(cells: pd.DataFrame) -> pd.Series:
    return (cells.x1 - cells.x0) * (cells.y1 - cells.y0)


def seen_part(box: np.ndarray, cells: pd.DataFrame) -> float:
    """Pixels of a box inside the rectangle that the cells tile."""
    width = min(box[2], cells.x1.max()) - max(box[0], cells.x0.min())
    height = min(box[3], cells.y1.max()) - max(box[1], cells.y0.min())
    return max(width, 0.0) * max(height, 0.0)

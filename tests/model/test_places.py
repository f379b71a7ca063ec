"""The proof of places: change the pixels of one cell, and see which patches of the real input change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from attnscope.model import build_prompt, load
from attnscope.model.media import process
from attnscope.scene import Frames, Scene
from tests.families import SUPPORTED, by_speed
from tests.model.patches import changed_patches, patches_of_tokens, same_grid

CLIPS = [(640, 360, 7), (333, 517, 3), (480, 481, 2), (517, 257, 1)]  # width, height, frames
IMAGES = [(640, 360), (301, 703), (903, 333), (448, 448)]


def frames(width: int, height: int, count: int, kind: str = "video") -> Frames:
    """Coarse noise, so that no two places look alike and none is flat."""
    rng = np.random.default_rng(width)
    images = rng.integers(40, 216, (count, height, width, 3), dtype=np.uint8)
    times = np.arange(count) * 0.7 + 0.3
    return Frames(images, times, np.arange(count, dtype=np.int32), width, height, kind, 10.0, 20.0, 200)


@pytest.fixture(params=by_speed(SUPPORTED))
def loaded(request: pytest.FixtureRequest, checkpoint: Callable[[str], Path]) -> Any:
    return load(checkpoint(request.param), dtype="float32", device="cpu")


@pytest.mark.parametrize(("width", "height", "count"), CLIPS)
def test_clip(loaded: Any, width: int, height: int, count: int) -> None:
    prove(loaded, frames(width, height, count))


@pytest.mark.parametrize(("width", "height"), IMAGES)
def test_image(loaded: Any, width: int, height: int) -> None:
    prove(loaded, frames(width, height, 1, "image"))


def test_pixels_outside_the_centre_crop_reach_nothing(checkpoint: Callable[[str], Path]) -> None:
    loaded = load(checkpoint("llava_next_video"), dtype="float32", device="cpu")
    shown = frames(640, 360, 2)
    prompt = build_prompt(loaded, Scene(video=Path("clip.mp4")), shown)
    visual = prompt.tokens[prompt.tokens.modality == "visual"]
    left, right = visual.x0.min(), visual.x1.max()
    assert (left, right) == pytest.approx((140, 500), abs=2)
    for box in ((0, 0, left - 5, 360), (right + 5, 0, 640, 360)):
        after = process(loaded, prompt.text, repaint(shown, 0, box))
        assert not changed_patches(loaded, prompt.inputs, after)


def prove(loaded: Any, shown: Frames) -> None:
    """For some tokens: the patches that change with the pixels of its cell are the token's own."""
    prompt = build_prompt(loaded, Scene(video=Path("clip.mp4")), shown)
    visual = prompt.tokens[prompt.tokens.modality == "visual"].reset_index(drop=True)
    fed_by = patches_of_tokens(loaded, prompt.inputs, shown.kind)
    assert len(fed_by) == len(visual)
    assert [not patches for patches in fed_by] == visual.x0.isna().tolist()  # newlines, and only they
    for number in sample(visual):
        token, own = visual.loc[number], fed_by[number]
        grid = same_grid(loaded, prompt.inputs, shown.kind, own)
        pooled = loaded.family == "llava_onevision" and any(len(p) > 1 for p in fed_by if p <= grid)
        reach = 7 if loaded.family == "smolvlm" else 3  # two Lanczos resizes in a row, else one
        box = inner(token[["x0", "y0", "x1", "y1"]].to_numpy(float), reach, central=pooled)
        first, last = int(token.frame_first), int(token.frame_last)
        for frame in {first - 1, first, last, last + 1} & set(range(len(shown.images))):
            after = process(loaded, prompt.text, repaint(shown, frame, box))
            changed = changed_patches(loaded, prompt.inputs, after) & grid
            if not first <= frame <= last:
                assert not changed & own, (number, frame, token.to_dict())
            elif pooled:  # bilinear weights: the cell's rim may weigh nothing, so only its centre is changed
                assert changed, (number, token.to_dict())
                assert changed <= own, (number, token.to_dict())
            else:
                assert changed == own, (number, token.to_dict())


def sample(visual: pd.DataFrame) -> list[int]:
    """Tokens at the corners and borders of the first and last grid, and some from anywhere."""
    placed = visual[visual.x0.notna()]
    rng = np.random.default_rng(len(visual))
    chosen = set(rng.choice(placed.index, 6, replace=False).tolist()) | {placed.index[0], placed.index[-1]}
    last = placed[placed.frame_last == placed.frame_last.max()]
    for rows in (last.grid_y.min(), last.grid_y.max()):
        for cols in (last.grid_x.min(), last.grid_x.max()):
            corner = last[(last.grid_y == rows) & (last.grid_x == cols)]
            chosen |= set(corner.index[-1:])
    return sorted(chosen)


def inner(box: npt.NDArray[np.float64], reach: int, *, central: bool) -> tuple[float, ...]:
    """The cell without the rim that a resampling kernel reaches over; `central` leaves a fifth."""
    size = np.array([box[2] - box[0], box[3] - box[1]])
    margin = 0.4 * size if central else np.maximum(0.2 * size, reach) + 1
    (x0, y0), (x1, y1) = np.ceil(box[:2] + margin), np.floor(box[2:] - margin)
    return (x0, y0, max(x1, x0 + 1), max(y1, y0 + 1))


def repaint(shown: Frames, frame: int, box: tuple[float, ...]) -> Frames:
    """The frames with one rectangle of one frame inverted."""
    x0, y0, x1, y1 = (int(value) for value in box)
    images = shown.images.copy()
    images[frame, y0:y1, x0:x1] = 255 - images[frame, y0:y1, x0:x1]
    return replace(shown, images=images)

"""What the places of families built as Qwen have of their own: tokens that are dropped, times drawn over pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from attnscope.attention import decoder_layers
from attnscope.model import build_prompt, load
from attnscope.model.layouts import View, place
from attnscope.model.media import process
from attnscope.scene import Scene
from tests.model.patches import pixels
from tests.model.test_places import frames, inner, repaint

CLIP = Scene(video=Path("clip.mp4"))
UNCHANGED = "unchanged, and without a token, in the next"


def test_a_grid_gives_the_cells_that_are_kept():
    """[2, 3] cells, of which the processor kept three."""
    kept = np.array([[True, False, False], [False, True, True]])
    shown = frames(30, 20, 2)
    view = replace(View.even(2, 3, (0, 0, 30, 20), first=1, last=1), kept=kept, note=list("abcdef"))
    places = place([view], shown)
    assert places.grid.tolist() == [[0, 0], [1, 1], [1, 2]]
    assert places.box[:, 0].tolist() == [0, 10, 20] and places.frames.tolist() == [[1, 1]] * 3
    assert places.note == ["a", "e", "f"]


def still(width, height, changes):
    """Frames of which each is the one before, with some rectangle of it inverted; None leaves it as it is."""
    shown = frames(width, height, 1 + len(changes))
    images = np.repeat(shown.images[:1], len(shown.images), axis=0)
    for frame, box in enumerate(changes, start=1):
        for later in range(frame, len(images)) if box else ():
            x0, y0, x1, y1 = box
            images[later, y0:y1, x0:x1] = 255 - images[later, y0:y1, x0:x1]
    return replace(shown, images=images)


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(640, 360), (333, 517)])
def test_only_what_changed_has_tokens(width, height, checkpoint):
    """VideoLLaMA 3 on a clip that stands still but for two rectangles: its tokens are the cells that they touch."""
    loaded = load(checkpoint("video_llama_3"), dtype="float32", device="cpu")
    first, second = (100, 80, 190, 160), (150, 230, 300, 330)
    shown = still(width, height, [None, first, None, second])
    visual = visual_of(build_prompt(loaded, CLIP, shown))
    whole = visual[visual["frame_first"] == 0]
    assert len(whole) == len(visual_of(build_prompt(loaded, CLIP, frames(width, height, 5)))) / 5
    reach = 2 * width / (28 * (whole["grid_x"].max() + 1))  # a bicubic kernel reaches over two pixels of the result
    for frame, box in ((2, first), (4, second)):
        own = visual[visual["frame_first"] == frame]
        cells = {(row.grid_y, row.grid_x) for row in own.itertuples()}
        assert cells >= {(row.grid_y, row.grid_x) for row in whole.itertuples() if overlaps(row, box, -1)}
        assert cells <= {(row.grid_y, row.grid_x) for row in whole.itertuples() if overlaps(row, box, 2 * reach)}
    for frame in (1, 3):  # nothing changed: the first cell stays, so that no frame is without
        own = visual[visual["frame_first"] == frame]
        assert own[["grid_y", "grid_x"]].values.tolist() == [[0, 0]]
    assert set(visual["frame_last"] - visual["frame_first"]) == {0}


@pytest.mark.slow
def test_a_token_says_in_how_many_frames_its_cell_stays(checkpoint):
    loaded = load(checkpoint("video_llama_3"), dtype="float32", device="cpu")
    box = (300, 200, 420, 300)
    visual = visual_of(build_prompt(loaded, CLIP, still(640, 360, [None, box, box])))
    at = {(row.frame_first, row.grid_y, row.grid_x): row for row in visual.itertuples()}
    middle = next(row for row in at.values() if row.frame_first == 2 and overlaps(row, box, -30))
    assert at[0, middle.grid_y, middle.grid_x].note == f"{UNCHANGED} frame"
    assert middle.note == "" and at[3, middle.grid_y, middle.grid_x].note == ""
    corner = visual["grid_y"].max(), visual["grid_x"].max()  # it never changes
    assert at[0, *corner].note == f"{UNCHANGED} 3 frames" and (1, *corner) not in at
    assert at[0, 0, 0].note == "" and at[1, 0, 0].note == f"{UNCHANGED} 2 frames"  # the second frame keeps its first


@pytest.mark.slow
def test_pixels_of_a_kept_cell_feed_its_token(checkpoint):
    """In the processor's pixels, of which four patches side by side make a cell, and the mask keeps some cells."""
    loaded = load(checkpoint("video_llama_3"), dtype="float32", device="cpu")
    shown = still(640, 360, [(100, 80, 300, 300), None, (0, 0, 200, 100)])
    prompt = build_prompt(loaded, CLIP, shown)
    visual = visual_of(prompt).reset_index(drop=True)
    kept = torch.nonzero(prompt.inputs["video_compression_mask"]).flatten().tolist()
    assert len(kept) == len(visual)
    for number in np.random.default_rng(0).choice(len(visual), 12, replace=False):
        token = visual.loc[number]
        box = inner(token[["x0", "y0", "x1", "y1"]].to_numpy(float), 3, central=False)
        changed = pixels(process(loaded, prompt.text, repaint(shown, token.frame_first, box))) - pixels(prompt.inputs)
        patches = set(torch.nonzero(changed.abs().amax(1) > 1e-6).flatten().tolist())
        assert patches == set(range(4 * kept[number], 4 * kept[number] + 4)), token.to_dict()


@pytest.mark.slow
def test_cells_under_a_drawn_time_say_so(checkpoint):
    """ERNIE's processor draws the time over the top left corner: pixels of no other cell change with the time."""
    loaded = load(checkpoint("ernie4_5_vl_moe"), dtype="float32", device="cpu")
    shown = frames(640, 360, 3)
    prompt = build_prompt(loaded, CLIP, shown)
    visual = visual_of(prompt).reset_index(drop=True)
    later = process(loaded, prompt.text, replace(shown, times=shown.times + 3725.5))
    changed = (pixels(later) - pixels(prompt.inputs)).abs().amax(1) > 1e-6
    cells = changed.reshape(4, -1, 4).any(2)  # [frames, cells]; the third frame is shown twice
    steps = (cells[0::2] | cells[1::2]).flatten().numpy()
    drawn = visual["note"] == "the processor draws the time over it"
    assert 0 < drawn.sum() < len(visual) / 4 and set(visual["note"]) == {"", "the processor draws the time over it"}
    assert not (steps & ~drawn.to_numpy()).any() and steps.sum() > drawn.sum() / 2
    single = build_prompt(loaded, CLIP, frames(640, 360, 1, "image"))
    assert set(visual_of(single)["note"]) == {""}


@pytest.mark.slow
def test_a_padded_frame_keeps_its_scale(checkpoint):
    """GLM-5.3 pads 320 x 180 pixels to 12 x 7 cells of 28 pixels, at the right and at the bottom."""
    loaded = load(checkpoint("glm5_next"), dtype="float32", device="cpu")
    visual = visual_of(build_prompt(loaded, CLIP, frames(320, 180, 5)))
    first, last = visual.iloc[0], visual.iloc[-1]
    assert first[["x0", "y0", "x1", "y1"]].tolist() == [0, 0, 28, 28]
    assert last[["grid_y", "grid_x"]].tolist() == [6, 11]
    assert last[["x0", "y0", "x1", "y1"]].tolist() == [308, 168, 320, 180]
    assert list(decoder_layers(loaded.model)) == [3]  # the others have linear attention, which has no map


def visual_of(prompt):
    return prompt.tokens[prompt.tokens["modality"] == "visual"]


def overlaps(token, box, reach):
    """Whether a token's cell and a rectangle that is widened by `reach` pixels have pixels in common."""
    x0, y0, x1, y1 = box
    return token.x0 < x1 + reach and token.x1 > x0 - reach and token.y0 < y1 + reach and token.y1 > y0 - reach

"""Probing: tokens are placed and layouts are checked by repainting pixels; wrong places never pass."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import attnscope
from attnscope.errors import ModelError
from attnscope.model import LAYOUTS, Placing, build_prompt
from attnscope.model.layouts import Places, place
from attnscope.model.probe import Trial, agreement, isolated, locate, probed_places, verified_share
from attnscope.model.probe import places as kept
from attnscope.model.prompt import verify_places
from attnscope.scene import Scene
from attnscope.transformers_names import implementation_of, local_entry, registry_of
from tests.families import SUPPORTED, by_speed
from tests.model.test_places import frames

GEOMETRIES = [(640, 360, 5, "video"), (333, 517, 2, "video"), (480, 481, 1, "video"), (640, 360, 1, "image")]


@pytest.fixture(params=by_speed(SUPPORTED, quick=("qwen2_5_vl", "internvl")))
def loaded(request, checkpoint):
    return attnscope.load(str(checkpoint(request.param)), dtype="float32", device="cpu")


def stated(trial):
    model = trial.loaded
    layout = LAYOUTS[model.family]
    return place(layout.views(model.model, model.processor, trial.processed, trial.frames), trial.frames)


@pytest.mark.parametrize(("width", "height", "count", "kind"), GEOMETRIES)
def test_probing_finds_what_the_layout_says(loaded, width, height, count, kind):
    trial = Trial(loaded, frames(width, height, count, kind))
    probed, layout = locate(trial), stated(trial)
    assert trial.runs <= 60
    cells = ~np.isnan(layout.box[:, 0])
    assert (cells == ~np.isnan(probed.box[:, 0])).all()  # class tokens and line breaks have none
    assert (probed.frames[cells] == layout.frames[cells]).all()
    assert (probed.grid == layout.grid).all()
    size = layout.box[cells, 2:] - layout.box[cells, :2]
    error = np.abs((probed.box - layout.box)[cells].reshape(-1, 2, 2).mean(1)) / size
    assert np.median(error) < 0.08 and error.max() < 0.25
    assert agreement(trial, layout).mean() >= 0.99
    assert agreement(trial, probed).mean() >= 0.99


def moved(places, dx, dy):
    return Places(places.frames, places.grid, places.box + np.array([dx, dy, dx, dy], np.float32))


@pytest.mark.parametrize("name", ["qwen2_5_vl", "llava_onevision"])
def test_wrong_places_do_not_pass(checkpoint, name):
    """A cell aside, mirrored, of other frames, in another order, one token alone, and none at all."""
    loaded = attnscope.load(str(checkpoint(name)), dtype="float32", device="cpu")
    trial = Trial(loaded, frames(640, 360, 4))
    right = stated(trial)
    width, height = right.box[0, 2] - right.box[0, 0], right.box[0, 3] - right.box[0, 1]
    mirrored = np.stack([640 - right.box[:, 2], right.box[:, 1], 640 - right.box[:, 0], right.box[:, 3]], axis=1)
    order = np.random.default_rng(0).permutation(len(right))
    wrong = {
        "right": moved(right, width * 0.9, 0),
        "down": moved(right, 0, height * 0.9),
        "mirrored": Places(right.frames, right.grid, mirrored),
        "frames": Places(right.frames[::-1].copy(), right.grid, right.box),
        "order": Places(right.frames[order], right.grid[order], right.box[order]),
    }
    assert agreement(trial, right).mean() == 1
    for what, places in wrong.items():
        assert agreement(trial, places).mean() < 0.5, what
    box = right.box.copy()
    box[3] = box[7]
    assert not agreement(trial, Places(right.frames, right.grid, box))[3]
    none = np.full_like(right.box, np.nan)
    assert not agreement(trial, Places(right.frames, right.grid, none))[~np.isnan(right.box[:, 0])].any()


@pytest.mark.parametrize(("name", "width", "height"), [("llava_next_video", 45, 80), ("internvl", 96, 54)])
def test_cells_of_a_few_pixels_are_tried_too(checkpoint, name, width, height):
    loaded = attnscope.load(str(checkpoint(name)), dtype="float32", device="cpu")
    for kind in ("video", "image"):
        trial = Trial(loaded, frames(width, height, 1, kind))
        right = stated(trial)
        assert agreement(trial, right).mean() >= 0.95
        aside = float(np.nanmax(right.box[:, 2] - right.box[:, 0]))
        assert agreement(trial, moved(right, aside, 0)).mean() < 0.5


def test_a_layout_that_does_not_fit_stops_a_capture(checkpoint, drawn, tmp_path, monkeypatch):
    """It is tried again each time: only what passed is kept."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("ATTNSCOPE_CACHE", str(cache))
    loaded = attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="float32", device="cpu")
    layout = type(LAYOUTS["qwen2_5_vl"])
    views = layout.views

    def shifted(self, *args):
        return [replace(view, xs=view.xs[::-1].copy()) for view in views(self, *args)]

    monkeypatch.setattr(layout, "views", shifted)
    with pytest.raises(ModelError, match=r"the layout of family qwen2_5_vl does not fit this model: [0-9]+ %"):
        attnscope.capture(loaded, drawn, tmp_path / "a.h5", max_new_tokens=1)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(layout, "views", views)
    attnscope.capture(loaded, drawn, tmp_path / "a.h5", max_new_tokens=1).close()
    assert len(list((cache / "places").iterdir())) == 1


def test_a_tower_that_cannot_be_tried_stops_no_capture(checkpoint, tmp_path, monkeypatch):
    """It overflows where every token keeps to itself: that is said, and nothing is claimed of the places."""
    monkeypatch.setenv("ATTNSCOPE_CACHE", str(tmp_path))
    loaded = attnscope.load(str(checkpoint("internvl")), dtype="float32", device="cpu")
    with torch.no_grad():
        loaded.model.model.multi_modal_projector.linear_1.weight.fill_(torch.inf)
    shown = frames(320, 240, 2)
    prompt = verify_places(loaded, build_prompt(loaded, Scene(video="clip.mp4"), shown))
    assert prompt.placing == Placing("layout")
    assert prompt.warnings[-1] == (
        "the layout of family internvl could not be verified: the tower of InternVLForConditionalGeneration gives"
        " numbers that are not finite where every token keeps to itself"
    )


def test_a_capture_says_that_its_places_were_verified(checkpoint, drawn, tmp_path):
    with attnscope.capture(str(checkpoint("qwen3_vl")), drawn, tmp_path / "a.h5", max_new_tokens=1) as cap:
        assert cap.placing.how == "layout" and cap.placing.verified == 1


def test_a_family_without_a_layout_is_placed(checkpoint, drawn, tmp_path):
    """The same model, as if nobody had written its layout: tokens, metrics and corrections have their places."""
    folder = str(checkpoint("internvl"))
    known = attnscope.load(folder, dtype="float32", device="cpu")
    scene = Scene.read(drawn)
    shown = attnscope.scene.read_scene_frames(scene)
    layout = build_prompt(known, scene, shown)
    unknown = replace(known, family="unknown")
    prompt = build_prompt(unknown, scene, shown)
    assert (prompt.placing.how, prompt.placing.verified, prompt.unplaced) == ("probed", 1, "")
    covered = [name for name in layout.tokens if name.startswith("covered:")]
    visual = layout.tokens.modality == "visual"
    difference = (prompt.tokens[covered] - layout.tokens[covered])[visual].abs()
    assert covered and float(difference.mean().max()) < 0.05
    assert (prompt.tokens.frame_first == layout.tokens.frame_first)[visual].all()
    with attnscope.capture(unknown, drawn, tmp_path / "a.h5", max_new_tokens=1) as cap:
        assert cap.placing.how == "probed" and cap.placing.verified == 1


def test_nothing_of_the_model_stays_changed(checkpoint):
    loaded = attnscope.load(str(checkpoint("internvl")), dtype="float32", device="cpu")
    model = loaded.model
    parts = [module for module in model.modules() if registry_of(module) is not None]
    before = [local_entry(registry_of(part), implementation_of(part)) for part in parts]
    inputs = build_prompt(loaded, Scene(video="clip.mp4"), frames(320, 240, 2)).inputs
    with torch.no_grad():
        plain = model(**inputs).logits
        with pytest.raises(ZeroDivisionError), isolated(model):
            other = model(**inputs).logits
            raise ZeroDivisionError
        after = model(**inputs).logits
    assert torch.equal(plain, after) and not torch.allclose(plain, other)
    assert [local_entry(registry_of(part), implementation_of(part)) for part in parts] == before


@pytest.mark.slow
def test_results_are_kept_and_what_is_kept_is_checked(checkpoint, monkeypatch, tmp_path):
    monkeypatch.setenv("ATTNSCOPE_CACHE", str(tmp_path))
    loaded = attnscope.load(str(checkpoint("qwen3_vl")), dtype="float32", device="cpu")
    shown = frames(320, 240, 2)
    first, share = probed_places(loaded, shown)
    (file,) = (tmp_path / "places").iterdir()
    runs = []
    monkeypatch.setattr(kept, "locate", lambda trial: runs.append(trial) or locate(trial))
    again, same = probed_places(loaded, replace(shown, images=255 - shown.images))
    assert not runs and share == same == 1
    for name in ("frames", "grid", "box"):
        assert np.array_equal(getattr(first, name), getattr(again, name), equal_nan=True)
    size = loaded.processor.video_processor.size
    loaded.processor.video_processor.size = {
        "shortest_edge": 64 * 1024,
        "longest_edge": size["longest_edge"],
    }  # other settings are another model
    probed_places(loaded, frames(320, 240, 3))
    assert len(runs) == 1 and len(list(file.parent.iterdir())) == 2
    loaded.processor.video_processor.size = size
    for number, text in enumerate(("{", json.dumps({"identity": "another"}), "[]", ""), start=2):
        file.write_text(text)
        repeated, _ = probed_places(loaded, shown)
        assert len(runs) == number and np.array_equal(repeated.box, first.box, equal_nan=True)
    assert verified_share(loaded, shown) == 1


@pytest.mark.slow
def test_a_tower_inside_of_the_decoder_is_probed(checkpoint):
    """Phi-4-multimodal's decoder embeds images itself: line breaks and the mark between views have no place."""
    loaded = attnscope.load(str(checkpoint("phi4_multimodal")), dtype="float32", device="cpu")
    trial = Trial(loaded, frames(448, 448, 1, "image"))
    probed = locate(trial)
    cells = ~np.isnan(probed.box[:, 0])
    assert (len(probed), cells.sum()) == (2 * 16 * 17 + 1, 2 * 16 * 16)
    assert agreement(trial, probed).mean() == 1
    row, column = np.divmod(np.arange(256), 16)
    for view in np.split(probed.box[cells], 2):  # each of 16 x 16 cells of 28 pixels
        centre = view.reshape(-1, 2, 2).mean(1)
        assert np.abs(centre / 28 - np.stack([column, row], axis=1) - 0.5).max() < 0.25


def test_cells_that_the_edge_of_a_picture_cuts(checkpoint):
    """DeepSeek-VL pads a portrait to a square: of six columns two look at padding, and two at a third of a cell."""
    loaded = attnscope.load(str(checkpoint("deepseek_vl")), dtype="float32", device="cpu")
    trial = Trial(loaded, frames(301, 703, 1, "image"))
    probed = locate(trial)
    assert agreement(trial, probed).all() and (~np.isnan(probed.box[:, 0])).sum() == 24
    columns = probed.box[~np.isnan(probed.box[:, 0])][:4, [0, 2]].mean(1)
    cell = 703 / 6
    true = [(150.5 - cell) / 2, 150.5 - cell / 2, 150.5 + cell / 2, 301 - (150.5 - cell) / 2]
    assert np.abs(columns - true).max() < cell / 6

"""What the kin of LLaVA have of their own: class tokens, row breaks, padded squares, pooled tokens, Llama 4's fault."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from packaging.version import Version
from transformers import LlavaImageProcessor

import attnscope
from attnscope.capture.run import capture_prompts
from attnscope.errors import ModelError, RunError
from attnscope.model import build_prompt, load
from attnscope.model.layouts.pooled import pooled_notes
from attnscope.model.media import process
from attnscope.scene import Frames, Scene
from attnscope.transformers_names import taken
from tests.capture.eager import eager_oracle, make_prompt
from tests.model.test_places import frames, repaint


def prompt_of(loaded: Any, shown: Frames) -> Any:
    return build_prompt(loaded, Scene(video=Path("clip.mp4")), shown)


def visual_of(loaded: Any, shown: Frames) -> Any:
    tokens = prompt_of(loaded, shown).tokens
    return tokens[tokens.modality == "visual"].reset_index(drop=True)


@pytest.fixture
def llava(checkpoint: Callable[[str], Path]) -> Any:
    return load(checkpoint("llava"), dtype="float32", device="cpu")


@pytest.mark.slow
def test_a_frame_of_video_llava_begins_with_a_class_token_and_an_image_does_not(
    checkpoint: Callable[[str], Path],
) -> None:
    loaded = load(checkpoint("video_llava"), dtype="float32", device="cpu")
    visual = visual_of(loaded, frames(640, 360, 3))
    assert visual.index[visual.x0.isna()].tolist() == [0, 65, 130]
    assert (visual.frame_first[visual.x0.isna()] == -1).all()
    assert visual.groupby("frame_first").size().to_dict() == {-1: 3, 0: 64, 1: 64, 2: 64}
    assert visual_of(loaded, frames(640, 360, 1, "image")).x0.notna().tolist() == [True] * 64


def test_a_processor_that_names_its_arguments_is_given_no_others() -> None:
    """As Video-LLaVA's of transformers 5.10."""

    class Named:
        def __call__(self, text: object, videos: object = None, do_sample_frames: bool = True) -> None: ...

    class Open:
        def __call__(self, text: object, **kwargs: object) -> None: ...

    options = {"do_sample_frames": False, "video_metadata": []}
    assert taken(Named(), options) == {"do_sample_frames": False}
    assert taken(Open(), options) == options


def test_a_class_token_that_llava_keeps_has_no_place(llava: Any) -> None:
    llava.processor.vision_feature_select_strategy = llava.model.config.vision_feature_select_strategy = "full"
    prompt = prompt_of(llava, frames(640, 360, 2))
    visual = prompt.tokens[prompt.tokens.modality == "visual"].reset_index(drop=True)
    assert visual.index[visual.x0.isna()].tolist() == [0, 65]
    with torch.no_grad():
        llava.model(**prompt.inputs)  # which compares the number of tokens with that of features
    llava.processor.vision_feature_select_strategy = "default"
    llava.processor.num_additional_image_tokens = 0
    with pytest.raises(ModelError, match="the first patch of each image would be dropped"):
        prompt_of(llava, frames(640, 360, 1, "image"))


@pytest.mark.parametrize(("width", "height"), [(640, 360), (301, 703)])
def test_an_image_padded_to_a_square_has_tokens_without_a_cell(llava: Any, width: int, height: int) -> None:
    side = {"size": {"shortest_edge": 112}, "crop_size": {"height": 112, "width": 112}}
    llava.processor.image_processor = LlavaImageProcessor(**side, do_pad=True)
    shown = frames(width, height, 1, "image")
    prompt = prompt_of(llava, shown)
    visual = prompt.tokens[prompt.tokens.modality == "visual"].reset_index(drop=True)
    placed = visual[visual.x0.notna()]
    assert (placed.x0.min(), placed.y0.min(), placed.x1.max(), placed.y1.max()) == (0, 0, width, height)
    size = max(width, height) / 8
    uncut = placed[((placed.x1 - placed.x0) > 0.9 * size) & ((placed.y1 - placed.y0) > 0.9 * size)]
    for number in [uncut.index[0], uncut.index[-1], uncut.index[len(uncut) // 2]]:
        x0, y0, x1, y1 = uncut.loc[number, ["x0", "y0", "x1", "y1"]].to_numpy(float)
        box = (np.ceil(x0 + 0.3 * (x1 - x0)), np.ceil(y0 + 0.3 * (y1 - y0)), x1 - 0.3 * (x1 - x0), y1 - 0.3 * (y1 - y0))
        after = process(llava, prompt.text, repaint(shown, 0, box))
        difference = (after["pixel_values"] - prompt.inputs["pixel_values"])[0].abs()
        changed = difference.reshape(3, 8, 14, 8, 14).amax((0, 2, 4)) > 1e-6  # patches, in the order of tokens
        assert torch.nonzero(changed.flatten()).flatten().tolist() == [number]


@pytest.mark.slow
def test_the_breaks_between_rows_are_no_visual_tokens(checkpoint: Callable[[str], Path]) -> None:
    loaded = load(checkpoint("pixtral"), dtype="float32", device="cpu")
    tokens = prompt_of(loaded, frames(640, 360, 2)).tokens
    breaks = tokens[tokens.text.isin(["[IMG_BREAK]", "[IMG_END]"])]
    rows = tokens[tokens.modality == "visual"].groupby("frame_first").grid_y.nunique()
    assert len(breaks) == rows.sum()
    assert (breaks.modality == "special").all() and breaks.x0.isna().all()


@pytest.mark.slow
def test_tiles_of_each_image_of_a_row(checkpoint: Callable[[str], Path]) -> None:
    """Idefics3: a clip of three frames is three images, each in its tiles and whole."""
    loaded = load(checkpoint("idefics3"), dtype="float32", device="cpu")
    one = visual_of(loaded, frames(640, 360, 1, "image"))
    assert len(one) == (4 + 1) * 16
    three = visual_of(loaded, frames(640, 360, 3))
    assert three.frame_first.tolist() == np.repeat(range(3), len(one)).tolist()
    places = ["grid_y", "grid_x", "x0", "y0", "x1", "y1"]
    np.testing.assert_array_equal(three[places], np.tile(one[places].to_numpy(), (3, 1)))


@pytest.mark.parametrize("patches", [(36, 16), (21, 36), (36, 36)])
def test_a_pooled_token_that_sees_its_neighbours_has_a_note(patches: tuple[int, int]) -> None:
    """It states the share that torch's own interpolation draws from outside of its cell."""
    ratio = (patches[0] * patches[1] / (4 * 81)) ** 0.5
    tokens = (int(patches[0] // ratio), int(patches[1] // ratio))
    inside = [torch.from_numpy(within(*sides)) for sides in zip(patches, tokens, strict=True)]
    share = 1 - torch.outer(*inside).flatten().numpy()
    notes = pooled_notes(patches, tokens) or [""] * len(share)
    assert [bool(note) for note in notes] == (share > 1 / 6).tolist()
    stated = [float(re.findall(r"(\d+)%", note)[0]) / 100 for note in notes if note]
    np.testing.assert_allclose(stated, share[share > 1 / 6], atol=0.006)


def test_a_frame_of_full_hd_is_pooled_with_up_to_57_percent_outside() -> None:
    """LLaVA-OneVision's published sizes: 5 x 3 tiles of 27 x 27 patches, 9 tiles' worth of tokens (decision 34)."""
    notes = pooled_notes((75, 135), (60, 108))
    assert notes is not None
    assert max(re.findall(r"\d+", " ".join(notes)), key=int) == "57"


def within(patches: int, tokens: int) -> np.ndarray:
    """Share of each token's weight within its cell: torch's pooling of unit vectors, by fine cuts of each patch."""
    weights = torch.nn.functional.interpolate(torch.eye(patches)[None], tokens, mode="linear")[0].numpy()  # [P, T]
    cuts = (np.arange(patches * 1000) + 0.5) / 1000  # positions in patches
    owner = np.minimum((cuts * tokens / patches).astype(int), tokens - 1)
    fine = weights.repeat(1000, axis=0) / 1000
    return np.array([fine[owner == token, token].sum() for token in range(tokens)])


def test_notes_of_a_tiled_image_reach_the_table(checkpoint: Callable[[str], Path]) -> None:
    loaded = load(checkpoint("llava_onevision"), dtype="float32", device="cpu")
    visual = visual_of(loaded, frames(301, 703, 1, "image"))
    noted = visual[visual.note != ""]
    assert set(noted.note.str.replace(r"\d+", "N", regex=True)) == {"pooled: N% of its weight lies outside its cell"}
    assert noted.index.min() >= 81 and 0 < len(noted) < len(visual) - 81  # none in the whole view
    assert noted.x0.notna().all()  # no newline
    assert (visual_of(loaded, frames(640, 360, 2)).note == "").all()


@pytest.mark.slow
def test_llama4_is_captured_exactly_or_refused_for_what_transformers_does(
    checkpoint: Callable[[str], Path], drawn: Path, tmp_path: Path
) -> None:
    folder = checkpoint("llama4")
    loaded = load(folder, dtype="float32", device="cpu")
    prompt = make_prompt(loaded, drawn, frames=2)
    plan = attnscope.Plan(full=True)
    if Version(transformers.__version__).release[:2] == (5, 24):
        with pytest.raises(RunError, match=r"transformers 5\.24 runs no Llama 4, whatever it is given: take trans"):
            attnscope.capture(loaded, prompt.scene, tmp_path / "a.h5", plan=plan)
        return
    (cap,) = capture_prompts(loaded, [prompt], [tmp_path / "a.h5"], plan=plan)
    with cap:
        oracle = eager_oracle(folder, prompt, [token["id"] for token in cap.answer["tokens"]])
        for layer, attention in zip(cap.layers, oracle.attention, strict=True):
            np.testing.assert_allclose(cap.attention(int(layer)), attention, atol=1e-4)

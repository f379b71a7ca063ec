"""What a preview says of a model: a capture's tokens, cells by hand, and pictures as the processor makes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import attnscope
from attnscope.errors import ModelError, RequestError
from attnscope.model import build_prompt, load_skeleton, preview_model
from attnscope.model.media import process
from attnscope.model.prompt import write_prompt
from attnscope.scene import Frames, Sampling, Scene, preview_scene
from tests.families import EVERY, by_speed

SAMPLING = Sampling(frames=4)


def _image_scene(folder: Path, size: tuple[int, int], boxes: dict[str, list[float]]) -> Scene:
    Image.new("RGB", size, "white").save(folder / "still.png")
    segments = {
        name: {"segments": [{"start": 0, "end": 0, "keyframes": [{"t": 0, "xyxy": xyxy}]}]}
        for name, xyxy in boxes.items()
    }
    return Scene.model_validate({"video": str(folder / "still.png"), "speakers": segments, "question": "Who?"})


@pytest.fixture(scope="module")
def roundtable() -> attnscope.model.LoadedModel:
    return load_skeleton("roundtable")


@pytest.mark.parametrize("family", by_speed(["qwen2_5_vl", "internvl", "smolvlm"]))
def test_a_skeleton_places_tokens_as_the_model_does(
    family: str, checkpoint: Callable[[str], Path], drawn: Path
) -> None:
    folder = checkpoint(family)
    scene = Scene.read(drawn)
    preview = preview_scene(scene, SAMPLING)
    seen = preview_model(load_skeleton(folder), preview)
    whole = build_prompt(attnscope.load(folder, device="cpu"), scene, preview.frames)
    assert seen.tokens.equals(whole.tokens)
    assert (seen.text, seen.placing.how) == (whole.text, whole.placing.how)
    told = [finding.text for finding in [*preview.findings, *seen.findings]]
    assert set(whole.warnings) <= set(told)


@pytest.mark.slow
@pytest.mark.parametrize("family", EVERY)
def test_every_family_has_a_skeleton(family: str, checkpoint: Callable[[str], Path], drawn: Path) -> None:
    seen = preview_model(load_skeleton(checkpoint(family)), preview_scene(Scene.read(drawn), SAMPLING))
    placed = sum(len(frame.cells) for frame in seen.frames)
    assert (placed == 0) == ("no_places" in {finding.kind for finding in seen.findings})


def test_a_skeleton_needs_no_weights(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    for path in checkpoint("qwen2_5_vl").iterdir():
        if path.suffix != ".safetensors":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    assert load_skeleton(tmp_path).model.device.type == "meta"
    with pytest.raises(ModelError, match="no weights"):
        attnscope.load(tmp_path)


def test_cells_and_their_people_by_hand(roundtable: Any, tmp_path: Path) -> None:
    """480x480 pixels in 6x6 cells of 80: Ann has the left half, Bob sits in it, Cid is smaller than half a cell."""
    preview = preview_scene(
        _image_scene(
            tmp_path, (480, 480), {"Ann": [0, 0, 240, 480], "Bob": [0, 0, 160, 160], "Cid": [330, 330, 380, 380]}
        )
    )
    seen = preview_model(roundtable, preview)
    first = seen.frames[0]
    assert (len(first.cells), first.region, first.size) == (36, (0.0, 0.0, 480.0, 480.0), (96, 96))
    assert first.owners.sum(axis=1).tolist() == [18, 4, 0]
    ann, bob = (first.cells[own] for own in first.owners[:2])
    assert ann[:, 2].max() == 240
    assert bob[:, :2].min(axis=0).tolist() == [0, 0]
    assert bob[:, 2:].max(axis=0).tolist() == [160, 160]
    found = {finding.kind: finding for finding in seen.findings}
    assert list(found) == ["box_without_cell", "shared_cells"]
    assert found["box_without_cell"].text == (
        "1 of 3 speaker boxes cover no cell by 0.5 or more; there no visual token is theirs (Cid 1)"
    )
    assert found["shared_cells"].speakers == ("Ann", "Bob")
    assert preview_model(roundtable, preview, coverage=0.05).frames[0].owners[2].any()
    with pytest.raises(RequestError, match="coverage"):
        preview_model(roundtable, preview, coverage=0)


def test_what_a_processor_crops(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    """LLaVA takes the middle square of an image: who stands at the edge is not shown."""
    boxes = {"Ann": [0, 20, 60, 160], "Bob": [100, 20, 180, 160]}
    preview = preview_scene(_image_scene(tmp_path, (320, 180), boxes))
    seen = preview_model(load_skeleton(checkpoint("llava")), preview)
    found = {finding.kind: finding for finding in seen.findings}
    assert list(found) == ["box_cropped"]
    assert found["box_cropped"].speakers == ("Ann",)
    left, top, right, bottom = seen.frames[0].region or (0, 0, 0, 0)
    assert (top, bottom) == (0, 180)
    assert left == pytest.approx(70, abs=1)
    assert right == pytest.approx(250, abs=1)


def test_a_family_without_a_layout_is_not_run(checkpoint: Callable[[str], Path], drawn: Path) -> None:
    seen = preview_model(load_skeleton(checkpoint("idefics2")), preview_scene(Scene.read(drawn), SAMPLING))
    assert [finding.kind for finding in seen.findings] == ["no_places"]
    assert "places are found by running the model" in seen.findings[0].text
    assert all(len(frame.cells) == 0 for frame in seen.frames)


def test_frames_are_drawn_as_the_processor_makes_them(roundtable: Any, drawn: Path) -> None:
    """The size, and the pixels: what the processor made, its patches put together again, against the frame resized."""
    scene = Scene.read(drawn)
    preview = preview_scene(scene, SAMPLING)
    width, height = preview_model(roundtable, preview).frames[0].size or (0, 0)
    made = _pictures(roundtable, scene, preview.frames)
    assert made.shape == (4, 3, height, width)
    for image, own in zip(preview.frames.images, made, strict=True):
        resized = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
        assert np.abs(np.asarray(resized, np.float32).transpose(2, 0, 1) - own).mean() < 2  # of 255


SQUARE = ["internvl", "smolvlm", "llava_next_video", "llava_onevision"]
MORE = ["gemma3", "paligemma", "llava", "pixtral", "vipllava", "video_llava", "mistral3"]


@pytest.mark.parametrize("family", [*by_speed(SQUARE), *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)])
def test_parts_of_frames_are_drawn_as_the_processor_makes_them(
    family: str, checkpoint: Callable[[str], Path], drawn: Path
) -> None:
    """Families whose processors give whole pictures: cropped, squashed, or with an edge that no patch covers."""
    loaded, scene = load_skeleton(checkpoint(family)), Scene.read(drawn)
    preview = preview_scene(scene, SAMPLING)
    first = preview_model(loaded, preview).frames[0]
    assert first.size is not None and first.region is not None
    (made,) = (value for name, value in _processed(loaded, scene, preview.frames).items() if "pixel_values" in name)
    part = (
        loaded.processor.video_processor if made.ndim == 5 and family != "smolvlm" else loaded.processor.image_processor
    )
    made = _unnormalised(part, made.reshape(-1, *made.shape[-3:])[0])[:, : first.size[1], : first.size[0]]
    left, top, right, bottom = map(round, first.region)
    shown = Image.fromarray(preview.frames.images[0]).crop((left, top, right, bottom))
    resized = np.asarray(shown.resize(first.size, Image.Resampling.BICUBIC), np.float32).transpose(2, 0, 1)
    assert np.abs(resized - made).mean() < 2  # of 255


def _processed(loaded: Any, scene: Scene, frames: Frames) -> dict[str, Any]:
    return process(loaded, write_prompt(loaded, scene, frames).rendered, frames)


def _unnormalised(part: Any, values: torch.Tensor) -> np.ndarray:
    """Pictures [..., 3, h, w] of 0 to 255."""
    mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (part.image_mean, part.image_std))
    return ((values.float() * std + mean) * 255).numpy()


def _pictures(loaded: Any, scene: Scene, frames: Frames) -> np.ndarray:
    """What Qwen2.5-VL's processor made, as pictures [F, 3, h, w] of 0 to 255."""
    part = loaded.processor.video_processor
    processed = _processed(loaded, scene, frames)
    steps, rows, cols = processed["video_grid_thw"][0].tolist()
    patch, merge, span = part.patch_size, part.merge_size, part.temporal_patch_size
    values: torch.Tensor = processed["pixel_values_videos"]
    values = values.reshape(steps, rows // merge, cols // merge, merge, merge, 3, span, patch, patch)
    values = values.permute(0, 6, 5, 1, 3, 7, 2, 4, 8).reshape(steps * span, 3, rows * patch, cols * patch)
    return _unnormalised(part, values)[: len(frames.images)]

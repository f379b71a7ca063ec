"""Several videos and images in one prompt: transformers' own ids, each placed as if alone, and proven by the probe."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import attnscope
from attnscope.errors import ModelError
from attnscope.model import build_prompt, load_skeleton, preview_model
from attnscope.model.media import media_parts
from attnscope.model.probe.places import LEAST
from attnscope.model.probe.trial import Trial
from attnscope.model.probe.verify import agreement
from attnscope.model.prompt import write_prompt
from attnscope.model.several import media_places
from attnscope.scene import Frames, Sampling, Scene, preview_scene, read_scene_frames, scene_boxes
from attnscope.vocabulary import LAYOUT, has_cell
from tests.families import EVERY, by_speed
from tests.scene.films import film

SIZE = (160, 96)
LEFT, RIGHT = [0, 0, 80, 96], [80, 0, 160, 96]


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two films of two seconds and two images, of one size."""
    folder = tmp_path_factory.mktemp("media")
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        film(folder / f"{name}.mp4", frames=20, fps=10, size=SIZE)
        Image.fromarray(rng.integers(0, 256, (*SIZE[::-1], 3), np.uint8)).save(folder / f"{name}.png")
    return folder


def scene_of(folder: Path, first: str, *others: tuple[str, float]) -> Scene:
    """Ann is on the left while the first is shown, Bob on the right from then on."""
    ends = others[0][1] if others else 2.0
    segments = {"Ann": (0.0, ends, LEFT), "Bob": (ends, ends + 4, RIGHT)}
    document = {
        "video": str(folder / first),
        "further": [{"video": str(folder / name), "start": start} for name, start in others],
        "speakers": {
            name: {"segments": [{"start": a, "end": b, "keyframes": [{"t": a, "xyxy": xyxy}]}]}
            for name, (a, b, xyxy) in segments.items()
        },
        "question": "Who is on the right?",
    }
    return Scene.model_validate(document)


FILMS = ("a.mp4", ("b.mp4", 2.0))
IMAGES = ("a.png", ("b.png", 1.0))
BOTH = ("a.png", ("b.mp4", 1.0))
REFUSED = {("llava_onevision", IMAGES)}  # it cuts one image into tiles, and shows several whole


def shown(folder: Path, what: tuple[Any, ...], frames: int = 4) -> tuple[Scene, Frames]:
    scene = scene_of(folder, *what)
    return scene, read_scene_frames(scene, Sampling(frames=frames))


@pytest.mark.parametrize("what", [FILMS, IMAGES, BOTH])
@pytest.mark.parametrize("family", by_speed(["qwen2_5_vl", "qwen3_vl", "internvl", "llava_onevision"]))
def test_the_probe_agrees(family: str, what: Any, checkpoint: Callable[[str], Path], media: Path) -> None:
    """Pixels of both media are repainted in the joint prompt: exactly the tokens that are said to show them answer."""
    loaded = attnscope.load(checkpoint(family), dtype="float32", device="cpu")
    _, frames = shown(media, what)
    trial = Trial(loaded, frames)
    try:
        places = media_places(loaded, trial.processed, trial.frames, len(trial))
    except ModelError as error:
        assert (family, what) in REFUSED
        assert "makes something else of several videos or images" in str(error)
        return
    assert (family, what) not in REFUSED
    assert agreement(trial, places).mean() >= 0.95
    first, last = places.frames[:, 0], places.frames[:, 1]
    for medium in frames.media:
        inside = (first >= medium.first) & (last < medium.end)
        assert inside.any()
    assert all(any(m.first <= a and b < m.end for m in frames.media) for a, b in places.frames if a >= 0)


def test_ids_and_pixels_are_those_of_transformers(media: Path) -> None:
    """The chat template with two videos by hand, and the processor's own ids for it."""
    loaded = load_skeleton("roundtable")
    scene, frames = shown(media, FILMS)
    written = write_prompt(loaded, scene, frames)
    content = [{"type": "video"}, {"type": "video"}, {"type": "text", "text": str(scene.question)}]
    text = loaded.processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    assert written.rendered == text
    grids = written.processed["video_grid_thw"]
    assert len(grids) == 2
    pieces = text.split("<|video_pad|>")
    counts = [int(grid.prod()) // loaded.processor.video_processor.merge_size**2 for grid in grids]
    expanded = pieces[0] + "".join("<|video_pad|>" * n + rest for n, rest in zip(counts, pieces[1:], strict=True))
    assert written.tokens["token_id"].tolist() == loaded.tokenizer(expanded)["input_ids"]
    own = [part.images for part in frames.parts()]
    by_hand = loaded.processor.video_processor(videos=own, return_tensors="pt", do_sample_frames=False)
    assert bool((by_hand["pixel_values_videos"] == written.processed["pixel_values_videos"]).all())


def test_tokens_have_the_frames_times_and_people_of_their_medium(media: Path) -> None:
    loaded = load_skeleton("roundtable")
    scene, frames = shown(media, FILMS)
    tokens = write_prompt(loaded, scene, frames).tokens
    assert frames.times.tolist() == pytest.approx([0.2, 0.7, 1.2, 1.7, 2.2, 2.7, 3.2, 3.7])
    assert frames.indices.tolist() == [2, 7, 12, 17, 2, 7, 12, 17]
    cells = tokens[has_cell(tokens)]
    first = cells["frame_last"] < 4
    assert first.sum() == (~first).sum() > 0
    assert (cells["time"][first] < 2).all() and (cells["time"][~first] > 2).all()
    left = ((cells["x1"].clip(upper=80) - cells["x0"]) / (cells["x1"] - cells["x0"])).clip(lower=0)
    assert cells["covered:Ann"].to_numpy() == pytest.approx((first * left).to_numpy(), abs=1e-5)
    assert cells["covered:Bob"].to_numpy() == pytest.approx((~first * (1 - left)).to_numpy(), abs=1e-5)
    seen = preview_model(loaded, preview_scene(scene, Sampling(frames=4)))
    assert [bool(frame.owners[0].any()) for frame in seen.frames] == [True] * 4 + [False] * 4


@pytest.mark.slow
@pytest.mark.parametrize("what", [FILMS, IMAGES, BOTH])
@pytest.mark.parametrize("family", EVERY)
def test_every_family_is_placed_as_the_probe_says_or_says_why_not(
    family: str, what: Any, checkpoint: Callable[[str], Path], media: Path
) -> None:
    loaded = attnscope.load(checkpoint(family), dtype="float32", device="cpu")
    scene, frames = shown(media, what)
    try:
        prompt = build_prompt(loaded, scene, frames)
    except ModelError as error:
        assert re.search("makes something else of several|fails on the frames|in one prompt", str(error))
        assert "\n" not in str(error)
        return
    assert len(media_parts(loaded, frames)) in (2, len(frames.times))
    if prompt.placing.how != LAYOUT:
        return
    assert (prompt.placing.verified or 0) >= LEAST
    shows = prompt.tokens[has_cell(prompt.tokens)][["frame_first", "frame_last"]].to_numpy()
    assert {row for first, last in shows for row in range(first, last + 1)} == set(range(len(frames.times)))


def test_a_capture_of_two_clips_is_whole_and_runs_again(media: Path, tmp_path: Path) -> None:
    model = attnscope.load("roundtable", device="cpu")
    scene = scene_of(media, *FILMS)
    with attnscope.capture(model, scene, tmp_path / "run.h5", sampling=Sampling(frames=4), max_new_tokens=2) as cap:
        assert cap.check["passed"]
        assert [item.start for item in cap.scene.further] == [2.0]
        assert len(cap.frames.times) == 8
        again = read_scene_frames(cap.scene, Sampling(frames=4))
        assert scene_boxes(cap.scene, again).xyxy.shape == (2, 8, 4)
    assert attnscope.validate(tmp_path / "run.h5") == []

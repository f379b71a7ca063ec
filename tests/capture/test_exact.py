"""Families without a layout, each captured as transformers' own eager attention has it: a clip and an image."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import attnscope
from attnscope.capture.check.validate import validate
from attnscope.capture.run import capture_prompts
from attnscope_cli.main import app
from tests.capture.eager import eager_maps, make_prompt
from tests.families.grids import GRIDS
from tests.families.squares import SQUARES
from tests.families.tiles import TILES

LOADED = ("phi4_multimodal", "got_ocr2", "idefics2", "paligemma")  # once refused for a reason that was not true

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", ["video", "image"])
@pytest.mark.parametrize("name", [*LOADED, *SQUARES, *GRIDS, *TILES])
def test_a_capture_is_exact(name, kind, checkpoint, drawn, tmp_path):
    folder, scene = checkpoint(name), attnscope.Scene.read(drawn)
    if kind == "image":
        noise = np.random.default_rng(0).integers(0, 256, (180, 320, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "picture.png")
        scene = scene.model_copy(update={"video": tmp_path / "picture.png"})
    loaded = attnscope.load(str(folder), dtype="float32", device="cpu")
    prompt = make_prompt(loaded, scene, frames=2)
    (cap,) = capture_prompts(loaded, [prompt], [tmp_path / "a.h5"], plan=attnscope.Plan(full=True), max_new_tokens=1)
    with cap:
        assert cap.check["passed"]
        for layer, attention in zip(cap.layers, eager_maps(folder, prompt), strict=True):
            np.testing.assert_allclose(cap.attention(int(layer)), attention, atol=1e-4)


@pytest.mark.parametrize("name", LOADED)
def test_the_command_captures_a_clip_as_a_row_of_images(name, checkpoint, drawn, tmp_path):
    out = tmp_path / "run.h5"
    arguments = ["capture", str(checkpoint(name)), "--scene", str(drawn), "--frames", "2", "-o", str(out)]
    result = CliRunner().invoke(app, [*arguments, "--max-new-tokens", "3"])
    assert (result.exit_code, out.exists()) == (0, True), result.stderr
    with attnscope.open(out) as cap:
        assert cap.check["passed"] and [str(problem) for problem in validate(out)] == []
        assert (cap.tokens["modality"] == "visual").sum() % 2 == 0  # as many tokens for each of two frames
        assert len(cap.answer["tokens"]) == 3

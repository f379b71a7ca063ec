"""Families without a layout, each captured as transformers' own eager attention has it: a clip and an image."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import attnscope
from attnscope.capture.run import capture_prompts
from tests.capture.eager import eager_maps, make_prompt
from tests.families.grids import GRIDS
from tests.families.squares import SQUARES

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", ["video", "image"])
@pytest.mark.parametrize("name", [*SQUARES, *GRIDS])
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

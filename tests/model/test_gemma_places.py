"""What the layouts of Gemma refuse: squares that no cell of the image is known for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attnscope.errors import ModelError
from attnscope.model import build_prompt, load
from attnscope.model.layouts import LAYOUTS
from attnscope.scene import Scene
from tests.model.test_places import frames


def build(loaded: Any, width: int, height: int) -> Any:
    return build_prompt(loaded, Scene(video=Path("clip.mp4")), frames(width, height, 1, "image"))


def test_crops_of_pan_and_scan_are_refused(checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The processor's own defaults switch it off, whatever the checkpoint says."""
    loaded = load(checkpoint("gemma3"), dtype="float32", device="cpu")
    asked = {"do_pan_and_scan": True, "pan_and_scan_min_crop_size": 64}
    loaded.processor.image_processor.do_pan_and_scan = True
    assert (build(loaded, 903, 333).tokens.modality == "visual").sum() == 16
    monkeypatch.setattr(type(LAYOUTS["gemma3"]), "processor_kwargs", lambda *_: dict(asked))
    with pytest.raises(ModelError, match="4 squares of 1 images: the crops of pan and scan have no known layout"):
        build(loaded, 903, 333)


def test_a_frame_that_is_not_resized_is_refused(checkpoint: Callable[[str], Path]) -> None:
    """Its patches need not fill whole cells, and pooling would mix the rows."""
    loaded = load(checkpoint("gemma4"), dtype="float32", device="cpu")
    loaded.processor.image_processor.do_resize = False
    with pytest.raises(ModelError, match="6 x 3 patches, pooled by 3: only frames that are resized to whole cells"):
        build(loaded, 96, 48)

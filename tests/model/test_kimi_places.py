"""Kimi K2.5: chunks of four frames, and frames that are padded at the right and at the bottom."""

from __future__ import annotations

import numpy as np
import pytest

import attnscope
from attnscope.model.layouts import LAYOUTS, place
from attnscope.model.probe import Trial, agreement
from tests.model.test_places import frames

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("width", "height", "count", "kind"),
    [
        (320, 180, 5, "video"),
        (180, 320, 4, "video"),
        (333, 211, 1, "video"),
        (100, 90, 9, "video"),  # not scaled, padded
        (237, 301, 1, "image"),
        (640, 360, 1, "image"),
    ],
)
def test_every_token_answers_to_its_cell(checkpoint, width, height, count, kind):
    loaded = attnscope.load(str(checkpoint("kimi_k25")), dtype="float32")
    trial = Trial(loaded, frames(width, height, count, kind))
    inputs = trial.processed
    places = place(LAYOUTS["kimi_k25"].views(loaded.model, loaded.processor, inputs, trial.frames), trial.frames)
    assert agreement(trial, places).all()
    chunks = sorted({(int(first), int(last)) for first, last in places.frames})
    assert chunks == [(first, min(first + 3, count - 1)) for first in range(0, count, 4)]
    assert np.nanmax(places.box[:, 2]) == width and np.nanmax(places.box[:, 3]) == height

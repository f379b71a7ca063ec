from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.metrics.sketch import Sketch, causal, draw, room, softmax

NAMES = ("Ann", "Ben", "Cleo")
ACTIVE = [(1, 0), (1, 2)]


def scenery(**options: Any) -> Sketch:
    turns = [("Ann", 0.0, 0.4), ("Ben", 0.6, 1.4), ("Cleo", 1.6, 2.4), ("Ann", 1.8, 2.2)]
    sketch = room(NAMES, turns, times=[0.0, 1.0, 2.0], words=3, generated=1, **options)
    sketch.scene["question"] = "Who does Ben ask?"  # the right answer is Ann
    return sketch


def attention(sketch: Sketch, boost: float = 0.0) -> np.ndarray:
    """Random attention with a sink, three layers of three heads; some heads favour the speaker by `boost`.

    One of them also draws the answer position to Ben.
    """
    n = len(sketch.tokens)
    z = np.random.default_rng(0).normal(0, 1, (3, 3, n, n))
    z[..., 0] += 2
    for name in sketch.scene["speakers"]:
        for layer, head in ACTIVE:
            z[layer, head][np.ix_(sketch.where(speaker=name), sketch.cells_of(name))] += boost
    z[1, 2][n - sketch.generated - 1, sketch.cells_of("Ben")] += boost
    return softmax(z, causal(n))


@pytest.fixture(scope="session")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sketch = scenery()
    path = tmp_path_factory.mktemp("captures") / "before.h5"
    return draw(path, sketch, attention(sketch), numbers=[0, 1, 4], answer=answer("Ben", -1.0, -0.5, -3.0))


@pytest.fixture(scope="session")
def after(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sketch = scenery()
    path = tmp_path_factory.mktemp("captures") / "after.h5"
    return draw(
        path,
        sketch,
        attention(sketch, 3.0),
        numbers=[0, 1, 4],
        correction=[social_bias()],
        answer=answer("Ann", -0.25, -1.5, -3.0),
    )


def social_bias(**params: Any) -> dict[str, Any]:
    """What a correction of the active heads records."""
    said = {"method": "social-bias", "params": {"alpha": 1.0, **params}}
    return said | {"active": [[1, [0, 2]]], "notes": ["a note on the bias"]}


def answer(text: str, *logprobs: float) -> dict[str, Any]:
    options = [{"text": n, "tokens": [1], "logprob": lp} for n, lp in zip(NAMES, logprobs, strict=True)]
    return {"text": text, "tokens": [{"id": 1, "text": text, "logprob": -0.1}], "options": options}

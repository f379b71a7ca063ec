"""Captures in which heads are planted that each criterion should find."""

from __future__ import annotations

import numpy as np

from tests.metrics.sketch import Sketch, causal, room, softmax

NAMES = ["0", "1", "2"]


def asking(speakers=("Ann", "Ben"), **options) -> Sketch:
    sketch = room(speakers, [(name, None, None) for name in speakers], question=1, **options)
    sketch.scene["question"] = f"What does {speakers[-1]} hold?"
    return sketch


def planted(sketch: Sketch, seed: int) -> np.ndarray:
    """Noise, but 1.1 (layer.head) looks from words to their speaker, 1.0 at the one asked about, 0.2 at the video."""
    n = len(sketch.tokens)
    z = np.random.default_rng(seed).normal(0, 0.3, (2, 3, n, n))
    for name in sketch.scene["speakers"]:
        z[1, 1][np.ix_(sketch.where(speaker=name), sketch.cells_of(name))] += 5
    z[0, 2][:, sketch.where(modality="visual")] += 3
    z[1, 0, -1, sketch.cells_of(list(sketch.scene["speakers"])[-1])] += 5
    return softmax(z, causal(n))

"""Captures whose answer position looks where a test says: one frame, one cell a person, and all else even."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.metrics.sketch import Sketch, causal, draw, room, softmax

NAMES = ("Ann", "Ben", "Cleo")
Looks = Sequence[Sequence[Mapping[str, float]]]  # by layer and head: attention mass by person
# By layer: 60, 30, 10 % of two layers of two heads at Cleo, Ann, Ben; in the first layer nobody is ahead
CLEO: Looks = (
    ({"Ann": 0.2, "Ben": 0.2, "Cleo": 0.2}, {"Ann": 0.2, "Ben": 0.2, "Cleo": 0.2}),
    ({"Ann": 0.1, "Ben": 0.05, "Cleo": 0.7}, {"Ann": 0.3, "Ben": 0.05, "Cleo": 0.5}),
)


def asking(
    question: str | None = "Who does Ben ask?",
    expected: str | None = "Ann",
    names: Sequence[str] = NAMES,
    turns: Sequence[tuple[str | None, float | None, float | None]] = (),
) -> Sketch:
    """A scene with a question."""
    sketch = room(names, turns, times=[0.0], question=1)
    options = list(names) if expected is None or expected in names else []
    sketch.scene |= {"question": question, "answer": expected, "options": options}
    return sketch


def looking(sketch: Sketch, looks: Looks) -> np.ndarray:
    """Attention [L, H, P, P] whose answer position has the given masses (of the background: "")."""
    n = len(sketch.tokens)
    attention = softmax(np.zeros((len(looks), len(looks[0]), n, n)), causal(n))
    attention[:, :, -1] = 0
    for row, heads in enumerate(looks):
        for head, masses in enumerate(heads):
            for name, mass in masses.items():
                cells = np.flatnonzero(sketch.cells_of(name) if name else sketch.where(modality="visual", covered=[]))
                attention[row, head, -1, cells] = mass / len(cells)
            attention[row, head, -1, 0] = 1 - sum(masses.values())
    return attention


def said(text: str, names: Sequence[str] = NAMES, **shares: float) -> dict[str, Any]:
    """An answer, and options with the given probabilities; those without get what is left in equal parts."""
    rest = (1 - sum(shares.values())) / max(len(names) - len(shares), 1)
    options = [{"text": n, "tokens": [1], "logprob": float(np.log(shares.get(n, rest)))} for n in names]
    return {"text": text, "tokens": [{"id": 1, "text": text, "logprob": -0.1}], "options": options}


def bias(
    toward: str = "asked",
    active: Sequence[tuple[int, Sequence[int]]] = ((1, (0, 1)),),
    unused: Sequence[str] = ("seed",),
    **params: Any,
) -> dict[str, Any]:
    """What social-bias records of itself."""
    defaults = {"alpha": 1.0, "rows": "utterances", "toward": "asked", "heads": "", "topk": None, "seed": 0}
    defaults |= {"whose": "own", "box_jitter": 0.0, "lowest": False}
    own = {"alpha": 8.0, "rows": "answer", "toward": toward, "heads": "1.0,1.1", "topk": None, "seed": 0}
    return {
        "method": "social-bias",
        "params": own | params,
        "defaults": defaults,
        "unused": list(unused),
        "active": [[layer, list(heads)] for layer, heads in active],
        "notes": ["acts on the answer"],
        "cautions": [],
        "shows": False,
    }


def capture(path: Path, looks: Looks = CLEO, *, answer: dict[str, Any] | None = None, **options: Any) -> Path:
    """Write a capture.

    Args:
        path: The file.
        looks: Where the answer position looks.
        answer: What the model says; Cleo by default.
        options: Of `asking` (question, expected, names, turns), and of `draw`.
    """
    scene = {key: options.pop(key) for key in ("question", "expected", "names", "turns") if key in options}
    sketch = options.pop("sketch", None) or asking(**scene)
    attention = looking(sketch, looks)
    return draw(path, sketch, attention, answer=answer or said("Cleo", Cleo=0.7, Ann=0.2), **options)

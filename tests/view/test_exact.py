"""Rows of a running model, against its own eager attention: transformers, float32, no cache, nothing of attnscope."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import attnscope
from tests.capture.eager import eager_oracle, make_prompt
from tests.view.asking import served


def test_any_token_of_any_head_is_what_the_model_computed(
    checkpoint: Callable[[str], Path], stage: Path, tmp_path: Path
) -> None:
    loaded: Any = attnscope.load(checkpoint("qwen2_5_vl"), device="cpu")
    how: dict[str, Any] = {"plan": attnscope.Plan(qk=True), "sampling": attnscope.Sampling(frames=4)}
    cap = attnscope.capture(loaded, attnscope.Scene.read(stage), tmp_path / "run.h5", max_new_tokens=3, **how)
    generated = [token["id"] for token in cap.answer["tokens"]]
    layers, heads, positions = cap.layers.tolist(), cap.heads, len(cap.tokens)
    cap.close()
    oracle = eager_oracle(checkpoint("qwen2_5_vl"), make_prompt(loaded, stage), generated)
    chosen = np.random.default_rng(0).choice(positions, 12, replace=False).tolist()
    with served(tmp_path / "run.h5") as client:
        for position in [0, positions - 1, *chosen]:
            layer, head = layers[position % len(layers)], position % heads
            for look, wanted in (
                ({"layer": layer, "head": head}, oracle.attention[layer][head, position]),
                ({"layer": layer}, oracle.attention[layer][:, position].mean(0)),
                ({}, np.mean([oracle.attention[number][:, position].mean(0) for number in layers], axis=0)),
            ):
                row = client.ask("row", capture=0, position=position, **look).numbers()[-positions:]
                np.testing.assert_allclose(row, wanted, rtol=1e-4, atol=2e-6)

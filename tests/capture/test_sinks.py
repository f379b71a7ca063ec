"""The sinks of a capture are those of the printed definition: judged by the queries that are not visual."""

from __future__ import annotations

import numpy as np
import pytest

import attnscope
from attnscope.capture.run import capture_prompts
from attnscope.metrics import registry
from tests.capture.eager import make_prompt

MASS, RATIO = 0.01, 1.5  # low, since an untrained model has hardly any sink


def by_hand(attention: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Sinks [N] of a layer [H, N, N], judged by some of its queries."""
    rows, allowed = attention[:, queries], attention[0, queries] > 0
    seen = allowed.sum(0)
    mean = rows.sum((0, 1)) / len(attention) / np.maximum(seen, 1)
    uniform = (allowed / allowed.sum(1, keepdims=True)).sum(0) / np.maximum(seen, 1)
    found: np.ndarray = (seen >= queries.sum() / 2) & (mean > MASS) & (mean > RATIO * uniform)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("family", ["internvl", "qwen2_5_vl"])
def test_every_query_that_is_not_visual_judges_and_text_alone_would_not_do(family, checkpoint, drawn, tmp_path):
    loaded = attnscope.load(str(checkpoint(family)), dtype="float32")
    plan = attnscope.Plan(full=True, stats=False, maps=False, sink_mass=MASS, sink_ratio=RATIO)
    prompt = make_prompt(loaded, drawn)
    (cap,) = capture_prompts(loaded, [prompt], [tmp_path / "run.h5"], plan=plan, max_new_tokens=1)
    with cap:
        modality = cap.tokens["modality"].to_numpy()[: cap.prompt_length]
        maps = [cap.attention(int(layer))[:, : len(modality), : len(modality)] for layer in cap.layers]
        stored = np.asarray(cap.sinks)[:, : len(modality)]
    said = np.stack([by_hand(layer, modality != "visual") for layer in maps])
    assert stored.any() and np.array_equal(stored, said)
    assert not np.array_equal(stored, np.stack([by_hand(layer, modality == "text") for layer in maps]))


def test_the_printed_definition_names_these_queries():
    definition = registry.get("sink_keys").definition
    assert "queries that are not visual (text, special and template tokens)" in " ".join(definition.split())

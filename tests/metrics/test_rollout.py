"""Attention rollout: by hand on three tokens, and against products of the whole matrices."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnscope import metrics
from attnscope.capture.file import encode
from attnscope.capture.read.capture import open as open_capture
from attnscope.metrics.rollout import LIMIT, obstacle, rollout_rows
from tests.metrics.sketch import Sketch, Token, causal, draw, room, softmax

NAMES = ("rollout_mass", "rollout_lift")


def three() -> Sketch:
    visual = Token("visual", "visual", frames=(0, 0), cell=0)
    return Sketch([visual, Token("text", "question"), Token("text", "question")], room((), ()).scene)


def values(table: pd.DataFrame, metric: str, layer: int) -> dict[str, float]:
    rows = table[(table["metric"] == metric) & (table["layer"] == layer)]
    return dict(zip(rows["key"], rows["value"], strict=True))


def products(a: np.ndarray) -> np.ndarray:
    """Rows of the last position of the products of (A + I) / 2 through layers 0..l, [L, N], for a [L, H, N, N]."""
    total, rows = np.eye(a.shape[-1]), []
    for layer in a:
        total = (layer.mean(0) + np.eye(a.shape[-1])) / 2 @ total
        rows.append(total[-1])
    return np.array(rows)


def test_rollout_by_hand(drawn):
    """Two layers of one head; the last of three tokens is the answer position, the first is visual."""
    one = [[1.0, 0.0, 0.0], [0.6, 0.4, 0.0], [0.2, 0.2, 0.6]]
    two = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.4, 0.4, 0.2]]
    table = metrics.rollout_mass(drawn(three(), np.array([one, two])[:, None]))
    # layer 0: the row 0.2 0.2 0.6 and the token itself, halved
    assert values(table, "rollout_mass", 0) == pytest.approx(
        {"visual": 0.1, "text": 0.1 + 0.8, "special": np.nan}, nan_ok=True
    )
    # layer 1 takes 0.2 of v, 0.2 of t1 and 0.6 of t2, and of these layer 0 is 1, 0.3 and 0.1 on v
    assert values(table, "rollout_mass", 1)["visual"] == pytest.approx(0.2 * 1 + 0.2 * 0.3 + 0.6 * 0.1)
    assert values(table, "rollout_mass", 1)["text"] == pytest.approx(1 - 0.32)
    assert set(table.loc[table["key"] == "text", "n"]) == {2}
    # uniform: rows 1, 1/2 1/2, 1/3 1/3 1/3; after one layer t1 has 1/4 and t2 has 1/6 on v
    even = 1 / 6 + 1 / 6 * 1 / 4 + (1 / 2 + 1 / 6) * 1 / 6
    lifts = metrics.rollout_lift(drawn(three(), np.array([one, two])[:, None], name="again.h5"))
    assert values(lifts, "rollout_lift", 1)["visual"] == pytest.approx(0.32 / even)


def test_attention_to_itself_stays_where_it_is(drawn):
    table = metrics.rollout_mass(drawn(three(), np.stack([np.eye(3)] * 3)[:, None]))
    assert values(table, "rollout_mass", 2) == pytest.approx({"text": 1, "visual": 0, "special": np.nan}, nan_ok=True)


@settings(max_examples=6, deadline=None)
@given(frames=st.integers(1, 3), window=st.sampled_from([None, 5]), generated=st.integers(0, 2))
def test_uniform_attention_has_lift_one(tmp_path_factory, frames, window, generated):
    sketch = room(times=[float(f) for f in range(frames)], generated=generated)
    n = len(sketch.tokens)
    allowed = causal(n) if window is None else causal(n) & ~np.tril(np.ones((n, n), bool), -window)
    a = softmax(np.zeros((3, 2, n, n)), allowed)
    with open_capture(draw(tmp_path_factory.mktemp("even") / "run.h5", sketch, a, allowed=allowed)) as cap:
        lifts = metrics.rollout_lift(cap)
    assert lifts["value"].notna().any()
    assert np.allclose(lifts["value"].dropna(), 1, atol=1e-5)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 999), generated=st.integers(0, 2), order=st.permutations(range(3)))
def test_rows_equal_products_of_whole_matrices(tmp_path_factory, seed, generated, order):
    """The second computation; heads in another order, and groups that add up to 1."""
    sketch = room(("Ann", "Ben"), hidden=[("Ben", 1)], generated=generated)
    n = len(sketch.tokens)
    a = softmax(np.random.default_rng(seed).normal(0, 2, (4, 3, n, n)), causal(n))
    folder, prompt = tmp_path_factory.mktemp("dense"), n - generated
    with open_capture(draw(folder / "a.h5", sketch, a)) as cap:
        wanted = products(a[..., :prompt, :prompt])
        assert np.allclose(rollout_rows(cap)[0], wanted, atol=1e-5)
        uniform = np.repeat((causal(prompt) / causal(prompt).sum(1, keepdims=True))[None, None], 4, 0)
        assert np.allclose(rollout_rows(cap)[1], products(uniform), atol=1e-5)
        table = metrics.compute(cap, NAMES)["rollout"]
        for layer in range(4):
            mass = values(table, "rollout_mass", layer)
            assert mass["text"] + mass["visual"] + mass["special"] == pytest.approx(1, abs=1e-5)
            for name in ("Ann", "Ben"):
                own = float(wanted[layer][sketch.cells_of(name)[:prompt]].sum())
                assert mass[f"visual:{name}"] == pytest.approx(own, abs=1e-5)
    with open_capture(draw(folder / "b.h5", sketch, a[:, order])) as cap:
        pd.testing.assert_frame_equal(metrics.compute(cap, NAMES)["rollout"], table, atol=1e-5)


def from_qk(path: Path, sketch: Sketch, seed: int, layers: int = 3) -> np.ndarray:
    """Draw a capture of queries and keys only, two query heads to each key head; returns its attention."""
    n = len(sketch.tokens)
    rng = np.random.default_rng(seed)
    q, k = rng.normal(size=(layers, 4, n, 8)), rng.normal(size=(layers, 2, n, 8))
    q, k = q.astype(np.float16), k.astype(np.float16)
    z = np.einsum("lhqd,lhkd->lhqk", q.astype(np.float64), k.astype(np.float64).repeat(2, 1)) * 0.5
    draw(path, sketch, softmax(z, causal(n)), readings=("masses",), kv_heads=2)
    with h5py.File(path, "r+") as file:
        group = encode.create_group(file, "qk", "qk")
        for layer in range(layers):
            own = encode.create_group(group, str(layer), "qk-layer")
            encode.set_attributes(own, scale=0.5, softcap=float("nan"), logical_dtype="float16")
            encode.write_array(own, "q", q[layer], ["head", "query", "channel"])
            encode.write_array(own, "k", k[layer], ["kv_head", "key", "channel"])
    return softmax(z, causal(n))


def test_queries_and_keys_a_few_rows_at_a_time(tmp_path, monkeypatch):
    sketch = room()
    monkeypatch.setattr("attnscope.metrics.rollout.SCRATCH", 4 * len(sketch.tokens) * 4)  # four rows of float32
    a = from_qk(tmp_path / "run.h5", sketch, 3)
    with open_capture(tmp_path / "run.h5") as cap:
        assert np.allclose(rollout_rows(cap)[0], products(a), atol=1e-4)


def test_layers_above_one_that_was_not_recorded_are_nan(drawn):
    n = len(three().tokens)
    a = softmax(np.random.default_rng(0).normal(size=(3, 1, n, n)), causal(n))
    cap = drawn(three(), a, numbers=[0, 1, 3])
    assert obstacle(cap) == "No attention rollout from layer 3 on: layer 2 was not recorded."
    table = metrics.rollout_mass(cap)
    assert np.isfinite(values(table, "rollout_mass", 1)["visual"])
    assert values(table, "rollout_mass", 1)["visual"] == pytest.approx(products(a[:2])[1, 0])
    assert np.isnan(values(table, "rollout_mass", 3)["visual"])
    late = metrics.rollout_mass(drawn(three(), a, numbers=[5, 6, 7], name="late.h5"))
    assert late["value"].isna().all() and len(late) == 3 * 3


def test_no_rollout_of_a_large_capture_unless_asked(drawn):
    cap = drawn(three())
    assert obstacle(cap) is None and LIMIT > 9
    assert metrics.rollout_mass(cap, rollout_limit=8).empty
    assert obstacle(cap, 8) == (
        "No attention rollout: it would take 9 attention weights, over the limit of 8; "
        "metrics.rollout_mass(cap, rollout_limit=math.inf) computes it all the same."
    )
    assert len(metrics.rollout_mass(cap, rollout_limit=float("inf"))) == 3


def test_no_rollout_without_the_rows(drawn):
    cap = drawn(three(), readings=("masses", "maps"))
    assert metrics.rollout_mass(cap).empty
    assert obstacle(cap) == "No attention rollout: the capture has neither the 'qk' nor the 'full' reading."


def test_what_is_not_computed_is_listed(drawn):
    cap = drawn(three(), readings=("masses", "maps"))
    assert "rollout" not in metrics.compute(cap, NAMES)
    notes = metrics.explain(cap)
    both = "Rollout of the answer on a group, Lift of the rollout"
    assert f"Not computed: {both}. The capture has no 'qk' or 'full' reading." in notes
    assert any(
        note.startswith(
            "Not computed: Mass on sinks, Entropy of a row, Standard error of the entropy of a row, Output gate"
        )
        for note in notes
    )
    assert not any("ollout" in note for note in metrics.explain(drawn(three(), name="full.h5")))
    assert set(metrics.compute(cap, ["sink_keys"])) == {"sinks"}  # one of masses and stats is enough

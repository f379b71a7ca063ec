"""Self and cross attention, by hand on four tokens and by brute force on drawn captures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnscope import metrics
from attnscope.metrics.modality import gap_of
from tests.metrics.sketch import Sketch, Token, causal, draw, room, softmax

# two visual tokens, then two text tokens; the first token is the only sink
#            v0   v1   t0   t1
HAND = [
    [1.0, 0.0, 0.0, 0.0],
    [0.5, 0.5, 0.0, 0.0],
    [0.2, 0.3, 0.5, 0.0],
    [0.1, 0.2, 0.3, 0.4],
]


def hand() -> Sketch:
    visual = [Token("visual", "visual", frames=(0, 0), cell=c) for c in range(2)]
    scene = room((), ()).scene
    return Sketch([*visual, Token("text", "question"), Token("text", "question")], scene)


def value(table: pd.DataFrame, metric: str, **where: object) -> float:
    rows = table[table["metric"] == metric]
    for column, wanted in where.items():
        rows = rows[rows[column] == wanted]
    assert len(rows) == 1, rows
    return float(rows["value"].iloc[0])


@pytest.fixture
def table(drawn) -> pd.DataFrame:
    return metrics.compute(drawn(hand(), np.array(HAND)[None, None]))["modality"]


def test_mean_per_pair_by_hand(table):
    means = {
        (q, k): value(table, "pair_mean", head=0, query=q, key=k, sinks="with")
        for q in ("text", "visual")
        for k in ("text", "visual")
    }
    assert means["text", "text"] == pytest.approx((0.5 + 0.3 + 0.4) / 3)
    assert means["text", "visual"] == pytest.approx((0.2 + 0.3 + 0.1 + 0.2) / 4)
    assert means["visual", "visual"] == pytest.approx((1.0 + 0.5 + 0.5) / 3)
    assert np.isnan(means["visual", "text"])  # the text comes later: no pair is allowed, which is not a zero


def test_mean_per_pair_without_sinks_by_hand(table):
    free = {"head": 0, "sinks": "without"}
    assert value(table, "pair_mean", query="text", key="visual", **free) == pytest.approx((0.3 + 0.2) / 2)
    assert value(table, "pair_mean", query="visual", key="visual", **free) == pytest.approx(0.5 / 1)
    assert value(table, "pair_mean", query="text", key="text", **free) == pytest.approx(1.2 / 3)  # no text sink


def test_n_counts_pairs_and_queries(table):
    rows = table[(table["query"] == "text") & (table["key"] == "visual") & (table["head"] == 0)]
    assert dict(
        zip(
            rows[rows["metric"] == "pair_mean"]["sinks"],
            rows[rows["metric"] == "pair_mean"]["n"],
            strict=True,
        )
    ) == {"with": 4, "without": 2}
    assert set(rows[rows["metric"] == "mass_share"]["n"]) == {2}


def test_mass_share_and_lift_by_hand(table):
    share = value(table, "mass_share", head=0, query="text", key="visual", sinks="with")
    assert share == pytest.approx(((0.2 + 0.3) + (0.1 + 0.2)) / 2)
    even = (2 / 3 + 2 / 4) / 2  # what an even spread over 3 and over 4 allowed keys would put on two visual tokens
    assert value(table, "lift", head=0, query="text", key="visual", sinks="with") == pytest.approx(share / even)
    free, even_free = (0.3 + 0.2) / 2, (1 / 3 + 1 / 4) / 2
    assert value(table, "lift", head=0, query="text", key="visual", sinks="without") == pytest.approx(free / even_free)


@pytest.mark.parametrize(("denominator", "expected"), [("max", 0.2 / 0.4), ("sum", 0.2 / 0.6), ("self", 0.2 / 0.4)])
def test_gap_by_hand(table, denominator, expected):
    """s = 0.4 and c = 0.2, so |s - c| = 0.2."""
    for layer in (0, metrics.OVER):
        found = value(table, "gap", layer=layer, head=metrics.OVER, query="text", sinks="with", denominator=denominator)
        assert found == pytest.approx(expected)


def test_gap_is_not_defined_where_no_pair_is(table):
    rows = table[(table["metric"] == "gap") & (table["query"] == "visual")]
    assert rows["value"].isna().all()
    assert set(rows["n"]) == {0}


def test_gap_of_uniform_attention_by_hand(table):
    s = (1 / 3 + 1 / 4 + 1 / 4) / 3
    c = (2 / 3 + 2 / 4) / 4
    found = value(table, "gap_uniform", layer=0, query="text", sinks="with", denominator="max")
    assert found == pytest.approx(abs(s - c) / max(s, c))


def test_gap_denominators():
    s, c = np.array([0.4, 0.0, np.nan]), np.array([0.1, 0.0, 0.1])
    assert gap_of(s, c, "max") == pytest.approx([0.75, np.nan, np.nan], nan_ok=True)
    assert gap_of(s, c, "sum") == pytest.approx([0.6, np.nan, np.nan], nan_ok=True)
    assert gap_of(c, s, "self")[0] == pytest.approx(3.0)


def test_layer_gap_is_of_the_mean_over_heads_and_model_gap_the_mean_over_layers(drawn):
    sketch = hand()
    rng = np.random.default_rng(3)
    a = softmax(rng.normal(size=(3, 2, 4, 4)), causal(4))
    table = metrics.compute(drawn(sketch, a))["modality"]
    by_layer = []
    for layer in range(3):
        mean = a[layer].mean(0)
        s, c = (mean[2, 2] + mean[3, 2] + mean[3, 3]) / 3, mean[2:, :2].mean()
        by_layer.append(abs(s - c) / max(s, c))
        keys = {"head": -1, "query": "text", "sinks": "with", "denominator": "max"}
        assert value(table, "gap", layer=layer, **keys) == pytest.approx(by_layer[-1], rel=1e-5)
    assert value(table, "gap", layer=-1, **keys) == pytest.approx(np.mean(by_layer), rel=1e-5)


def band(n: int, window: int | None) -> np.ndarray:
    """A causal mask [n, n], within a window if there is one."""
    return causal(n) if window is None else causal(n) & ~np.tril(np.ones((n, n), bool), -window)


def brute(cap, layer: int, head: int, query: np.ndarray, key: np.ndarray) -> tuple[float, int]:
    """Sum over pairs and number of allowed pairs, from the dense map."""
    a, allowed = cap.attention(layer, head), cap.allowed(layer)
    pick = query[:, None] & key[None, :] & allowed
    return float(a[pick].sum()), int(pick.sum())


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), generated=st.integers(0, 3), window=st.sampled_from([None, 5]))
def test_tables_equal_sums_of_the_dense_map(tmp_path_factory, seed, generated, window):
    """The second computation: every number again from `cap.attention`."""
    from attnscope.capture.reader import open as open_capture

    sketch = room(generated=generated)
    n = len(sketch.tokens)
    allowed = band(n, window)
    rng = np.random.default_rng(seed)
    sinks = rng.choice(n, 3, replace=False)
    a = softmax(rng.normal(0, 2, (2, 2, n, n)), allowed)
    path = draw(tmp_path_factory.mktemp("dense") / "run.h5", sketch, a, allowed=allowed, sinks=sinks, numbers=[3, 7])
    with open_capture(path) as cap:
        table = metrics.compute(cap)["modality"]
        modality = cap.tokens["modality"].to_numpy()
        asked = np.arange(n) < cap.prompt_length
        for row in table[(table["metric"] == "pair_mean") & (table["head"] >= 0)].itertuples():
            key = (modality == row.key) & (True if row.sinks == "with" else ~cap.sinks[0])
            total, pairs = brute(cap, row.layer, row.head, (modality == row.query) & asked, key)
            assert row.n == pairs
            assert row.value == pytest.approx(total / pairs if pairs else np.nan, abs=1e-6, nan_ok=True)
        shares = table[(table["metric"] == "mass_share") & (table["head"] >= 0) & (table["sinks"] == "with")]
        whole = shares.groupby(["layer", "head", "query"])["value"].sum(min_count=1)
        assert np.allclose(whole, 1.0, atol=1e-5)  # splitting the keys into groups adds up


@settings(max_examples=15, deadline=None)
@given(
    words=st.integers(1, 4),
    question=st.integers(0, 3),
    frames=st.integers(1, 4),
    generated=st.integers(0, 2),
    sinks=st.sets(st.integers(0, 5), max_size=3),
    window=st.sampled_from([None, 4]),
)
def test_uniform_attention_has_lift_one(tmp_path_factory, words, question, frames, generated, sinks, window):
    from attnscope.capture.reader import open as open_capture

    sketch = room(times=[float(f) for f in range(frames)], words=words, question=question, generated=generated)
    path = tmp_path_factory.mktemp("even") / "run.h5"
    allowed = band(len(sketch.tokens), window)
    with open_capture(draw(path, sketch, allowed=allowed, sinks=sorted(sinks))) as cap:
        table = metrics.compute(cap, ["lift", "gap", "gap_uniform"])["modality"]
    lifts = table[table["metric"] == "lift"]["value"].dropna()
    assert len(lifts)
    assert np.allclose(lifts, 1.0, atol=1e-4)
    keys = ["layer", "query", "sinks", "denominator"]
    wide = table[(table["metric"] != "lift") & (table["head"] == -1)].pivot_table(
        index=keys, columns="metric", values="value"
    )
    assert np.allclose(wide["gap"], wide["gap_uniform"], atol=1e-4)


def test_no_visual_tokens_gives_no_cross_attention(drawn):
    sketch = room((), (("Ann", None, None),), times=(0.0,))
    sketch.tokens = [t for t in sketch.tokens if t.modality != "visual"]
    cap = drawn(sketch)
    table = metrics.compute(cap)["modality"]
    cross = table[(table["query"] == "text") & (table["key"] == "visual")]
    assert cross["value"].isna().all()
    assert "text → visual is not defined: the prompt has no visual tokens." in metrics.explain(cap)


def test_a_capture_without_masses_has_no_modality_table_and_says_so(drawn):
    cap = drawn(room(), readings=("maps",))
    assert set(metrics.compute(cap)) == {"speakers", "answer"}
    assert (
        metrics.explain(cap)[0] == "No attention between modalities and no decay: the capture has no 'masses' reading."
    )

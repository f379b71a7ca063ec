"""Sinks and row entropy: by hand on four tokens, at both limits, and against the dense map."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnscope import estimate, metrics
from attnscope.capture.file import encode
from attnscope.capture.read.capture import open as open_capture
from attnscope.metrics.sinks import _defined_means
from attnscope.metrics.tables import Part, Places, table_of
from tests.metrics.sketch import Sketch, Token, causal, draw, room, softmax

STATS = ("sink_keys", "sink_share", "row_entropy")
MASSES = ("sink_mass", "visual_sink_share")
#         sys   vis   que   end; the first two are the sinks
HAND = [
    [1.00, 0.00, 0.00, 0.00],
    [0.75, 0.25, 0.00, 0.00],
    [0.50, 0.25, 0.25, 0.00],
    [0.50, 0.25, 0.25, 0.00],
]


def four() -> Sketch:
    visual = Token("visual", "visual", frames=(0, 0), cell=0)
    rest = [Token("text", "question"), Token("special", "template")]
    return Sketch([Token("text", "system"), visual, *rest], room((), ()).scene)


def with_stats(path: Path, attention: np.ndarray, allowed: np.ndarray, sink_logit: float | None = None) -> Path:
    """Add the reading `stats` to a drawn capture; with a sink logit, `attention` leaves it its part of the rows."""
    layers, heads, n, _ = attention.shape
    safe = np.where(attention > 0, attention, 1.0)
    lse = np.zeros((layers, heads, n))  # the sum of exp z is whatever makes the rows what they are
    if sink_logit is not None:
        lse = sink_logit - np.log(1 - attention.sum(-1))
    with h5py.File(path, "r+") as file:
        group = encode.create_group(file, "stats", "stats")
        by_query = ["layer", "head", "query"]
        entropy = -(attention * np.log(safe)).sum(-1)
        sinks = file["sinks"][()].astype(np.float64)
        encode.write_array(group, "entropy", entropy.astype(np.float32), by_query, "nats")
        encode.write_array(group, "lse", lse.astype(np.float32), by_query, "nats")
        on_sinks = np.einsum("lhqk,lk->lhq", attention, sinks)
        encode.write_array(group, "sink_mass", on_sinks.astype(np.float32), by_query)
        encode.write_array(
            group, "allowed", np.repeat(allowed.sum(1)[None], layers, 0).astype(np.int32), ["layer", "query"]
        )
        if sink_logit is not None:
            encode.write_array(file, "sink_logits", np.full((layers, heads), sink_logit, np.float32), ["layer", "head"])
    return path


def value(table: pd.DataFrame, metric: str, **where: object) -> float:
    """Of layer 0 and head 0, if not said otherwise."""
    keys = {"metric": metric, "layer": 0, "head": 0} | where
    rows = table[np.logical_and.reduce([table[column] == wanted for column, wanted in keys.items()])]
    assert len(rows) == 1, rows
    return float(rows["value"].iloc[0])


def test_layers_with_other_sinks_are_averaged(tmp_path):
    """Layer 0 has one sink, layer 1 has two: (1 + 2) / 2."""
    path = draw(tmp_path / "run.h5", four(), np.array([[HAND], [HAND]]), sinks=(0,))
    with h5py.File(path, "r+") as file:
        file["sinks"][1, 1] = 1
    with open_capture(path) as cap:
        table = metrics.sink_keys(cap)
    keys = {layer: value(table, "sink_keys", layer=layer, head=-1, key="all") for layer in (0, 1, -1)}
    assert keys == {0: 1, 1: 2, -1: 1.5}


def test_stats_by_hand(tmp_path):
    even = causal(4) / causal(4).sum(1, keepdims=True)
    a = np.array([HAND, even])[None]
    path = with_stats(draw(tmp_path / "run.h5", four(), a, sinks=(0, 1)), a, causal(4))
    with open_capture(path) as cap:
        table = metrics.compute(cap, STATS)["sinks"]
    of = {"all": 2, "text": 1, "visual": 1, "special": 0}
    for layer in (0, -1):
        assert {key: value(table, "sink_keys", layer=layer, head=-1, key=key) for key in of} == of
    assert value(table, "sink_share", query="text") == pytest.approx((1 + 0.75) / 2)
    assert value(table, "sink_share", query="role:question") == pytest.approx(0.75)
    assert value(table, "sink_share", query="role:question", head=1) == pytest.approx(2 / 3)
    assert value(table, "sink_share", query="role:question", head=-1) == pytest.approx((0.75 + 2 / 3) / 2)
    # 0.5, 0.25, 0.25: half a bit once and two bits twice, 1.5 bits of the log2(3) that three keys allow
    assert value(table, "row_entropy", query="role:question") == pytest.approx(1.5 / np.log2(3))
    # of the text rows the first sees one key only, and has no entropy to speak of
    assert value(table, "row_entropy", query="text") == pytest.approx(1.5 / np.log2(3))
    assert value(table, "row_entropy", query="answer_position") == pytest.approx(1.5 / np.log2(4))
    assert value(table, "row_entropy", query="text", head=1) == pytest.approx(1)
    assert np.isnan(value(table, "row_entropy", query="role:system"))
    n = table[(table["metric"] == "row_entropy") & (table["head"] == 0)].set_index("query")["n"]
    assert (n["text"], n["role:system"], n["answer_position"]) == (1, 0, 1)


def test_rows_of_all_places_by_hand():
    """Two layers of two heads: each, the mean of each layer, that of both; n over all is the largest of a layer."""
    places = Places(np.array([2, 5]), 2)
    values = places.with_means(np.array([[1.0, 3.0], [5.0, 7.0]])[..., None])
    of = {"place": places.table, "query": ["text"], "key": "all"}
    table = table_of([Part("sink_share", values, places.counts([[4], [6]]), of)], ["query", "key"])
    assert list(table[["layer", "head", "value", "n"]].itertuples(index=False, name=None)) == [
        (2, 0, 1.0, 4),
        (2, 1, 3.0, 4),
        (5, 0, 5.0, 6),
        (5, 1, 7.0, 6),
        (2, -1, (1 + 3) / 2, 4),
        (5, -1, (5 + 7) / 2, 6),
        (-1, -1, (2 + 6) / 2, 6),
    ]
    assert set(table["query"]) == {"text"} and set(table["key"]) == {"all"}


def test_masses_by_hand(drawn):
    """Layer 0 has a text and a visual sink, layer 1 attends evenly to them."""
    even = causal(4) / causal(4).sum(1, keepdims=True)
    cap = drawn(four(), np.array([HAND, even])[:, None], sinks=(0, 1))
    table = metrics.compute(cap, MASSES)["sinks"]
    ask = {"query": "role:question"}
    assert value(table, "sink_mass", key="text", **ask) == pytest.approx(0.5)
    assert value(table, "sink_mass", key="visual", **ask) == pytest.approx(0.25)
    assert np.isnan(value(table, "sink_mass", key="special", **ask))  # there is no such sink
    assert value(table, "visual_sink_share", **ask) == pytest.approx(0.25 / 0.75)
    assert value(table, "visual_sink_share", layer=1, **ask) == pytest.approx(0.5)
    total = (0.25 + 1 / 3) / (0.75 + 2 / 3)  # attention is averaged first
    assert value(table, "visual_sink_share", layer=-1, head=-1, **ask) == pytest.approx(total)
    assert value(table, "visual_sink_share", query="role:system") == 0  # sees the text sink only
    assert np.isnan(value(table, "sink_mass", query="role:system", key="visual"))


def test_first_position_by_hand(drawn):
    allowed = causal(4)
    a = np.array(HAND)[None, None]
    table = metrics.bos_share(drawn(four(), a))
    assert value(table, "bos_share", query="role:question") == pytest.approx(0.5)
    assert value(table, "bos_share", query="answer_position") == pytest.approx(0.5)
    allowed[2:, 0] = False  # out of sight, as under a sliding window
    table = metrics.bos_share(drawn(four(), softmax(np.zeros((1, 1, 4, 4)), allowed), allowed=allowed, name="far.h5"))
    assert table["value"].isna().all() and not table["n"].any()


def test_first_position_counts_only_queries_that_see_it(drawn):
    """Of the two tokens of each turn, the window keeps the first from the second: the mean is of the first alone."""
    sketch = room(times=[0.0])
    n, first = len(sketch.tokens), int(np.flatnonzero(sketch.where(turn=0))[0])
    allowed = causal(n)
    allowed[first + 1 :, 0] = False
    a = softmax(np.random.default_rng(0).normal(size=(1, 1, n, n)), allowed)
    table = metrics.bos_share(drawn(sketch, a, allowed=allowed))
    assert value(table, "bos_share", query="speaker:Ann") == pytest.approx(a[0, 0, first, 0], rel=1e-5)
    assert set(table.loc[table["query"] == "speaker:Ann", "n"]) == {1}
    assert np.isnan(value(table, "bos_share", query="speaker:Ben"))


def test_means_of_many_rows_are_those_of_each_alone():
    """Rows that lack numbers at the same queries are averaged together; each is what the estimate of it alone is."""
    rng = np.random.default_rng(3)
    values = rng.random((7, 40))
    values[:, :2] = np.nan  # all rows
    values[2, 11:14] = values[5, 11:14] = np.nan  # two of them
    values[6] = np.nan
    member = rng.random((4, 40)) < [[0.9], [0.5], [0.05], [0.0]]
    population = member.sum(1) + np.array([0, 300, 5, 0])
    found = _defined_means(values, member, population)
    for row, numbers in enumerate(values):
        some = np.isfinite(numbers)
        unread = population - member.sum(1)
        alone = estimate.means(numbers[some], member[:, some], (member & some).sum(1) + unread)
        for several, single in zip(found, alone, strict=True):
            np.testing.assert_allclose(several[row], single, rtol=1e-12)
    assert np.isfinite(found[1][:6, :2]).all()


def test_learned_sinks_do_not_lower_the_entropy(tmp_path):
    """Half of every row goes to the learned sink, the rest evenly to the keys: entropy 1 all the same."""
    a = causal(4)[None, None] / causal(4).sum(1, keepdims=True) / 2
    path = with_stats(draw(tmp_path / "run.h5", four(), a), a, causal(4), sink_logit=1.5)
    with open_capture(path) as cap:
        found = metrics.compute(cap, ["row_entropy"])["sinks"]
    assert found["value"].dropna().tolist() == pytest.approx([1.0] * found["value"].notna().sum(), rel=1e-5)
    assert found["value"].notna().any()


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 999), generated=st.integers(0, 2))
def test_numbers_equal_sums_of_the_dense_map(tmp_path_factory, seed, generated):
    """The second computation, query by query from `cap.attention`; and the sinks of all modalities add up."""
    sketch = room(generated=generated)
    n = len(sketch.tokens)
    rng = np.random.default_rng(seed)
    allowed = causal(n)
    allowed[n // 2 :, 1] = False
    a = softmax(rng.normal(0, 2, (2, 2, n, n)), allowed)
    sinks = sorted(rng.choice(n - generated, 4, replace=False).tolist())
    path = draw(tmp_path_factory.mktemp("dense") / "run.h5", sketch, a, allowed=allowed, sinks=sinks, numbers=[2, 5])
    with open_capture(with_stats(path, a, allowed)) as cap:
        table = metrics.compute(cap, [*STATS, *MASSES, "bos_share"])["sinks"]
        tokens, prompt = cap.tokens, np.arange(n) < cap.prompt_length
        modality, dense = tokens["modality"].to_numpy(), cap.attention(5, 1)
        sets = {"text": (modality == "text") & prompt, "visual": modality == "visual"}
        sets |= {"role:answer": ~prompt} if generated else {}
        for query, rows in sets.items():
            place = {"layer": 5, "head": 1, "query": query}
            mass: dict[str, list[float]] = {"text": [], "visual": [], "special": []}
            spread = []
            for q in np.flatnonzero(rows):
                for m in mass:
                    mass[m].append(sum(float(dense[q, k]) for k in sinks if modality[k] == m))
                if allowed[q].sum() > 1:
                    spread.append(-sum(p * np.log(p) for p in dense[q].tolist() if p > 0) / np.log(allowed[q].sum()))
            means = {m: np.mean(found) for m, found in mass.items()}
            assert value(table, "sink_share", **place) == pytest.approx(sum(means.values()), abs=1e-5)
            assert value(table, "row_entropy", **place) == pytest.approx(np.mean(spread), abs=1e-5)
            found = {m: value(table, "sink_mass", key=m, **place) for m in means}
            assert np.nan_to_num(list(found.values())).tolist() == pytest.approx(list(means.values()), abs=1e-5)
            if (both := means["visual"] + means["text"]) > 1e-4:
                assert value(table, "visual_sink_share", **place) == pytest.approx(means["visual"] / both, abs=1e-3)
        asks = np.flatnonzero(tokens["role"] == "question")
        wanted = dense[asks, 0].mean()
        assert value(table, "bos_share", layer=5, head=1, query="role:question") == pytest.approx(wanted, abs=1e-6)


@settings(max_examples=6, deadline=None)
@given(question=st.integers(1, 3), frames=st.integers(1, 3), seed=st.integers(0, 99))
def test_entropy_at_its_limits(tmp_path_factory, question, frames, seed):
    """Uniform attention has entropy 1, one key for each query has 0, whichever heads and keys they are."""
    sketch = room(times=[float(f) for f in range(frames)], question=question)
    n = len(sketch.tokens)
    rng = np.random.default_rng(seed)
    one = np.zeros((n, n))
    one[np.arange(n), [rng.integers(q + 1) for q in range(n)]] = 1
    a = np.stack([causal(n) / causal(n).sum(1, keepdims=True), one])[rng.permutation(2)][None]
    path = draw(tmp_path_factory.mktemp("limits") / "run.h5", sketch, a)
    even = int(a[0, 1, 1].max() < 1)
    with open_capture(with_stats(path, a, causal(n))) as cap:
        table = metrics.compute(cap, ["row_entropy"])["sinks"].dropna(subset=["value"])
    assert np.allclose(table.loc[table["head"] == even, "value"], 1, atol=1e-5)
    assert np.allclose(table.loc[table["head"] == 1 - even, "value"], 0, atol=1e-6)
    assert np.allclose(table.loc[table["head"] == -1, "value"], 0.5, atol=1e-5)


def test_a_capture_without_stats_has_the_rest(drawn):
    table = metrics.compute(drawn(room()), [*STATS, *MASSES, "bos_share"])["sinks"]
    assert set(table["metric"]) == {*MASSES, "bos_share", "sink_keys"}

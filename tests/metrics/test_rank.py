"""Rank and massive activations: by hand on a few tokens, at their limits, and against the hidden states."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attnscope
from attnscope import metrics
from attnscope.capture.read.capture import open as open_capture
from attnscope.metrics.rank import effective_rank
from tests.metrics.sketch import Sketch, Token, draw, room

SPECTRA = ("effective_rank", "effective_rank_share", "rank_one_residual")
MASSIVE = ("massive_tokens", "massive_share")
EVEN = np.ones(500)  # wide enough for a massive activation


def tokens_of(*modalities: str) -> Sketch:
    role = {"text": "question", "special": "template", "visual": "visual"}
    frames = {"visual": (0, 0)}
    return Sketch(
        [
            Token(m, role[m], frames=frames.get(m, (-1, -1)), cell=i if m == "visual" else -1)
            for i, m in enumerate(modalities)
        ],
        room((), ()).scene,
    )


def value(table: pd.DataFrame, metric: str, **where: object) -> float:
    keys = {"metric": metric, "layer": 0, "head": -1, "tokens": "all"} | where
    rows = table[np.logical_and.reduce([table[column] == wanted for column, wanted in keys.items()])]
    assert len(rows) == 1, rows
    return float(rows["value"].iloc[0])


def with_peak(ratio: float) -> np.ndarray:
    """500 channels of which one is `ratio` times the root mean square: x^2 = ratio^2 (x^2 + 499) / 500."""
    row = EVEN.copy()
    row[7] = -math.sqrt(ratio**2 * 499 / (500 - ratio**2))
    return row


def test_spectra_by_hand(drawn):
    text, visual = [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]], [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    first = np.array([*visual, *text])
    last = np.array([*visual, [4.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    sketch = tokens_of("visual", "visual", "text", "text")
    table = metrics.compute(drawn(sketch, hidden=np.stack([first, last])), SPECTRA)["rank"]
    assert set(zip(table["layer"], table["tokens"], table["n"], strict=True)) == {
        (layer, name, n) for layer in (0, 1) for name, n in (("all", 4), ("text", 2), ("visual", 2))
    }
    # text: two rows at right angles, s = 2, 2, p = 1/2, 1/2; the mean is (1, 1, 0), which leaves 4 * 1 of 8
    assert value(table, "effective_rank", tokens="text") == pytest.approx(2)
    assert value(table, "effective_rank_share", tokens="text") == pytest.approx(2 / 2)
    assert value(table, "rank_one_residual", tokens="text") == pytest.approx(math.sqrt(4 / 8))
    # visual: equal rows
    assert value(table, "effective_rank", tokens="visual") == pytest.approx(1, abs=1e-6)
    assert value(table, "effective_rank_share", tokens="visual") == pytest.approx(1 / 2, abs=1e-6)
    assert value(table, "rank_one_residual", tokens="visual") == 0
    # all of the first: sum of 2 x (1, 1, 1) and 4 on two channels: the mean is (1, 1, 1/2); each text row is left with
    # 1 + 1 + 1/4, each visual row with 1/4; of 3 + 3 + 4 + 4
    assert value(table, "rank_one_residual") == pytest.approx(math.sqrt((2 * 2.25 + 2 * 0.25) / 14))
    # what leaves the last layer: s = 4, 1 of the text, p = 0.8, 0.2
    entropy = -(0.8 * math.log(0.8) + 0.2 * math.log(0.2))
    assert value(table, "effective_rank", tokens="text", layer=1) == pytest.approx(math.exp(entropy))


def test_massive_tokens_by_hand(drawn):
    """In the input of layer 3 tokens 0 and 3 are massive, in that of layer 5 token 1; the sinks are 0 and 2."""
    few = with_peak(19.9), with_peak(20.1)
    states = np.stack([np.stack([few[1], EVEN, few[0], few[1]]), np.stack([EVEN, few[1], EVEN, 0 * EVEN])])
    sketch = tokens_of("special", "visual", "visual", "text")
    attention = np.tril(np.ones((4, 4)))[None, None].repeat(2, 0) / np.arange(1, 5)[:, None]
    cap = drawn(sketch, attention, numbers=[3, 5], sinks=(0, 2), hidden=np.concatenate([states, states[1:]]))
    table = metrics.compute(cap, [*MASSIVE, "massive_sinks"])["rank"]
    of = {"all": 2, "text": 1, "visual": 0, "special": 1}
    assert {name: value(table, "massive_tokens", layer=3, tokens=name) for name in of} == of
    assert value(table, "massive_share", layer=3) == 2 / 4
    assert value(table, "massive_share", layer=3, tokens="visual") == 0 / 2
    assert [value(table, "massive_tokens", layer=layer) for layer in (5, 6)] == [1, 1]  # zeros are not massive
    assert value(table, "massive_sinks", layer=3) == 1 / 2
    assert value(table, "massive_sinks", layer=5) == 0 / 2
    assert value(table, "massive_sinks", layer=3, tokens="visual") == 0
    assert value(table, "massive_sinks", layer=3, tokens="special") == 1
    assert np.isnan(value(table, "massive_sinks", layer=3, tokens="text"))  # massive, but no sink
    sinks = table[table["metric"] == "massive_sinks"]
    assert set(sinks["layer"]) == {3, 5}  # what leaves the last layer has no sinks
    assert sinks.loc[sinks["layer"] == 3].set_index("tokens")["n"].to_dict() == of | {"text": 0, "visual": 1}
    assert value(metrics.massive_tokens(cap, massive=1.0), "massive_tokens", layer=5) == 1  # the even ones are at 1
    lower = metrics.massive_tokens(cap, massive=19.0)
    assert (
        value(lower, "massive_tokens", layer=3) == 3 and value(lower, "massive_tokens", layer=3, tokens="visual") == 1
    )


def test_narrow_models_have_no_massive_tokens_to_speak_of(drawn):
    """A ratio is at most the root of the channels: 20 with 400 of them."""
    row = np.zeros(400)
    row[0] = 1
    cap = drawn(tokens_of("text", "text"), hidden=np.stack([row, row])[None].repeat(2, 0))
    assert cap.hidden("massive").values.tolist() == [[20, 20], [20, 20]]
    table = metrics.compute(cap, [*MASSIVE, "massive_sinks"])["rank"]
    assert table["value"].isna().all()
    assert value(metrics.massive_share(cap, massive=19.9), "massive_share") == 1


def test_groups_without_tokens_and_tokens_of_zeros_are_not_defined(drawn):
    states = np.zeros((2, 2, 3))
    states[1] = [[1, 2, 3], [3, 2, 1]]
    table = metrics.compute(drawn(tokens_of("text", "text"), hidden=states), [*SPECTRA, *MASSIVE])["rank"]
    spectra = table[table["metric"].isin(SPECTRA)]
    assert spectra.loc[(spectra["layer"] == 0) | (spectra["tokens"] == "visual"), "value"].isna().all()
    assert spectra.loc[(spectra["layer"] == 1) & (spectra["tokens"] != "visual"), "value"].notna().all()
    assert set(table.loc[table["tokens"] == "visual", "n"]) == {0}


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 999), n=st.integers(2, 9), factor=st.sampled_from([0.01, 3.0, 1e4]))
def test_order_and_scale_of_the_tokens_do_not_matter(tmp_path_factory, seed, n, factor):
    rng = np.random.default_rng(seed)
    states = rng.normal(0.5, 1, (2, n, 5)) * rng.exponential(1, (2, n, 1))
    folder, tables = tmp_path_factory.mktemp("order"), []
    for name, drawn in (("one", states), ("two", factor * states[:, rng.permutation(n)])):
        with open_capture(draw(folder / f"{name}.h5", tokens_of(*["text"] * n), hidden=drawn)) as cap:
            tables.append(metrics.compute(cap, [*SPECTRA, *MASSIVE], massive=2.0)["rank"])
    pd.testing.assert_frame_equal(*tables, rtol=1e-4, atol=1e-5)


@settings(max_examples=10, deadline=None)
@given(n=st.integers(1, 6), more=st.integers(0, 4), seed=st.integers(0, 99))
def test_limits(tmp_path_factory, n, more, seed):
    """Orthonormal rows have rank n and all there can be; equal rows rank 1 and no residual."""
    rng = np.random.default_rng(seed)
    turned = np.linalg.qr(rng.normal(size=(n + more, n + more)))[0][:n]
    states = np.stack([turned, turned[:1].repeat(n, 0)])
    path = draw(tmp_path_factory.mktemp("limits") / "run.h5", tokens_of(*["visual"] * n), hidden=states)
    with open_capture(path) as cap:
        table = metrics.compute(cap, SPECTRA)["rank"]
    assert value(table, "effective_rank") == pytest.approx(n, rel=1e-5)
    assert value(table, "effective_rank_share") == pytest.approx(1, rel=1e-5)
    # the mean of n unit vectors at right angles has length 1 / sqrt(n): it takes 1 / n of the squares
    assert value(table, "rank_one_residual") == pytest.approx(math.sqrt(1 - 1 / n), abs=1e-6)
    assert value(table, "effective_rank", layer=1) == pytest.approx(1, abs=1e-4)
    assert value(table, "rank_one_residual", layer=1) == pytest.approx(0, abs=1e-6)


def test_rank_is_that_of_a_plain_loop():
    rng = np.random.default_rng(0)
    values = np.sort(rng.exponential(1, (3, 7)))[:, ::-1].copy()
    values[1, 4:] = np.nan  # a group of four tokens
    values[2, 2:] = 0
    for found, row in zip(effective_rank(values), values, strict=True):
        known = [s for s in row.tolist() if s > 0]
        shares = [s / sum(known) for s in known]
        assert found == pytest.approx(math.exp(-sum(p * math.log(p) for p in shares)))
    assert np.isnan(effective_rank(np.zeros(3))) and np.isnan(effective_rank(np.full(3, np.nan)))


def test_numbers_of_a_model_are_those_of_its_hidden_states(checkpoint, stage, tmp_path):
    """The second computation: transformers' own hidden states, tokens and sinks one by one."""
    torch = pytest.importorskip("torch")
    from tests.capture.eager import make_prompt

    loaded = attnscope.load(str(checkpoint("qwen2_5_vl")))
    inputs = make_prompt(loaded, stage).inputs
    with torch.no_grad():
        states = loaded.model(**inputs, output_hidden_states=True).hidden_states[:-1]  # the last is normed
    plan = attnscope.Plan.parse("masses,hidden", sink_mass=0.004, sink_ratio=1.5)
    threshold = 2.6  # in 64 channels, nothing is above 8
    sampling = attnscope.Sampling(frames=4)
    with attnscope.capture(loaded, stage, tmp_path / "run.h5", plan=plan, sampling=sampling, max_new_tokens=2) as cap:
        table = metrics.compute(cap, [*SPECTRA, *MASSIVE, "massive_sinks"], massive=threshold)["rank"]
        modality, sinks = cap.tokens["modality"].to_numpy()[: cap.prompt_length], cap.sinks
        assert sinks.any() and len(states) == len(cap.layers)
    some = 0
    for layer, state in enumerate(states):
        rows = state[0].double().numpy()
        assert len(rows) == len(modality)
        large = [max(abs(x)) / math.sqrt(sum(x**2) / len(x)) > threshold for x in rows]
        for name in ("all", "text", "visual"):
            mine = [i for i in range(len(rows)) if name in ("all", modality[i])]
            x, place = rows[mine], {"layer": layer, "tokens": name}
            s = np.linalg.svd(x, compute_uv=False)
            rank = math.exp(-sum(p * math.log(p) for p in s / s.sum() if p > 1e-9))
            assert value(table, "effective_rank", **place) == pytest.approx(rank, rel=1e-4)
            assert value(table, "effective_rank_share", **place) == pytest.approx(rank / min(x.shape), rel=1e-4)
            left = math.sqrt(sum(sum((v - x.mean(0)) ** 2) for v in x) / sum(sum(v**2) for v in x))
            assert value(table, "rank_one_residual", **place) == pytest.approx(left, rel=1e-4)
            count = sum(large[i] for i in mine)
            assert value(table, "massive_tokens", **place) == count
            assert value(table, "massive_share", **place) == pytest.approx(count / len(mine))
            of_sinks = [large[i] for i in mine if sinks[layer, i]]
            if of_sinks:
                assert value(table, "massive_sinks", **place) == pytest.approx(sum(of_sinks) / len(of_sinks))
                some += sum(of_sinks)
    assert some


def test_captures_without_the_reading_have_no_rank(drawn):
    assert metrics.compute(drawn(room()), [*SPECTRA, *MASSIVE, "massive_sinks"]) == {}

"""The exponential fit, and the product of the errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnscope import metrics
from attnscope.metrics.clips.resample import tail
from attnscope.metrics.decay import across_captures, log10_product
from attnscope.metrics.segments import fit, fit_break, gamma_interval
from tests.metrics.sketch import causal, room, softmax


def test_fit_by_hand():
    """log2 alpha = 0, -1, -2: halves at every layer, starting from 1."""
    found = fit([0, 1, 2], [1.0, 0.5, 0.25])
    assert (found.gamma, found.a, found.r2, found.n) == (
        pytest.approx(0.5),
        pytest.approx(0.0),
        pytest.approx(1.0),
        3,
    )


def test_fit_by_hand_with_a_residual():
    """y = log alpha = 0, 1, 0 at l = 0, 1, 2: slope 0, mean 1/3, so nothing is explained."""
    found = fit([0, 1, 2], np.exp([0.0, 1.0, 0.0]))
    assert found.gamma == pytest.approx(1.0)
    assert found.a == pytest.approx(1 / 3)
    assert found.r2 == pytest.approx(0.0)


@given(gamma=st.floats(0.5, 1.5), a=st.floats(-5, 0), layers=st.sets(st.integers(0, 40), min_size=3, max_size=30))
def test_fit_recovers_an_exact_decay(gamma, a, layers):
    numbers = np.array(sorted(layers))
    found = fit(numbers, np.exp(a) * gamma**numbers)
    assert found.gamma == pytest.approx(gamma, rel=1e-9)
    assert found.a == pytest.approx(a, abs=1e-7)


def test_layers_that_are_not_defined_or_zero_do_not_enter():
    found = fit([0, 1, 2, 3, 4], [1.0, np.nan, 0.25, 0.0, 0.0625])
    assert (found.gamma, found.n) == (pytest.approx(0.5), 3)


@pytest.mark.parametrize("alpha", [[], [0.1], [np.nan, 0.2], [0.0, 0.0]])
def test_one_layer_has_no_decay(alpha):
    found = fit(range(len(alpha)), alpha)
    assert np.isnan(found.gamma)
    assert np.isnan(found.r2)


def test_two_layers_have_a_decay_but_no_r2():
    found = fit([0, 1], [0.4, 0.2])
    assert found.gamma == pytest.approx(0.5)
    assert np.isnan(found.r2)


def test_product_by_hand():
    """Layers 1 and 2, gamma = 0.1, eps = 0.1 and 0.01: 10^-1 10^-1 x 10^-2 10^-2 = 10^-6."""
    assert log10_product([0, 1], 0.1, [0.1, 0.01]) == (pytest.approx(-6.0), 2)


def test_product_leaves_out_undefined_layers_and_keeps_a_zero_error():
    assert log10_product([0, 1], 0.1, [np.nan, 0.01]) == (pytest.approx(-4.0), 1)
    assert log10_product([0, 1], 0.1, [0.0, 0.01])[0] == -np.inf
    assert np.isnan(log10_product([0], np.nan, [0.5])[0])


def test_interval_of_identical_captures_is_a_point():
    gamma, low, high = gamma_interval([0, 1, 2], [[1, 0.5, 0.25]] * 6)
    assert (gamma, low, high) == (pytest.approx(0.5), pytest.approx(0.5), pytest.approx(0.5))
    gamma, low, high = gamma_interval([0, 1, 2], [[1, 0.5, 0.25]] * 5)
    assert gamma == pytest.approx(0.5) and np.isnan([low, high]).all()  # too few to have one


def test_captures_that_define_one_layer_have_no_gamma_and_no_interval():
    assert np.isnan(gamma_interval([0, 1], [[0.5, np.nan], [0.4, np.nan]])).all()


def test_interval_holds_the_estimate_and_needs_two_captures():
    rng = np.random.default_rng(0)
    curves = [np.exp(rng.normal(0, 0.3, 6)) * 0.8 ** np.arange(6) for _ in range(8)]
    gamma, low, high = gamma_interval(range(6), curves)
    assert low < gamma < high
    assert gamma_interval(range(6), curves) == (gamma, low, high)  # seeded
    assert np.isnan(gamma_interval(range(6), curves[:1])[1:]).all()


def test_table_fits_the_curves_of_the_mean_over_heads(drawn):
    sketch = room()
    n = len(sketch.tokens)
    a = softmax(np.random.default_rng(1).normal(0, 1, (4, 3, n, n)), causal(n))
    cap = drawn(sketch, a, numbers=[2, 5, 6, 9])
    tables = metrics.compute(cap, ["pair_mean", "decay_gamma"])
    means = tables["modality"]
    curve = means[
        (means["metric"] == "pair_mean")
        & (means["head"] == -1)
        & (means["query"] == "text")
        & (means["key"] == "visual")
        & (means["sinks"] == "with")
    ]
    slope = np.polyfit([2, 5, 6, 9], np.log(curve["value"]), 1)[0]
    decay = tables["decay"]
    row = decay[(decay["metric"] == "decay_gamma") & (decay["link"] == "c_text") & (decay["sinks"] == "with")]
    assert row["value"].item() == pytest.approx(np.exp(slope))
    assert row["n"].item() == 4
    # E_DDA from the tables: layers counted from 1, eps = the gap of the modality whose queries these are
    gaps = metrics.gap(cap).query("head == -1 and layer >= 0 and sinks == 'with' and denominator == 'max'")
    found = metrics.compute(cap, ["decay_gamma", "log10_e_dda"])["decay"].query("sinks == 'with'")
    found = found.set_index(["metric", "link"])
    for link, query in (("s_visual", "visual"), ("c_visual", "visual"), ("c_text", "text")):
        eps = gaps[gaps["query"] == query].set_index("layer")["value"]
        gamma, e_dda = found.loc[("decay_gamma", link), "value"], found.loc[("log10_e_dda", link)]
        product = np.prod([gamma ** (layer + 1) * eps[layer] for layer in (2, 5, 6, 9)])
        assert e_dda["value"] == pytest.approx(np.log10(product)) and e_dda["n"] == 4


# ---- two segments


def noisy(layers: int, bend: float, noise: float, seed: int) -> np.ndarray:
    """A curve that decays by 0.9 a layer, and from the middle on by 0.9 e^bend."""
    x = np.arange(layers)
    steps = np.log(0.9) * x + bend * np.maximum(x - layers // 2, 0)
    return np.exp(steps + np.random.default_rng(seed).normal(0, noise, layers))


def test_two_segments_by_hand():
    """log2 alpha = 0, -1, -2, -3, -3, -3, -3: halves until layer 3, then stays; both lines fit exactly."""
    found = fit_break(range(7), [1, 1 / 2, 1 / 4, 1 / 8, 1 / 8, 1 / 8, 1 / 8])
    assert (found.layer, found.before, found.after, found.n) == (3, pytest.approx(0.5), pytest.approx(1.0), 7)
    assert found.r2 == pytest.approx(1.0)
    assert found.p == pytest.approx(1 / 2000)  # none of 1999 noisy lines is bent as clearly
    assert found.significant


def test_one_exact_line_has_no_break():
    found = fit_break(range(9), 0.8 ** np.arange(9))
    assert found.p == 1
    assert not found.significant


@pytest.mark.parametrize("alpha", [[1.0] * 6, [1.0] * 6 + [np.nan], []])
def test_six_layers_are_too_few_for_two_segments(alpha):
    found = fit_break(range(len(alpha)), alpha)
    assert np.isnan([found.layer, found.before, found.after, found.r2, found.p]).all()
    assert found.n == min(len(alpha), 6)
    assert not found.significant


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 9999), layers=st.integers(7, 14), scale=st.floats(0.01, 100))
def test_the_best_of_all_breaks_by_least_squares(seed, layers, scale):
    """The second computation: every break tried with numpy's lstsq. A common factor moves the curve, not its gammas."""
    x, alpha = np.arange(layers) * 2.0, noisy(layers, 0.3, 0.2, seed)
    squares = {}
    for k in x[3:-3]:
        design = np.stack([np.ones(layers), x, np.maximum(x - k, 0)], 1)
        answer = np.linalg.lstsq(design, np.log(alpha), rcond=None)
        squares[k] = (float(answer[1][0]), np.exp(answer[0][1]), np.exp(answer[0][1] + answer[0][2]))
    best = min(squares, key=lambda k: squares[k][0])
    for factor in (1.0, scale):
        found = fit_break(x, alpha * factor, draws=99)
        assert (found.layer, found.before, found.after) == pytest.approx((best, *squares[best][1:]))
        spread = ((np.log(alpha) - np.log(alpha).mean()) ** 2).sum()
        assert found.r2 == pytest.approx(1 - squares[best][0] / spread)
    assert found.p == fit_break(x, alpha, draws=99).p


def test_p_is_calibrated_although_the_break_is_searched():
    """Straight lines: 5 % of p are below 0.05 (n = 400, s.d. 1.1 %); the F test of a slope more would say 17 %."""
    p = [fit_break(range(20), noisy(20, 0.0, 0.3, seed), draws=199).p for seed in range(400)]
    assert 0.02 < np.mean(np.array(p) <= 0.05) < 0.085
    assert 0.42 < np.mean(np.array(p) <= 0.5) < 0.58
    bent = [fit_break(range(20), noisy(20, 0.25, 0.3, seed), draws=199).p for seed in range(40)]
    assert np.mean(np.array(bent) <= 0.05) > 0.8


def test_table_reports_two_segments_only_where_they_are_better(drawn):
    """Visual tokens attend to each other as to all others at first, and from layer 4 on by less and less."""
    sketch = room(times=[0.0])
    n, visual = len(sketch.tokens), sketch.where(modality="visual")
    a = np.empty((9, 1, n, n))
    for layer in range(9):
        logits = np.where(visual[:, None] & visual, -float(max(layer - 4, 0)), 0.0)
        a[layer, 0] = softmax(logits, causal(n))
    table = metrics.compute(drawn(sketch, a), ["decay_break", "decay_gamma_before", "decay_gamma_after"])["decay"]
    rows = table[table["sinks"] == "with"].set_index(["link", "metric"])
    assert rows.loc[("s_visual", "decay_break"), "value"] == 4
    assert rows.loc[("s_visual", "decay_gamma_before"), "value"] > rows.loc[("s_visual", "decay_gamma_after"), "value"]
    assert (rows.loc["s_visual", "p"] <= 0.05).all()
    assert rows.loc["c_text", "value"].isna().all()  # the same in every layer: nothing bends
    assert (rows.loc["c_text", "p"] > 0.05).all()
    assert (rows["n"] == 9).all()


# ---- several captures


def pair_means(curves: dict[str, np.ndarray]) -> pd.DataFrame:
    """Rows of `pair_mean` in which text attends to the video along a curve for each capture."""
    keys = {"metric": "pair_mean", "head": -1, "query": "text", "key": "visual", "sinks": "with"}
    parts = [pd.DataFrame({"capture": c, "layer": range(len(v)), "value": v}).assign(**keys) for c, v in curves.items()]
    return pd.concat(parts, ignore_index=True)


def test_fits_across_captures_equal_those_of_their_points():
    curves = {f"clip{i}": noisy(12, -0.6, 0.3, i) for i in range(6)} | {"blind": np.full(12, np.nan)}
    curves["clip0"][11] = np.nan  # the break is looked for in the layers that all define
    rows = across_captures(pair_means(curves)).set_index("metric")
    points = np.log([v for v in curves.values() if np.isfinite(v).any()])  # [C, L]
    x, y = np.arange(12), points[:, :11]
    known = np.isfinite(points)
    slope = np.polyfit(np.tile(x, (6, 1))[known], points[known], 1)[0]
    assert rows.loc["decay_gamma", "value"] == pytest.approx(np.exp(slope))
    mean = fit_break(x[:11], np.exp(y.mean(0)))
    assert mean.significant and rows.loc["decay_break", "value"] == mean.layer
    assert rows.loc["decay_gamma_before", "value"] == pytest.approx(mean.before)
    assert rows.loc["decay_gamma_after", "value"] == pytest.approx(mean.after)
    assert (rows["n"] == 6).all()
    # an expanded percentile bootstrap by a plain loop: the ends lie where they should, within 8 % of the interval
    rng = np.random.default_rng(1)
    picks = [rng.integers(6, size=6) for _ in range(1200)]
    whole = [fit(np.tile(x, 6), np.exp(points[pick].ravel())).gamma for pick in picks]
    after = [fit_break(x[:11], np.exp(y[pick].mean(0)), draws=1).after for pick in picks]
    for metric, loop in (("decay_gamma", whole), ("decay_gamma_after", after)):
        low, high = np.quantile(loop, [tail(6), 1 - tail(6)])
        found = rows.loc[metric, ["low", "high"]].tolist()
        assert found == pytest.approx([low, high], abs=(high - low) / 12)


def test_captures_of_one_clip_are_one_sample():
    """Their log alpha is averaged first; a layer that one of them does not have is that of the other."""
    one, two, other = noisy(12, 0.2, 0.3, 1), noisy(12, 0.2, 0.3, 2), noisy(12, 0.2, 0.3, 3)
    table = pair_means({"one": one, "two": two, "other": other}).assign(clip=["a"] * 24 + ["b"] * 12)
    table = table[(table["capture"] != "one") | (table["layer"] != 5)]
    mean = np.sqrt(one * two)
    mean[5] = two[5]
    wanted = across_captures(pair_means({"a": mean, "b": other}))
    pd.testing.assert_frame_equal(across_captures(table, unit="clip"), wanted)
    assert set(wanted["n"]) == {2} and set(across_captures(table)["n"]) == {3}


def test_one_capture_has_no_interval_and_a_straight_curve_no_break():
    rows = across_captures(pair_means({"one": 0.8 ** np.arange(9.0)})).set_index("metric")
    assert rows.loc["decay_gamma", "value"] == pytest.approx(0.8)
    assert rows[["low", "high"]].isna().all(axis=None)
    assert rows.drop("decay_gamma")["value"].isna().all() and rows.loc["decay_break", "p"] == 1


def test_a_link_that_no_capture_defines():
    rows = across_captures(pair_means({"a": np.full(8, np.nan), "b": np.zeros(8)}))
    assert len(rows) == 4 and rows["value"].isna().all() and not rows["n"].any()

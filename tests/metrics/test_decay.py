"""The exponential fit, and the product of the errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnscope import metrics
from attnscope.metrics.decay import fit, gamma_interval, log10_product
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
    gamma, low, high = gamma_interval([0, 1, 2], [[1, 0.5, 0.25]] * 3)
    assert (gamma, low, high) == (pytest.approx(0.5), pytest.approx(0.5), pytest.approx(0.5))


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
    tables = metrics.compute(cap)
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

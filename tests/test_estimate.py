"""Means from a sample: exact where all is read, unbiased, and with errors that are as large as they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnscope.estimate import means, spread


@given(st.integers(1, 300), st.integers(1, 80), st.integers(0, 5))
def test_a_sample_has_one_position_of_each_stretch(length, count, seed):
    positions = np.arange(length) * 3 + 7
    drawn = spread(positions, count, seed)
    assert len(drawn) == min(count, length)
    assert np.isin(drawn, positions).all() and (np.diff(drawn) > 0).all()
    assert np.array_equal(drawn, spread(positions, count, seed))
    if count < length:  # no stretch of the prompt is left out
        assert np.diff(np.concatenate([[7 - 3], drawn, [positions[-1] + 3]])).max() <= 2 * 3 * -(-length // count)


def test_a_mean_and_its_error_by_hand():
    values = np.array([1.0, 3.0, 2.0, 2.0, 1.0, 3.0, 2.0, 2.0, 8.0])
    member = np.zeros((4, 9), bool)
    member[0, :8] = member[1, 8] = member[2, :7] = True
    mean, error = means(values, member, np.array([16, 1, 20, 5]))
    # neighbours differ by 2, -1, 0, -1, 2, -1, 0: variance 11 / (2 * 7) / 8, and half of the queries were read
    np.testing.assert_allclose(mean, [2.0, 8.0, np.nan, np.nan])
    np.testing.assert_allclose(error, [np.sqrt(11 / 14 / 8 / 2), 0.0, np.nan, np.nan])


@pytest.mark.parametrize("trend", [0.0, 5.0])
def test_errors_are_as_large_as_the_estimates_are_off(trend):
    rng, length, count = np.random.default_rng(0), 900, 60
    truth = rng.normal(size=(length, 200)) + trend * np.linspace(0, 1, length)[:, None]
    off, said = [], []
    for seed in range(20):
        drawn = spread(np.arange(length), count, seed)
        mean, error = means(truth[drawn], np.ones((1, count), bool), np.array([length]))
        off.append(mean[0] - truth.mean(0))
        said.append(error[0])
    assert abs(np.mean(off)) < 0.01
    assert np.std(off) == pytest.approx(np.sqrt(np.mean(np.square(said))), rel=0.1)


@pytest.mark.parametrize(("length", "count", "period"), [(96, 64, 3), (80, 64, 5), (144, 64, 9), (100, 64, 25)])
def test_what_repeats_along_the_prompt_is_not_favoured(length, count, period):
    """Columns of a grid repeat; an estimate is right on average over the draws."""
    truth = (np.arange(length) % period == 0).astype(float)
    off = [truth[spread(np.arange(length), count, seed)].mean() - truth.mean() for seed in range(600)]
    assert abs(np.mean(off)) < 4 * np.std(off) / np.sqrt(600) + 1e-12


def test_all_queries_have_no_error():
    values = np.random.default_rng(0).normal(size=(50, 3))
    mean, error = means(values, np.ones((1, 50), bool), np.array([50]))
    np.testing.assert_allclose(mean[0], values.mean(0))
    assert not error.any()

"""Intervals and tests over clips: calibrated, and equal to plain scipy and to plain loops."""

from __future__ import annotations

from itertools import combinations, permutations, product

import numpy as np
import pytest
from scipy.stats import bootstrap, kstest, wilcoxon

from attnscope.metrics.clips.resample import interval, labels_exchanged, sign_flips, signed_ranks, tail


def test_p_is_uniform_where_nothing_differs():
    change = np.random.default_rng(10).normal(size=(600, 11))
    for p in (sign_flips(change), labels_exchanged(change, np.arange(11) < 5)):
        assert kstest(p, "uniform").pvalue > 0.05
    ranks = signed_ranks(change)  # few values are possible: uniform from above
    assert all(0.7 * level < (ranks <= level).mean() < 1.2 * level for level in (0.1, 0.3, 0.5))
    shifted = sign_flips(change + 1)
    assert np.median(shifted) < 0.05


def test_intervals_are_those_of_scipy():
    """scipy draws values; we let it draw clips: the same draws, so the same ends."""
    values = np.random.default_rng(3).gamma(1, size=(4, 9))
    low, high = interval(values, draws=500, seed=5)
    for row in range(4):
        rng = np.random.default_rng(5)
        options = {"confidence_level": 1 - 2 * tail(9), "random_state": rng}
        plain = bootstrap((values[row],), np.mean, n_resamples=500, method="percentile", **options)
        assert (low[row], high[row]) == pytest.approx(tuple(plain.confidence_interval))


def test_groups_without_a_common_clip_are_drawn_each_by_itself():
    """As scipy draws two samples: each always has its 6 and 8 clips."""
    rng = np.random.default_rng(3)
    one, two = np.full((2, 1, 14), np.nan)
    one[0, :6], two[0, 6:] = rng.normal(size=6), rng.normal(size=8)
    low, high = interval(one, two, draws=400, seed=2)
    plain = bootstrap(
        (one[0, :6], two[0, 6:]),
        lambda x, y, axis: x.mean(axis) - y.mean(axis),
        n_resamples=400,
        method="percentile",
        confidence_level=1 - 2 * tail(6),
        random_state=np.random.default_rng(2),
    )
    assert (low[0], high[0]) == pytest.approx(tuple(plain.confidence_interval))


def test_groups_with_common_clips_are_drawn_clip_by_clip():
    """A change of exactly 1 in every clip has no spread, whatever clips are drawn; gaps are left out."""
    one = np.random.default_rng(3).normal(size=(1, 8))
    low, high = interval(one + 1, one)
    assert (low[0], high[0]) == pytest.approx((1.0, 1.0))
    one[0, 0] = np.nan
    two = one + 1
    two[0, 7] = np.nan
    low, high = interval(two, one)
    assert low[0] < np.nanmean(two) - np.nanmean(one) < high[0]


@pytest.mark.parametrize(("clips", "normal", "skewed"), [(6, 0.93, 0.88), (8, 0.94, 0.90), (12, 0.94, 0.91)])
def test_coverage(clips, normal, skewed):
    """What the docstring of `interval` says, within three standard errors of 1200 samples."""
    rng = np.random.default_rng(clips)
    for values, mean, share in (
        (rng.normal(size=(1200, clips)), 0, normal),
        (rng.exponential(size=(1200, clips)), 1, skewed),
    ):
        low, high = interval(values, draws=1000)
        assert np.mean((low <= mean) & (mean <= high)) == pytest.approx(share, abs=0.03)


def test_fewer_than_six_clips_have_no_interval():
    values = np.random.default_rng(0).normal(size=(1, 6))
    assert np.isfinite(interval(values)).all()
    assert np.isnan(interval(values[:, :5])).all()
    values[0, 2] = np.nan
    assert np.isnan(interval(values)).all()


def test_all_ways_to_choose_a_group_are_counted_where_they_are_few():
    """10 clips, 4 of them in the first group: 210 ways, fewer than 9999, though 10! orders are more."""
    values = np.random.default_rng(4).normal(size=(3, 10))
    p = labels_exchanged(values, np.arange(10) < 4)
    for row, found in zip(values, p, strict=True):
        sums = np.array([sum(chosen) for chosen in combinations(row, 4)])
        tails = np.mean(sums >= row[:4].sum() - 1e-9), np.mean(sums <= row[:4].sum() + 1e-9)
        assert found == pytest.approx(min(1, 2 * min(tails)))
    apart = labels_exchanged(np.arange(10.0)[None], np.arange(10) < 4)
    assert apart == pytest.approx(2 / 210)


def test_blocks_do_not_change_the_numbers(monkeypatch):
    values = np.random.default_rng(0).normal(size=(7, 8))
    values[2, 1] = np.nan
    whole = (*interval(values, draws=50), sign_flips(values), labels_exchanged(values, np.arange(8) < 2))
    monkeypatch.setattr("attnscope.metrics.clips.resample._BLOCK", 100)
    parts = (*interval(values, draws=50), sign_flips(values), labels_exchanged(values, np.arange(8) < 2))
    assert np.allclose(whole, parts)


def test_sign_flips_by_counting_all():
    change = np.round(np.random.default_rng(2).normal(0.3, 1, size=(5, 8)), 1)
    change[1, 2] = np.nan
    change[2, :6] = 0
    change[4] = 0
    p = sign_flips(change)
    for row in range(5):
        own = change[row][np.isfinite(change[row])]
        sums = np.array([np.dot(own, signs) for signs in product([1, -1], repeat=len(own))])
        assert p[row] == pytest.approx(min(1, 2 * np.mean(sums >= abs(own.sum()) - 1e-9)))


def test_exchanged_labels_by_counting_all():
    values = np.round(np.random.default_rng(2).normal(0, 1, size=(4, 6)), 1)
    values[1, 5] = np.nan
    first = np.array([True, True, False, False, False, False])
    p = labels_exchanged(values, first)
    for row in range(4):
        keep = np.isfinite(values[row])
        own, label = values[row][keep], first[keep]
        apart = [own[list(o)][label].mean() - own[list(o)][~label].mean() for o in permutations(range(len(own)))]
        observed = own[label].mean() - own[~label].mean()
        tails = np.mean(np.array(apart) >= observed - 1e-9), np.mean(np.array(apart) <= observed + 1e-9)
        assert p[row] == pytest.approx(min(1, 2 * min(tails)))


def test_equal_sums_are_ties():
    """0.1 + 0.2 - 0.3 is 5.6e-17 on a computer, and -0.1 - 0.2 + 0.3 is -5.6e-17: both are 0, counted in tenths."""
    tenths = np.array([1, 2, -3, 7, -1, -2, 3])
    sums = np.array([sum(chosen) for chosen in combinations(tenths.tolist(), 3)])
    p = labels_exchanged(tenths[None] / 10, np.arange(7) < 3)
    assert p == pytest.approx(min(1, 2 * min(np.mean(sums >= 0), np.mean(sums <= 0))))


def test_signed_ranks_are_those_of_scipy_row_by_row():
    rng = np.random.default_rng(4)
    change = rng.normal(size=(6, 9))
    change[0, 0] = 0  # left out
    change[1] = np.round(change[1])  # ties
    change[2, 3] = np.nan
    change[3] = 0
    change[4, 1:] = np.nan
    p = signed_ranks(change)
    assert p[0] == pytest.approx(wilcoxon(change[0, 1:], method="exact").pvalue)
    assert p[1] == pytest.approx(wilcoxon(change[1][change[1] != 0], method="approx").pvalue)
    assert p[2] == pytest.approx(wilcoxon(np.delete(change[2], 3), method="exact").pvalue)
    assert p[3] == 1
    assert np.isnan(p[4])
    assert p[5] == pytest.approx(wilcoxon(change[5]).pvalue)


def test_a_set_without_a_clip_has_no_p():
    """The third clip alone is in the second set, and defines only the first number."""
    p = labels_exchanged(np.array([[1.0, 2.0, 5.0], [1.0, 2.0, np.nan]]), np.array([True, True, False]))
    assert p[0] == pytest.approx(2 / 3)  # one of 3 ways to choose the first set has a sum as low; twice, for two sides
    assert np.isnan(p[1])

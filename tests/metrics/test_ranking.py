"""Heads in order: rankings, their stability and agreement by hand, and by scipy and sets."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from attnscope.metrics.choosing.criteria import Criterion, Scores, elbow
from attnscope.metrics.choosing.ranking import agreement, ranked, stability, top_share


def scored(values: object, name: str = "x", **more) -> Scores:
    """Numbers of heads of one layer, [X, C]."""
    array = np.asarray(values, dtype=float)
    places = pd.DataFrame({"layer": 0, "head": range(len(array))})
    return Scores(Criterion(name, name, **more), "", places, array, np.full(len(array), np.nan), np.nan)


def test_ranking_by_hand():
    """Three heads in two clips: means 2, 4 and 3.25. Head 2 is best in clip 1, head 1 in clip 2."""
    found = ranked(scored([[1, 3], [2, 6], [3, 3.5]]), top=1)
    assert found[["rank", "head", "value", "n", "top_share"]].to_numpy().tolist() == [
        [1, 1, 4.0, 2, 0.5],
        [2, 2, 3.25, 2, 0.5],
        [3, 0, 2.0, 2, 0.0],
    ]
    assert found[["low", "high"]].isna().all(axis=None)  # of two clips
    assert found["effect"].isna().all()
    lowest = ranked(scored([[1, 3], [2, 6], [np.nan, np.nan]], lowest=True), top=1)
    assert lowest[["head", "top_share"]].to_numpy().tolist() == [[0, 1.0], [1, 0.0]]


def test_equal_heads_by_hand():
    """Heads 0, 1 and 2 are as good in the first clip: for two places each has 2/3 of one. In the second 0 is alone
    the best, and 1 and 2 share the place that is left. Over both, 1 and 2 are equal: the one with more mass is first.
    """
    some = scored([[0, 0], [0, 1], [0, 1], [5, 5]], lowest=True)
    assert top_share(some, 2).tolist() == pytest.approx([(2 / 3 + 1) / 2, (2 / 3 + 1 / 2) / 2, (2 / 3 + 1 / 2) / 2, 0])
    heavier = Scores(some.criterion, "", some.places, some.values, np.array([0.3, 0.1, 0.2, 0.9]), 0.0)
    assert ranked(heavier, top=2)["head"].tolist() == [0, 2, 1, 3]
    assert ranked(some, top=2)["head"].tolist() == [0, 1, 2, 3]


def test_concordance_by_hand():
    """Clips rank four heads 1 2 3 4, 1 2 3 4, 2 1 4 3: sums 4 5 10 11, mean 7.5, squared 12.25 6.25 6.25 12.25: 37.

    W = 12 * 37 / (3^2 * (4^3 - 4)) = 37/45. Spearman is 1 - 6 sum d^2 / 60: of the pairs 1, 0.6 and 0.6.
    """
    found = stability(scored(np.array([[1, 2, 3, 4], [1, 2, 3, 4], [2, 1, 4, 3]]).T))
    assert found == pytest.approx({"clips": 3, "heads": 4, "kendall_w": 37 / 45, "spearman": 2.2 / 3})


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), clips=st.integers(2, 5))
def test_stability_and_agreement_by_scipy_and_sets(seed, clips):
    rng = np.random.default_rng(seed)
    one, two = rng.normal(size=(2, 12, clips))
    found = stability(scored(one))
    pairs = [spearmanr(one[:, i], one[:, j]).statistic for i, j in combinations(range(clips), 2)]
    assert found["spearman"] == pytest.approx(np.mean(pairs))
    assert found["kendall_w"] == pytest.approx((found["spearman"] * (clips - 1) + 1) / clips)  # holds without ties
    row = agreement([scored(one), scored(two, "y", lowest=True)], 4).iloc[0]
    assert row["spearman"] == pytest.approx(spearmanr(one.mean(1), -two.mean(1)).statistic)
    best = {i for i in range(12) if (one.mean(1) > one.mean(1)[i]).sum() < 4}
    lowest = {i for i in range(12) if (two.mean(1) < two.mean(1)[i]).sum() < 4}
    assert (row["overlap"], row["chance"], row["n"]) == (len(best & lowest) / 4, 4 / 12, 12)
    order = rng.permutation(12)
    assert top_share(scored(one[order]), 3).tolist() == top_share(scored(one), 3)[order].tolist()
    assert top_share(scored(one), 3).sum() == pytest.approx(3)  # three in every clip
    assert stability(scored(one[order])) == pytest.approx(found)


def test_equal_orders_agree_and_single_clips_say_nothing():
    values = np.arange(12.0).reshape(4, 3)
    assert stability(scored(values))["kendall_w"] == pytest.approx(1)
    same = agreement([scored(values), scored(values * 3, "y"), scored(-values, "z")], 2)
    assert same["spearman"].tolist() == pytest.approx([1, -1, -1])
    assert same["overlap"].tolist() == [1, 0, 0]
    assert np.isnan([stability(scored(values[:, :1]))[name] for name in ("kendall_w", "spearman")]).all()
    some = scored([[1, np.nan, 1], [2, np.nan, np.nan], [3, np.nan, 3], [4, np.nan, 4], [5, np.nan, 5]])
    assert stability(some) == pytest.approx({"clips": 2, "heads": 4, "kendall_w": 1, "spearman": 1})


def test_chance_is_what_unrelated_orders_share():
    """Five heads have the first number, four the second, three both. One of the first five is the first one's with
    probability 2/5, and the second one's with 2/4 if it has one: 3 * 2/5 * 2/4 are expected, of 2.
    """
    a = np.array([5.0, 4.0, 3.0, 2.0, 1.0, np.nan])
    b = np.array([np.nan, np.nan, 1.0, 4.0, 3.0, 2.0])
    row = agreement([scored(a[:, None]), scored(b[:, None], "y")], 2).iloc[0]
    assert (row["n"], row["top"], row["overlap"]) == (3, 2, 0)
    assert row["chance"] == pytest.approx(3 * 2 / 5 * 2 / 4 / 2)
    firsts = product(combinations(range(5), 2), combinations(range(2, 6), 2))
    assert row["chance"] == pytest.approx(np.mean([len(set(one) & set(two)) / 2 for one, two in firsts]))


def test_elbow_by_hand():
    """From 0 to 8 over five values the line is 0 2 4 6 8: 1 lies 3 below, 2 lies 4 below, and bends."""
    assert elbow(np.array([8.0, 0.0, 1.0, 2.0, np.nan, 1.0])) == 2.0
    assert elbow(np.array([1.0, 1.0, 1.0])) == 1.0
    assert np.isnan(elbow(np.array([np.nan])))

"""Intervals over clips and McNemar's test: examples worked by hand, an exact oracle, and properties."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from attnscope.evaluate.stats import Interval, accuracy, clip_test, difference, mcnemar

CLIP = st.integers(1, 6).flatmap(lambda n: st.tuples(st.integers(0, n), st.integers(0, n), st.just(n)))
CLIPS = st.lists(CLIP, min_size=6, max_size=14)
FEW = settings(max_examples=25, deadline=None)


def counts(*columns: list[int]) -> list[np.ndarray]:
    return [np.array(column) for column in columns]


def test_six_clips_by_hand() -> None:
    """Drawing six of {2 of 2} and five {0 of 2}: 0 with probability (5/6)^6 = 0.33, at most 3/6 in 99.1 %."""
    assert accuracy(*counts([2, 0, 0, 0, 0, 0], [2] * 6)) == Interval(1 / 6, 0.0, 0.5)


def test_clips_weigh_as_many_questions_as_they_have() -> None:
    """(1 + 0) / (1 + 3), not the mean of 1/1 and 0/3."""
    assert accuracy(*counts([1, 0], [1, 3])).estimate == 0.25


@pytest.mark.parametrize(("right", "clips"), [(5, 10), (12, 30), (70, 80)])
def test_one_question_a_clip_is_a_binomial(right: int, clips: int) -> None:
    """The bootstrap of `right` ones among `clips` is Binomial(clips, right / clips): its quantiles are known."""
    found = accuracy(*counts([1] * right + [0] * (clips - right), [1] * clips))
    low, high = (binom.ppf(q, clips, right / clips) / clips for q in (0.025, 0.975))
    assert found.estimate == pytest.approx(right / clips)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1.01 / clips)


def test_the_same_answers_in_fewer_clips_are_less_sure() -> None:
    """60 questions, 30 right: spread over 60 clips, or all or nothing in each of 6."""
    spread = accuracy(*counts([1, 0] * 30, [1] * 60))
    lumped = accuracy(*counts([10, 0] * 3, [10] * 6))
    assert spread.estimate == lumped.estimate == 0.5
    assert lumped.high - lumped.low > 1.5 * (spread.high - spread.low)


def test_a_gain_that_is_the_same_in_every_clip_is_sure() -> None:
    """Paired: one more right answer of 4 in each clip, however the clips differ."""
    found = difference(*counts([0, 1, 2, 3] * 2, [1, 2, 3, 4] * 2, [4] * 8))
    assert found == pytest.approx((0.25, 0.25, 0.25))


@pytest.mark.parametrize("clips", [1, 2, 5])
def test_few_clips_have_no_interval(clips: int) -> None:
    """Four right of four would look certain: [100, 100]."""
    one, other = accuracy(*counts([4] * clips, [4] * clips)), difference(*counts([3] * clips, [2] * clips, [4] * clips))
    for found in (one, other):
        assert math.isnan(found.low) and math.isnan(found.high)
    assert (one.estimate, other.estimate) == (1.0, -0.25)
    assert accuracy(*counts([4] * 6, [4] * 6)) == Interval(1.0, 1.0, 1.0)


@FEW
@given(CLIPS)
def test_an_interval_contains_its_estimate(clips: list[tuple[int, int, int]]) -> None:
    before, after, asked = counts(*map(list, zip(*clips, strict=True)))
    for found in (accuracy(before, asked), difference(before, after, asked)):
        assert found.low - 1e-12 <= found.estimate <= found.high + 1e-12
    assert 0 <= accuracy(before, asked).low <= accuracy(before, asked).high <= 1
    assert difference(before, after, asked).estimate == pytest.approx(
        accuracy(after, asked).estimate - accuracy(before, asked).estimate
    )


@FEW
@given(CLIPS.flatmap(lambda clips: st.tuples(st.just(clips), st.permutations(clips))))
def test_the_order_of_the_clips_changes_nothing(both: tuple[list[tuple[int, int, int]], ...]) -> None:
    first, second = (counts(*map(list, zip(*clips, strict=True))) for clips in both)
    assert accuracy(first[0], first[2]) == accuracy(second[0], second[2])
    assert difference(*first) == difference(*second)


def test_mcnemar_by_hand() -> None:
    """1 gained, 5 lost: 2 (C(6,0) + C(6,1)) / 2^6 = 2 * 7 / 64."""
    assert mcnemar(1, 5) == pytest.approx(14 / 64)
    assert mcnemar(0, 5) == pytest.approx(2 / 32)
    assert mcnemar(3, 3) == 1.0
    assert mcnemar(0, 0) == 1.0


@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemar_is_symmetric(gained: int, lost: int) -> None:
    assert mcnemar(gained, lost) == mcnemar(lost, gained)
    assert 0 < mcnemar(gained, lost) <= 1


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
@settings(max_examples=40, deadline=None)
def test_the_test_over_clips_counts_all_signs(changes: list[int]) -> None:
    signs = np.array(list(product((-1, 1), repeat=len(changes))))
    sums = np.abs(signs @ np.abs(changes))
    expected = 1.0 if not any(changes) else float((sums >= abs(sum(changes))).mean())
    before = np.full(len(changes), 5)
    assert clip_test(before, before + changes) == pytest.approx(expected)
    assert clip_test(before + changes, before) == pytest.approx(expected)


@given(st.integers(0, 30), st.integers(0, 30))
def test_with_one_question_a_clip_it_is_mcnemars(gained: int, lost: int) -> None:
    before = np.array([0] * gained + [1] * lost + [1, 0])
    after = np.array([1] * gained + [0] * lost + [1, 0])
    assert clip_test(before, after) == mcnemar(gained, lost)

"""What a difference says: the interval alone is not enough, and neither is a test of questions."""

from __future__ import annotations

import numpy as np
import pytest

from attnscope.evaluate import stats
from attnscope.metrics.clips.verdict import verdict

NAN = float("nan")


@pytest.mark.parametrize(
    ("low", "high", "p", "said"),
    [
        (0.01, 0.2, [0.01], "helps"),
        (-0.2, -0.01, [0.01], "hurts"),
        (0.008, 0.067, [0.125], "no difference shown"),  # four gained, none lost, of 120
        (0.01, 0.2, [0.001, 0.2], "no difference shown"),
        (-0.1, 0.1, [0.001], "no difference shown"),
        (0.0, 0.1, [0.01], "no difference shown"),
        (NAN, NAN, [0.001], "no interval"),
        (0.01, 0.2, [NAN], "no test"),
        (-0.1, 0.1, [NAN], "no difference shown"),
        (0.01, 0.2, [0.05], "helps"),
    ],
)
def test_both_the_interval_and_every_test_are_needed(low, high, p, said):
    assert verdict(low, high, *p) == said


def test_without_a_test_there_is_no_verdict():
    with pytest.raises(TypeError, match="at least one p"):
        verdict(0.1, 0.2)


def test_four_gained_of_120_is_not_shown_to_help():
    before = np.zeros(120, int)
    after = np.array([1] * 4 + [0] * 116)
    found = stats.difference(before, after, np.ones(120, int))
    assert found.low > 0  # the interval alone would have it so
    assert verdict(found.low, found.high, stats.mcnemar(4, 0), stats.clip_test(before, after)) == "no difference shown"


def test_twelve_questions_of_four_clips_are_four_clips():
    """McNemar counts 12 to 0 questions, p = 0.0005; there are four clips that agree, p = 2 / 2^4."""
    before, asked = np.zeros(20, int), np.full(20, 3)
    after = np.array([3] * 4 + [0] * 16)
    found, p = stats.difference(before, after, asked), stats.mcnemar(12, 0)
    assert found.low > 0 and p < 0.001
    assert stats.clip_test(before, after) == 0.125
    assert verdict(found.low, found.high, p, stats.clip_test(before, after)) == "no difference shown"

"""The measures of benchmarks/prepare.py on examples that are worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attnscope.scene import Keyframe, Segment, Speaker, Turn
from benchmarks.prepare import Truth, iou, matched, of_boxes, of_cuts, of_speakers

SIZE = np.array([100.0, 100.0])


def box(*edges: float) -> np.ndarray:
    return np.array(edges, float)


def still(*edges: float, start: float = 0.0, end: float = 4.0) -> Speaker:
    left, top, right, bottom = edges
    return Speaker(
        segments=[Segment(start=start, end=end, keyframes=[Keyframe(t=start, xyxy=(left, top, right, bottom))])]
    )


def test_overlap_is_the_share_of_what_both_cover() -> None:
    assert iou(box(0, 0, 10, 10), box(5, 0, 15, 10)) == pytest.approx(50 / 150)
    assert iou(box(0, 0, 10, 10), box(20, 20, 30, 30)) == 0


def test_pairs_have_the_largest_sum_of_overlap() -> None:
    """The best single pair (B with x, 1.0) would leave A without any."""
    true = {"A": box(0, 0, 10, 10), "B": box(0, 0, 10, 8)}
    proposed = {"x": box(0, 0, 10, 8), "y": box(0, 2, 10, 10)}
    assert {name: proposal for name, (proposal, _) in matched(true, proposed).items()} == {"A": "y", "B": "x"}


def test_cuts_count_when_they_are_near() -> None:
    assert of_cuts([1.0, 2.0, 3.0], [1.05, 2.3]) == {"cuts": 3, "cuts_found": 1, "cuts_wrong": 1}


def test_boxes_count_with_recall_precision_and_switches() -> None:
    """Ada is proposed as x, then as y; Ben never; somebody at the right is nobody that is labelled."""
    true = [(float(t), {"Ada": box(0, 0, 20, 40), "Ben": box(40, 0, 60, 40)}) for t in (1, 2, 3)]
    people = {
        "x": still(0, 0, 20, 40, end=1.5),
        "y": still(0, 0, 20, 30, start=1.5),
        "z": still(80, 0, 99, 40),
    }
    found = of_boxes(Truth("clip", Path("clip"), "", None, true), people, SIZE)
    assert (found["labelled"], found["proposed"], found["right"], found["switches"]) == (6, 6, 3, 1)
    assert found["iou"] == pytest.approx((1 + 0.75 + 0.75) / 6)


def test_speakers_count_as_right_wrong_and_open_beside_chance() -> None:
    true = {"Ada": still(0, 0, 20, 40), "Ben": still(40, 0, 60, 40)}
    proposed = {"x": still(0, 0, 20, 40), "y": still(40, 0, 60, 40)}
    turns = [
        Turn(speaker=who, text="-", start=at, end=at + 1) for at, who in ((0.0, "Ada"), (1.0, "Ben"), (2.0, "Ada"))
    ]
    guessed = [turn.model_copy(update={"speaker": who}) for turn, who in zip(turns, ("x", "x", None), strict=True)]
    found = of_speakers(Truth("clip", Path("clip"), "", None, [], turns), guessed, proposed, true, SIZE)
    assert found == {"turns": 3, "turns_right": 1, "turns_wrong": 1, "turns_open": 1, "turns_chance": 0.5}

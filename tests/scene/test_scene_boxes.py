"""Boxes: interpolation, visibility, units, clipping."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnscope.scene import (
    Frames,
    Keyframe,
    Sampling,
    Scene,
    Segment,
    Speaker,
    boxes_at,
    read_frames,
    scene_boxes,
)

coordinate = st.floats(-200, 900, allow_nan=False, width=32)
side = st.floats(1, 500, width=32)
moment = st.integers(0, 4000).map(lambda n: n / 64)


@st.composite
def speakers(draw: st.DrawFn) -> Speaker:
    """Speakers with up to three segments that touch or leave gaps, and keyframes in any order."""
    cuts = sorted(draw(st.lists(moment, min_size=2, max_size=6, unique=True)))
    segments = []
    for start, end in zip(cuts[::2], cuts[1::2], strict=False):
        shares = draw(st.lists(st.integers(0, 16), min_size=1, max_size=5, unique=True))
        keyframes = []
        for share in shares:
            x, y = draw(coordinate), draw(coordinate)
            box = (x, y, x + draw(side), y + draw(side))
            keyframes.append(Keyframe(t=start + (end - start) * share / 16, xyxy=box))
        segments.append(Segment(start=start, end=end, keyframes=keyframes))
    return Speaker(segments=draw(st.permutations(segments)))


def oracle(speaker: Speaker, t: float) -> list[float] | None:
    """The rule of docs/scene.md in exact fractions, one box at a time."""
    for segment in speaker.segments:
        if not (segment.start <= t < segment.end or t == segment.start):
            continue
        before = [k for k in segment.keyframes if k.t <= t]
        after = [k for k in segment.keyframes if k.t >= t]
        if not before or not after:
            nearest = min(segment.keyframes, key=lambda k: abs(k.t - t))
            return list(nearest.xyxy)
        a, b = max(before, key=lambda k: k.t), min(after, key=lambda k: k.t)
        if a.t == b.t:
            return list(a.xyxy)
        share = (Fraction(t) - Fraction(a.t)) / (Fraction(b.t) - Fraction(a.t))
        return [float(Fraction(p) + share * (Fraction(q) - Fraction(p))) for p, q in zip(a.xyxy, b.xyxy, strict=True)]
    return None


@given(speakers(), st.lists(moment, min_size=1, max_size=20))
def test_interpolation_is_the_rule_in_exact_arithmetic(speaker: Speaker, times: list[float]) -> None:
    edges = [t for s in speaker.segments for t in (s.start, s.end, *(k.t for k in s.keyframes))]
    found = boxes_at(speaker, [*times, *edges])
    for t, box in zip([*times, *edges], found, strict=True):
        expected = oracle(speaker, t)
        if expected is None:
            assert np.isnan(box).all()
        else:
            assert box == pytest.approx(expected, rel=1e-9, abs=1e-9)
            assert box[2] > box[0]
            assert box[3] > box[1]


def frames_at(*times: float, width: int = 200, height: int = 100) -> Frames:
    count = len(times)
    return Frames(
        images=np.zeros((count, height, width, 3), np.uint8),
        times=np.array(times, np.float64),
        indices=np.arange(count, dtype=np.int32),
        width=width,
        height=height,
        kind="video",
        source_fps=10.0,
        duration=10.0,
        total_frames=100,
    )


def scene_of(speakers: dict[str, Any], **fields: Any) -> Scene:
    data = {
        name: {"segments": [{"start": 0, "end": 10, "keyframes": [{"t": 1, "xyxy": box}]}]}
        for name, box in speakers.items()
    }
    return Scene(video=Path("a.mp4"), speakers=data, **fields)  # type: ignore[arg-type]


def test_fractions_and_pixels_are_the_same_boxes() -> None:
    frames = frames_at(0.0, 5.0)
    pixels = scene_boxes(scene_of({"Ann": [20, 10, 100, 90]}), frames)
    shares = scene_boxes(scene_of({"Ann": [0.1, 0.1, 0.5, 0.9]}, box_units="fraction"), frames)
    assert pixels.xyxy.dtype == np.float32
    assert pixels.xyxy.shape == (1, 2, 4)
    np.testing.assert_allclose(pixels.xyxy, shares.xyxy, rtol=1e-6)
    assert pixels.warnings == shares.warnings == []


def test_clipping_is_counted_for_each_speaker() -> None:
    scene = scene_of({"In": [0, 0, 200, 100], "Half": [-50, 20, 40, 120], "Out": [200, 0, 260, 50]})
    boxes = scene_boxes(scene, frames_at(0.0, 1.0, 2.0))
    assert boxes.speakers == ["In", "Half", "Out"]
    assert boxes.xyxy[1, 0].tolist() == [0, 20, 40, 100]
    assert np.isnan(boxes.xyxy[2]).all()
    assert boxes.warnings == [
        "3 of 9 speaker boxes reach outside the 200x100 frame and are clipped (Half 3)",
        "3 of 9 speaker boxes lie outside the 200x100 frame and count as not visible (Out 3)",
    ]


def test_nobody_visible_is_told_and_no_boxes_is_not() -> None:
    assert scene_boxes(scene_of({"Ann": [0, 0, 9, 9]}), frames_at(11.0)).warnings == [
        "no speaker is visible in any sampled frame"
    ]
    nobody = scene_boxes(scene_of({}), frames_at(0.0))
    assert (nobody.xyxy.shape, nobody.warnings) == ((0, 1, 4), [])


def test_a_segment_without_length_is_one_moment() -> None:
    speaker = Speaker(segments=[Segment(start=1, end=1, keyframes=[Keyframe(t=1, xyxy=(0, 0, 5, 5))])])
    assert np.isnan(boxes_at(speaker, [0.5, 1.0, 1.5])[:, 0]).tolist() == [True, False, True]


def test_at_a_cut_the_new_shot_counts() -> None:
    old = Segment(start=0, end=2, keyframes=[Keyframe(t=0, xyxy=(0, 0, 5, 5))])
    new = Segment(start=2, end=4, keyframes=[Keyframe(t=3, xyxy=(50, 0, 55, 5))])
    assert boxes_at(Speaker(segments=[new, old]), [1.999, 2.0])[:, 0].tolist() == [0, 50]


def test_boxes_of_the_clip(stage: Path) -> None:
    """The boxes stand on the frames they were drawn for: every speaker is seen, nobody outside the frame."""
    scene = Scene.read(stage)
    frames = read_frames(scene.video, Sampling(frames=16))
    boxes = scene_boxes(scene, frames)
    assert boxes.speakers == list(scene.speakers)
    assert boxes.warnings == []
    assert (~np.isnan(boxes.xyxy[..., 0])).any(axis=1).all()
    inside = boxes.xyxy[~np.isnan(boxes.xyxy[..., 0])]
    assert (inside >= 0).all()
    assert (inside[:, 2] <= frames.width).all()
    assert (inside[:, 3] <= frames.height).all()

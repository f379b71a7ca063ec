"""Boxes become segments by the stated rules; each expectation is worked by hand."""

from __future__ import annotations

from typing import Any

import pytest

from attnscope.errors import SceneError
from attnscope.scene import BoxRecord, Scene, boxes_at
from attnscope.scene.joining.segments import Clock, place

LEFT, RIGHT = (10.0, 10.0, 50.0, 90.0), (110.0, 10.0, 150.0, 90.0)


def box(time: float | None, name: str = "Ada", xyxy: tuple[float, ...] = LEFT, **given: Any) -> BoxRecord:
    fields: dict[str, Any] = {"where": f"{name} at {time}", "units": "pixels", "time": time} | given
    return BoxRecord(name=name, xyxy=xyxy, **fields)  # type: ignore[arg-type]


def spans(placed: Any, name: str = "Ada") -> list[tuple[float, float, list[float]]]:
    """Start, end and times of the keyframes of each segment."""
    segments = placed.speakers[name]["segments"]
    return [(s["start"], s["end"], [k["t"] for k in s["keyframes"]]) for s in segments]


def reasons(placed: Any) -> list[tuple[str, str]]:
    return [(record.where, reason) for record, reason in placed.rejected]


def test_a_last_keyframe_holds_no_longer_than_its_source_was_looked_at() -> None:
    def ends(until: int | None, duration: float | None) -> float:
        record = BoxRecord(
            where="a", name="Ada", xyxy=(0, 0, 1, 1), units="fraction", frame=0, keyframe=True, until=until
        )
        placed = place([record], Clock(rate=25, duration=duration))
        return float(placed.speakers["Ada"]["segments"][0]["end"])

    assert ends(25, 9.0) == 1.0
    assert ends(None, 9.0) == 9.0
    assert ends(300, 9.0) == 9.0
    assert ends(25, None) == 1.0


def test_a_gap_of_more_than_two_and_a_half_usual_steps_ends_a_segment_whatever_the_order() -> None:
    placed = place([box(t) for t in (4.0, 0.0, 1.0, 3.0, 7.0, 8.0, 9.0)])  # 2 is missed; 5 and 6 are two
    assert spans(placed) == [(0.0, 5.0, [0.0, 1.0, 3.0, 4.0]), (7.0, 10.0, [7.0, 8.0, 9.0])]
    assert placed.imported == 7


def test_a_track_of_few_boxes_takes_the_step_of_its_clip() -> None:
    often = [box(t / 2, "Ben", RIGHT) for t in range(21)]
    placed = place([*often, box(1.0), box(9.0)])
    assert spans(placed) == [(1.0, 1.5, [1.0]), (9.0, 9.5, [9.0])]
    assert spans(place([box(1.0), box(9.0)])) == [(1.0, 17.0, [1.0, 9.0])]  # nothing else says how often


def test_between_keyframes_a_segment_goes_on_and_the_last_one_holds() -> None:
    track = [box(0.0, keyframe=True), box(1.0, keyframe=True), box(60.0, xyxy=RIGHT, keyframe=True)]
    assert spans(place(track, Clock(duration=90.0))) == [(0.0, 90.0, [0.0, 1.0, 60.0])]
    ends = box(70.0, ends=True, keyframe=True)
    again = box(80.0, keyframe=True)
    placed = place([ends, again, *track], Clock(duration=90.0))
    assert spans(placed) == [(0.0, 70.0, [0.0, 1.0, 60.0]), (80.0, 90.0, [80.0])]
    assert placed.imported == 5  # what ends a segment is imported too


def test_of_an_even_number_of_steps_the_shorter_middle_one_counts() -> None:
    placed = place([box(None, frame=n) for n in (0, 1, 30)], Clock(rate=10.0))
    assert spans(placed) == [(0.0, pytest.approx(0.2), [0.0, 0.1]), (3.0, 3.1, [3.0])]


def test_a_keyframe_after_the_end_still_says_where_the_box_moves() -> None:
    clock = Clock(times=[0.0, 0.5, 1.0], duration=1.5)
    far = (60.0, 10.0, 100.0, 90.0)
    placed = place(
        [box(None, frame=n, xyxy=xyxy, keyframe=True) for n, xyxy in ((0, LEFT), (4, far), (5, RIGHT))], clock
    )
    assert spans(placed) == [(0.0, 2.0, [0.0, 2.0])]
    assert reasons(placed) == [("Ada at None", "it is after the end of the video")]
    assert placed.notes == []
    gone = place([box(0.0, keyframe=True), box(1.0, ends=True, keyframe=True), box(2.0)], Clock(duration=1.5))
    assert (spans(gone), len(gone.rejected)) == ([(0.0, 1.0, [0.0])], 1)
    late = place([box(0.0, keyframe=True), box(20.0, xyxy=RIGHT, keyframe=True)], Clock(duration=9.0))
    assert late.notes == ["a keyframe of Ada is 11.0 s after the end of the video, and boxes move to it"]
    scene = Scene.model_validate({"video": "clip.mp4", "speakers": placed.speakers})
    assert boxes_at(scene.speakers["Ada"], [1.0])[0].tolist() == [35.0, 10.0, 75.0, 90.0]


def test_an_end_after_the_last_frame_is_the_end_of_the_video() -> None:
    clock = Clock(times=[0.0, 0.5, 1.0], duration=1.5)
    placed = place([box(None, frame=0, keyframe=True), box(None, frame=3, ends=True)], clock)
    assert (spans(placed), placed.rejected) == ([(0.0, 1.5, [0.0])], [])


def test_a_track_of_keyframes_that_ends_without_one_lasts_a_frame() -> None:
    track = [box(None, frame=0, keyframe=True), box(None, frame=50)]
    assert spans(place(track, Clock(rate=25.0))) == [(0.0, 2.04, [0.0, 2.0])]


def test_numbers_of_frames_become_times_by_the_rate_or_by_the_videos_own_times() -> None:
    boxes = [box(None, frame=n) for n in (0, 1, 2)]
    assert spans(place(boxes, Clock(rate=4.0))) == [(0.0, 0.75, [0.0, 0.25, 0.5])]
    uneven = Clock(times=[0.0, 0.5, 0.75], duration=1.0)
    assert spans(place(boxes, uneven)) == [(0.0, 1.0, [0.0, 0.5, 0.75])]
    late = place([*boxes, box(None, frame=3)], uneven)
    assert reasons(late) == [("Ada at None", "it is after the end of the video")]
    with pytest.raises(SceneError, match="numbers of frames and no times"):
        place(boxes)


def test_tracks_of_one_name_are_one_speaker_until_they_overlap() -> None:
    first = [box(t, track="1") for t in (0.0, 1.0)]
    second = [box(t, track="2", xyxy=RIGHT) for t in (1.5, 2.5)]
    third = [box(t, track="3", xyxy=RIGHT) for t in (2.0, 3.0)]
    apart = place([*first, *second])
    assert spans(apart) == [(0.0, 1.5, [0.0, 1.0]), (1.5, 3.5, [1.5, 2.5])]  # the time after a box gives way
    assert apart.notes == []
    placed = place([*first, *second, *third, box(0.0, "Ada 2", RIGHT)])
    assert list(placed.speakers) == ["Ada", "Ada 3", "Ada 2"]
    assert spans(placed, "Ada 3")[0][0] == 2.0
    assert placed.notes == ['3 tracks are called "Ada" and overlap in time, so they are 2 people: Ada, Ada 3']


def test_a_second_box_of_a_track_at_one_moment_is_left_out_not_guessed() -> None:
    placed = place([box(0.0), box(0.0, where="again"), box(0.0, xyxy=RIGHT, where="other"), box(1.0)])
    assert reasons(placed) == [
        ("again", "the same box is given twice"),
        ("other", "another box of its name and track is at the same moment"),
    ]
    assert placed.imported == 2


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (box(0.0, xyxy=(10, 10, 10, 90)), "the box has no area"),
        (box(0.0, xyxy=(50, 10, 10, 90)), "the box has no area"),
        (box(0.0, xyxy=(-50, 10, 0, 90)), "the box lies outside the picture"),
        (box(0.0, xyxy=(200, 10, 230, 90)), "the box lies outside the picture"),
        (box(0.0, xyxy=(1.0, 0.1, 1.2, 0.9), units="fraction"), "the box lies outside the picture"),
        (box(0.0, xyxy=(0.1, 0.1, 2.5, 0.9), units="fraction"), "a coordinate is no fraction of the picture"),
        (box(0.0, xyxy=(float("nan"), 10, 50, 90)), "a coordinate is no finite number"),
        (box(0.0, xyxy=(0, 10, float("inf"), 90)), "a coordinate is no finite number"),
        (box(0.0, xyxy=(0, 10, 2e9, 90)), "a coordinate is beyond a thousand million"),
        (box(-0.1), "it is before the first frame"),
        (box(float("nan")), "the time is no number of seconds"),
        (box(9.0), "it is after the end of the video"),
        (box(None), "it has neither a time nor the number of a frame"),
        (box(None, frame=-1), "the number of the frame is below zero"),
        (box(0.0, name="\u200b "), "it has no name that a scene can hold"),
    ],
)
def test_what_cannot_be_a_box_is_left_out_with_the_reason(record: BoxRecord, reason: str) -> None:
    placed = place([record, box(0.0, "Ben", RIGHT)], Clock(rate=25.0, duration=9.0), (200, 100))
    assert reasons(placed) == [(record.where, reason)]
    assert (list(placed.speakers), placed.imported) == (["Ben"], 1)
    assert [(left.what, left.reason, left.name) for left in placed.left_out] == [("box", reason, record.name)]


def test_a_box_that_is_outside_in_part_is_kept_as_it_is() -> None:
    placed = place([box(0.0, xyxy=(-20, 10, 250, 90))], size=(200, 100))
    assert placed.speakers["Ada"]["segments"][0]["keyframes"][0]["xyxy"] == [-20, 10, 250, 90]


def test_names_that_differ_in_case_alone_are_one_as_most_boxes_spell_it() -> None:
    placed = place([box(0.0, "ADA"), box(1.0, "Ada"), box(2.0, "Ada\u200b"), box(0.0, "Ben", RIGHT)])
    assert spans(placed) == [(0.0, 3.0, [0.0, 1.0, 2.0])]
    assert list(placed.speakers) == ["Ada", "Ben"]
    assert placed.notes == ["names that differ in letter case alone are one speaker: ADA is Ada"]


def test_pixels_and_fractions_together_need_the_size_of_the_video() -> None:
    mixed = [box(0.0), box(0.0, "Ben", (0.5, 0.1, 0.75, 0.9), units="fraction")]
    placed = place(mixed, size=(200, 100))
    assert placed.box_units == "fraction"
    assert placed.speakers["Ada"]["segments"][0]["keyframes"][0]["xyxy"] == [0.05, 0.1, 0.25, 0.9]
    with pytest.raises(SceneError, match="some boxes are in pixels and some in fractions"):
        place(mixed)


def test_whatever_comes_out_is_a_scene() -> None:
    """Many tracks of few names in every order, against the checks of scene files."""
    import random

    draw = random.Random(3)
    boxes = [
        box(draw.choice([0.0, 0.5, 1.0, 2.5, 7.0, draw.uniform(0, 9)]), draw.choice(["a", "A", "b", "a 2"]))
        for _ in range(300)
    ]
    tracks = [
        BoxRecord(**{f: getattr(b, f) for f in b.__slots__} | {"track": str(draw.randrange(20))}) for b in boxes[:0]
    ]
    tracks = [
        box(b.time, b.name, track=str(draw.randrange(20)), keyframe=draw.random() < 0.3, ends=draw.random() < 0.1)
        for b in boxes
    ]
    placed = place(tracks, Clock(duration=8.0))
    assert placed.imported + len(placed.rejected) == 300
    Scene.model_validate({"video": "clip.mp4", "speakers": placed.speakers})

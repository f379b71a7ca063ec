"""Each part of `prepare` against a truth made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnscope.errors import SceneError
from attnscope.prepare.identities import colours_of, people_of
from attnscope.prepare.parts import Detection, Person, Shot, Sighting, Stretch, Track
from attnscope.prepare.segments import speakers_of
from attnscope.prepare.shots import find_shots
from attnscope.prepare.speaking import guess_speakers
from attnscope.prepare.speech import cut_at
from attnscope.prepare.tracks import thinned
from attnscope.scene import boxes_at
from attnscope.scene.walk import open_walk
from tests.prepare.clips import Image, filmed, ground, write_clip


def moving(number: int) -> Image:
    """A bright square that walks over the ground, four pixels a frame."""
    image = ground(1).copy()
    image[100:140, 4 * number : 4 * number + 40] = 250
    return image


# ---- shots


def test_cuts_are_found_at_their_frames(tmp_path: Path) -> None:
    seeds = [1] * 7 + [2] * 9 + [3] * 14  # cuts at 0.7 and 1.6 s
    clip = write_clip(tmp_path / "cuts.mp4", [ground(seed) for seed in seeds])
    shots, made = find_shots(open_walk(clip))
    assert [(shot.start, shot.end) for shot in shots] == [(0.0, pytest.approx(0.7)), (0.7, 1.6), (1.6, 3.0)]
    assert shots[0].score is None and all(shot.score is not None and shot.score >= 8 for shot in shots[1:])
    assert made.sure.startswith("2 cuts") and made.items[1]["start"] == pytest.approx(0.7)


def test_what_moves_is_no_cut(tmp_path: Path) -> None:
    shots, made = find_shots(open_walk(write_clip(tmp_path / "moves.mp4", filmed(30, moving))))
    assert len(shots) == 1 and made.sure.startswith("no cut")


def test_the_threshold_has_a_range(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [ground(1)] * 3)
    with pytest.raises(SceneError, match="cut=0"):
        find_shots(open_walk(clip), 0.0)


# ---- tracks: what a detector says is given


def sighting(time: float, box: Any, colours: Any = (1.0,)) -> Sighting:
    return Sighting(time, Detection(tuple(map(float, box)), 0.9), colours)


def test_a_thinned_track_interpolates_to_what_was_seen() -> None:
    straight = [(10 + 5 * n, 10, 60 + 5 * n, 110) for n in range(6)]
    turned = [(35 - 7 * n, 10 + 3 * n, 85 - 7 * n, 110 + 3 * n) for n in range(1, 5)]
    track = Track(0, tuple(sighting(n / 5, box) for n, box in enumerate([*straight, *turned])))
    thin = thinned(track)
    assert [seen.time for seen in thin.sightings] == [0.0, 1.0, 1.8]
    speaker = speakers_of([Person("Person1", (track,))], [Shot(0.0, 2.0)], 5.0)["Person1"]
    boxes = boxes_at(speaker, [n / 5 for n in range(10)])
    assert np.abs(boxes - np.array([*straight, *turned])).max() < 0.02 * 100


def test_visibility_reaches_the_ends_of_a_shot_and_not_of_the_next() -> None:
    whole = Track(0, tuple(sighting(n / 5, (0, 0, 50, 50)) for n in range(5)))
    late = Track(1, tuple(sighting(1 + n / 5, (0, 0, 50, 50)) for n in range(2, 6)))
    speaker = speakers_of([Person("Person1", (whole, late))], [Shot(0.0, 1.0), Shot(1.0, 3.0)], 5.0)["Person1"]
    assert [(segment.start, segment.end) for segment in speaker.segments] == [(0.0, 1.0), (1.4, pytest.approx(2.2))]


# ---- identities


def painted(colour: tuple[int, int, int]) -> Any:
    image = np.full((120, 100, 3), 128, np.uint8)
    image[20:, 20:80] = colour
    return colours_of(image, Detection((20, 0, 80, 120), 0.9, (40, 10, 60, 34)))


def test_tracks_of_one_look_are_one_person_across_a_cut() -> None:
    red, blue = painted((200, 30, 30)), painted((30, 30, 200))
    shots = [Shot(0, 1), Shot(1, 2)]
    tracks = [
        Track(0, (sighting(0.0, (0, 0, 40, 40), red), sighting(0.8, (0, 0, 40, 40), red))),
        Track(0, (sighting(0.0, (50, 0, 90, 60), blue), sighting(0.8, (50, 0, 90, 60), blue))),
        Track(1, (sighting(1.0, (0, 0, 90, 90), blue), sighting(1.8, (0, 0, 90, 90), blue))),
    ]
    people, _ = people_of(tracks, shots)
    assert [[tracks.index(track) for track in person.tracks] for person in people] == [[1, 2], [0]]
    assert [person.name for person in people] == ["Person1", "Person2"]  # the largest first
    assert people[0].likeness == pytest.approx(1.0) and people[1].likeness is None


def test_two_who_are_seen_at_once_are_two_people_however_alike() -> None:
    red = painted((200, 30, 30))
    tracks = [
        Track(0, (sighting(0.0, (at, 0, at + 40, 40), red), sighting(0.6, (at, 0, at + 40, 40), red))) for at in (0, 50)
    ]
    assert len(people_of(tracks, [Shot(0, 1)])[0]) == 2
    assert people_of([], [Shot(0, 1)]) == ([], 0)


# ---- who speaks


def talking(number: int, mouths: tuple[bool, bool], shaking: bool = True) -> Image:
    """Two faces before a camera that shakes; a mouth that speaks opens and closes."""
    shake = number % 3 if shaking else 0
    image = np.roll(ground(1), shake, axis=1).copy()
    for at, speaks in zip((40, 200), mouths, strict=True):
        face = image[60:140, at + shake : at + shake + 64]
        face[:] = (210, 170, 140)
        face[24:30, 12:22] = face[24:30, 42:52] = 30
        face[56 : 60 + (10 * (number % 2) if speaks else 0), 20:44] = 120
    return image


def speaking_people() -> tuple[list[Person], Any]:
    people = []
    for n, at in enumerate((40, 200), 1):
        box, face = (at - 20.0, 30.0, at + 84.0, 290.0), (float(at), 60.0, at + 64.0, 140.0)
        seen = tuple(Sighting(k / 5, Detection(box, 0.9, face)) for k in range(15))
        people.append(Person(f"Person{n}", (Track(0, seen, 15),)))
    return people, speakers_of(people, [Shot(0.0, 3.0)], 5.0)


@pytest.mark.parametrize("faces", [True, False])
def test_who_moves_the_mouth_speaks(tmp_path: Path, faces: bool) -> None:
    clip = write_clip(tmp_path / "talk.mp4", filmed(30, lambda n: talking(n, (n < 15, n >= 15), faces)))
    people, speakers = speaking_people()
    stretches = [Stretch(0.1, 1.4), Stretch(1.6, 2.9), Stretch(0.1, 1.4, speaker="Ada"), Stretch(None, None)]
    guesses, made = guess_speakers(open_walk(clip), stretches, speakers, people if faces else ())
    assert [guess.speaker for guess in guesses] == ["Person1", "Person2", "Ada", None]
    assert [guess.reason for guess in guesses] == [
        *(["mouth"] * 2 if faces else ["box"] * 2),
        "given",
        "no time is known",
    ]
    assert all(guess.margin is not None and guess.margin > 0.2 for guess in guesses[:2])
    assert made.items[0]["evidence"].keys() == {"Person1", "Person2"}


def test_nobody_is_named_where_mouths_are_still_or_move_alike(tmp_path: Path) -> None:
    people, speakers = speaking_people()
    still = write_clip(tmp_path / "still.mp4", filmed(30, lambda n: talking(n, (False, False))))
    both = write_clip(tmp_path / "both.mp4", filmed(30, lambda n: talking(n, (True, True))))
    for clip, reason in ((still, "nobody moves"), (both, "too close to tell")):
        (guess,), made = guess_speakers(open_walk(clip), [Stretch(0.1, 2.9)], speakers, people)
        assert (guess.speaker, guess.reason) == (None, reason)
        assert made.sure == "1 stretch: 1 open"


def test_one_who_is_seen_alone_is_named_without_a_margin(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "talk.mp4", filmed(30, lambda n: talking(n, (False, False))))
    people, speakers = speaking_people()
    (guess,), _ = guess_speakers(open_walk(clip), [Stretch(0.0, 2.0)], {"Person1": speakers["Person1"]}, people)
    assert (guess.speaker, guess.margin, guess.reason) == ("Person1", None, "alone")
    (nobody,), _ = guess_speakers(open_walk(clip), [Stretch(0.0, 2.0)], {}, ())
    assert (nobody.speaker, nobody.reason) == (None, "nobody is seen")


def test_stretches_without_words_are_cut_where_the_shots_are() -> None:
    shots = [Shot(0, 1), Shot(1, 2), Shot(2, 3)]
    assert [(s.start, s.end) for s in cut_at([Stretch(0.2, 2.1, 0.9)], shots)] == [(0.2, 1), (1, 2.1)]
    assert list(cut_at([Stretch(0.2, 2.5, None, None, "yes")], shots)) == [Stretch(0.2, 2.5, None, None, "yes")]

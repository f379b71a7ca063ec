"""People of a clip: detected in some frames, followed within shots, and connected across them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attnscope.prepare.extra import named
from attnscope.prepare.identities import ALIKE, people_of
from attnscope.prepare.parts import Made, Person, Shot, counted
from attnscope.prepare.tracks import follow
from attnscope.progress import Progress
from attnscope.scene.walk import Walk


def find_people(
    walk: Walk,
    shots: Sequence[Shot],
    detector: str | None,
    fps: float,
    most: int,
    progress: Progress | None = None,
) -> tuple[list[Person], Made]:
    """Propose the people of a clip.

    Args:
        walk: The clip.
        shots: Its shots.
        detector: An object detection model of transformers; the face detector if None.
        fps: Frames a second that are looked at.
        most: How many people are kept: those seen largest and longest.
        progress: Called with (what, done, total).

    Returns:
        People, and how they came about.

    Raises:
        InstallError: If a package is missing.
        ModelError: If the detector cannot be loaded.
        MediaError: If a frame cannot be read.
    """
    detect = _detector(detector)
    tracks, lone = follow(walk, shots, detect, fps, progress)
    everybody, small = people_of(tracks, shots)
    people, others = everybody[:most], everybody[most:]
    notes = []
    if others:
        tracks_of = counted(sum(len(person.tracks) for person in others), "track")
        notes.append(
            f"{counted(len(others), 'more person', 'more people')} in {tracks_of} left out: seen smaller or shorter"
        )
    if small:
        notes.append(f"{counted(small, 'track')} left out: seen smaller or shorter")
    return people, Made(
        "people",
        f"{detect.made_by}; tracks by {named('norfair-enough')}; shots connected by colours (attnscope)",
        _sure(people, lone),
        detect.settings | {"frames_a_second": fps, "least_likeness": ALIKE, "most_people": most},
        [_item(person) for person in people],
        notes,
    )


def _detector(model: str | None) -> Any:
    if model is not None:
        from attnscope.prepare.detector import NamedDetector

        return NamedDetector(model)
    from attnscope.prepare.faces import FaceDetector

    return FaceDetector()


def _sure(people: Sequence[Person], lone: int) -> str:
    if not people:
        return f"nobody is found; {counted(lone, 'detection')} in no track"
    scores = [track.score for person in people for track in person.tracks]
    across = [person.likeness for person in people if person.likeness is not None]
    connected = (
        f"{len(across)} connected over tracks with a likeness of at least {min(across):.2f}"
        if across
        else "nobody is connected over tracks"
    )
    return (
        f"{counted(len(people), 'person', 'people')} in {counted(len(scores), 'track')}, "
        f"mean score {min(scores):.2f} to {max(scores):.2f}; {connected}; {counted(lone, 'detection')} in no track"
    )


def _item(person: Person) -> dict[str, Any]:
    return {
        "name": person.name,
        "likeness": None if person.likeness is None else round(person.likeness, 3),
        "tracks": [
            {
                "shot": track.shot,
                "start": track.sightings[0].time,
                "end": track.sightings[-1].time,
                "score": round(track.score, 3),
                "seen": len(track.sightings),
                "looked": track.looked,
            }
            for track in person.tracks
        ],
    }

"""People as speakers of a scene: when they are visible, and their boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from attnscope.prepare.parts import Person, Shot, Track, Xyxy
from attnscope.prepare.tracks import thinned
from attnscope.scene.models import Keyframe, Segment, Speaker


def speakers_of(
    people: Sequence[Person], shots: Sequence[Shot], fps: float, *, of_faces: bool = False
) -> dict[str, Speaker]:
    """Speakers with boxes in pixels, by name.

    A person is visible from the first sighting of a track to one step after the last. A track that is first seen
    within a step of its shot's start begins with the shot; one that is last seen within one and a half of its end ends
    with it.

    Args:
        people: The people.
        shots: The shots of the clip.
        fps: Frames a second that were looked at.
        of_faces: Boxes of faces in place of those of people.
    """
    return {person.name: _speaker(person, shots, 1 / fps, of_faces) for person in people}


def _speaker(person: Person, shots: Sequence[Shot], step: float, of_faces: bool) -> Speaker:
    segments: list[Segment] = []
    for track in sorted(person.tracks, key=lambda track: track.sightings[0].time):
        start, end = _visible(track, shots[track.shot], step)
        if segments and start < segments[-1].end:
            start = segments[-1].end
        keyframes = [
            Keyframe(t=sighting.time, xyxy=_rounded(sighting.detection.xyxy))
            for sighting in thinned(_faces(track) if of_faces else track).sightings
        ]
        segments.append(Segment(start=start, end=end, keyframes=keyframes))
    return Speaker(segments=segments)


def _visible(track: Track, shot: Shot, step: float) -> tuple[float, float]:
    first, last = track.sightings[0].time, track.sightings[-1].time
    start = shot.start if first - shot.start < step else first
    end = shot.end if shot.end - last <= 1.5 * step else last + step
    return min(start, first), max(end, last)


def _faces(track: Track) -> Track:
    """The track with the boxes of faces, where there are any."""
    sightings = [
        replace(seen, detection=replace(seen.detection, xyxy=seen.detection.face or seen.detection.xyxy))
        for seen in track.sightings
    ]
    return replace(track, sightings=tuple(sightings))


def _rounded(box: Xyxy) -> Xyxy:
    """Tenths of a pixel: no detector knows more, and people read the file."""
    left, top, right, bottom = (round(edge, 1) for edge in box)
    return (left, top, right, bottom)

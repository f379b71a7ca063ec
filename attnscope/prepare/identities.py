"""Which tracks of different shots are one person: by the colours of face and clothes.

No network for faces comes inside a package that can be installed with current versions, so this is a weak guess: people
in dark suits look alike. prepare.json says how alike the tracks of a person are; joining and splitting people is the
first thing to check by hand.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from attnscope.prepare.parts import Detection, Person, Shot, Track

ALIKE = 0.75  # least overlap of colours of two tracks of one person
_BINS = (12, 4, 4)  # of hue, saturation and value
_PATCH = 32  # pixels to which the head and the clothes are scaled


def colours_of(pixels: npt.NDArray[np.uint8], found: Detection) -> tuple[float, ...]:
    """Histogram of the colours of the head and of the clothes below it, each of sum 1/2.

    Args:
        pixels: Frame [H, W, 3], RGB.
        found: Somebody in it.
    """
    head, clothes = _regions(found)
    return (*_histogram(pixels, head), *_histogram(pixels, clothes))


def likeness(one: Sequence[float], other: Sequence[float]) -> float:
    """Overlap of two histograms of sum 1: Bhattacharyya's coefficient, 0 to 1."""
    return float(np.sqrt(np.asarray(one) * np.asarray(other)).sum())


def people_of(tracks: Sequence[Track], shots: Sequence[Shot], alike: float = ALIKE) -> list[Person]:
    """Connect tracks, the most alike first, until no two that may be one person are alike enough.

    Two tracks that share a moment are two people. Within a shot, tracks are connected too: somebody may leave and come
    back. Groups are as alike as their least alike pair of tracks.

    Args:
        tracks: Of all shots.
        shots: The shots.
        alike: Least likeness.

    Returns:
        People by the time for which they are seen times the size of their boxes, largest first.
    """
    colours = [np.mean([sighting.colours for sighting in track.sightings], axis=0) for track in tracks]
    alikeness = np.array([[likeness(a, b) for b in colours] for a in colours]).reshape(len(tracks), len(tracks))
    groups = [[number] for number in range(len(tracks))]
    links: dict[tuple[int, ...], float] = {}
    while True:
        best = max(
            (
                (float(alikeness[np.ix_(a, b)].min()), i, j)
                for i, a in enumerate(groups)
                for j, b in enumerate(groups[:i])
                if not any(_overlap(tracks[m], tracks[n]) for m in a for n in b)
            ),
            default=(0.0, 0, 0),
        )
        if best[0] < alike:
            break
        _, i, j = best
        joined = sorted(groups[j] + groups[i])
        groups = [group for number, group in enumerate(groups) if number not in (i, j)] + [joined]
        links[tuple(joined)] = best[0]
    people = [
        Person("", tuple(sorted((tracks[n] for n in group), key=_start)), links.get(tuple(sorted(group))))
        for group in groups
    ]
    people.sort(key=lambda person: (-_weight(person, shots), _start(person.tracks[0])))
    return [Person(f"Person{n}", person.tracks, person.likeness) for n, person in enumerate(people, 1)]


def _weight(person: Person, shots: Sequence[Shot]) -> float:
    total = 0.0
    for track in person.tracks:
        boxes = np.array([sighting.detection.xyxy for sighting in track.sightings])
        area = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).mean()
        shown = track.sightings[-1].time - track.sightings[0].time
        total += area * (shown or max(shots[track.shot].end - shots[track.shot].start, 1e-3))
    return float(total)


def _start(track: Track) -> float:
    return track.sightings[0].time


def _overlap(one: Track, other: Track) -> bool:
    return _start(one) <= other.sightings[-1].time and _start(other) <= one.sightings[-1].time


def _regions(found: Detection) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The head, and the clothes below it."""
    left, top, right, bottom = found.xyxy
    if found.face is not None:
        face = found.face
        across, down = face[2] - face[0], face[3] - face[1]
        return face, (face[0] - across / 2, face[3] + 0.3 * down, face[2] + across / 2, face[3] + 1.8 * down)
    across, down = right - left, bottom - top
    middle = (left + right) / 2
    head = (middle - across / 6, top, middle + across / 6, top + down / 6)
    return head, (middle - across / 3, top + down / 5, middle + across / 3, top + down / 2)


def _histogram(pixels: npt.NDArray[np.uint8], box: tuple[float, ...]) -> tuple[float, ...]:
    height, width = pixels.shape[:2]
    left, top = int(np.clip(box[0], 0, width - 1)), int(np.clip(box[1], 0, height - 1))
    right, bottom = int(np.clip(np.ceil(box[2]), left + 1, width)), int(np.clip(np.ceil(box[3]), top + 1, height))
    patch = Image.fromarray(pixels[top:bottom, left:right]).resize((_PATCH, _PATCH), Image.Resampling.BOX)
    colours = np.asarray(patch.convert("HSV")).reshape(-1, 3) / 256
    counts, _ = np.histogramdd(colours, bins=_BINS, range=((0, 1),) * 3)
    return tuple((counts / counts.sum() / 2).ravel().tolist())

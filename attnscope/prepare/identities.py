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
_MOST_TRACKS = 2000  # every two are compared
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


def people_of(tracks: Sequence[Track], shots: Sequence[Shot], alike: float = ALIKE) -> tuple[list[Person], int]:
    """Connect tracks, the most alike first, until no two that may be one person are alike enough.

    Two tracks that share a moment are two people. Within a shot, tracks are connected too: somebody may leave and come
    back. Groups are as alike as their least alike pair of tracks (complete linkage).

    Args:
        tracks: Of all shots.
        shots: The shots.
        alike: Least likeness.

    Returns:
        People by the time for which they are seen times the size of their boxes, largest first; and how many tracks
        are left out, the least of more than 2,000.
    """
    kept = sorted(range(len(tracks)), key=lambda number: -_weight([tracks[number]], shots))[:_MOST_TRACKS]
    chosen = [tracks[number] for number in sorted(kept)]
    alikeness = _alikeness(chosen)
    groups: dict[int, list[int]] = {}
    for number, group in enumerate(_grouped(alikeness, alike)):
        groups.setdefault(group, []).append(number)
    people = []
    for numbers in groups.values():
        least = float(alikeness[np.ix_(numbers, numbers)].min()) if len(numbers) > 1 else None
        people.append(Person("", tuple(sorted((chosen[n] for n in numbers), key=_start)), least))
    people.sort(key=lambda person: (-_weight(person.tracks, shots), _start(person.tracks[0])))
    named = [Person(f"Person{n}", person.tracks, person.likeness) for n, person in enumerate(people, 1)]
    return named, len(tracks) - len(chosen)


def _alikeness(tracks: Sequence[Track]) -> npt.NDArray[np.float64]:
    """Likeness of every two tracks [n, n]: Bhattacharyya's coefficient of their colours, 0 to 1.

    It is -1 for two that share a moment.
    """
    roots = np.array([np.sqrt(np.mean([seen.colours for seen in track.sightings], axis=0)) for track in tracks])
    start = np.array([_start(track) for track in tracks])
    end = np.array([track.sightings[-1].time for track in tracks])
    together = (start[:, None] <= end) & (start <= end[:, None])
    np.fill_diagonal(together, False)
    alikeness: npt.NDArray[np.float64] = np.where(together, -1.0, roots @ roots.T) if len(tracks) else np.ones((0, 0))
    return alikeness


def _grouped(alikeness: npt.NDArray[np.float64], alike: float) -> list[int]:
    """The number of each track's group."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    if len(alikeness) < 2:
        return [0] * len(alikeness)
    distance = 1 - alikeness
    np.fill_diagonal(distance, 0)
    joined = linkage(squareform(distance, checks=False), "complete")
    return [int(group) for group in fcluster(joined, 1 - alike, "distance")]


def _weight(tracks: Sequence[Track], shots: Sequence[Shot]) -> float:
    """Pixels of the boxes times the seconds for which they are seen."""
    total = 0.0
    for track in tracks:
        boxes = np.array([sighting.detection.xyxy for sighting in track.sightings])
        area = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).mean()
        shown = track.sightings[-1].time - track.sightings[0].time
        total += area * (shown or max(shots[track.shot].end - shots[track.shot].start, 1e-3))
    return float(total)


def _start(track: Track) -> float:
    return track.sightings[0].time


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

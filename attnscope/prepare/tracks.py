"""Tracks: which detections of one shot are one person, by norfair's tracker.

Boxes are matched from frame to frame by how much they overlap (IoU) with where the tracker's Kalman filter expects
them, and by their size. Where faces are known, the box is that of the head, twice as wide and high as the face: boxes
of whole people overlap those of their neighbours. Nothing is tracked across a cut: `attnscope.prepare.identities`
connects the tracks of different shots.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from attnscope.prepare.extra import needed
from attnscope.prepare.identities import colours_of
from attnscope.prepare.parts import Detection, Shot, Sighting, Track
from attnscope.progress import Progress
from attnscope.scene.walk import Walk

FPS = 5.0  # frames a second that are looked at
_LEAST_OVERLAP = 0.2  # IoU of two boxes of one person in neighbouring frames
_MOST_GROWTH = 1.6  # ratio of their heights
_PATIENCE = 0.6  # seconds that a person may be missed within a track
_SHORTEST = 3  # sightings of a track; fewer are a false alarm, unless the shot has fewer frames
Detector = Callable[[npt.NDArray[np.uint8]], list[Detection]]


def follow(
    walk: Walk, shots: Sequence[Shot], detect: Detector, fps: float = FPS, progress: Progress | None = None
) -> tuple[list[Track], int]:
    """Detect people in every shot and connect what is one person.

    Args:
        walk: The clip.
        shots: Its shots, in order.
        detect: Finds people in a frame.
        fps: Frames a second that are looked at; the first frame of every shot is one of them.
        progress: Called with (what, done, total).

    Returns:
        Tracks in the order of shots and of their first sighting, and how many detections belong to none.

    Raises:
        InstallError: If norfair is not installed.
        MediaError: If a frame cannot be read.
    """
    wanted = {number: shot for shot, numbers in _looked_at(walk, shots, fps).items() for number in numbers}
    norfair = needed("norfair", "norfair-enough", "people")
    tracks: list[Track] = []
    lone, tracker = 0, _ShotTracker(norfair, -1, fps)
    for done, (number, time, pixels) in enumerate(walk.frames(sorted(wanted))):
        if wanted[number] != tracker.shot:
            lone += tracker.close(tracks)
            tracker = _ShotTracker(norfair, wanted[number], fps)
        found = [Sighting(time, found, colours_of(pixels, found)) for found in detect(pixels)]
        tracker.add(found)
        if progress is not None:
            progress("people", done + 1, len(wanted))
    lone += tracker.close(tracks)
    return tracks, lone


def _looked_at(walk: Walk, shots: Sequence[Shot], fps: float) -> dict[int, list[int]]:
    """Numbers of the frames that are looked at, by the number of their shot."""
    chosen: dict[int, list[int]] = {}
    for number, shot in enumerate(shots):
        moments = shot.start + np.arange(max(1, int(np.ceil((shot.end - shot.start) * fps)))) / fps
        first, last = np.searchsorted(walk.times, (shot.start - 1e-6, shot.end - 1e-6))
        chosen[number] = [frame for frame in walk.at(moments) if first <= frame < max(last, first + 1)]
    return chosen


class _ShotTracker:
    """norfair's tracker within one shot."""

    def __init__(self, norfair: Any, shot: int, fps: float) -> None:
        self.shot = shot
        self._norfair = norfair
        logging.getLogger("norfair").setLevel(logging.ERROR)  # it advises a faster distance than ours
        self._tracker = norfair.Tracker(
            distance_function=_distance,
            distance_threshold=1 - _LEAST_OVERLAP,
            initialization_delay=0,
            hit_counter_max=max(1, round(_PATIENCE * fps)),
        )
        self._found: dict[int, list[tuple[int, Sighting]]] = {}  # frames within the shot, and sightings, by track
        self._frames = 0

    def add(self, sightings: Sequence[Sighting]) -> None:
        """The sightings of the next frame."""
        detections = [
            self._norfair.Detection(points=_head(sighting.detection), data=sighting) for sighting in sightings
        ]
        for tracked in self._tracker.update(detections=detections or None):
            last = tracked.last_detection.data  # norfair copies detections, and not their data
            if any(last is sighting for sighting in sightings):
                self._found.setdefault(int(tracked.id), []).append((self._frames, last))
        self._frames += 1

    def close(self, tracks: list[Track]) -> int:
        """Add the tracks of the shot to a list.

        Returns:
            Sightings that are in none, since they are too few together.
        """
        lone = 0
        for found in self._found.values():
            if len(found) < min(_SHORTEST, self._frames):
                lone += len(found)
                continue
            looked = found[-1][0] - found[0][0] + 1
            tracks.append(Track(self.shot, tuple(sighting for _, sighting in found), looked))
        return lone


def _head(found: Detection) -> npt.NDArray[np.float64]:
    """What is tracked, as two corners [2, 2]: the head, or the person where no face is known."""
    if found.face is None:
        return np.reshape(found.xyxy, (2, 2)).astype(float)
    corners = np.reshape(found.face, (2, 2))
    middle, half = corners.mean(axis=0), corners[1] - corners[0]
    return np.array([middle - half, middle + half])


def _distance(detection: Any, tracked: Any) -> float:
    """1 - IoU of a detection with what is tracked; infinite if their sizes differ too much."""
    new, old = detection.points, tracked.estimate
    high = [max(1e-6, float(corners[1, 1] - corners[0, 1])) for corners in (new, old)]
    if max(high) > _MOST_GROWTH * min(high):
        return float("inf")
    shared = np.clip(np.minimum(new[1], old[1]) - np.maximum(new[0], old[0]), 0, None).prod()
    both = (new[1] - new[0]).prod() + (old[1] - old[0]).prod() - shared
    return float(1 - shared / max(both, 1e-6))


def thinned(track: Track, tolerance: float = 0.02) -> Track:
    """A track without the sightings that lie where interpolation between their neighbours puts them.

    Args:
        track: A track.
        tolerance: How far an edge may be off, as a share of the box's size.
    """
    boxes = np.array([sighting.detection.xyxy for sighting in track.sightings])
    times = np.array([sighting.time for sighting in track.sightings])
    size = np.maximum(boxes[:, 2:] - boxes[:, :2], 1)
    kept, waiting = {0, len(times) - 1}, [(0, len(times) - 1)]
    while waiting:
        first, last = waiting.pop()
        if last - first < 2:
            continue
        share = ((times[first : last + 1] - times[first]) / (times[last] - times[first]))[:, None]
        expected = boxes[first] + share * (boxes[last] - boxes[first])
        off = (np.abs(boxes[first : last + 1] - expected) / np.tile(size[first : last + 1], 2)).max(axis=1)
        worst = int(off.argmax())
        if off[worst] > tolerance:
            kept.add(first + worst)
            waiting += [(first, first + worst), (first + worst, last)]
    return replace(track, sightings=tuple(track.sightings[number] for number in sorted(kept)))

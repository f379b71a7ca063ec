"""A first guess who speaks: the visible person whose mouth moves most while there is speech.

Motion is the mean absolute difference of neighbouring frames within the mouth's region, in shares of full brightness,
less that of the region above it: what a head or a camera moves, moves both. Small shifts are taken out before. Where
faces are not known, the upper part of the person's box stands in for the mouth's region, and nothing is subtracted.

The guess is weak. Somebody out of the picture may speak, listeners laugh and chew, and a microphone hides a mouth. So
it has a margin, and below a stated margin nobody is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from attnscope.prepare.parts import Guess, Made, Person, Stretch, counted
from attnscope.progress import Progress
from attnscope.scene.boxes import boxes_at
from attnscope.scene.models import Speaker
from attnscope.scene.walk import Walk

MARGIN = 0.2  # share of the evidence by which the best must exceed the next
_FPS = 12.5  # frames a second that are compared: syllables come at about 4 a second
_MOST = 100  # pairs of frames for one stretch
_SIZE = (32, 24)  # width and height to which a region is scaled
_STILL = 0.5 / 255  # motion below half a step of grey is noise
_SEEN = 0.25  # share of the frames of a stretch in which somebody must be seen to count
_SHIFT = 2  # of these pixels, that a region may have moved as a whole


def guess_speakers(
    walk: Walk,
    stretches: Sequence[Stretch],
    speakers: Mapping[str, Speaker],
    faces: Sequence[Person] = (),
    margin: float = MARGIN,
    progress: Progress | None = None,
) -> tuple[list[Guess], Made]:
    """Guess who speaks in each stretch.

    Args:
        walk: The clip.
        stretches: Of speech; those that name a speaker keep theirs.
        speakers: People with boxes in pixels, by name.
        faces: The same people with their faces, as far as these are known.
        margin: Least margin with which somebody is named, 0 to 1.
        progress: Called with (what, done, total).

    Returns:
        A guess for each stretch, and how they came about.

    Raises:
        MediaError: If a frame cannot be read.
    """
    known = {person.name: person for person in faces}
    looks = [None if _is_settled(stretch) else _Look(walk, stretch, speakers, known) for stretch in stretches]
    at: dict[int, list[_Look]] = {}
    for look in looks:
        if look is not None and len(look.regions) > 1:
            for number in look.numbers:
                at.setdefault(number, []).append(look)
    for done, (number, _, pixels) in enumerate(walk.frames(sorted(at))):
        for look in at[number]:
            look.add(number, pixels)
        if progress is not None:
            progress("speaking", done + 1, len(at))
    guesses = [
        _settled(stretch) if look is None else look.guess(margin)
        for stretch, look in zip(stretches, looks, strict=True)
    ]
    return guesses, Made(
        "speaking",
        "motion of mouths (attnscope)",
        _sure(guesses),
        {"least_margin": margin, "frames_a_second": _FPS},
        [
            {
                "start": guess.stretch.start,
                "end": guess.stretch.end,
                "speaker": guess.speaker,
                "margin": None if guess.margin is None else round(guess.margin, 3),
                "evidence": {name: round(value, 5) for name, value in guess.evidence.items()},
                "reason": guess.reason,
            }
            for guess in guesses
        ],
    )


def _sure(guesses: Sequence[Guess]) -> str:
    if not guesses:
        return "there is no speech"
    margins = [guess.margin for guess in guesses if guess.speaker is not None and guess.margin is not None]
    counts = {
        "of one who is seen alone": sum(guess.reason == "alone" for guess in guesses),
        "named by the file": sum(guess.reason == "given" for guess in guesses),
        "open": sum(guess.speaker is None for guess in guesses),
    }
    said = [f"{len(margins)} guessed with a median margin of {float(np.median(margins)):.2f}"] if margins else []
    said += [f"{number} {what}" for what, number in counts.items() if number]
    return f"{counted(len(guesses), 'stretch', 'stretches')}: {', '.join(said)}"


def _is_settled(stretch: Stretch) -> bool:
    return stretch.speaker is not None or stretch.seconds <= 0


def _settled(stretch: Stretch) -> Guess:
    """What needs no look."""
    return Guess(stretch, stretch.speaker, None, {}, "no time is known" if stretch.speaker is None else "given")


class _Look:
    """What is seen in one stretch; frames come one by one, and those of other stretches between them.

    Attributes:
        numbers: Frames that are compared.
        regions: Of each person who is seen often enough: boxes [n, 4], NaN where unseen, and whether they are of faces.
    """

    def __init__(
        self, walk: Walk, stretch: Stretch, speakers: Mapping[str, Speaker], faces: Mapping[str, Person]
    ) -> None:
        self._stretch = stretch
        self.numbers = _frames_of(walk, stretch)
        times = walk.times[self.numbers]
        regions = {name: _places(speaker, faces.get(name), times) for name, speaker in speakers.items()}
        self.regions = {n: place for n, place in regions.items() if (~np.isnan(place[0][:, 0])).mean() >= _SEEN}
        self._row = {number: row for row, number in enumerate(self.numbers)}
        self._total = dict.fromkeys(self.regions, 0.0)
        self._before: dict[str, list[npt.NDArray[np.float64]]] = {}

    def add(self, number: int, pixels: npt.NDArray[np.uint8]) -> None:
        """Compare a frame [H, W, 3] with the one before; whoever is not seen in both gets nothing."""
        now: dict[str, list[npt.NDArray[np.float64]]] = {}
        for name, (boxes, of_face) in self.regions.items():
            box = boxes[self._row[number]]
            if np.isnan(box).any():
                continue
            now[name] = [_patch(pixels, part) for part in _parts(box, of_face)]
            if name in self._before:
                moved = [_difference(a, b) for a, b in zip(self._before[name], now[name], strict=True)]
                self._total[name] += moved[0] - (moved[1] if of_face else 0.0)
        self._before = now

    def guess(self, least: float) -> Guess:
        """Who speaks."""
        stretch = self._stretch
        if not self.regions:
            return Guess(stretch, None, None, {}, "nobody is seen")
        if len(self.regions) == 1:
            (name,) = self.regions
            return Guess(stretch, name, None, {}, "alone")
        pairs = max(1, len(self.numbers) - 1)
        evidence = {name: value / pairs for name, value in self._total.items()}
        best, second = sorted(evidence, key=lambda name: -evidence[name])[:2]
        if evidence[best] < _STILL:
            return Guess(stretch, None, 0.0, evidence, "nobody moves")
        margin = (evidence[best] - max(0.0, evidence[second])) / evidence[best]
        if margin < least:
            return Guess(stretch, None, margin, evidence, "too close to tell")
        return Guess(stretch, best, margin, evidence, "mouth" if self.regions[best][1] else "box")


def _frames_of(walk: Walk, stretch: Stretch) -> list[int]:
    """Frames of a stretch, at most `_FPS` a second; a long one is looked at in its middle."""
    half = min(stretch.seconds / 2, _MOST / _FPS / 2)
    middle = (stretch.start or 0.0) + stretch.seconds / 2
    count = max(2, int(2 * half * _FPS))
    return walk.at(np.linspace(middle - half, max(middle - half, middle + half - 1e-3), count))


def _places(
    speaker: Speaker, person: Person | None, times: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], bool]:
    """Boxes [n, 4] of the face, or of the person's upper part, NaN where unseen; and whether they are of the face."""
    boxes = boxes_at(speaker, times)
    if person is None:
        boxes[:, 3] = boxes[:, 1] + 0.4 * (boxes[:, 3] - boxes[:, 1])
        return boxes, False
    faces = np.full_like(boxes, np.nan)
    for track in person.tracks:
        seen = [(s.time, s.detection.face) for s in track.sightings if s.detection.face is not None]
        if not seen:
            continue
        at, corners = np.array([time for time, _ in seen]), np.array([face for _, face in seen])
        inside = (times >= at[0] - 0.2) & (times <= at[-1] + 0.2) & ~np.isnan(boxes[:, 0])
        for edge in range(4):
            faces[inside, edge] = np.interp(times[inside], at, corners[:, edge])
    return faces, True


def _parts(box: npt.NDArray[np.float64], of_face: bool) -> list[tuple[float, float, float, float]]:
    """The mouth's region and the one above it, of a face; else the box alone."""
    left, top, right, bottom = (float(edge) for edge in box)
    if not of_face:
        return [(left, top, right, bottom)]
    across, down = right - left, bottom - top
    left, right = left + 0.15 * across, right - 0.15 * across
    return [(left, top + 0.6 * down, right, bottom + 0.05 * down), (left, top + 0.1 * down, right, top + 0.55 * down)]


def _patch(pixels: npt.NDArray[np.uint8], box: tuple[float, float, float, float]) -> npt.NDArray[np.float64]:
    """A region in grey [24, 32], 0 to 1."""
    height, width = pixels.shape[:2]
    left, top = int(np.clip(box[0], 0, width - 1)), int(np.clip(box[1], 0, height - 1))
    right, bottom = int(np.clip(np.ceil(box[2]), left + 1, width)), int(np.clip(np.ceil(box[3]), top + 1, height))
    grey = Image.fromarray(pixels[top:bottom, left:right]).convert("L").resize(_SIZE, Image.Resampling.BOX)
    return np.asarray(grey, np.float64) / 255


def _difference(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """Mean absolute difference at the shift of up to 2 pixels that makes it least."""
    s = _SHIFT
    inner = one[s:-s, s:-s]
    height, width = inner.shape
    return min(
        float(np.abs(inner - other[y : y + height, x : x + width]).mean())
        for y in range(2 * s + 1)
        for x in range(2 * s + 1)
    )

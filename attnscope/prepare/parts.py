"""What the parts of `attnscope prepare` find, each with how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Xyxy = tuple[float, float, float, float]

# In the order in which they are made: each may use those before it.
PARTS = ("shots", "people", "words", "speech", "speaking")


@dataclass(frozen=True)
class Shot:
    """A stretch of time without a cut, start <= t < end.

    Attributes:
        start: Seconds.
        end: Seconds; equal to `start` for an image.
        score: How much the picture changes at its start, 0 to 100; None for the first shot and for shots from a file.
    """

    start: float
    end: float
    score: float | None = None


@dataclass(frozen=True)
class Detection:
    """Somebody in one frame.

    Attributes:
        xyxy: The person's box in pixels.
        score: How sure the detector is, 0 to 1.
        face: The box of the face in pixels; None if the detector does not find faces.
    """

    xyxy: Xyxy
    score: float
    face: Xyxy | None = None


@dataclass(frozen=True)
class Sighting:
    """A detection at a moment.

    Attributes:
        time: Seconds.
        detection: What was detected.
        colours: Histogram [bins] of the person's colours, of sum 1, by which shots are connected.
    """

    time: float
    detection: Detection
    colours: Sequence[float] = ()


@dataclass(frozen=True)
class Track:
    """One person within one shot.

    Attributes:
        shot: Number of the shot, from 0.
        sightings: In the order of time; at least one.
        looked: How many frames of the shot were looked at between the first and the last sighting, both included.
    """

    shot: int
    sightings: tuple[Sighting, ...]
    looked: int = 1

    @property
    def score(self) -> float:
        """Mean score of the detections, 0 to 1."""
        return sum(sighting.detection.score for sighting in self.sightings) / len(self.sightings)


@dataclass(frozen=True)
class Person:
    """Tracks that are taken for one person.

    Attributes:
        name: `Person1`, `Person2`, ...
        tracks: One for each shot in which the person is seen.
        likeness: How alike the colours of its least alike two tracks are, 0 to 1; None with one track.
    """

    name: str
    tracks: tuple[Track, ...]
    likeness: float | None = None


@dataclass(frozen=True)
class Stretch:
    """A stretch of speech.

    Attributes:
        start: Seconds; None if a transcript does not say.
        end: Seconds; None if a transcript does not say.
        score: Mean probability of speech by the model, 0 to 1; None if it comes from a file.
        speaker: Who speaks, if a file says so.
        text: What is said, if a file says so.
    """

    start: float | None
    end: float | None
    score: float | None = None
    speaker: str | None = None
    text: str | None = None

    @property
    def seconds(self) -> float:
        """How long it is; 0 if that is not known."""
        return 0.0 if self.start is None or self.end is None else self.end - self.start


@dataclass(frozen=True)
class Guess:
    """A first guess who speaks in a stretch.

    Attributes:
        stretch: The stretch.
        speaker: Who moves most there; None if nobody is seen, nobody moves, or the margin is too small.
        margin: By how much the evidence for `speaker` exceeds the next person's, as a share of it, 0 to 1.
        evidence: Motion for each visible person.
        reason: What the guess rests on, in a few words.
    """

    stretch: Stretch
    speaker: str | None
    margin: float | None
    evidence: dict[str, float] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class Made:
    """How a part came about.

    Attributes:
        part: Its name, of `PARTS`.
        made_by: Program, model and version; or the file.
        sure: How sure the part is, in one sentence.
        settings: Numbers that it was made with.
        items: What prepare.json tells of each thing that was found.
        notes: What a user should know, one sentence each.
    """

    part: str
    made_by: str
    sure: str
    settings: dict[str, Any] = field(default_factory=dict)
    items: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun: `1 track`, `2 tracks`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"

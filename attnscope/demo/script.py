"""What happens at the round table: clips drawn by lot, with a transcript, and splits by seat combination.

Everything is decided by a numpy generator, so a seed gives the same clips on every machine.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np

from attnscope.demo.cast import CUPS, FRAMES, NAMES, SEATS, SLOT, THINGS, Person, Picture, Thing, seat_place

Split = Literal["train", "calibration", "test"]
SPLITS: tuple[Split, ...] = ("train", "calibration", "test")
SPOTS = ((40, 40), (56, 40), (40, 56), (56, 56))  # of things on the table, each in a visual token of its own
MOST_PEOPLE, MOST_THINGS, MOST_TURNS = 6, 3, 3

# What a turn points out, by its kind: the one addressed, somebody spoken of, somebody whose name is left out.
SENTENCES = {
    "you": (
        "can you hear me?",
        "you look happy today.",
        "what do you think?",
        "I agree with you.",
        "will you help me?",
        "you are right.",
    ),
    "they": (
        "they know the answer.",
        "they look happy today.",
        "I think they are late.",
        "they can help us.",
        "I agree, they are right.",
        "will they come today?",
    ),
    "[someone]": (
        "I agree with [someone].",
        "[someone] knows the answer.",
        "I think [someone] is late.",
        "can [someone] help us?",
        "I trust [someone].",
        "will [someone] come today?",
    ),
    "": ("I am happy today.", "I know the answer.", "I think it is late.", "it is a nice day."),
}
_KINDS = ("you", "they", "[someone]")


@dataclass(frozen=True)
class Turn:
    """One utterance.

    Attributes:
        speaker: Index into the clip's people.
        target: Index into the clip's people of the one pointed at, -1 for nobody.
        kind: Key of SENTENCES.
        text: The words.
        start, end: First frame, and one past the last; whole slots of the model.
    """

    speaker: int
    target: int
    kind: str
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Clip:
    """A picture, what is said, and whether the transcript tells who says it."""

    picture: Picture
    turns: tuple[Turn, ...]
    named: bool

    @property
    def people(self) -> tuple[Person, ...]:
        """Everybody at the table."""
        return self.picture.people

    @property
    def seats(self) -> str:
        """The seat combination ("0-3-5"), or that of the spots of things where nobody sits."""
        if self.people:
            return "-".join(str(seat) for seat in sorted(person.seat for person in self.people))
        return "-".join(str(spot) for spot in sorted(thing.spot for thing in self.picture.things))

    def at_slot(self, slot: int) -> Clip:
        """The clip that shows what happens in one slot from its beginning to its end: one turn at most."""
        first, after = slot * SLOT, (slot + 1) * SLOT
        repeat = FRAMES // SLOT
        people = tuple(
            replace(person, points_at=person.points_at[first:after] * repeat, mouth=person.mouth[first:after] * repeat)
            for person in self.people
        )
        turns = tuple(replace(t, start=0, end=FRAMES) for t in self.turns if t.start <= first < t.end)
        return Clip(replace(self.picture, people=people), turns, self.named)


def split_of(kind: str, combination: tuple[int, ...]) -> Split:
    """The split that a combination of seats ("people") or spots ("things") belongs to, for ever.

    Within each size, combinations are ordered by a checksum; the first fifth is test, the next calibration.
    """
    size = len(combination)
    every = sorted(combinations(range(SEATS if kind == "people" else len(SPOTS)), size), key=lambda c: _draw(kind, c))
    fifth = max(1, len(every) // 5) if len(every) > 2 else 0
    rank = every.index(tuple(sorted(combination)))
    return "test" if rank < fifth else "calibration" if rank < 2 * fifth else "train"


def _draw(kind: str, combination: tuple[int, ...]) -> int:
    return zlib.crc32(f"roundtable {kind} {combination}".encode())


def combinations_of(kind: str, size: int, split: Split) -> list[tuple[int, ...]]:
    """All combinations of a size in a split."""
    places = SEATS if kind == "people" else len(SPOTS)
    return [c for c in combinations(range(places), size) if split_of(kind, c) == split]


class ClipSampler:
    """Draws clips of one split by lot.

    Args:
        split: Which seat combinations are allowed.
        seed: Seed of everything that is drawn; several numbers name one part of a larger work.
    """

    def __init__(self, split: Split, *seed: int) -> None:
        # how many numbers there are is one of them: numpy takes 1 and 1, 0 for the same seed
        self.rng = np.random.default_rng([zlib.crc32(split.encode()), len(seed), *seed])
        self._seats = {n: combinations_of("people", n, split) for n in range(1, MOST_PEOPLE + 1)}
        self._spots = {n: combinations_of("things", n, split) for n in range(1, MOST_THINGS + 1)}

    def clip(self, people: int, *, turns: int | None = None, named: bool | None = None) -> Clip:
        """One clip.

        Args:
            people: 0 for things alone, else how many people.
            turns: How many utterances; drawn if None, mostly one.
            named: Whether the transcript tells the speakers; drawn if None.
        """
        rng = self.rng
        tint = int(rng.integers(4))
        if people == 0:
            return Clip(Picture(things=self._things(int(rng.integers(1, MOST_THINGS + 1))), tint=tint), (), named=True)
        if turns is None:
            turns = int(rng.choice(MOST_TURNS, p=(0.6, 0.25, 0.15))) + 1
        if named is None:
            named = bool(rng.random() < 0.5)
        spoken = self._turns(people, turns)
        picture = Picture(self._people(people, spoken), self._things(1) if rng.random() < 0.5 else (), tint)
        return Clip(picture, spoken, named)

    def _things(self, count: int) -> tuple[Thing, ...]:
        rng = self.rng
        spots = self._spots[count][rng.integers(len(self._spots[count]))]
        kinds = rng.permutation(len(THINGS))[:count]
        colours = rng.permutation(len(CUPS))[:count]
        moved = rng.integers(-2, 3, size=(count, 2))
        return tuple(
            Thing(int(kind), int(colour), spot, float(SPOTS[spot][0] + dx), float(SPOTS[spot][1] + dy))
            for kind, colour, spot, (dx, dy) in zip(kinds, colours, spots, moved, strict=True)
        )

    def _turns(self, people: int, count: int) -> tuple[Turn, ...]:
        """Utterances one after another, each of at least one slot; nobody speaks twice while others are silent."""
        rng = self.rng
        slots = FRAMES // SLOT
        cuts = [0, *sorted(rng.permutation(slots - 1)[: count - 1] + 1), slots]
        order = rng.permutation(people)
        turns = []
        for number in range(count):
            speaker = int(order[number % people])
            target = -1
            if people > 1:
                target = int(rng.integers(people - 1))
                target += target >= speaker
            kind = _KINDS[rng.integers(len(_KINDS))] if people > 1 else ""
            text = SENTENCES[kind][rng.integers(len(SENTENCES[kind]))]
            turns.append(Turn(speaker, target, kind, text, int(cuts[number]) * SLOT, int(cuts[number + 1]) * SLOT))
        return tuple(turns)

    def _people(self, count: int, turns: tuple[Turn, ...]) -> tuple[Person, ...]:
        rng = self.rng
        seats = rng.permutation(self._seats[count][rng.integers(len(self._seats[count]))])
        who = rng.permutation(len(NAMES))[:count]
        arms = self._arms(count, turns)
        people = []
        for number in range(count):
            x, y = seat_place(int(seats[number]))
            dx, dy = rng.integers(-2, 3, size=2)
            points = tuple(-1 if other < 0 else int(seats[other]) for other in arms[number])
            mouth = self._mouth([turn for turn in turns if turn.speaker == number])
            cup = int(rng.integers(len(CUPS)))
            people.append(Person(int(who[number]), int(seats[number]), x + dx, y + dy, points, mouth, cup))
        return tuple(people)

    def _arms(self, count: int, turns: tuple[Turn, ...]) -> list[list[int]]:
        """Who points at whom in each frame: a speaker while speaking, some listeners all the time."""
        rng = self.rng
        arms = [[-1] * FRAMES for _ in range(count)]
        for turn in turns:
            arms[turn.speaker][turn.start : turn.end] = [turn.target] * (turn.end - turn.start)
        speaking = {turn.speaker for turn in turns}
        for number in range(count):
            if number not in speaking and count > 1 and rng.random() < 0.6:
                other = int(rng.integers(count - 1))
                arms[number] = [other + (other >= number)] * FRAMES
        return arms

    def _mouth(self, own: list[Turn]) -> tuple[int, ...]:
        """Closed while silent; while speaking it moves, and is open at least once in each slot."""
        mouth = np.zeros(FRAMES, dtype=int)
        for turn in own:
            mouth[turn.start : turn.end] = self.rng.choice(3, size=turn.end - turn.start, p=(0.2, 0.3, 0.5))
            for slot in range(turn.start, turn.end, SLOT):
                if not mouth[slot : slot + SLOT].any():
                    mouth[slot + self.rng.integers(SLOT)] = 2
        return tuple(int(m) for m in mouth)

"""Who sits at the round table, where the seats are, and what lies on it: the geometry that everything shares.

Lengths are in units of 1/96 of the frame's side, angles in radians with y growing downwards, as in pictures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

UNITS = 96  # side of the frame
FRAMES = 8  # frames of a clip, as many as attnscope samples by default
FPS = 2.0  # frames a second: a clip lasts 4 s
SLOT = 2  # frames that the model's vision tower merges into one token

NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gus", "Hana")  # each with a shirt and a hat of their own
CUPS = ("red", "orange", "yellow", "green", "blue", "purple")  # colours of cups and of things
THINGS = ("ball", "book", "lamp", "plant", "clock", "vase")

SEATS = 8
CENTRE = (48.0, 49.0)  # of the table
RADII = (34.0, 32.0)  # of the ellipse on which people sit
HALF = (11.0, 13.0)  # half width and half height of a person's box, hat included, arm excluded
REACH = 15.0  # length of a pointing arm
THING_HALF = 6.5  # half the side of a thing's box


@dataclass(frozen=True)
class Person:
    """Somebody at the table.

    Attributes:
        who: Index into NAMES.
        seat: Index of the seat.
        x, y: Centre of the person's box.
        points_at: Seat pointed at in each frame, -1 for arms at rest; FRAMES of them.
        mouth: 0 closed, 1 half open, 2 open, in each frame.
        cup: Index into CUPS of the cup held, -1 none.
    """

    who: int
    seat: int
    x: float
    y: float
    points_at: tuple[int, ...] = (-1,) * FRAMES
    mouth: tuple[int, ...] = (0,) * FRAMES
    cup: int = -1

    @property
    def name(self) -> str:
        """The name."""
        return NAMES[self.who]

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom, within the frame."""
        (w, h), side = HALF, float(UNITS)
        return max(self.x - w, 0.0), max(self.y - h, 0.0), min(self.x + w, side), min(self.y + h, side)


@dataclass(frozen=True)
class Thing:
    """Something on the table.

    Attributes:
        kind: Index into THINGS.
        colour: Index into CUPS.
        spot: Index of its place on the table.
        x, y: Centre.
    """

    kind: int
    colour: int
    spot: int
    x: float
    y: float

    @property
    def name(self) -> str:
        """What it is."""
        return THINGS[self.kind]

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        return self.x - THING_HALF, self.y - THING_HALF, self.x + THING_HALF, self.y + THING_HALF


@dataclass(frozen=True)
class Picture:
    """What the eye sees in a clip; frames differ in mouths and arms only.

    Attributes:
        people: In any order.
        things: On the table.
        tint: 0..3, which of a few wall colours.
    """

    people: tuple[Person, ...] = ()
    things: tuple[Thing, ...] = field(default=())
    tint: int = 0


def seat_place(seat: int) -> tuple[float, float]:
    """Centre of a seat; seats are numbered clockwise from the right."""
    angle = (seat + 0.5) * 2 * math.pi / SEATS
    return CENTRE[0] + RADII[0] * math.cos(angle), CENTRE[1] + RADII[1] * math.sin(angle)


def shoulder(person: Person, towards: tuple[float, float]) -> tuple[float, float]:
    """Where the arm that points towards a place begins."""
    side = 1.0 if towards[0] >= person.x else -1.0
    return person.x + 5.5 * side, person.y + 7.0

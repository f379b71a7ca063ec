"""Draws a Picture: people at a round table, small enough for a model to look at and large enough for a figure.

Lengths are units of cast.py, y downwards; a person is painted with the origin at the centre of the box.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from attnscope.demo.cast import CENTRE, HALF, REACH, UNITS, Person, Picture, seat_place, shoulder
from attnscope.demo.sprites import INK, WHITE, Canvas, Colour, Floats, Sprite, cup, darker, room, table, thing

_STEPS = 72  # directions of an arm: a sprite for every 5 degrees
_FINGER, _APART, _SHORTEST = 2.0, 5.5, 9.0  # finger beyond REACH, from fingertip to target, shortest arm
_ARM_WINDOW = 26  # half side of the window that an arm is painted in: shoulder, REACH, finger and outline
_MOUTH, _TONGUE, _GOLD = (120, 10, 30), (226, 104, 108), (250, 196, 48)


@dataclass(frozen=True)
class _Look:
    """Colours of one of the NAMES; the hat has a function of its own."""

    shirt: Colour
    skin: Colour
    hair: Colour
    long_hair: bool


_LOOKS = (
    _Look((18, 152, 148), (250, 214, 184), (92, 54, 40), True),
    _Look((240, 116, 100), (224, 172, 132), (40, 34, 40), False),
    _Look((160, 120, 232), (190, 134, 98), (44, 30, 32), True),
    _Look((138, 186, 40), (248, 208, 176), (222, 166, 80), False),
    _Look((226, 56, 132), (240, 196, 158), (178, 84, 46), True),
    _Look((62, 160, 232), (250, 216, 190), (206, 92, 44), False),
    _Look((196, 142, 24), (168, 116, 84), (38, 30, 32), False),
    _Look((48, 66, 150), (246, 206, 166), (34, 30, 42), True),
)  # fmt: skip
SHIRTS = tuple(look.shirt for look in _LOOKS)  # RGB, one for each of cast.NAMES; also good for curves


def draw(picture: Picture, frame: int, scale: int = 1) -> NDArray[np.uint8]:
    """One frame of a clip.

    Places are rounded to whole units at every scale, so a large picture shows what the small one does.

    Args:
        picture: Who and what to draw.
        frame: Which of the cast.FRAMES frames.
        scale: Pixels in a unit.

    Returns:
        RGB, [96 scale, 96 scale, 3].
    """
    image = room(picture.tint, scale).copy()  # [96 scale, 3 * 96 scale]
    people = sorted(picture.people, key=lambda person: person.y)
    behind = sum(person.y < CENTRE[1] for person in people)
    for person in people[:behind]:
        _lay(image, _body(person.who, person.mouth[frame], scale), (person.x, person.y), scale)
    _lay(image, table(scale), CENTRE, scale)
    for item in sorted(picture.things, key=lambda item: item.y):
        _lay(image, thing(item.kind, item.colour, scale), (item.x, item.y), scale)
    for person in people[behind:]:
        _lay(image, _body(person.who, person.mouth[frame], scale), (person.x, person.y), scale)
    _lay_hands(image, people, frame, scale)
    return (image + np.float32(0.5)).astype(np.uint8).reshape(UNITS * scale, UNITS * scale, 3)


def _lay_hands(image: Floats, people: list[Person], frame: int, scale: int) -> None:
    """Cups, then arms, on top of everybody: what is held and where one points must never be hidden."""
    for person in people:
        if person.cup >= 0:
            _lay(image, cup(person.cup, scale), (person.x, person.y), scale)
    places = {person.seat: (person.x, person.y) for person in people}
    for person in people:
        seat = person.points_at[frame]
        if seat >= 0:
            aim = _aim(person, places.get(seat) or seat_place(seat))
            _lay(image, _arm(person.who, *aim, scale), (person.x, person.y), scale)


def _aim(person: Person, target: tuple[float, float]) -> tuple[int, int, int]:
    """How an arm points at a place: side of the body (-1, 1), direction in _STEPS of a turn, length to the fingertip.

    It ends before the middle of a face that is near, for the mouth there must be seen.
    """
    x, y = shoulder(person, target)
    dx, dy = target[0] - x, target[1] - y
    tip = max(min(math.hypot(dx, dy) - _APART, REACH + _FINGER), _SHORTEST)
    return (1 if x > person.x else -1), round(math.atan2(dy, dx) / (2 * math.pi) * _STEPS) % _STEPS, int(tip)


def _lay(image: Floats, sprite: Sprite, place: tuple[float, float], scale: int) -> None:
    """Blend a sprite into the frame; what sticks out is cut off."""
    left, top = round(place[0]) * scale + sprite.left, round(place[1]) * scale + sprite.top
    high, wide = sprite.keep.shape
    over, before = max(-top, 0), max(-left, 0)  # rows above the frame, pixels left of it
    window = image[top + over : max(top + high, 0), 3 * (left + before) : max(3 * left + wide, 0)]
    cut = slice(over, over + window.shape[0]), slice(3 * before, 3 * before + window.shape[1])
    window *= sprite.keep[cut]
    window += sprite.add[cut]


@lru_cache(maxsize=64)
def _body(who: int, mouth: int, scale: int) -> Sprite:
    """A person without arms: torso, head and hat, within the box."""
    look, c = _LOOKS[who], Canvas((int(HALF[0]), int(HALF[1])), scale)
    if look.long_hair:
        c.fill(c.block(0, 0.2, 8.0, 7.6, 5.0), look.hair)
    c.fill(np.maximum(c.block(0, 12.0, 9.4, 8.0, 5.2), c.block(0, 4.9, 9.4, 8.0, 2.6)), look.shirt)
    c.fill(c.ellipse(0, 4.6, 3.2, 2.2), darker(look.skin, 0.86))  # neck
    c.fill(c.ellipse(0, -2.2, 7.4, 6.9), look.hair)
    c.fill(c.ellipse(0, -1.2, 6.8, 6.5), look.skin)
    for side in (-1, 1):
        c.fill(c.ellipse(side * 4.6, 0.9, 1.3, 0.9), (240, 120, 110), 0.35)  # cheeks
        c.fill(c.ellipse(side * 2.8, -2.0, 0.85, 1.05), INK)
    _mouth(c, mouth)
    _HATS[who](c)
    return c.sprite()


def _mouth(c: Canvas, mouth: int) -> None:
    if mouth == 0:
        c.fill(np.maximum(np.abs(c.ellipse(0, 0.3, 2.6, 1.9)) - 0.35, 1.4 - c.y), _MOUTH)
        return
    rx, ry = ((2.0, 1.5), (2.75, 2.25))[mouth - 1]
    c.fill(c.ellipse(0, 2.2, rx, ry), _MOUTH)
    if mouth == 2:
        c.fill(c.ellipse(0, 3.5, 1.5, 0.7), _TONGUE)


def _fringe(c: Canvas, who: int) -> None:
    """Hair over the forehead, for what does not cover it."""
    c.fill(np.maximum(c.ellipse(0, -4.0, 7.3, 5.4), c.y + 4.6), _LOOKS[who].hair)


def _beanie(c: Canvas) -> None:
    c.fill(np.maximum(c.ellipse(0, -5.0, 7.3, 6.0), c.y + 5.0), (246, 138, 46))
    c.fill(c.block(0, -4.9, 7.6, 1.5, 1.4), (206, 92, 26))
    c.fill(c.ellipse(0, -11.2, 1.8, 1.7), (255, 220, 160))


def _top_hat(c: Canvas) -> None:
    c.fill(c.block(0, -9.2, 5.2, 3.8, 0.6), INK)
    c.fill(c.block(0, -6.9, 5.2, 0.9, 0.1), (214, 48, 60))
    c.fill(c.block(0, -5.4, 8.6, 0.9, 0.9), INK)


def _crown(c: Canvas) -> None:
    points = ((-6.2, -5.0), (-7.0, -11.4), (-3.4, -8.4), (0, -12.4), (3.4, -8.4), (7.0, -11.4), (6.2, -5.0))
    c.fill(c.shape(*points), _GOLD)
    for x in (-3.6, 0.0, 3.6):
        c.fill(c.ellipse(x, -6.4, 0.9, 0.9), (216, 40, 80))


def _cap(c: Canvas) -> None:
    c.fill(np.maximum(c.ellipse(0, -5.0, 7.2, 6.4), c.y + 5.0), (36, 82, 190))
    c.fill(c.capsule((2.0, -5.2), (9.4, -4.6), 1.0), (24, 56, 140))
    c.fill(c.ellipse(0, -8.2, 1.8, 1.6), WHITE)


def _sun_hat(c: Canvas) -> None:
    c.fill(c.ellipse(0, -7.4, 5.6, 5.0), (248, 222, 150))
    c.fill(c.ellipse(0, -5.4, 10.6, 1.9), (240, 206, 122))
    c.fill(c.block(0, -7.2, 5.6, 0.9, 0.3), (150, 60, 140))


def _cone(c: Canvas) -> None:
    _fringe(c, 5)
    cone = c.shape((-5.2, -5.6), (0, -12.2), (5.2, -5.6))
    c.fill(cone, (255, 214, 60))
    for y in (-10.0, -6.6):
        c.fill(np.maximum(cone, np.abs(c.y - y + 0.3 * c.x) - 0.8), (236, 70, 120))
    c.fill(c.ellipse(0, -11.8, 1.2, 1.1), (80, 190, 220))


def _beret(c: Canvas) -> None:
    c.fill(c.capsule((1.0, -10.6), (1.8, -12.2), 0.6), (120, 20, 40))
    c.fill(c.ellipse(1.2, -7.6, 8.2, 3.6), (168, 34, 56))
    c.fill(c.block(0, -5.0, 6.6, 0.8, 0.7), (120, 20, 40))


def _bow(c: Canvas) -> None:
    _fringe(c, 7)
    for side in (-1, 1):
        c.fill(c.shape((0, -9.4), (side * 6.2, -12.2), (side * 6.2, -6.8), rounding=0.6), (255, 98, 148))
    c.fill(c.ellipse(0, -9.5, 1.7, 1.8), (214, 48, 110))


_HATS: tuple[Callable[[Canvas], None], ...] = (_beanie, _top_hat, _crown, _cap, _sun_hat, _cone, _beret, _bow)


@lru_cache(maxsize=2048)  # thousands of clips use about 1400
def _arm(who: int, side: int, step: int, tip: int, scale: int) -> Sprite:
    """An arm from the shoulder on one side (-1, 1) to a fingertip `tip` units away."""
    look, angle = _LOOKS[who], 2 * math.pi * step / _STEPS
    c = Canvas((_ARM_WINDOW, _ARM_WINDOW), scale)
    x, y = shoulder(Person(who, 0, 0.0, 0.0), (float(side), 0.0))

    def along(way: float) -> tuple[float, float]:
        return x + way * math.cos(angle), y + way * math.sin(angle)

    sleeve, palm = c.capsule(along(0), along(tip - 6.5), 2.1), c.ellipse(*along(tip - 4), 2.3, 2.3)
    finger = c.capsule(along(tip - 4), along(tip - 0.8), 0.8)
    c.fill(np.minimum(np.minimum(sleeve, palm), finger) - 0.8, WHITE)
    c.fill(np.minimum(palm, finger), look.skin)
    c.fill(sleeve, darker(look.shirt, 0.86))
    return c.sprite()

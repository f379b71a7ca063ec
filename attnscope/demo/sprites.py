"""What a picture is put together from: a canvas for smooth shapes, the room, the table, cups and things.

Each sprite is painted once, from signed distances, and kept. Lengths are units of cast.py, y downwards, with the
origin at the centre of a person's box, of the table or of a thing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.demo.cast import CENTRE, HALF, UNITS

Colour = tuple[int, int, int]
Floats = NDArray[np.float32]

INK, WHITE = (52, 44, 54), (255, 255, 255)
CUP_COLOURS: tuple[Colour, ...] = (
    (218, 32, 38), (250, 134, 20), (255, 222, 60), (20, 132, 66), (30, 92, 226), (112, 36, 160),
)  # fmt: skip
_WALLS = ((238, 242, 247), (249, 242, 230), (236, 244, 234), (246, 237, 244))
_RUGS = ((221, 230, 240), (240, 228, 208), (220, 234, 218), (235, 220, 233))
_TABLE = (21.0, 19.0)  # radii
_WOOD, _LIGHT, _EDGE = (226, 190, 142), (234, 202, 158), (176, 130, 84)


@dataclass(frozen=True)
class Sprite:
    """What to lay over the frame; rows hold r, g, b of their pixels one after the other.

    Attributes:
        left, top: Pixels from the place where the sprite is put to its first pixel.
        keep: Share of the frame that stays, [h, 3 w].
        add: Colour times opacity, [h, 3 w].
    """

    left: int
    top: int
    keep: Floats
    add: Floats


class Canvas:
    """A small window to paint on, from -half to +half around the origin."""

    def __init__(self, half: tuple[int, int], scale: int) -> None:
        """Nothing painted yet.

        Args:
            half: Half width and half height, whole units.
            scale: Pixels in a unit.
        """
        self.half, self.scale = half, scale
        across, down = (np.arange(2 * h * scale, dtype=np.float32) for h in half)
        self.x = (across + 0.5)[None, :] / scale - half[0]  # [1, w]
        self.y = (down + 0.5)[:, None] / scale - half[1]  # [h, 1]
        self.add: Floats = np.zeros((down.size, across.size, 3), np.float32)
        self.keep: Floats = np.ones((down.size, across.size, 1), np.float32)

    def fill(
        self, distance: NDArray[np.floating[Any]], colour: Colour, opacity: float = 1.0, blur: float = 0.0
    ) -> None:
        """Paint where a signed distance [h, w] is negative; the edge is one pixel or `blur` units wide."""
        cover = opacity * np.clip(0.5 - distance / max(blur, 1 / self.scale), 0.0, 1.0)[:, :, None]  # [h, w, 1]
        self.add = self.add * (1 - cover) + cover * np.array(colour, np.float32)
        self.keep = self.keep * (1 - cover)

    def ellipse(self, x: float, y: float, rx: float, ry: float) -> Floats:
        """Signed distance [h, w] to an ellipse, to first order."""
        dx, dy = self.x - x, self.y - y
        level = np.hypot(dx / rx, dy / ry)
        slope = np.hypot(dx / rx**2, dy / ry**2)
        return np.asarray(level * (level - 1) / np.maximum(slope, 1e-6), np.float32)

    def capsule(self, start: tuple[float, float], end: tuple[float, float], radius: float) -> Floats:
        """Signed distance [h, w] to a thick line with round ends."""
        dx, dy = end[0] - start[0], end[1] - start[1]
        px, py = self.x - start[0], self.y - start[1]
        share = np.clip((px * dx + py * dy) / (dx * dx + dy * dy), 0.0, 1.0)
        return np.asarray(np.hypot(px - share * dx, py - share * dy) - radius, np.float32)

    def shape(self, *points: tuple[float, float], rounding: float = 0.3) -> Floats:
        """Signed distance [h, w] to a polygon, its corners rounded outwards."""
        nearest = np.full(self.keep.shape[:2], np.inf, np.float32)
        inside = np.zeros(nearest.shape, bool)
        for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1], strict=True):
            nearest = np.minimum(nearest, self.capsule((ax, ay), (bx, by), 0.0))
            if ay != by:  # a ray to the right crosses this side
                crossed = ax + (self.y - ay) * (bx - ax) / (by - ay)
                inside ^= ((ay > self.y) != (by > self.y)) & (self.x < crossed)
        return np.where(inside, -nearest, nearest) - np.float32(rounding)

    def block(self, x: float, y: float, rx: float, ry: float, rounding: float) -> Floats:
        """Signed distance [h, w] to a rectangle of half sizes rx, ry with round corners."""
        dx, dy = np.abs(self.x - x) - (rx - rounding), np.abs(self.y - y) - (ry - rounding)
        outside = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0))
        return np.asarray(outside + np.minimum(np.maximum(dx, dy), 0) - rounding, np.float32)

    def sprite(self) -> Sprite:
        """What has been painted, without the empty border."""
        rows, columns = (np.flatnonzero((self.keep[:, :, 0] < 1).any(axis)) for axis in (1, 0))
        window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        add = self.add[window]
        keep = np.repeat(self.keep[window], 3, 2)
        left, top = columns[0] - self.half[0] * self.scale, rows[0] - self.half[1] * self.scale
        flat = (add.shape[0], -1)
        return Sprite(int(left), int(top), keep.reshape(flat).astype(np.float32), add.reshape(flat).astype(np.float32))


def darker(colour: Colour, share: float = 0.8) -> Colour:
    """The colour in shade."""
    r, g, b = (round(share * v) for v in colour)
    return r, g, b


@lru_cache(maxsize=16)
def room(tint: int, scale: int) -> Floats:
    """Wall and rug, [96 scale, 3 * 96 scale]."""
    half = UNITS // 2
    c, (x, y) = Canvas((half, half), scale), (CENTRE[0] - half, CENTRE[1] - half)
    c.fill(np.full(c.keep.shape[:2], -1e6, np.float32), _WALLS[tint])
    c.fill(c.ellipse(x, y, 44, 42), _RUGS[tint])
    c.fill(np.abs(c.ellipse(x, y, 41, 39)) - 0.5, _WALLS[tint])
    return c.sprite().add


@lru_cache(maxsize=4)
def table(scale: int) -> Sprite:
    """A round table with its shadow; its centre is the origin."""
    (rx, ry), c = _TABLE, Canvas((26, 26), scale)
    c.fill(c.ellipse(0, 3.0, rx + 0.6, ry), (70, 50, 40), 0.22, blur=4)
    c.fill(c.ellipse(0, 1.4, rx, ry), _EDGE)
    c.fill(c.ellipse(0, 0, rx, ry), _WOOD)
    c.fill(c.ellipse(0, 0, rx - 2.0, ry - 2.0), _LIGHT)
    return c.sprite()


@lru_cache(maxsize=32)
def cup(colour: int, scale: int) -> Sprite:
    """A mug at the lower middle of a person's box, where no arm of that person passes."""
    c = Canvas((int(HALF[0]), int(HALF[1])), scale)
    mug, ring = c.block(-0.8, 9.4, 2.7, 2.8, 0.8), np.abs(c.ellipse(2.0, 9.3, 1.5, 1.6)) - 0.5
    c.fill(np.minimum(mug, ring) - 0.7, WHITE)
    c.fill(ring, CUP_COLOURS[colour])
    c.fill(mug, CUP_COLOURS[colour])
    c.fill(c.ellipse(-0.8, 7.2, 2.2, 0.6), (92, 56, 40))
    return c.sprite()


@lru_cache(maxsize=128)
def thing(kind: int, colour: int, scale: int) -> Sprite:
    """Something on the table."""
    c = Canvas((9, 9), scale)
    c.fill(c.ellipse(0, 6.2, 5.6, 1.6), INK, 0.18, blur=1.5)
    _THINGS[kind](c, CUP_COLOURS[colour])
    return c.sprite()


def _ball(c: Canvas, colour: Colour) -> None:
    ball = c.ellipse(0, 0, 6.5, 6.5)
    c.fill(ball, colour)
    c.fill(np.maximum(ball, np.abs(c.ellipse(-6.0, -6.0, 9.0, 9.0)) - 1.0), WHITE)


def _book(c: Canvas, colour: Colour) -> None:
    c.fill(c.block(0.5, 0.3, 5.0, 6.3, 0.6), darker(colour, 0.7))
    c.fill(c.block(0.9, 0.4, 4.6, 5.6, 0.3), WHITE)
    c.fill(c.block(-0.3, -0.4, 5.0, 6.1, 0.6), colour)
    c.fill(c.block(-0.3, -2.4, 3.0, 1.3, 0.3), WHITE)


def _lamp(c: Canvas, colour: Colour) -> None:
    c.fill(c.block(0, 3.0, 0.7, 3.4, 0.3), INK)
    c.fill(c.block(0, 6.0, 3.4, 0.8, 0.7), INK)
    c.fill(c.shape((-2.4, -6.2), (2.4, -6.2), (5.4, 0.4), (-5.4, 0.4)), colour)


def _plant(c: Canvas, colour: Colour) -> None:
    for x, y in ((-4.6, -3.0), (4.6, -3.0), (-2.2, -5.6), (2.2, -5.6)):
        c.fill(c.capsule((0.2 * x, 1.0), (x, y), 1.1), (70, 160, 84))
    c.fill(c.shape((-4.0, 1.0), (4.0, 1.0), (2.8, 6.2), (-2.8, 6.2)), colour)
    c.fill(c.block(0, 1.2, 4.8, 1.1, 0.4), darker(colour))


def _clock(c: Canvas, colour: Colour) -> None:
    for side in (-1, 1):
        c.fill(c.capsule((side * 3.0, 4.0), (side * 4.2, 6.2), 0.8), INK)
        c.fill(c.ellipse(side * 3.6, -5.0, 2.1, 1.8), darker(colour))
    c.fill(c.ellipse(0, 0.2, 6.0, 6.0), colour)
    c.fill(c.ellipse(0, 0.2, 4.2, 4.2), WHITE)
    c.fill(c.capsule((0, 0.2), (0, -2.8), 0.45), INK)
    c.fill(c.capsule((0, 0.2), (2.2, 1.2), 0.45), INK)


def _vase(c: Canvas, colour: Colour) -> None:
    c.fill(c.ellipse(0, 2.2, 4.8, 4.4), colour)
    c.fill(c.shape((-2.8, -6.2), (2.8, -6.2), (1.6, -1.0), (-1.6, -1.0)), colour)
    c.fill(np.maximum(c.ellipse(0, 2.2, 4.8, 4.4), np.abs(c.y - 2.2) - 0.9), WHITE)


_THINGS: tuple[Callable[[Canvas, Colour], None], ...] = (_ball, _book, _lamp, _plant, _clock, _vase)

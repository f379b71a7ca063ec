"""Where names are written over a picture so that none covers another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from attnscope.report.figures.labels import letters

LETTER, LINE = 4.1, 8.0  # points on paper that a letter and a line take, a little more than they need

Rectangle = tuple[float, float, float, float]


def place_names(
    boxes: Mapping[str, NDArray[Any]],
    size: tuple[int, int],
    room: float,
    first: str | None = None,
    texts: Mapping[str, str] | None = None,
) -> dict[str, tuple[float, float]]:
    """Upper left corner of each name, in the units of the boxes.

    A name stands over its box, else inside it at the top or the bottom, else under it, at the left or the right edge:
    the first of these places where it covers no other name and need not be moved to stay in the frame, or else the one
    where it covers least.

    Args:
        boxes: Boxes of the people in a frame, xyxy.
        size: Size of the frame.
        room: Points on paper across the frame.
        first: Whose name is placed first.
        texts: What is written for a name, if not itself.
    """
    width, height = size
    unit = width / room
    taken: list[Rectangle] = []
    out = {}
    for name in sorted(boxes, key=lambda name: name != first):
        x0, y0, x1, y1 = (float(v) for v in boxes[name])
        w, h, gap = letters((texts or {}).get(name, name)) * LETTER * unit, LINE * unit, unit
        tops = (y0 - h, y0 + gap, y1 - h, y1 + gap)
        lefts = (x0 + gap, x1 - w - gap)
        spots = [(left, top) for top in tops for left in lefts]
        inside = [(min(max(left, 0.0), max(width - w, 0.0)), min(max(top, 0.0), height - h)) for left, top in spots]
        moved = [now != spot for now, spot in zip(inside, spots, strict=True)]
        number = min(range(len(spots)), key=lambda n: (_covered(_at(inside[n], w, h), taken), moved[n]))
        best = inside[number]
        taken.append(_at(best, w, h))
        out[name] = best
    return out


def _at(spot: tuple[float, float], w: float, h: float) -> Rectangle:
    return spot[0], spot[1], spot[0] + w, spot[1] + h


def _covered(rectangle: Rectangle, others: list[Rectangle]) -> float:
    """Area that others cover of a rectangle."""
    total = 0.0
    for x0, y0, x1, y1 in others:
        total += max(0.0, min(rectangle[2], x1) - max(rectangle[0], x0)) * max(
            0.0, min(rectangle[3], y1) - max(rectangle[1], y0)
        )
    return total

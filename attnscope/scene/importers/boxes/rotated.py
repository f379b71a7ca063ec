"""The upright box around a rotated one."""

from __future__ import annotations

import math


def upright(
    box: tuple[float, float, float, float], degrees: float, pivot: tuple[float, float]
) -> tuple[float, float, float, float]:
    """The extent of a box after it has been turned.

    Args:
        box: Left, top, right, bottom, in pixels.
        degrees: Clockwise on the screen, as y grows down.
        pivot: The point x, y that stays where it is.

    Returns:
        Left, top, right, bottom.

    Examples:
        >>> [round(side, 6) for side in upright((0, 0, 4, 2), 90, (2, 1))]
        [1.0, -1.0, 3.0, 3.0]
    """
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    x0, y0 = pivot
    corners = [(x - x0, y - y0) for x in (box[0], box[2]) for y in (box[1], box[3])]
    xs = [x0 + cosine * x - sine * y for x, y in corners]
    ys = [y0 + sine * x + cosine * y for x, y in corners]
    return min(xs), min(ys), max(xs), max(ys)


def scaled(box: tuple[float, float, float, float], width: float, height: float) -> tuple[float, float, float, float]:
    """A box in pixels as fractions of the picture."""
    return box[0] / width, box[1] / height, box[2] / width, box[3] / height

"""Boxes that a data set has drawn at single moments, as segments of a scene."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from attnscope.scene.importers.datasets.reading import IncompleteError

Box = tuple[float, float, float, float]  # left, top, right, bottom
_DIGITS = 6  # microseconds, and a thousandth of a pixel


def fraction(xyxy: Sequence[float], width: float, height: float) -> tuple[Box, bool]:
    """A box in fractions of the picture, cut off at its edges; and whether anything was cut.

    Raises:
        IncompleteError: If the box has no area, or lies outside the picture.
    """
    left, top, right, bottom = xyxy
    if right <= left or bottom <= top:
        raise IncompleteError("the box has no area")
    box = (left / width, top / height, right / width, bottom / height)
    cut = tuple(min(max(value, 0.0), 1.0) for value in box)
    if cut[2] <= cut[0] or cut[3] <= cut[1]:
        raise IncompleteError("the box lies outside the picture")
    rounded = tuple(round(value, _DIGITS) for value in cut)
    if rounded[2] <= rounded[0] or rounded[3] <= rounded[1]:
        raise IncompleteError("the box has no area")
    return (rounded[0], rounded[1], rounded[2], rounded[3]), cut != box


def pixels(xyxy: Sequence[float]) -> Box:
    """A box in pixels of a picture whose size is not known.

    Raises:
        IncompleteError: If the box has no area.
    """
    left, top, right, bottom = (round(value, 3) for value in xyxy)
    if right <= left or bottom <= top:
        raise IncompleteError("the box has no area")
    return left, top, right, bottom


def area(box: Box) -> float:
    """Share of the picture that a box covers."""
    return (box[2] - box[0]) * (box[3] - box[1])


def held(moments: Iterable[float], boxes: Mapping[str, Mapping[float, Box]], reach: float) -> dict[str, Any]:
    """`speakers` of a scene: each box counts around its own moment, and nothing is interpolated (ours).

    Between two annotated moments there may be a cut, so that a box half-way between two would be nobody's.

    Args:
        moments: Times that were annotated, also those at which nobody was seen, in any order.
        boxes: By name and by moment.
        reach: Most seconds that a box counts before and after its moment; it ends earlier where the next annotated
            moment is nearer.
    """
    every = {*moments, *(moment for own in boxes.values() for moment in own)}
    times = sorted({round(moment, _DIGITS) for moment in every})
    middles = {pair: round(sum(pair) / 2, _DIGITS) for pair in pairwise(times)}
    before = {later: middle for (_, later), middle in middles.items()}
    after = {earlier: middle for (earlier, _), middle in middles.items()}
    speakers: dict[str, Any] = {}
    for name, own in boxes.items():
        segments = []
        for moment, box in sorted((round(moment, _DIGITS), box) for moment, box in own.items()):
            start = max(round(moment - reach, _DIGITS), before.get(moment, 0.0), 0.0)
            end = min(round(moment + reach, _DIGITS), after.get(moment, moment + reach))
            keyframe = {"t": moment, "xyxy": list(box)}
            segments.append({"start": start, "end": round(end, _DIGITS), "keyframes": [keyframe]})
        speakers[name] = {"segments": segments}
    return speakers


def still(boxes: Mapping[str, Box]) -> dict[str, Any]:
    """`speakers` of a scene that is one image."""
    return held([0.0], {name: {0.0: box} for name, box in boxes.items()}, 0.0)

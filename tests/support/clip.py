"""A short film of two people at a table, drawn by code, with the scene file that belongs to it.

Its boxes are exact: the people move in straight lines between the keyframes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from attnscope.demo.film import write_film
from attnscope.errors import RequestError

_SMOOTH = 4  # drawn this many times larger, then reduced: smooth edges
_TABLE = 0.80  # height of the table's edge, as a share of the frame
_SKY, _WALL, _FLOOR_WALL = (188, 222, 236), (247, 238, 224), (236, 220, 198)
_WOOD, _WOOD_DARK = (176, 122, 82), (150, 100, 66)
_INK, _WHITE = (58, 48, 52), (255, 252, 246)


@dataclass(frozen=True)
class _Person:
    """Looks and a path.

    `moves` holds (share of the clip, sideways, height of the hair), lengths in units of the frame's height.
    """

    name: str
    centre: float  # share of the frame's width
    half: float  # half the width of the shoulders
    skin: tuple[int, int, int]
    hair: tuple[int, int, int]
    shirt: tuple[int, int, int]
    long_hair: bool
    glasses: bool
    moves: tuple[tuple[float, float, float], ...]


_PEOPLE = (
    _Person(
        "Ada", 0.29, 0.21, (241, 203, 172), (74, 44, 38), (38, 128, 132), True, False,
        ((0.0, -0.03, 0.22), (0.3, 0.05, 0.20), (0.6, -0.02, 0.24), (1.0, 0.06, 0.21)),
    ),
    _Person(
        "Ben", 0.71, 0.23, (198, 143, 106), (38, 34, 40), (226, 158, 56), False, True,
        ((0.0, 0.04, 0.17), (0.25, -0.04, 0.19), (0.7, 0.03, 0.16), (1.0, -0.05, 0.20)),
    ),
)  # fmt: skip

# (speaker, share of the clip at which the turn starts and ends, words)
_TURNS = (
    ("Ada", 0.04, 0.24, "Did you bring the tickets for tonight?"),
    ("Ben", 0.28, 0.47, "Yes, I have both of them in my bag."),
    ("Ada", 0.52, 0.72, "Good, then we can leave right now."),
    ("Ben", 0.76, 0.96, "Give me a minute to find my coat."),
)


def render_clip(folder: str | Path, *, seconds: float = 6, size: tuple[int, int] = (320, 180), fps: int = 15) -> Path:
    """Draw the clip and write `clip.mp4` and `scene.json` into a folder.

    Args:
        folder: made if it is not there.
        seconds: length; the turns and moves are stretched to it.
        size: width and height in pixels, both even (H.264 stores colour for 2x2 pixels) and at least 64.
        fps: frames a second.

    Returns:
        Path of the scene file.

    Raises:
        RequestError: a size that is odd or too small, or no frame at all.
    """
    width, height = size
    if width % 2 or height % 2 or min(size) < 64:
        raise RequestError(f"size: {width}x{height} is not a pair of even numbers of at least 64")
    count = round(seconds * fps)
    if count < 1:
        raise RequestError(f"seconds: {seconds} at {fps} frames a second is no frame")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_film(folder / "clip.mp4", [_draw(number / count, size) for number in range(count)], fps)
    scene = folder / "scene.json"
    scene.write_text(json.dumps(_scene(count / fps, size), indent=1) + "\n", encoding="utf-8")
    return scene


def _scene(seconds: float, size: tuple[int, int]) -> dict[str, Any]:
    """The scene file: keyframes where a move begins or ends."""
    speakers = {}
    for person in _PEOPLE:
        keyframes = [
            {"t": round(share * seconds, 6), "xyxy": [round(v, 3) for v in _box(person, share, size)]}
            for share, _, _ in person.moves
        ]
        speakers[person.name] = {"segments": [{"start": 0.0, "end": seconds, "keyframes": keyframes}]}
    return {
        "video": "clip.mp4",
        "speakers": speakers,
        "transcript": [
            {
                "speaker": name,
                "start": round(start * seconds, 3),
                "end": round(end * seconds, 3),
                "text": text,
            }
            for name, start, end, text in _TURNS
        ],
        "question": "Who has the tickets?",
        "options": [person.name for person in _PEOPLE],
        "answer": "Ben",
    }


def _unit(size: tuple[int, int]) -> float:
    """Pixels of one unit of length; in narrow frames people shrink so that they do not touch."""
    return min(size[1], size[0] / 1.5)


def _box(person: _Person, share: float, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The person's box in pixels at a share of the clip: hair to table, shoulder to shoulder."""
    at, dx, dy = (np.array(column) for column in zip(*person.moves, strict=True))
    unit, table = _unit(size), _TABLE * size[1]
    centre = person.centre * size[0] + float(np.interp(share, at, dx)) * unit
    top = table - (_TABLE - float(np.interp(share, at, dy))) * unit
    return centre - person.half * unit, top, centre + person.half * unit, table


def _talks(person: _Person, share: float) -> bool:
    return any(name == person.name and start <= share < end for name, start, end, _ in _TURNS)


def _draw(share: float, size: tuple[int, int], people: tuple[_Person, ...] = _PEOPLE) -> npt.NDArray[np.uint8]:
    """One frame [H, W, 3] uint8 at a share of the clip."""
    from PIL import Image, ImageDraw

    large = (size[0] * _SMOOTH, size[1] * _SMOOTH)
    image = Image.new("RGB", large, _WALL)
    pen = ImageDraw.Draw(image)
    _draw_room(pen, large)
    for person in people:
        _draw_person(pen, person, share, large)
    _draw_table(pen, large)
    for person in _PEOPLE:
        _draw_name(pen, person, large)
    return np.asarray(image.reduce(_SMOOTH))


def _draw_room(pen: Any, size: tuple[int, int]) -> None:
    width, height = size
    pen.rectangle((0, 0.62 * height, width, height), fill=_FLOOR_WALL)
    pen.rectangle((0, 0.615 * height, width, 0.63 * height), fill=(222, 202, 176))
    left, top, right, bottom = 0.41 * width, 0.08 * height, 0.59 * width, 0.46 * height
    bar, span, middle = 0.014 * height, right - left, (left + right) / 2
    pen.rectangle((left - bar, top - bar, right + bar, bottom + bar), fill=_WHITE)
    pen.rectangle((left, top, right, bottom), fill=_SKY)
    _oval(pen, left + 0.68 * span, top + 0.22 * span, 0.11 * span, 0.11 * span, (255, 236, 170))
    for begin, end, tall, green in ((0.0, 0.62, 0.3, (146, 188, 140)), (0.4, 1.0, 0.22, (120, 168, 124))):
        hill = (left + begin * span, bottom - tall * span, left + end * span, bottom + tall * span)
        pen.chord(hill, 180, 360, fill=green)
    pen.rectangle((left - bar, bottom, right + bar, bottom + bar), fill=_WHITE)
    pen.rectangle((middle - bar / 2, top, middle + bar / 2, bottom), fill=_WHITE)


def _oval(pen: Any, x: float, y: float, rx: float, ry: float, fill: tuple[int, ...]) -> None:
    pen.ellipse((x - rx, y - ry, x + rx, y + ry), fill=fill)


def _draw_person(pen: Any, person: _Person, share: float, size: tuple[int, int]) -> None:
    x1, top, x2, _ = _box(person, share, size)
    unit, x = _unit(size), (x1 + x2) / 2
    shade = tuple(int(0.86 * v) for v in person.skin)
    if person.long_hair:
        locks = (x - 0.135 * unit, top + 0.05 * unit, x + 0.135 * unit, top + 0.36 * unit)
        pen.rounded_rectangle(locks, 0.07 * unit, fill=person.hair)
    pen.rounded_rectangle((x1, top + 0.33 * unit, x2, size[1]), 0.11 * unit, fill=person.shirt)
    pen.rectangle((x - 0.045 * unit, top + 0.24 * unit, x + 0.045 * unit, top + 0.35 * unit), fill=shade)
    _oval(pen, x, top + 0.35 * unit, 0.045 * unit, 0.03 * unit, shade)
    _oval(pen, x, top + 0.13 * unit, 0.13 * unit, 0.13 * unit, person.hair)
    _oval(pen, x, top + 0.165 * unit, 0.108 * unit, 0.125 * unit, person.skin)
    fringe = (x - 0.122 * unit, top + 0.012 * unit, x + 0.122 * unit, top + 0.17 * unit)
    pen.chord(fringe, 180, 360, fill=person.hair)
    _draw_eyes(pen, person, x, top + 0.155 * unit, unit)
    _draw_mouth(pen, x, top + 0.232 * unit, unit, _opening(share) if _talks(person, share) else 0.0)


def _draw_eyes(pen: Any, person: _Person, x: float, y: float, unit: float) -> None:
    inwards = 0.004 if person.centre < 0.5 else -0.004  # they look at each other
    for side in (-1, 1):
        eye = x + (side * 0.045 + inwards) * unit
        _oval(pen, eye, y, 0.014 * unit, 0.017 * unit, _INK)
        _oval(pen, eye + inwards * unit, y - 0.005 * unit, 0.005 * unit, 0.006 * unit, _WHITE)
        if person.glasses:
            ring = x + side * 0.045 * unit
            circle = (ring - 0.035 * unit, y - 0.035 * unit, ring + 0.035 * unit, y + 0.035 * unit)
            pen.ellipse(circle, outline=_INK, width=max(1, round(0.007 * unit)))
    if person.glasses:
        bridge = (x - 0.011 * unit, y - 0.004 * unit, x + 0.011 * unit, y + 0.003 * unit)
        pen.rectangle(bridge, fill=_INK)


def _opening(share: float) -> float:
    """How far a talking mouth is open, 0..1: two beats that do not fall together."""
    return float(0.25 + 0.75 * abs(np.sin(75 * share) * np.cos(31 * share)))


def _draw_mouth(pen: Any, x: float, y: float, unit: float, opening: float) -> None:
    if opening == 0:
        box = (x - 0.035 * unit, y - 0.03 * unit, x + 0.035 * unit, y + 0.012 * unit)
        pen.arc(box, 25, 155, fill=(150, 62, 62), width=max(1, round(0.009 * unit)))
        return
    half = 0.03 * unit
    tall = (0.008 + 0.03 * opening) * unit
    _oval(pen, x, y, half, tall, (122, 40, 46))
    pen.chord((x - 0.6 * half, y, x + 0.6 * half, y + tall), 0, 180, fill=(214, 104, 104))


def _draw_table(pen: Any, size: tuple[int, int]) -> None:
    width, height = size
    edge = _TABLE * height
    pen.rectangle((0, edge, width, height), fill=_WOOD)
    pen.rectangle((0, edge, width, edge + 0.025 * height), fill=(196, 142, 100))
    pen.rectangle((0, 0.975 * height, width, height), fill=_WOOD_DARK)


def _draw_name(pen: Any, person: _Person, size: tuple[int, int]) -> None:
    from PIL import ImageFont

    x, y = person.centre * size[0], 0.9 * size[1]
    half, tall = 0.13 * _unit(size), 0.05 * _unit(size)
    pen.rounded_rectangle((x - half, y - tall, x + half, y + tall), 0.02 * size[1], fill=_WHITE)
    pen.text((x, y), person.name, fill=_INK, anchor="mm", font=ImageFont.load_default(0.075 * _unit(size)))

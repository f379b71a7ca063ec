"""Installed fonts that have the letters of a text: matplotlib's own has Latin, Greek, Cyrillic and few others.

A font counts if it can be drawn by matplotlib and Pillow: with outlines, not with coloured pictures alone.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

BASE = "DejaVu Sans"  # comes with matplotlib, so that every machine draws alike what it has
_LATIN, _SIGNS = 0x24F, "→−×÷…“”●≤≥γ²"  # of the base font: most texts have nothing else
_NOT_FONTS = ("Last Resort",)  # have a picture for every letter, and it is of no letter
_OUTLINES, _PICTURES = {"glyf", "CFF ", "CFF2"}, {"CBDT", "sbix", "SVG ", "COLR"}
# Regional forms of Chinese characters: kana are Japanese, Hangul is Korean, bopomofo is written in Taiwan
_REGIONS = ((0x3040, 0x30FF, " JP"), (0xAC00, 0xD7AF, " KR"), (0x1100, 0x11FF, " KR"), (0x3100, 0x312F, " TC"))
_PLAIN_REGION = " SC"
# Scripts whose letters change their form or order beside others
_SHAPED = ((0x0590, 0x08FF), (0x0900, 0x0DFF), (0x0F00, 0x109F), (0x1780, 0x18AF), (0xA980, 0xA9DF), (0xFB1D, 0xFDFF))


@dataclass(frozen=True)
class Face:
    """One face of a font file: `path` and its number in a collection."""

    path: str
    number: int = 0


def has_shaping() -> bool:
    """Whether this matplotlib joins and orders letters as their script asks (from 3.11 on, with libraqm)."""
    from matplotlib import ft2font

    return hasattr(ft2font, "__libraqm_version__")


def needs_shaping(letter: str) -> bool:
    """Whether a letter's form or place depends on those beside it."""
    return any(first <= ord(letter) <= last for first, last in _SHAPED)


def is_mark(letter: str) -> bool:
    """Whether a character is nothing to draw by itself: white space, a joiner, a variant selector."""
    return letter.isspace() or unicodedata.category(letter) == "Cf" or 0xFE00 <= ord(letter) <= 0xFE0F


def choose(text: str) -> tuple[list[str], frozenset[str]]:
    """Families of installed fonts for what the base font lacks of a text, and the letters that no font has.

    Args:
        text: As it is to be drawn.

    Returns:
        Families in their order, none if the base font suffices; and the letters that are in none of them.
    """
    odd = {letter for letter in text if ord(letter) > _LATIN and letter not in _SIGNS and not is_mark(letter)}
    missing = frozenset(letter for letter in odd if ord(letter) not in _base_letters()) if odd else frozenset()
    return _choose(missing, _region(text)) if missing else ([], frozenset())


def face(text: str, *, bold: bool = False) -> Face:
    """The one font that has most letters of a text, the base font first, for what draws with a single font."""
    families, _ = choose(text)
    best = max([BASE, *families], key=lambda name: sum(ord(letter) in _letters(name) for letter in text))
    return _face(best, bold=bold)


@cache
def _base_letters() -> frozenset[int]:
    return _letters(BASE)


@cache
def _choose(missing: frozenset[str], region: str) -> tuple[list[str], frozenset[str]]:
    """Families that together have as many of some letters as can be, few families first."""
    left, chosen = set(missing), list[str]()
    _find_new_fonts()
    for name in _ordered(_families(), region):
        if not left:
            break
        own = {letter for letter in left if ord(letter) in _letters(name)}
        if own and _drawable(_face(name)):
            chosen.append(name)
            left -= own
    return chosen, frozenset(left)


def _region(text: str) -> str:
    """Of whose fonts the forms of Chinese characters are taken."""
    marks = (mark for letter in text for low, high, mark in _REGIONS if low <= ord(letter) <= high)
    return next(marks, _PLAIN_REGION)


def _ordered(names: Iterable[str], region: str) -> list[str]:
    """Fonts without serifs first, of the region first, of one width last."""
    return sorted(
        names,
        key=lambda name: ("Mono" in name, "Serif" in name, "CJK" in name and not name.endswith(region), name),
    )


def _families() -> Collection[str]:
    from matplotlib.font_manager import fontManager

    names = {entry.name for entry in fontManager.ttflist}
    return [name for name in names if not name.startswith(_NOT_FONTS)]


@cache
def _find_new_fonts() -> None:
    """Tell matplotlib of fonts that were installed after it made its list."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    known = {entry.fname for entry in fontManager.ttflist}
    for path in findSystemFonts():
        if path not in known:
            try:
                fontManager.addfont(path)
            except (OSError, RuntimeError, ValueError) as error:  # a file that is no font, or one it cannot read
                logging.getLogger("attnscope").debug("%s: cannot be used as a font: %s", path, error)


@cache
def _face(name: str, *, bold: bool = False) -> Face:
    """The upright file of a family, of the weight that is nearest to normal, or to bold.

    Matplotlib's own search logs a line for every weight that a family lacks, so this reads its list of files.
    """
    from matplotlib.font_manager import fontManager, weight_dict

    def distance(entry: Any) -> tuple[bool, float]:
        weight = weight_dict[entry.weight] if isinstance(entry.weight, str) else entry.weight
        return entry.style != "normal", abs(weight - (700 if bold else 400))

    entry: Any = min((entry for entry in fontManager.ttflist if entry.name == name), key=distance)
    return Face(str(entry.fname), int(getattr(entry, "index", 0)))


@cache
def _letters(name: str) -> frozenset[int]:
    """Code points that a family has; of the base font those that its bold form has too, since titles are bold."""
    from fontTools.ttLib import TTFont, TTLibError  # type: ignore[import-untyped]

    faces = {_face(name), _face(name, bold=name == BASE)}
    maps = []
    for face in faces:
        try:
            with TTFont(face.path, fontNumber=face.number, lazy=True) as font:
                maps.append(frozenset(font.getBestCmap() or ()))
        except (OSError, TTLibError, KeyError):  # matplotlib lists it, and it is gone or has no letters
            return frozenset()
    return frozenset.intersection(*maps)


@cache
def _drawable(face: Face) -> bool:
    """Whether a font has outlines for its letters, and not coloured pictures in their place."""
    from fontTools.ttLib import TTFont, TTLibError

    if not Path(face.path).is_file():
        return False
    try:
        with TTFont(face.path, fontNumber=face.number, lazy=True) as font:
            tables = set(font.keys())
    except (OSError, TTLibError):
        return False
    return bool(tables & _OUTLINES) and not tables & _PICTURES

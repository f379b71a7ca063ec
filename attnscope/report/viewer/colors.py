"""The colours of people, dark enough to be read as text on light pages and light enough on dark ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnscope.report.figures.turns import speaker_colors

if TYPE_CHECKING:
    from attnscope.scene import Scene

LIGHT, DARK = "#f3f4f6", "#272c33"  # the least white, and the least black, that a page has behind text
CONTRAST = 4.5  # WCAG 2.2, success criterion 1.4.3
_STEPS = 256


def people(scene: Scene) -> list[dict[str, str]]:
    """Everybody in a scene with the colours of the figures, as `Person` of viewer/src/document.ts."""
    return [
        {"name": name, "color": readable(color, LIGHT), "dark": readable(color, DARK)}
        for name, color in speaker_colors(scene).items()
    ]


def readable(color: str, page: str) -> str:
    """A colour, mixed with as much black or white as it takes to be read on a page.

    Args:
        color: As `#rrggbb`.
        page: Colour behind it.

    Returns:
        The colour itself where its contrast is at least 4.5 : 1.
    """
    towards = 0.0 if luminance(page) > 0.18 else 1.0
    mixes = (_mixed(color, towards, step / _STEPS) for step in range(_STEPS + 1))
    return next(mix for mix in mixes if contrast(mix, page) >= CONTRAST)


def contrast(first: str, second: str) -> float:
    """Contrast of two colours, from 1 to 21 (WCAG 2.2)."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def luminance(color: str) -> float:
    """Relative luminance of a colour, from 0 to 1 (WCAG 2.2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in _channels(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _channels(color: str) -> list[float]:
    return [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]


def _mixed(color: str, towards: float, share: float) -> str:
    mixed = [round(255 * (c + (towards - c) * share)) for c in _channels(color)]
    return "#" + "".join(f"{c:02x}" for c in mixed)

"""Sentences of records: what was done, and what a reader must know before the numbers."""

from __future__ import annotations

# What to do about a scene without boxes
HOW_BOXES = "give boxes with --speakers or in scene.json, see docs/scene.md"


class Caution(str):
    """A note that changes how the numbers are to be read; reports print it under their title."""


def counted(n: int, thing: str) -> str:
    """A number of things in a note: "1 head", "8 heads"."""
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"

"""Sentences of records: what was done, and what a reader must know before the numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnscope.errors import ModelError

if TYPE_CHECKING:
    from attnscope.model import Prompt

# What to do about a scene without boxes
HOW_BOXES = "give boxes in scene.json or a file of speakers, see docs/scene.md"


def require_places(method: str, prompt: Prompt) -> None:
    """Refuse a prompt of a model whose visual tokens have no known place in the frames.

    Raises:
        ModelError: Naming the reason, and what works without places.
    """
    if prompt.unplaced:
        raise ModelError(
            f"{method}: needs to know where in the frame each visual token lies, which is unknown ({prompt.unplaced}); "
            "the boxes of the scene are not the reason. Corrections that need no places (knockout of heads, the moda "
            "and peer methods, boxes-drawn, boxes-told) work"
        )


class Caution(str):
    """A note that changes how the numbers are to be read; reports print it under their title."""


def counted(n: int, thing: str) -> str:
    """A number of things in a note: "1 head", "8 heads"."""
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"

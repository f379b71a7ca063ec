"""How long work says how far it is: a function that is called with (what, done, total)."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]  # a total of 0: it is not known how much there is


def part_of(progress: Progress | None, number: int, count: int) -> Progress | None:
    """Progress of one of several equal parts, such as one capture of many.

    Args:
        progress: Progress of the whole; None if nobody wants to know.
        number: Number of the part, from 0.
        count: Number of parts.
    """
    if progress is None:
        return None
    whole = progress
    return lambda what, done, total: whole(what, number * total + done, count * total)

"""Who speaks when, from marks on single frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def speaking_runs(marks: Iterable[tuple[float, bool]], gap: float, step: float) -> Iterator[tuple[float, float]]:
    """Start and end of each stretch of marks that say "speaks".

    A stretch ends where the next mark says "silent" or is more than `gap` away; it lasts until the next mark, or `step`
    after its last one where none follows at once (rules: ours). Times are rounded to a millionth.

    Args:
        marks: Time in seconds and whether somebody speaks then, in any order.
        gap: Seconds between two marks that follow one another.
        step: Seconds that a last mark lasts.

    Examples:
        >>> list(speaking_runs([(0.0, True), (0.5, True), (1.0, False), (4.0, True)], gap=1.0, step=0.5))
        [(0.0, 1.0), (4.0, 4.5)]
    """
    start: float | None = None
    last = 0.0
    for time, speaks in sorted(marks):
        follows = time - last <= gap
        if start is not None and (not speaks or not follows):
            yield round(start, 6), round(time if follows else last + step, 6)
            start = None
        if speaks and start is None:
            start = time
        last = time
    if start is not None:
        yield round(start, 6), round(last + step, 6)

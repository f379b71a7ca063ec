"""What a page may ask, and with which parameters; anything else is refused before a capture is touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from attnscope.errors import RequestError

# Each question with the parameters that it must have, and those that it may have.
QUESTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "document": ((), ()),
    "measures": ((), ()),
    "frame": (("capture", "index"), ()),
    "queries": (("capture",), ()),
    "maps": (("capture",), ("layer", "head")),
    "masses": (("capture",), ("layer", "head")),
    "uniform": (("capture",), ("layer", "head")),
    "row": (("capture", "position"), ("layer", "head")),
}
_DIGITS = 9


@dataclass(frozen=True)
class Question:
    """A question with its parameters; None is a parameter that was left away.

    Attributes:
        what: A key of `QUESTIONS`.
        capture: Which capture, from 0.
        index: Which frame, from 0.
        position: Of a query token.
        layer: A layer's number in the model; None for the mean over all.
        head: A head; None for the mean over all.
    """

    what: str
    capture: int | None = None
    index: int | None = None
    position: int | None = None
    layer: int | None = None
    head: int | None = None


def question(what: str, given: Mapping[str, object]) -> Question:
    """A question from the parameters of an address or of a message.

    Args:
        what: A key of `QUESTIONS`.
        given: Whole numbers, or texts of digits.

    Raises:
        RequestError: If a parameter is missing, not known, or no whole number from 0.
    """
    if what not in QUESTIONS:
        raise RequestError(f"there is no question of that name; known: {', '.join(QUESTIONS)}")
    needed, allowed = QUESTIONS[what]
    for name in given:
        if name not in (*needed, *allowed):
            known = ", ".join((*needed, *allowed)) or "none"
            raise RequestError(f"{what}: there is no parameter of that name; known: {known}")
    for name in needed:
        if name not in given:
            raise RequestError(f"{what}: the parameter {name} is missing")
    numbers = {name: _whole(f"{what}: {name}", value) for name, value in given.items()}
    if "head" in numbers and "layer" not in numbers:
        raise RequestError(f"{what}: a head needs a layer")
    return Question(what, **numbers)


def _whole(where: str, value: object) -> int:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not text.isascii() or not text.isdigit() or len(text) > _DIGITS:
        raise RequestError(f"{where} is not a whole number from 0")
    return int(text)

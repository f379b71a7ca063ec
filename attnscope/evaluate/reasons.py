"""Why corrections did not apply to questions, counted: questions differ in names and words, reasons in few ways."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

MOST = 3  # that a person is told
_QUOTED = re.compile(r'"[^"]*"')


def counted(reasons: Iterable[str]) -> list[tuple[str, int]]:
    """Reasons and how often each is there, the commonest first.

    Reasons are alike if they are up to a semicolon, what stands in quotes apart; where they are not equal, what is said
    is that part of them that is.
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for reason in reasons:
        alike[_kind(reason)].append(reason)
    found = [(_common(several), len(several)) for several in alike.values()]
    return sorted(found, key=lambda one: -one[1])  # stable: of equal ones the first met


def told(found: list[tuple[str, int]]) -> list[dict[str, Any]]:
    """The same as JSON-able rows."""
    return [{"reason": reason, "questions": n} for reason, n in found]


def _kind(reason: str) -> str:
    return _QUOTED.sub('"…"', reason).partition(";")[0]


def _common(reasons: list[str]) -> str:
    for said in (reasons, [reason.partition(";")[0] for reason in reasons]):
        if len(set(said)) == 1:
            return said[0]
    return _kind(reasons[0])

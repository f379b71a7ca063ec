"""Which layers, heads and positions a caller means, checked against what a capture has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from attnscope.errors import RequestError

Choice: TypeAlias = int | Sequence[int] | npt.NDArray[Any] | None
Positions: TypeAlias = int | slice | Sequence[int] | npt.NDArray[Any] | None
Indices: TypeAlias = npt.NDArray[np.intp]


def is_one(choice: object) -> bool:
    """Whether a choice is a single number, which takes its dimension away."""
    return isinstance(choice, (int, np.integer)) and not isinstance(choice, (bool, np.bool_))


def pick(where: str, what: str, choice: Choice, valid: npt.NDArray[Any]) -> Indices:
    """The places in `valid` of the chosen numbers.

    Args:
        where: the file, for the message.
        what: "layer" or "head", for the message.
        choice: a number, numbers, or None for all.
        valid: the numbers there are, [n].

    Returns:
        Indices into `valid`, in the order of the choice.

    Raises:
        RequestError: if a number is not there, or none is chosen; the message gives those that are.
    """
    if choice is None:
        return np.arange(len(valid))
    place = {int(number): i for i, number in enumerate(valid)}
    wanted = _whole_numbers(where, what, choice)
    if not len(wanted):
        raise RequestError(f"{where}: no {what} is chosen; it has {what}s {ranges(place)}")
    for number in wanted:
        if int(number) not in place:
            raise RequestError(f"{where}: {what} {number} is not in the capture; it has {what}s {ranges(place)}")
    return np.array([place[int(number)] for number in wanted], dtype=np.intp)


def positions(where: str, what: str, choice: Positions, count: int) -> Indices:
    """The chosen positions as indices.

    Args:
        where: the file, for the message.
        what: "query" or "key", for the message.
        choice: a position, positions, a slice with Python's rules, a bool mask over all, or None for all.
        count: how many there are.

    Raises:
        RequestError: if a position is not in 0..count-1.
    """
    if choice is None:
        return np.arange(count)
    if isinstance(choice, slice):
        return np.arange(count)[choice]
    wanted = np.asarray(choice)
    if wanted.dtype == bool:
        if wanted.shape != (count,):
            raise RequestError(f"{where}: a {what} mask of shape {wanted.shape}, not ({count},)")
        return np.flatnonzero(wanted)
    wanted = _whole_numbers(where, what, wanted)
    outside = wanted[(wanted < 0) | (wanted >= count)]
    if len(outside):
        raise RequestError(f"{where}: {what} {outside[0]} is out of range; positions are 0-{count - 1}")
    return wanted


def ranges(numbers: Iterable[int]) -> str:
    """Numbers for a message: 0-3, 7, 9-10."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number, number])
    return ", ".join(f"{a}-{b}" if a < b else str(a) for a, b in runs)


def _whole_numbers(where: str, what: str, choice: Any) -> Indices:
    wanted = np.atleast_1d(np.asarray(choice))
    if wanted.ndim != 1 or (wanted.size and wanted.dtype.kind not in "iu"):
        raise RequestError(f"{where}: {what} {choice!r} is not a whole number or a list of them")
    return wanted.astype(np.intp)

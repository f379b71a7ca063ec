"""Errors that a user can act on.

Every message is one line that says what was wrong, where (file, field, value) and, where we know it, what to do.
The command line prints the message alone and exits with `exit_code`.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Self

__all__ = [
    "Argument",
    "AttnscopeError",
    "BusyError",
    "FormatError",
    "InstallError",
    "MediaError",
    "ModelError",
    "NotApplicableError",
    "RequestError",
    "RunError",
    "SceneError",
    "SizeError",
]

_LONGEST_VALUE = 60


def show(value: object) -> str:
    """A value as a message shows it: the way JSON writes it, in one line, shortened when long.

    A lone surrogate, which no terminal can show, is written as its number.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = " ".join(_text(value).split())
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def _text(value: object) -> str:
    try:
        return str(value)
    except ValueError:
        return "a number of too many digits"


@dataclass(frozen=True)
class Argument:
    """An argument that a message names: `batch=0` in Python; a command line writes its own flag in place of it.

    Attributes:
        name: As Python calls it; METHOD.NAME is a parameter of a correction.
        value: What was given; `...` where only the name matters.

    Example:
        >>> str(attnscope.errors.Argument("batch", 0)), str(attnscope.errors.Argument("batch"))
        ('batch=0', 'batch')
    """

    name: str
    value: Any = ...

    @property
    def shown(self) -> str:
        """The value as a message shows it: as Python writes it, of a parameter of a correction as JSON does."""
        if isinstance(self.value, PurePath):  # never shortened
            return str(self.value)
        is_python = "." not in self.name and (self.value is None or isinstance(self.value, bool))
        return str(self.value) if is_python else show(self.value)

    def __str__(self) -> str:
        return self.name if self.value is ... else f"{self.name}={self.shown}"


class AttnscopeError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line exits with.

    The message is made of `args`: texts, and an `Argument` wherever an argument is named. Words before another error
    keep its arguments when they are put before its parts: `RequestError(f"{path}: ", *error.args)`.

    Attributes:
        field: Name of the first argument in the message; None if it names none.
        value: What was given for it.
        reason: What is wrong: the message after that argument.

    Example:
        >>> try:
        ...     attnscope.open("missing.h5")
        ... except attnscope.errors.AttnscopeError as error:
        ...     type(error).__name__, error.exit_code
        ('RequestError', 2)
    """

    exit_code = 1

    @classmethod
    def of(cls, field: str, value: Any, *reason: object, where: str = "") -> Self:
        """An error about one argument: WHERE FIELD=VALUE: REASON."""
        return cls(where, Argument(field, value), ": ", *reason)

    def __str__(self) -> str:
        return "".join(str(part) for part in self.args)

    @property
    def field(self) -> str | None:
        """Name of the first argument in the message."""
        return next((part.name for part in self.args if isinstance(part, Argument)), None)

    @property
    def value(self) -> Any:
        """What was given for `field`; None if the message does not say."""
        value = next((part.value for part in self.args if isinstance(part, Argument)), None)
        return None if value is ... else value

    @property
    def reason(self) -> str:
        """What is wrong: the message after `field`."""
        numbers = (number for number, part in enumerate(self.args) if isinstance(part, Argument))
        after = "".join(str(part) for part in self.args[next(numbers, -1) + 1 :])
        return after.removeprefix(": ")


class RequestError(AttnscopeError):
    """The request was wrong: a missing file, a field out of range, an option that does not apply.

    Example:
        >>> attnscope.open("missing.h5")
        Traceback (most recent call last):
        attnscope.errors.RequestError: missing.h5: no such file
    """

    exit_code = 2


class SceneError(RequestError):
    """A scene, transcript, speaker file or one of their fields is wrong.

    Example:
        >>> attnscope.Sampling(frames=0)
        Traceback (most recent call last):
        attnscope.errors.SceneError: sampling: frames: 0 is less than 1
    """


class MediaError(RequestError):
    """A video, image or frame folder cannot be read.

    Example:
        >>> attnscope.scene.read_frames("missing.mp4")
        Traceback (most recent call last):
        attnscope.errors.MediaError: missing.mp4: no such file or folder
    """


class ModelError(RequestError):
    """A model cannot be loaded, or its attention cannot be reached through the seam.

    Example:
        >>> attnscope.load("roundtable", dtype="float8")
        Traceback (most recent call last):
        attnscope.errors.ModelError: roundtable: dtype must be one of auto, float32, float16, bfloat16, not 'float8'
    """


class NotApplicableError(RequestError):
    """A correction has nothing to do in this scene; in another it may.

    Example:
        >>> nobody = scene.model_copy(update={"speakers": {}})
        >>> with attnscope.corrected(model, nobody, [social]) as block:
        ...     block.answer()
        Traceback (most recent call last):
        attnscope.errors.NotApplicableError: ...clip.mp4: social-bias needs speakers with boxes...
    """


class SizeError(RequestError):
    """A plan is larger than its budget.

    Example:
        >>> attnscope.capture(model, scene, "new.h5", plan=attnscope.Plan(full=True, max_size=1000))
        Traceback (most recent call last):
        attnscope.errors.SizeError: plan masses,maps,stats,full: ... is over the budget of 1000 B...
    """


class FormatError(RequestError):
    """A file is not a capture, is incomplete, or breaks the format's specification.

    Example:
        >>> attnscope.open("scene.json")
        Traceback (most recent call last):
        attnscope.errors.FormatError: scene.json: not an HDF5 file, so not a capture
    """


class BusyError(RequestError):
    """Another process is writing the output. Nothing was run; the same request may succeed later.

    Example:
        >>> error = attnscope.errors.BusyError
        >>> error.exit_code, issubclass(error, attnscope.errors.RequestError)
        (2, True)
    """


class RunError(AttnscopeError):
    """The request was fine, but the work failed (no space left, out of memory).

    Example:
        >>> error = attnscope.errors.RunError
        >>> error.exit_code, issubclass(error, attnscope.errors.RequestError)
        (1, False)
    """


class InstallError(RunError):
    """A package that attnscope needs is missing, older than it can use, or does not work.

    Example:
        >>> issubclass(attnscope.errors.InstallError, attnscope.errors.RunError)
        True
    """

"""Errors that a user can act on.

Every message is one line that says what was wrong, where (file, field, value) and, where we know it, what to do.
The command line prints the message alone and exits with `exit_code`.
"""

from __future__ import annotations

__all__ = [
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


class AttnscopeError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line exits with.

    Example:
        >>> try:
        ...     attnscope.open("missing.h5")
        ... except attnscope.errors.AttnscopeError as error:
        ...     type(error).__name__, error.exit_code
        ('RequestError', 2)
    """

    exit_code = 1


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

"""Errors that a user can act on.

Every message is one line that says what was wrong, where (file, field, value) and, where we know it, what to do.
The command line prints the message alone and exits with `exit_code`.
"""

from __future__ import annotations

from pathlib import Path


class AttnscopeError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line exits with."""

    exit_code = 1


class RequestError(AttnscopeError):
    """The request was wrong: a missing file, a field out of range, an option that does not apply."""

    exit_code = 2


class SceneError(RequestError):
    """A scene, transcript, speaker file or one of their fields is wrong."""


class MediaError(RequestError):
    """A video, image or frame folder cannot be read."""


class ModelError(RequestError):
    """A model cannot be loaded, or its attention cannot be reached through the seam."""


class NotApplicableError(RequestError):
    """A correction has nothing to do in this scene; in another it may."""


class SizeError(RequestError):
    """A plan is larger than its budget."""


class FormatError(RequestError):
    """A file is not a capture, is incomplete, or breaks the format's specification."""


class BusyError(RequestError):
    """Another process is writing the output. Nothing was run; the same request may succeed later."""


class RunError(AttnscopeError):
    """The request was fine, but the work failed (no space left, out of memory)."""


class InstallError(RunError):
    """A package that attnscope needs is missing, older than it can use, or does not work."""


def unusable_folder(folder: Path, error: OSError | ValueError) -> RequestError:
    """What is wrong with an output folder that the system refuses."""
    from attnscope.files.reading import reason  # which needs the errors above

    return RequestError(f"{folder}: cannot be used as the output folder: {reason(error)}")

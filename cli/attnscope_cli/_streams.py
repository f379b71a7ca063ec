"""Standard output as it may be: a pipe whose reader has left, a full disk, closed, or of few characters."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from attnscope.errors import AttnscopeError, RunError
from attnscope.files import reason


class ClosedPipeError(AttnscopeError):
    """The reader of standard output has left (`| head`): nothing to complain about."""

    exit_code = 141  # 128 + SIGPIPE


class Output:
    """A stream whose failures are errors of attnscope, whoever writes to it.

    Args:
        stream: The stream; None if the process was started without.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        """Whatever else the stream has."""
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write.

        Raises:
            ClosedPipeError: If nobody reads any more.
            RunError: If it cannot be written.
        """
        if self._stream is None:
            raise RunError("standard output: is closed")
        with _failing():
            return self._stream.write(text)

    def flush(self) -> None:
        """Hand everything to the system; raises as `write`."""
        if self._stream is not None:
            with _failing():
                self._stream.flush()

    @property
    def encoding(self) -> str | None:
        """Of the stream."""
        return getattr(self._stream, "encoding", None)

    def isatty(self) -> bool:
        """Whether a person is looking."""
        return self._stream is not None and self._stream.isatty()


@contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise ClosedPipeError from None
    except (OSError, ValueError) as error:
        closed = isinstance(error, ValueError) or error.errno == errno.EBADF
        raise RunError(f"standard output: {'is closed' if closed else reason(error)}") from None


@contextmanager
def checked_output() -> Iterator[Output]:
    """Standard output as an `Output` during a block."""
    usual = sys.stdout
    output = Output(usual)
    sys.stdout = output
    try:
        yield output
    finally:
        sys.stdout = usual


def open_streams() -> None:
    """Make sure that descriptors 0 to 2 are open, or the next file that is opened would get what is printed.

    Characters that the encoding of the terminal lacks are shown as escapes.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # opened for reading: writing to it fails, as writing to a closed stream should
            with suppress(OSError):
                os.open(os.devnull, os.O_WRONLY if number == 2 else os.O_RDONLY)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

"""The files that are shown: open as long as somebody looks, and known to be those that were opened."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from attnscope.capture.read.capture import Capture, open
from attnscope.errors import RequestError


class ChangedError(RequestError):
    """A file is another one than was opened, or is gone."""


class Captures:
    """Captures that are open for reading.

    Args:
        paths: Their files.

    Raises:
        RequestError: If a file cannot be read.
        FormatError: If one is no capture.

    Attributes:
        captures: The captures.
    """

    def __init__(self, paths: Sequence[str | Path]) -> None:
        with ExitStack() as opening:
            known = [file_state(Path(path)) for path in paths]
            self.captures: list[Capture] = [opening.enter_context(open(path)) for path in paths]
            self._known = known
            for index in range(len(paths)):
                self.check(index)
            self._stack = opening.pop_all()

    @property
    def title(self) -> str:
        """The names of the files."""
        return ", ".join(cap.path.name for cap in self.captures)

    def check(self, index: int) -> Capture:
        """A capture whose file is as it was when it was opened: what was written since would mix with what was read.

        Raises:
            ChangedError: If it is not.
        """
        cap = self.captures[index]
        now = file_state(cap.path)
        if now != self._known[index]:
            what = "was deleted" if now is None else "was changed"
            raise ChangedError(f"{cap.path.name}: {what} since it was opened; end the viewer and start it again")
        return cap

    def close(self) -> None:
        """Release the files."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def file_state(path: Path) -> tuple[int, ...] | None:
    """What tells a file from a later one at the same path; None if there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns

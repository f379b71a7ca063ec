"""The captures that are shown, and what a page may ask about them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from starlette.routing import BaseRoute

from attnscope.capture.read.capture import Capture, open
from attnscope.view.page import page_routes


class Captures:
    """Captures that are open as long as somebody looks at them.

    Args:
        paths: Their files.

    Raises:
        RequestError: If a file cannot be read.
        FormatError: If one is no capture.
    """

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self._stack = ExitStack()
        with ExitStack() as opening:
            self.captures: list[Capture] = [opening.enter_context(open(path)) for path in paths]
            self._stack = opening.pop_all()

    @property
    def title(self) -> str:
        """The names of the files."""
        return ", ".join(cap.path.name for cap in self.captures)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def routes(captures: Captures) -> list[BaseRoute]:
    """The page and everything that it asks."""
    return page_routes(captures.title, "server")

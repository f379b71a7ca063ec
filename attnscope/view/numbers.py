"""Numbers by head, computed while the page is already there: they take seconds on a large capture."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from attnscope.capture.read.capture import open
from attnscope.view.captures import Captures

_PAUSE, _QUIET, _LONGEST = 0.05, 6, 30.0  # s; how many pauses without a question; s


class _EndedError(Exception):
    """Nobody looks any more."""


class Numbers:
    """The numbers by head of some captures, one capture after the other, computed in a thread of its own.

    The thread reads the files by itself, so that no click waits for it.

    Args:
        captures: The captures.
        busy: Whether somebody waits for something else; the work begins when nobody does, or after a while.
    """

    def __init__(self, captures: Captures, busy: Callable[[], bool]) -> None:
        self._captures, self._busy = captures, busy
        self._paths = [cap.path for cap in captures.captures]
        self._lock = threading.Lock()
        self._done, self._total, self._what = 0, len(self._paths), "numbers by head"
        self._known: list[dict[str, Any]] = [{} for _ in self._paths]
        self._measures: list[dict[str, Any]] = []
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._ended = False

    def state(self) -> dict[str, Any]:
        """`Measures` of viewer/src/sources/remote.ts: what is known so far. The first call begins the work.

        Raises:
            AttnscopeError: If a capture is damaged, or is not the one that was opened.
        """
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="attnscope-numbers", daemon=True)
                self._thread.start()
            if self._error is not None:
                raise self._error
            return {
                "done": self._done,
                "total": self._total,
                "what": self._what,
                "measures": self._measures,
                "values": list(self._known),
            }

    def close(self) -> None:
        """End between two metrics."""
        self._ended = True
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._wait()
            self._compute()
        except _EndedError:
            pass
        except BaseException as error:  # the next question gets the error
            with self._lock:
                self._error = error

    def _wait(self) -> None:
        """Let the page have its first pictures: it has asked for them by now, or does so in a moment."""
        quiet, end = 0, time.monotonic() + _LONGEST
        while quiet < _QUIET and time.monotonic() < end:
            if self._ended:
                raise _EndedError
            quiet = 0 if self._busy() else quiet + 1
            time.sleep(_PAUSE)

    def _compute(self) -> None:
        from attnscope import metrics
        from attnscope.report.viewer import measures

        with ExitStack() as stack:
            caps, values = [], []
            for number, path in enumerate(self._paths):
                caps.append(stack.enter_context(open(path)))
                self._captures.check(number)
                self._now(number)
                tables = metrics.compute(caps[-1], measures.METRICS, progress=partial(self._now, number))
                values.append(measures.values(caps[-1], tables))
                lines = [line.entry() for line in measures.measures(caps, values)]
                packed = {name: value.packed() for name, value in values[-1].items()}
                with self._lock:
                    self._known[number], self._measures = packed, lines
            with self._lock:
                self._done = self._total

    def _now(self, number: int, _what: str = "", done: int = 0, total: int = 1) -> None:
        """How far it is: `done` of the `total` metrics of a capture; less than all, until its values are there."""
        if self._ended:
            raise _EndedError
        with self._lock:
            self._total = len(self._paths) * (total + 1)
            self._done = number * (total + 1) + done
            self._what = f"numbers by head of {self._paths[number].name}"

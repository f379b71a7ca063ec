"""One thread that reads captures, so that a file has one reader; the newest question comes first.

Work is a generator: it yields between its steps and returns its answer. Between two steps a newer question comes first,
and work whose asker has gone is dropped: a click is answered while a mean over all heads is under way, and what a
reader has clicked past is not computed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import Any, TypeAlias

Steps: TypeAlias = Generator[None, None, Any]


class Work:
    """Work that was asked for.

    Args:
        begin: Gives its steps.

    Attributes:
        future: Its answer, or the error that it ended with.
        dropped: Whether nobody waits for it any more.
    """

    def __init__(self, begin: Callable[[], Steps]) -> None:
        self._begin = begin
        self._steps: Steps | None = None
        self.future: Future[Any] = Future()
        self.dropped = False

    def drop(self) -> None:
        """Nobody waits for the answer any more."""
        self.dropped = True
        self.future.cancel()

    def advance(self) -> bool:
        """Do one step; whether that was the last."""
        try:
            if self._steps is None:
                if not self.future.set_running_or_notify_cancel():
                    return True
                self._steps = self._begin()
            next(self._steps)
        except StopIteration as end:
            self.future.set_result(end.value)
        except BaseException as error:
            self.future.set_exception(error)
        else:
            return False
        return True


class Worker:
    """Does work in one thread until it is closed."""

    def __init__(self) -> None:
        self._works: list[Work] = []  # the newest last
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="attnscope-reader", daemon=True)
        self._thread.start()

    def submit(self, begin: Callable[[], Steps]) -> Work:
        """Ask for work; it comes before all that was asked for earlier.

        Args:
            begin: Called in the worker's thread; gives the steps.
        """
        work = Work(begin)
        with self._changed:
            if self._closed:
                work.drop()
            else:
                self._works.append(work)
                self._changed.notify()
        return work

    def busy(self) -> bool:
        """Whether any work is left."""
        with self._changed:
            return bool(self._works)

    def close(self) -> None:
        """End after the step that is under way; the rest is dropped."""
        with self._changed:
            self._closed = True
            for work in self._works:
                work.drop()
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while (work := self._newest()) is not None:
            if work.dropped or work.advance():
                with self._changed:
                    self._works.remove(work)

    def _newest(self) -> Work | None:
        with self._changed:
            while not self._works and not self._closed:
                self._changed.wait()
            return None if self._closed else self._works[-1]

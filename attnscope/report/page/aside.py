"""Work on a copy of this process, beside its own: figures use one core, and most machines have two.

The copy (a fork) has all that is in memory at no cost, draws, and hands back what it returns. It is made on Linux where
a second core may be used; elsewhere the work is done when its result is asked for.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from attnscope.errors import RunError
from attnscope.threads import threads

Result = TypeVar("Result")


def is_possible() -> bool:
    """Whether a copy is made: on Linux, from the main thread, with a second core that may be used."""
    is_main = threading.current_thread() is threading.main_thread()
    return sys.platform == "linux" and is_main and threads() > 1


@contextmanager
def aside(work: Callable[[], Result]) -> Iterator[Callable[[], Result]]:
    """Begin some work on a copy of this process.

    Args:
        work: Reads what is in memory, writes files, and returns something that can be pickled. It reads no capture.

    Yields:
        What waits for the work and returns its result, or raises what it raised. If it is not called, the copy is ended
        with the block.
    """
    if not is_possible():
        yield work
        return
    read, write = os.pipe()
    parent = os.getpid()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads: what the copy does needs none of theirs
        child = os.fork()
    if not child:
        os.close(read)
        _finish(work, write, parent)
    os.close(write)
    waited = False

    def result() -> Result:
        nonlocal waited
        with open(read, "rb", closefd=False) as pipe:
            answer = pipe.read()
        os.waitpid(child, 0)
        waited = True
        if not answer:
            raise RunError("a process that draws figures was ended, perhaps for want of memory")
        value, error = pickle.loads(answer)
        if error is not None:
            raise error
        return value  # type: ignore[no-any-return]

    try:
        yield result
    finally:
        os.close(read)
        if not waited:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)


def _finish(work: Callable[[], Any], write: int, parent: int) -> None:
    """In the copy: do the work, hand over its result, and end without anything that the original does at its end."""
    try:
        gc.freeze()  # what there is stays where it is: a look at it would copy its pages
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # they are sent to all; the original ends the copy
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
        try:
            answer: tuple[Any, BaseException | None] = work(), None
        except Exception as error:
            answer = None, error
        with open(write, "wb") as pipe:
            pipe.write(_pickled(answer))
    finally:
        os._exit(0)


def _pickled(answer: tuple[Any, BaseException | None]) -> bytes:
    try:
        return pickle.dumps(answer)
    except Exception:
        return pickle.dumps((None, RunError(f"figures cannot be drawn: {answer[1]!r}")))


def _end_with(parent: int) -> None:
    """End the copy when the original is gone."""
    while os.getppid() == parent:
        threading.Event().wait(1.0)
    os._exit(1)

"""Signals that end a command: Ctrl-C, SIGTERM of a scheduler, SIGHUP of a terminal; all unwind what was begun."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

_ENDINGS = tuple(number for name in ("SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None)


@dataclass
class Ending:
    """Which signal ended the command.

    Attributes:
        signal: Its number; SIGINT until another one comes.
        lost: Whether Python dropped the exception, so that the signal comes again.
    """

    signal: int = signal.SIGINT
    lost: bool = False

    @property
    def code(self) -> int:
        """The exit code, as shells count it: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.signal


@contextmanager
def interruptible() -> Iterator[Ending]:
    """SIGTERM and SIGHUP raise KeyboardInterrupt, as Ctrl-C does, and none of them is lost.

    Python drops an interrupt that falls into a destructor or a callback of its own; here it comes again. A signal that
    the parent process ignores (nohup) stays ignored. After the first SIGTERM or SIGHUP others are ignored: what was
    begun is being unwound.
    """
    ending, usual = Ending(), sys.unraisablehook

    def hook(lost: Any) -> None:
        if issubclass(lost.exc_type, KeyboardInterrupt):
            ending.lost = True
            threading.Timer(0.01, _again, [ending.signal]).start()
        else:
            usual(lost)

    def end(number: int, _frame: FrameType | None) -> None:
        if ending.signal == signal.SIGINT or ending.lost:
            ending.signal, ending.lost = number, False
            raise KeyboardInterrupt

    sys.unraisablehook = hook
    before = _install(end)
    try:
        yield ending
    finally:
        sys.unraisablehook = usual
        for number, handler in before.items():
            signal.signal(number, handler)


def _install(handler: Any) -> dict[int, Any]:
    """Handle the endings that nobody else handles or ignores; what they had before."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    before = {number: signal.getsignal(number) for number in _ENDINGS}
    before = {number: had for number, had in before.items() if had is signal.SIG_DFL}
    for number in before:
        signal.signal(number, handler)
    return before


def _again(number: int) -> None:
    """Send the signal to the main thread, which may be asleep."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, number)
    else:
        _thread.interrupt_main()

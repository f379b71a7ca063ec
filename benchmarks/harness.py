"""Measurements in processes of their own: what they print, how long they take, and how much memory they need (Linux).

A measurement is a module of this folder that prints one line of JSON at its end; `start` and `result` run it. What a
process does not measure itself (a command line, seen from outside) is measured by `timed`.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attnscope.errors import RunError
from benchmarks.meter import allocated, forget_peak, peak

__all__ = ["allocated", "forget_peak", "machine", "measured", "peak", "result", "start", "timed"]


def start(
    module: str,
    *arguments: object,
    threads: int | None = None,
    python: str | Path = sys.executable,
    variables: Mapping[str, str] | None = None,
) -> subprocess.Popen[str]:
    """Start a measurement in a fresh process.

    Args:
        module: Name of a module of this folder.
        arguments: Its arguments.
        threads: Threads of OpenMP; None leaves them to the environment.
        python: The interpreter: that of another environment runs with the packages installed there.
        variables: Environment variables beside the present ones.
    """
    own: Mapping[str, str] = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    return subprocess.Popen(
        [str(python), "-m", f"benchmarks.{module}", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | own | (variables or {}),
    )


def result(process: subprocess.Popen[str], timeout: float | None = None) -> dict[str, Any]:
    """Wait for a measurement.

    Args:
        process: As `start` gave it.
        timeout: Seconds to wait at most; the process is then ended.

    Returns:
        What its last line of output says.

    Raises:
        RunError: If it failed; the message is the last line of its errors, "out of memory" where it was killed, or
            "over 60 s" where it took longer than it may.
    """
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise RunError(f"over {timeout:.0f} s") from None
    if process.returncode:
        lines = errors.splitlines() or ["no message"]
        raise RunError("out of memory" if process.returncode < 0 else lines[-1])
    values: dict[str, Any] = json.loads(output.splitlines()[-1])
    return values


def measured(module: str, *arguments: object, timeout: float | None = None, **options: Any) -> dict[str, Any]:
    """Start a measurement with the options of `start` and wait for it; see `result`."""
    return result(start(module, *arguments, **options), timeout)


def timed(command: Sequence[str], cores: int) -> dict[str, float]:
    """Run a command on some cores: seconds, CPU seconds (`cpu`), and peak resident memory in bytes (`peak`).

    While the command has processes of its own, their memory counts too; what they share counts once.

    Raises:
        CalledProcessError: If it fails.
    """
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    before, begun, largest = _children(), time.perf_counter(), 0
    child = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": str(cores)},
        preexec_fn=lambda: os.sched_setaffinity(0, allowed),
    )
    while child.poll() is None:
        with contextlib.suppress(OSError):  # it has just ended
            largest = max(largest, peak(child.pid), _together(child.pid))
        time.sleep(0.05)
    seconds = time.perf_counter() - begun
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)
    return {"seconds": seconds, "cpu": _children() - before, "peak": largest}


def _together(process: int) -> int:
    """Resident memory of a process and those that it has started, bytes, each shared page counted once; 0 if alone."""
    started = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    if not started:
        return 0
    total = 0
    for one in (str(process), *started):
        with contextlib.suppress(OSError):  # it has just ended
            lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
            total += next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
    return total


def _children() -> float:
    """CPU seconds of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def machine(used: int | None = None) -> str:
    """This machine, in words.

    Args:
        used: Cores that are used; None does not say.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = f"{os.cpu_count()} cores" + ("" if used is None else f" of which {used} are used")
    return f"{platform.machine()}, {cores}, {memory:.0f} GiB"

"""Measurements in processes of their own: what they print, how long they take, and how much memory they need (Linux).

A measurement is a module of this folder that prints one line of JSON at its end; `start` and `result` run it. What a
process does not measure itself (a command line, seen from outside) is measured by `timed`.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from attnscope.errors import RunError


def start(module: str, *arguments: object, threads: int | None = None) -> subprocess.Popen[str]:
    """Start a measurement in a fresh process.

    Args:
        module: Name of a module of this folder.
        arguments: Its arguments.
        threads: Threads of OpenMP; None leaves them to the environment.
    """
    environment: Mapping[str, str] = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    return subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def result(process: subprocess.Popen[str], timeout: float | None = None) -> dict[str, Any]:
    """Wait for a measurement.

    Args:
        process: As `start` gave it.
        timeout: Seconds to wait at most.

    Returns:
        What its last line of output says.

    Raises:
        RunError: If it failed; the message is the last line of its errors, or "out of memory" where it was killed.
    """
    output, errors = process.communicate(timeout=timeout)
    if process.returncode:
        lines = errors.splitlines() or ["no message"]
        raise RunError("out of memory" if process.returncode < 0 else lines[-1])
    values: dict[str, Any] = json.loads(output.splitlines()[-1])
    return values


def measured(
    module: str, *arguments: object, threads: int | None = None, timeout: float | None = None
) -> dict[str, Any]:
    """Start a measurement and wait for it; see `start` and `result`."""
    return result(start(module, *arguments, threads=threads), timeout)


def timed(command: Sequence[str], cores: int) -> dict[str, float]:
    """Run a command on some cores: seconds, CPU seconds (`cpu`), and peak resident memory in bytes (`peak`).

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
            largest = max(largest, peak(child.pid))
        time.sleep(0.02)
    seconds = time.perf_counter() - begun
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)
    return {"seconds": seconds, "cpu": _children() - before, "peak": largest}


def _children() -> float:
    """CPU seconds of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def forget_peak() -> None:
    """Start this process's peak anew, so that loading and preprocessing, which may need more, do not hide the work."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):  # some containers refuse; the peak is then that of the whole process
        Path("/proc/self/clear_refs").write_text("5")


def peak(process: int | str = "self") -> int:
    """Peak resident memory of a process, bytes; of this one since `forget_peak`.

    What a child had of its parent's memory before it began does not count: 0 then.
    """
    status = Path(f"/proc/{process}/status").read_text()
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)


def allocated(work: Callable[[], object]) -> int:
    """Most bytes that the tensors of some work need at one time, above what there was before it.

    What torch's allocator hands out and takes back is counted, so the number is equal in every run on one thread; peak
    resident memory also holds pages that the system has not taken back.
    """
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        work()
    events = [event for event in recorded.profiler.kineto_results.events() if event.name() == "[memory]"]
    return max(accumulate((event.nbytes() for event in events), initial=0))


def machine(used: int | None = None) -> str:
    """This machine, in words.

    Args:
        used: Cores that are used; None does not say.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = f"{os.cpu_count()} cores" + ("" if used is None else f" of which {used} are used")
    return f"{platform.machine()}, {cores}, {memory:.0f} GiB"

"""What a process measures of its own work: CPU time and peak memory, beside the plain forward, round by round.

It imports nothing of attnscope: peers use it in environments of their own.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import resource
import signal
import time
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

Work = Callable[[], object]
# Variables of a process whose freed memory goes back to the system at once: its peak is of what lives. It takes time.
HAND_BACK = {"MALLOC_MMAP_THRESHOLD_": str(2**20)}


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


def allocated(work: Work) -> int:
    """Most bytes that the tensors of some work need at one time, above what there was before it.

    What torch's allocator hands out and takes back is counted, so the number is equal in every run on one thread; peak
    resident memory also holds pages that the system has not taken back.
    """
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        work()
    events = [event for event in recorded.profiler.kineto_results.events() if event.name() == "[memory]"]
    return max(accumulate((event.nbytes() for event in events), initial=0))


def limit_memory(gib: float) -> None:
    """Let allocations fail beyond so much address space above what is used now, instead of taking the machine down."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + int(gib * 2**30),) * 2)


def limit_time(seconds: float) -> None:
    """Raise TimeoutError in the main thread after so much more CPU time, however busy the machine is.

    It is raised again every second until `in_rounds` has it: Python swallows what is raised while an object is taken
    apart, as in a collection of garbage.
    """

    def end(_number: int, _frame: object) -> None:
        raise TimeoutError(f"over {seconds:.0f} s of CPU time")

    signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, seconds, 1.0)


def add_limits(parser: argparse.ArgumentParser) -> None:
    """The options of a worker that say how long it measures and how much it may take."""
    parser.add_argument("--rounds", type=int, default=1, help="rounds at most")
    parser.add_argument("--seconds", type=float, default=60, help="no round begins that would end later than this")
    parser.add_argument("--limit", type=float, help="address space allowed beyond what is used before the prefill, GiB")
    parser.add_argument("--most", type=float, help="seconds of CPU time that all rounds may take")


def limit(args: argparse.Namespace) -> None:
    """Set the limits that `add_limits` has read, where there are any."""
    if args.limit:
        limit_memory(args.limit)
    if args.most:
        limit_time(args.most)


def measured_once(work: Work) -> dict[str, float]:
    """CPU seconds of all threads, seconds, and by how many bytes the resident memory grew at its peak.

    What the work returns is held until the peak has been read: maps that a library hands out count.
    """
    forget_peak()
    before, cpu, wall = peak(), time.process_time(), time.perf_counter()
    held = work()
    result = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "peak": peak() - before}
    del held
    return result


def in_rounds(plain: Work, work: Work, *, most: int, seconds: float) -> dict[str, Any]:
    """Measure some work beside the plain forward: they take turns, until the time is used up.

    Args:
        plain: The plain forward.
        work: The work. It goes first: where it does not fit, nothing else needs to run.
        most: Rounds at most; there is at least one.
        seconds: No round begins that would probably end later than this.

    Returns:
        `plain` and `work`: one result of `measured_once` a round; `error`: None, or what was raised.
    """
    begun = time.perf_counter()
    result: dict[str, Any] = {"plain": [], "work": [], "error": None}
    for done in range(1, most + 1):
        try:
            for name, run in (("work", work), ("plain", plain)):
                result[name].append(measured_once(run))
        except Exception as failure:  # of other libraries, of any kind: it is a line of the table
            signal.setitimer(signal.ITIMER_PROF, 0)
            result["error"] = f"{type(failure).__name__}: {' '.join(str(failure).split())}"
            break
        used = time.perf_counter() - begun
        if used * (done + 1) / done > seconds:
            break
    return result

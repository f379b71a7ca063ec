"""Time and memory of work on a device, and how much of its copies to the host runs beside its kernels."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch

from benchmarks.meter import measured_once

Interval = tuple[float, float]
Reading = dict[str, float]


class Meter:
    """Measures on one device.

    Args:
        device: "cuda", or "cpu" to try a script out: then memory is that of the process.
    """

    def __init__(self, device: str) -> None:
        self.device = device

    def measure(self, work: Callable[[], object]) -> Reading:
        """Seconds with everything finished, and the most bytes above those that were there before."""
        if self.device != "cuda":
            result = measured_once(work)
            return {"seconds": result["wall"], "peak": result["peak"], "before": 0.0}
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before, begun = torch.cuda.memory_allocated(), time.perf_counter()
        held = work()
        torch.cuda.synchronize()
        seconds = time.perf_counter() - begun
        peak = torch.cuda.max_memory_allocated() - before
        del held
        return {"seconds": seconds, "peak": float(peak), "before": float(before)}

    def failure(self, error: Exception) -> str:
        """Why work failed, in a few words; what it had allocated is given back."""
        if self.device == "cuda":
            error.__traceback__ = None  # which holds its tensors
            torch.cuda.empty_cache()
        return "out of memory" if "memory" in str(error) else type(error).__name__

    def copies(self, work: Callable[[], object]) -> tuple[float, float] | None:
        """Milliseconds of copies to the host, and the share of them during which a kernel runs; None on a CPU."""
        if self.device != "cuda":
            return None
        from torch.autograd import DeviceType
        from torch.profiler import ProfilerActivity, profile

        with profile(activities=[ProfilerActivity.CUDA]) as recorded:
            work()
            torch.cuda.synchronize()
        events = [event for event in recorded.events() if event.device_type == DeviceType.CUDA]
        spans = [(event.name, (event.time_range.start, event.time_range.end)) for event in events]
        to_host = [span for name, span in spans if "DtoH" in name]
        kernels = [span for name, span in spans if not name.startswith(("Memcpy", "Memset"))]
        total = sum(end - start for start, end in to_host)  # microseconds
        return (total / 1e3, covered(to_host, kernels) / total) if total else None


def covered(spans: Sequence[Interval], others: Sequence[Interval]) -> float:
    """How much of some spans lies within any of the others, summed over the spans.

    Example:
        >>> covered([(0, 4), (10, 12)], [(1, 2), (1.5, 3), (11, 20)])
        3.0
    """
    joined: list[list[float]] = []
    for start, end in sorted(others):
        if joined and start <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([start, end])
    return float(sum(max(0.0, min(end, last) - max(start, first)) for start, end in spans for first, last in joined))

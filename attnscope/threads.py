"""A few threads for work that numpy does without holding Python back: sorting and products of large arrays."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
MOST = 4  # more would wait for memory


def threads() -> int:
    """How many threads are used: as many as this process may use cores, and no more than OMP_NUM_THREADS says."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    stated = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(cores, MOST, int(stated) if stated.isdigit() else MOST))


def spread(work: Callable[[Item], None], items: Iterable[Item]) -> None:
    """Do some work for every item, in any order: pieces must not depend on each other."""
    if threads() == 1:
        for item in items:
            work(item)
        return
    with ThreadPoolExecutor(threads()) as pool:  # it is gone afterwards: no thread is there when a process is copied
        for _ in pool.map(work, items):
            pass

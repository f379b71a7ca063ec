"""Blocks of attention from one capture of queries and keys, in a process of its own. Prints JSON: CPU milliseconds."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

import attnscope

BLOCKS = (1, 64, 256)  # queries, the last of the capture
WARM = 9  # readings of which the quickest counts
LAYER = 0


def main() -> None:
    """Measure; each block is of a key head of its own, so that each is read for the first time once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("capture", type=Path)
    args = parser.parse_args()
    attnscope.open(args.capture).close()  # what is imported on first use
    begun = time.process_time()
    cap = attnscope.open(args.capture)
    numbers: dict[str, float] = {"open": 1e3 * (time.process_time() - begun)}
    rng, group, width = np.random.default_rng(0), cap.qk(LAYER).group, cap.qk(LAYER).q.shape[-1]
    count = cap.prompt_length
    q, k = (rng.normal(0, 1, (size, width)).astype(np.float32) for size in (max(BLOCKS), count))
    q @ k.T  # the library starts
    for place, size in enumerate(BLOCKS):
        head, queries = place % (cap.heads // group) * group, slice(count - size, count)
        if head < place * group:  # no key head is left that was not read
            cap = attnscope.open(args.capture)
        block = partial(cap.attention, LAYER, head, queries)
        numbers[f"{size} first"] = cpu(block)
        numbers[f"{size} again"] = min(cpu(block) for _ in range(WARM))
        product = partial(np.matmul, q[:size], k.T)
        numbers[f"{size} product"] = min(cpu(product) for _ in range(WARM))
    print(json.dumps(numbers))


def cpu(work: Callable[[], object]) -> float:
    """CPU milliseconds of some work."""
    begun = time.process_time()
    work()
    return 1e3 * (time.process_time() - begun)


if __name__ == "__main__":
    main()

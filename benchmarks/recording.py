"""Measure time and memory of a capture against the plain model and eager maps; rewrites a part of benchmarks/README.md.

`python -m benchmarks.recording` (or `make bench`); every measurement is a process of its own, and the modes take turns,
so that a drift of the machine's speed touches all of them.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import torch
import transformers

from attnscope.errors import RunError
from benchmarks.harness import machine, measured
from benchmarks.model import SIZES, build, frames_for
from benchmarks.page import PAGE, write_part
from benchmarks.recording_worker import MODES

TOKENS = (2048, 4096, 8192, 16384)


def measure(mode: str, model: Path, scene: Path, tokens: int) -> dict[str, Any]:
    """One run of one mode, within the memory that is free; a process that was killed counts as out of memory."""
    # an allocation beyond what is free fails, instead of taking the machine down
    limit = f"{0.9 * psutil.virtual_memory().available / 2**30:.1f}"
    try:
        return measured("recording_worker", mode, model, scene, "--frames", frames_for(tokens), "--limit", limit)
    except RunError as error:
        return {"error": str(error)}


def rows(model: Path, scene: Path, lengths: Sequence[int], repeats: int) -> list[str]:
    """The table's lines."""
    lines = []
    for tokens in lengths:
        runs: dict[str, list[dict[str, Any]]] = {mode: [] for mode in MODES}
        for _ in range(repeats):
            for mode in MODES:
                if not any(run.get("error") for run in runs[mode]):
                    runs[mode].append(measure(mode, model, scene, tokens))
                    print(tokens, mode, runs[mode][-1], file=sys.stderr)
        lines += [_row(mode, runs[mode], runs["plain"]) for mode in MODES]
    return lines


def _row(mode: str, runs: list[dict[str, Any]], plain: list[dict[str, Any]]) -> str:
    length = plain[0]["tokens"]
    failed = next((run["error"] for run in runs if run.get("error")), None)
    if failed:
        why = "out of memory" if "allocate" in failed or "memory" in failed else failed
        return f"| {length} | {MODES[mode]} | {why} | | | |"
    seconds = [run["seconds"] for run in runs]
    ratios = [a["seconds"] / b["seconds"] for a, b in zip(runs, plain, strict=True)]
    peak = statistics.median(run["peak"] for run in runs) / 2**20
    extra = peak - statistics.median(run["peak"] for run in plain) / 2**20
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    return f"| {length} | {MODES[mode]} | {statistics.median(seconds):.1f} | {spread} | {peak:.0f} | {extra:.0f} |"


def text(table: list[str], repeats: int) -> list[str]:
    """This part of the page."""
    sizes = ", ".join(f"{name} {value}" for name, value in SIZES.items())
    return [
        "What recording costs: one prefill and its first token, float32, on a CPU. Regenerate this part with",
        "`make bench`.",
        "",
        f"- Model: Qwen2.5-VL with random weights; {sizes}. Video of 640 x 360 pixels.",
        f"- Machine: {machine()}, no GPU; torch {torch.__version__}, transformers {transformers.__version__}.",
        f"- Median of {repeats} rounds; each measurement is its own process and the modes take turns. The ratio is",
        "  taken round by round against the plain run, with its smallest and largest value: quote ratios.",
        "- Peak is the resident memory of the process; extra is what it has above the plain run.",
        "- `self-check` is off: it repeats the prefill without recording.",
        "",
        "| tokens | what runs | seconds | time / plain | peak MiB | extra MiB |",
        "|---:|---|---:|---:|---:|---:|",
        *table,
    ]


def main() -> None:
    """Measure, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tokens", type=int, nargs="+", default=TOKENS, help="lengths of the prompt, about")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page whose part is rewritten")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model, scene = build(Path(folder))
        lines = text(rows(model, scene, args.tokens, args.repeats), args.repeats)
        print(write_part("Recording", lines, args.page))


if __name__ == "__main__":
    main()

"""Measure time and memory of a capture against the plain model and eager maps; rewrites a part of benchmarks/README.md.

`python -m benchmarks.run` (or `make bench`); every measurement is a process of its own, and the modes take turns, so
that a drift of the machine's speed touches all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil
import torch
import transformers

from benchmarks.model import SIZES, build, frames_for
from benchmarks.page import write_part
from benchmarks.worker import MODES

TOKENS = (2048, 4096, 8192, 16384)


def measure(mode: str, model: Path, scene: Path, tokens: int) -> dict[str, Any]:
    """One run of one mode, within the memory that is free; a process that was killed counts as out of memory."""
    frames = str(frames_for(tokens))
    free = psutil.virtual_memory().available / 2**30
    command = [sys.executable, "-m", "benchmarks.worker", mode, str(model), str(scene), "--frames", frames]
    command += ["--limit", f"{0.9 * free:.1f}"]  # an allocation beyond that fails, instead of taking the machine down
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return {"error": "out of memory" if done.returncode < 0 else done.stderr.splitlines()[-1]}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def rows(model: Path, scene: Path, repeats: int) -> list[str]:
    """The table's lines."""
    lines = []
    for tokens in TOKENS:
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
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, no GPU"
    return [
        "What recording costs: one prefill and its first token, float32, on a CPU. Regenerate this part with",
        "`make bench`.",
        "",
        f"- Model: Qwen2.5-VL with random weights; {sizes}. Video of 640 x 360 pixels.",
        f"- Machine: {machine}; torch {torch.__version__}, transformers {transformers.__version__}.",
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
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model, scene = build(Path(folder))
        print(write_part("Recording", text(rows(model, scene, args.repeats), args.repeats)))


if __name__ == "__main__":
    main()

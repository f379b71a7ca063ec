"""Measure time and memory of `attnscope analyze` on a large capture; rewrites its part of benchmarks/README.md.

`python -m benchmarks.analyze`: makes the capture of `benchmarks.analyze_capture` (minutes), checks it with `attnscope
validate`, and analyses it, each time in a process of its own on two cores. `--capture run.h5` keeps the capture, or
takes one that is there.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd

import attnscope
from benchmarks.harness import machine, measured, timed
from benchmarks.page import PAGE, write_part

CORES = 2
WAYS: dict[str, list[str]] = {"attnscope analyze": [], "attnscope analyze --jitter 10%": ["--jitter", "10%"]}
COMMAND = [sys.executable, "-m", "attnscope_cli.main"]


def whole(capture: Path, repeats: int) -> list[str]:
    """The table's lines: the ways to analyse take turns, so that a drift of the machine's speed touches all."""
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats):
            for way, options in WAYS.items():
                runs[way].append(
                    timed([*COMMAND, "analyze", str(capture), "-o", folder, "-q", "--force", *options], CORES)
                )
                print(way, runs[way][-1], file=sys.stderr)
    lines = []
    for way, rounds in runs.items():
        seconds = sorted(run["seconds"] for run in rounds)
        spread = f"{statistics.median(seconds):.1f} ({seconds[0]:.1f} to {seconds[-1]:.1f})"
        cpu = statistics.median(run["cpu"] for run in rounds)
        lines.append(f"| `{way}` | {spread} | {cpu:.1f} | {max(run['peak'] for run in rounds) / 2**20:.0f} |")
    return lines


def by_part(capture: Path) -> tuple[list[str], int]:
    """Lines of the table by part, and rows of all tables together."""
    numbers = measured("analyze_parts", capture, threads=CORES)
    lines = [f"| {name} | {wall:.1f} | {cpu:.1f} |" for name, (wall, cpu) in numbers["parts"].items()]
    return lines, numbers["rows"]


def text(capture: Path, repeats: int) -> list[str]:
    """This part of the page."""
    with attnscope.open(capture) as cap:
        layers, heads, count, groups = len(cap.layers), cap.heads, cap.prompt_length, len(cap.query_groups)
        visual = int((cap.tokens["modality"] == "visual").sum())
        frames, people, more = len(cap.frames.times), len(cap.scene.speakers), len(cap.tokens) - count
        readings = ", ".join(cap.readings)
    parts, rows = by_part(capture)
    return [
        "What an analysis costs: one large capture, from opening it to the finished page. Regenerate this part with",
        "`python -m benchmarks.analyze`.",
        "",
        f"- Capture: {layers} layers x {heads} heads, {count} tokens of which {visual} are visual ({frames} frames), "
        f"{people} people, {groups} query groups ({more} of them generated tokens); {readings};",
        f"  {capture.stat().st_size / 2**20:.0f} MiB. It is recorded from a model with random weights"
        " (`benchmarks/analyze_capture.py`) and passes `attnscope validate`.",
        f"- Machine: {machine(CORES)}, no GPU; "
        f"numpy {np.__version__}, pandas {pd.__version__}, matplotlib {matplotlib.__version__}.",
        f"- Median of {repeats} rounds in which the two take turns, each in a process of its own; peak is the largest",
        "  resident memory of a run, the second process that draws figures included.",
        "",
        "| what runs | seconds (least to most) | CPU seconds | peak MiB |",
        "|---|---:|---:|---:|",
        *whole(capture, repeats),
        "",
        f"Where the time goes, in a process that does only this: all metrics in one pass over the maps ({rows} rows),",
        "the tables, the figures, and what the metrics take with bands. What remains of the times above is the page",
        "and the start of Python.",
        "Figures are drawn in two processes, whose CPU seconds are added.",
        "",
        "| part | seconds | CPU seconds |",
        "|---|---:|---:|",
        *parts,
    ]


def main() -> None:
    """Make the capture, measure, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--capture", type=Path, help="where to keep the capture; taken as it is if it is there")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--page", type=Path, default=PAGE, help="the page whose part is rewritten")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        capture = args.capture or Path(folder) / "run.h5"
        if not capture.exists():
            subprocess.run([sys.executable, "-m", "benchmarks.analyze_capture", str(capture)], check=True)
        subprocess.run([*COMMAND, "validate", str(capture)], check=True, stdout=sys.stderr)
        print(write_part("Analysis", text(capture, args.repeats), args.page))


if __name__ == "__main__":
    main()

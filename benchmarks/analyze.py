"""Measure time and memory of `attnscope analyze` on a large capture; rewrites its part of benchmarks/README.md.

`python -m benchmarks.analyze`: makes the capture of `benchmarks.analyze_capture` (minutes), checks it with `attnscope
validate`, and analyses it, each time in a process of its own on two cores. `--capture run.h5` keeps the capture, or
takes one that is there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd

import attnscope
from benchmarks.page import write_part

CORES = 2
WAYS: dict[str, list[str]] = {"attnscope analyze": [], "attnscope analyze --jitter 10%": ["--jitter", "10%"]}
COMMAND = [sys.executable, "-m", "attnscope_cli.main"]


def run(command: list[str]) -> dict[str, float]:
    """Run a command on two cores: seconds, CPU seconds, and peak resident memory in bytes.

    Raises:
        CalledProcessError: if it fails.
    """
    cores = sorted(os.sched_getaffinity(0))[:CORES]
    before, begun, peak = _children(), time.perf_counter(), 0
    child = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": str(CORES)},
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    while child.poll() is None:
        peak = max(peak, _peak(child.pid))
        time.sleep(0.02)
    seconds = time.perf_counter() - begun
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)
    return {"seconds": seconds, "cpu": _children() - before, "peak": peak}


def _children() -> float:
    """CPU seconds of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _peak(pid: int) -> int:
    """Peak resident memory of a process so far, bytes; what it had of its parent's before it began does not count."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)


def whole(capture: Path, repeats: int) -> list[str]:
    """The table's lines: the ways to analyse take turns, so that a drift of the machine's speed touches all."""
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats):
            for way, options in WAYS.items():
                runs[way].append(run([*COMMAND, "analyze", str(capture), "-o", folder, "-q", "--force", *options]))
                print(way, runs[way][-1], file=sys.stderr)
    lines = []
    for way, found in runs.items():
        seconds = sorted(one["seconds"] for one in found)
        spread = f"{statistics.median(seconds):.1f} ({seconds[0]:.1f} to {seconds[-1]:.1f})"
        cpu = statistics.median(one["cpu"] for one in found)
        lines.append(f"| `{way}` | {spread} | {cpu:.1f} | {max(one['peak'] for one in found) / 2**20:.0f} |")
    return lines


def by_part(capture: Path) -> tuple[list[str], int]:
    """Lines of the table by part, and rows of all tables together."""
    command = [sys.executable, "-m", "benchmarks.analyze_parts", str(capture)]
    environment = os.environ | {"OMP_NUM_THREADS": str(CORES)}
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)
    lines = [f"| {name} | {wall:.1f} | {cpu:.1f} |" for name, (wall, cpu) in found["parts"].items()]
    return lines, found["rows"]


def text(capture: Path, repeats: int) -> list[str]:
    """This part of the page."""
    with attnscope.open(capture) as cap:
        layers, heads, count, groups = len(cap.layers), cap.heads, cap.prompt_length, len(cap.query_groups)
        visual = int((cap.tokens["modality"] == "visual").sum())
        frames, people, more = len(cap.frames.times), len(cap.scene.speakers), len(cap.tokens) - count
        readings = ", ".join(cap.readings)
    parts, rows = by_part(capture)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return [
        "What an analysis costs: one large capture, from opening it to the finished page. Regenerate this part with",
        "`python -m benchmarks.analyze`.",
        "",
        f"- Capture: {layers} layers x {heads} heads, {count} tokens of which {visual} are visual ({frames} frames), "
        f"{people} people, {groups} query groups ({more} of them generated tokens); {readings};",
        f"  {capture.stat().st_size / 2**20:.0f} MiB. It is recorded from a model with random weights"
        " (`benchmarks/analyze_capture.py`) and passes `attnscope validate`.",
        f"- Machine: {platform.machine()}, {os.cpu_count()} cores of which {CORES} are used, {memory:.0f} GiB, no GPU; "
        f"numpy {np.__version__}, pandas {pd.__version__}, matplotlib {matplotlib.__version__}.",
        f"- Median of {repeats} rounds in which the two take turns, each in a process of its own; peak is the largest",
        "  resident memory of a process.",
        "",
        "| what runs | seconds (least to most) | CPU seconds | peak MiB |",
        "|---|---:|---:|---:|",
        *whole(capture, repeats),
        "",
        f"Where the time goes, in a process that does only this: the families of metrics ({rows} rows), the tables as",
        "CSV and parquet, and the bands of `--jitter 10%`. What remains of the times above is figures, the page, and",
        "the start of Python.",
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
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        capture = args.capture or Path(folder) / "run.h5"
        if not capture.exists():
            subprocess.run([sys.executable, "-m", "benchmarks.analyze_capture", str(capture)], check=True)
        subprocess.run([*COMMAND, "validate", str(capture)], check=True, stdout=sys.stderr)
        print(write_part("Analysis", text(capture, args.repeats)))


if __name__ == "__main__":
    main()

"""Measure how fast captures are read and the command line starts; rewrites its part of benchmarks/README.md.

`python -m benchmarks.reading` (under 2 minutes): every measurement is a process of its own, on one thread.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from typer.main import get_command

from attnscope_cli.main import app
from benchmarks.harness import machine, measured, timed
from benchmarks.page import PAGE, write_part
from benchmarks.reading_capture import Shape, write
from benchmarks.reading_worker import BLOCKS, WARM

SHAPES = [
    Shape(1, heads, kv_heads, width, dtype)
    for heads, kv_heads, width in ((28, 4, 128), (8, 2, 64))
    for dtype in ("float32", "bfloat16", "float16")
]
SMALL, LARGE = Shape(6, 8, 2, 16, "float32", 600), Shape(28, 28, 4, 16, "bfloat16")
PYTHON = [sys.executable]
COMMAND = [*PYTHON, "-m", "attnscope_cli.main"]


def attention(folder: Path, rounds: int) -> list[str]:
    """Lines of the table of blocks."""
    lines = []
    for shape in SHAPES:
        path = write(folder / "block.h5", shape)
        runs = [measured("reading_worker", path, threads=1) for _ in range(rounds)]
        print(shape, runs[0], file=sys.stderr)
        numbers = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        what = f"{shape.heads} / {shape.kv_heads} heads of {shape.width}, {shape.dtype}"
        cells = [f"{numbers[f'{size} first']:.1f} / {numbers[f'{size} again']:.1f}" for size in BLOCKS]
        ratio = numbers[f"{BLOCKS[-1]} again"] / numbers[f"{BLOCKS[-1]} product"]
        lines.append(f"| {what} | {' | '.join(cells)} | {ratio:.1f} | {numbers['open']:.0f} |")
        path.unlink()
    return lines


def commands(folder: Path, repeats: int) -> list[str]:
    """Lines of the table of starts."""
    small, large = write(folder / "small.h5", SMALL), write(folder / "large.h5", LARGE)
    group = get_command(app)
    helps = {name: [*COMMAND, name, "--help"] for name in group.commands}  # type: ignore[attr-defined]
    asked = {
        "`python -c pass`": [*PYTHON, "-c", "pass"],
        "`import attnscope`": [*PYTHON, "-c", "import attnscope"],
        "`import attnscope; attnscope.open`": [*PYTHON, "-c", "import attnscope; attnscope.open"],
        "`attnscope --version`": [*COMMAND, "--version"],
        "`attnscope --help`": [*COMMAND, "--help"],
        f"`attnscope inspect`, {_words(SMALL)}": [*COMMAND, "inspect", str(small)],
        f"`attnscope inspect`, {_words(LARGE)}": [*COMMAND, "inspect", str(large)],
        f"`attnscope inspect --json`, {_words(LARGE)}": [*COMMAND, "inspect", str(large), "--json"],
    }
    lines = [f"| {what} | {least(command, repeats):.2f} |" for what, command in asked.items()]
    slowest = max((least(command, max(1, repeats // 3)), name) for name, command in helps.items())
    lines.insert(5, f"| `attnscope COMMAND --help`, the slowest of {len(helps)} (`{slowest[1]}`) | {slowest[0]:.2f} |")
    seconds = least([*COMMAND, "validate", str(large)], 1)
    return [*lines, f"| `attnscope validate`, {_words(LARGE)}, once | {seconds:.1f} |"]


def least(command: Sequence[str], repeats: int) -> float:
    """CPU seconds of a command, the least of some runs after one that does not count."""
    timed(command, 1)  # so that bytecode is there, as it is after an installation
    return min(timed(command, 1)["cpu"] for _ in range(repeats))


def _words(shape: Shape) -> str:
    return f"{shape.layers} x {shape.heads} heads, {shape.tokens:,} tokens"


def text(blocks: list[str], starts: list[str], rounds: int, repeats: int) -> list[str]:
    """This part of the page."""
    tokens = SHAPES[0].tokens
    return [
        "What reading costs: one block of attention from a capture's queries and keys, and the start of the command",
        "line. Regenerate this part with `make bench-reading`.",
        "",
        "- Captures: random queries and keys in the library's own files (`benchmarks/reading_capture.py`).",
        f"- Machine: {machine(1)}; numpy {np.__version__}, h5py {h5py.__version__}. One thread, CPU time.",
        "",
        f"`cap.attention(layer, head, queries)` at {tokens:,} tokens: CPU milliseconds of the first reading in a",
        f"process, then of the quickest of {WARM} more, medians of {rounds} processes. The ratio is that of the last",
        "block, read again, to the matrix product of its queries and keys in float32, which no exact reading can do",
        "without. `open` is `attnscope.open`.",
        "",
        f"| query / key heads | {' | '.join(f'queries: {size}' for size in BLOCKS)} | ratio | open |",
        "|---|" + "---:|" * (len(BLOCKS) + 2),
        *blocks,
        "",
        f"CPU seconds of a process from its start to its end, the least of {repeats} (help of a command:"
        f" {max(1, repeats // 3)}), bytecode cached:",
        "",
        "| what runs | CPU seconds |",
        "|---|---:|",
        *starts,
    ]


def main() -> None:
    """Measure, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="processes a capture")
    parser.add_argument("--repeats", type=int, default=10, help="runs of a command")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page whose part is rewritten")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = f"{folder}/bytecode"
        blocks = attention(Path(folder), args.rounds)
        starts = commands(Path(folder), args.repeats)
        print(write_part("Reading", text(blocks, starts, args.rounds, args.repeats), args.page))


if __name__ == "__main__":
    main()

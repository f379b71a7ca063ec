"""Measure what corrections cost, in time and memory; rewrites a part of benchmarks/README.md.

`python -m benchmarks.cost` (or `make bench-cost`), in under 15 minutes on an idle machine of two cores.
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

import torch
import transformers

from benchmarks.cost_worker import CASES, STEPS, Case
from benchmarks.model import SIZES, build, frames_for
from benchmarks.page import write_part

TOKENS = (2048, 4096, 8192, 16384)
COUNTS = 8192  # the length that counts: time is taken in rounds
LIMIT = 1.5

Found = dict[int, dict[str, Any]]


def measure(bench: tuple[Path, Path], repeats: int) -> Found:
    """What the worker says, by length: memory with two processes at a time, then rounds of time, alone."""
    found: Found = {tokens: {} for tokens in TOKENS}
    longest = _start(bench, TOKENS[-1], "--memory")
    for tokens in TOKENS[:-1]:
        found[tokens] |= _result(_start(bench, tokens, "--memory"))
    found[TOKENS[-1]] |= _result(longest)
    found[COUNTS] |= _result(_start(bench, COUNTS, "--repeats", str(repeats)))
    return found


def _start(bench: tuple[Path, Path], tokens: int, *options: str) -> subprocess.Popen[str]:
    print(tokens, *options, file=sys.stderr)
    command = [sys.executable, "-m", "benchmarks.cost_worker", *map(str, bench), "--frames", str(frames_for(tokens))]
    return subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)


def _result(process: subprocess.Popen[str]) -> dict[str, Any]:
    said, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"a measurement failed: {process.args}")
    result: dict[str, Any] = json.loads(said.splitlines()[-1])
    return result


def _times(found: Found, tokens: int, name: str, key: str) -> list[float]:
    """Ratios to the plain run, one a round; where there were no rounds, that of the fork that memory is read from."""
    if "time" in found[tokens]:
        return [one[key] for one in found[tokens]["time"][name]]
    plain = statistics.median(one[key] for one in found[tokens]["plain"])
    return [found[tokens]["memory"][name][key] / plain]


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _plain(found: Found, tokens: int) -> float:
    """Peak of the plain run, MiB."""
    return statistics.median(one["peak"] for one in found[tokens]["plain"]) / 2**20


def _extra(found: Found, tokens: int, name: str) -> float:
    """Peak above that of the plain run, MiB."""
    return float(found[tokens]["memory"][name]["peak"]) / 2**20 - _plain(found, tokens)


def at_length(found: Found, tokens: int) -> list[str]:
    """The table of the length that counts, a line a correction."""
    lines = []
    for case in CASES:
        ratios = [_times(found, tokens, case.name, key) for key in ("prefill_cpu", "prefill_wall", "steps_cpu")]
        cells = [f"`{case.name}`", *map(_spread, ratios), f"{_extra(found, tokens, case.name):.0f}", case.why]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def by_length(found: Found) -> list[str]:
    """Medians of all lengths: ratios of CPU time, then memory."""
    lines = []
    for case in CASES:
        times = [f"{statistics.median(_times(found, n, case.name, 'prefill_cpu')):.2f}" for n in TOKENS]
        memory = [f"{_extra(found, n, case.name):.0f}" for n in TOKENS]
        lines.append(f"| `{case.name}` | {' | '.join([*times, *memory])} |")
    plain = [f"{_plain(found, n):.0f}" for n in TOKENS]
    return [f"| plain: peak above what is there before | {' | '.join(['1.00'] * len(TOKENS) + plain)} |", *lines]


def growth(found: Found) -> str:
    """How far whole peaks grow where the length doubles, and how far plain runs differ, in words."""
    short, long = TOKENS[-2:]
    plain = _plain(found, long) / _plain(found, short)
    peaks = {n: [_plain(found, n) + _extra(found, n, case.name) for case in CASES] for n in (short, long)}
    grown = [two / one for one, two in zip(peaks[short], peaks[long], strict=True)]
    several = [[one["peak"] / 2**20 for one in found[n]["plain"]] for n in TOKENS]
    apart = max(max(some) - min(some) for some in several)
    return (
        f"From {found[short]['tokens']} to {found[long]['tokens']} tokens whole peaks grow {min(grown):.2f} to"
        f" {max(grown):.2f} times, the plain run's {plain:.2f} times; plain runs differ by up to {apart:.0f} MiB."
    )


def verdict(found: Found) -> list[str]:
    """Which corrections are above the limit."""

    def time(case: Case) -> float:
        return statistics.median(_times(found, COUNTS, case.name, "prefill_cpu"))

    above = [case for case in CASES if time(case) > LIMIT]
    unexplained = [case for case in above if not case.why]
    said = ", ".join(f"`{case.name}` ({time(case):.2f}: {case.why or 'no reason known'})" for case in above)
    tokens, within = found[COUNTS]["tokens"], len(CASES) - len(above)
    return [
        f"Of {len(CASES)} rows, {within} are within {LIMIT:g} times the plain prefill at {tokens} tokens (CPU time,",
        f"median). Above: {said or 'none'}.",
        *["**Some of these have no reason to be there.**"] * bool(unexplained),
    ]


def text(found: Found, repeats: int) -> list[str]:
    """This part of the page."""
    sizes = ", ".join(f"{name} {value}" for name, value in SIZES.items())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    lengths = [str(found[tokens]["tokens"]) for tokens in TOKENS]
    plain = statistics.median(one["plain_wall"] for one in found[COUNTS]["time"][CASES[0].name])
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB"
    return [
        "What corrections cost: one prefill with its first token, float32, on a CPU. Regenerate this part with",
        "`python -m benchmarks.cost` (under 15 minutes). **No GPU was measured.**",
        "",
        f"- Model: Qwen2.5-VL with random weights; {sizes}. It is narrow, so that",
        "  attention is most of a long prefill (about 60% at 8192 tokens; of the operations of a model of 7 billion",
        "  weights about a tenth): what a correction adds to attention weighs more here.",
        "- Scene: a clip of 640 x 360 pixels, two speakers with boxes, four turns, a question that names one of them.",
        f"- Machine: {machine}; torch {torch.__version__}, transformers {transformers.__version__}. One thread.",
        "- Time: one process runs the plain model and every correction in turn; a ratio is taken to the mean of the",
        "  plain runs before and after. All that a correction does counts, scouting and binding too. CPU time is what",
        f"  the work takes on a core, whatever else runs. Median of {repeats} rounds (least to most).",
        f"- Steps: {STEPS} tokens generated after the first, with a cache; a plain step takes milliseconds here.",
        "- Memory: resident memory at its peak above that of the plain run, each in a fork of its own; what lies below",
        "  the plain run's own peak is not seen. On a machine that does other work wall times scatter: quote CPU time.",
        "- Layers are those of the defaults, unless a row names heads: `social-bias` and `vaf` act in some layers,",
        "  the others in all of them or nearly all.",
        "",
        *verdict(found),
        "",
        "One more prefill: the plain model is run before, to choose heads or to know how sure it is. Two runs of the",
        "kernel: the attention of every row to both modalities has to be known before it is changed. Another prompt:",
        "no attention is changed; frames are drawn on, or the prompt is longer.",
        "",
        f"At {found[COUNTS]['tokens']} tokens ({plain:.1f} s plain):",
        "",
        "| correction | CPU time / plain | wall time / plain | steps / plain (CPU) | extra MiB | why it costs more |",
        "|---|---:|---:|---:|---:|---|",
        *at_length(found, COUNTS),
        "",
        "By length: CPU time of the prefill over plain (but for the length above, one run, that of the memory), then",
        "extra MiB. A part that grows with the square of the length would be four times as much in the next column.",
        growth(found),
        "",
        f"| correction | {' | '.join(lengths)} | {' | '.join(f'MiB, {n}' for n in lengths)} |",
        f"|---|{'---:|' * 2 * len(TOKENS)}",
        *by_length(found),
    ]


def main() -> None:
    """Measure, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = build(Path(folder))
        print(write_part("Corrections", text(measure(bench, args.repeats), args.repeats)))


if __name__ == "__main__":
    main()

"""Measure what corrections cost, in time and memory; rewrites a part of benchmarks/README.md.

`python -m benchmarks.cost` (or `make bench-cost`), in under 15 minutes on an idle machine of two cores.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers

from benchmarks.cost_worker import CASES, STEPS, Case
from benchmarks.harness import machine, result, start
from benchmarks.model import SIZES, build, frames_for
from benchmarks.page import write_part

TOKENS = (2048, 4096, 8192, 16384)
COUNTS = 8192  # the length that counts: time is taken in rounds
LIMIT = 1.5

Numbers = dict[int, dict[str, Any]]


def measure(bench: tuple[Path, Path], repeats: int) -> Numbers:
    """What the worker says, by length: memory with two processes at a time, then rounds of time, alone."""

    def worker(tokens: int, *options: object) -> subprocess.Popen[str]:
        print(tokens, *options, file=sys.stderr)
        return start("cost_worker", *bench, "--frames", frames_for(tokens), *options)

    longest = worker(TOKENS[-1], "--memory")
    numbers: Numbers = {tokens: result(worker(tokens, "--memory")) for tokens in TOKENS[:-1]}
    numbers[TOKENS[-1]] = result(longest)
    numbers[COUNTS] |= result(worker(COUNTS, "--repeats", repeats))
    return numbers


def _times(numbers: Numbers, tokens: int, name: str, key: str) -> list[float]:
    """Ratios to the plain run, one a round; where there were no rounds, that of the fork that memory is read from."""
    if "time" in numbers[tokens]:
        return [run[key] for run in numbers[tokens]["time"][name]]
    plain = statistics.median(run[key] for run in numbers[tokens]["plain"])
    return [numbers[tokens]["memory"][name][key] / plain]


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _plain(numbers: Numbers, tokens: int) -> float:
    """Peak of the plain run, MiB."""
    return statistics.median(run["peak"] for run in numbers[tokens]["plain"]) / 2**20


def _extra(numbers: Numbers, tokens: int, name: str) -> float:
    """Peak above that of the plain run, MiB."""
    return float(numbers[tokens]["memory"][name]["peak"]) / 2**20 - _plain(numbers, tokens)


def at_length(numbers: Numbers, tokens: int) -> list[str]:
    """The table of the length that counts, a line a correction."""
    lines = []
    for case in CASES:
        ratios = [_times(numbers, tokens, case.name, key) for key in ("prefill_cpu", "prefill_wall", "steps_cpu")]
        cells = [f"`{case.name}`", *map(_spread, ratios), f"{_extra(numbers, tokens, case.name):.0f}", case.why]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def by_length(numbers: Numbers) -> list[str]:
    """Medians of all lengths: ratios of CPU time, then memory."""
    lines = []
    for case in CASES:
        times = [f"{statistics.median(_times(numbers, n, case.name, 'prefill_cpu')):.2f}" for n in TOKENS]
        memory = [f"{_extra(numbers, n, case.name):.0f}" for n in TOKENS]
        lines.append(f"| `{case.name}` | {' | '.join([*times, *memory])} |")
    plain = [f"{_plain(numbers, n):.0f}" for n in TOKENS]
    return [f"| plain: peak above what is there before | {' | '.join(['1.00'] * len(TOKENS) + plain)} |", *lines]


def growth(numbers: Numbers) -> str:
    """How far whole peaks grow where the length doubles, and how far plain runs differ, in words."""
    short, long = TOKENS[-2:]
    plain = _plain(numbers, long) / _plain(numbers, short)
    peaks = {n: [_plain(numbers, n) + _extra(numbers, n, case.name) for case in CASES] for n in (short, long)}
    grown = [after / before for before, after in zip(peaks[short], peaks[long], strict=True)]
    several = [[run["peak"] / 2**20 for run in numbers[n]["plain"]] for n in TOKENS]
    apart = max(max(some) - min(some) for some in several)
    return (
        f"From {numbers[short]['tokens']} to {numbers[long]['tokens']} tokens whole peaks grow {min(grown):.2f} to"
        f" {max(grown):.2f} times, the plain run's {plain:.2f} times; plain runs differ by up to {apart:.0f} MiB."
    )


def verdict(numbers: Numbers) -> list[str]:
    """Which corrections are above the limit."""

    def time(case: Case) -> float:
        return statistics.median(_times(numbers, COUNTS, case.name, "prefill_cpu"))

    above = [case for case in CASES if time(case) > LIMIT]
    unexplained = [case for case in above if not case.why]
    reasons = ", ".join(f"`{case.name}` ({time(case):.2f}: {case.why or 'no reason known'})" for case in above)
    tokens, within = numbers[COUNTS]["tokens"], len(CASES) - len(above)
    return [
        f"Of {len(CASES)} rows, {within} are within {LIMIT:g} times the plain prefill at {tokens} tokens (CPU time,",
        f"median). Above: {reasons or 'none'}.",
        *["**Some of these have no reason to be there.**"] * bool(unexplained),
    ]


def text(numbers: Numbers, repeats: int) -> list[str]:
    """This part of the page."""
    sizes = ", ".join(f"{name} {value}" for name, value in SIZES.items())
    lengths = [str(numbers[tokens]["tokens"]) for tokens in TOKENS]
    plain = statistics.median(run["plain_wall"] for run in numbers[COUNTS]["time"][CASES[0].name])
    return [
        "What corrections cost: one prefill with its first token, float32, on a CPU. Regenerate this part with",
        "`python -m benchmarks.cost` (under 15 minutes). **No GPU was measured.**",
        "",
        f"- Model: Qwen2.5-VL with random weights; {sizes}. It is narrow, so that",
        "  attention is most of a long prefill (about 60% at 8192 tokens; of the operations of a model of 7 billion",
        "  weights about a tenth): what a correction adds to attention weighs more here.",
        "- Scene: a clip of 640 x 360 pixels, two speakers with boxes, four turns, a question that names one of them.",
        f"- Machine: {machine()}; torch {torch.__version__}, transformers {transformers.__version__}. One thread.",
        "- Time: one process runs the plain model and every correction in turn; a ratio is taken to the mean of the",
        "  plain runs before and after. All that a correction does counts, scouting and binding too. CPU time is what",
        f"  the work takes on a core, whatever else runs. Median of {repeats} rounds (least to most).",
        f"- Steps: {STEPS} tokens generated after the first, with a cache; a plain step takes milliseconds here.",
        "- Memory: resident memory at its peak above that of the plain run, each in a fork of its own; what lies below",
        "  the plain run's own peak is not seen. On a machine that does other work wall times scatter: quote CPU time.",
        "- Layers are those of the defaults, unless a row names heads: `social-bias` and `vaf` act in some layers,",
        "  the others in all of them or nearly all.",
        "",
        *verdict(numbers),
        "",
        "A look at the plain model: it is run before, as far as the last layer in which heads may be chosen, or to its",
        "end to know how sure it is. From qk: a plain capture of the prompt with queries and keys takes the place of",
        "that run; its checks (weights, frames) come before the time that is taken. Another prompt: no",
        "attention is changed; frames are drawn on, or the prompt is longer.",
        "",
        f"At {numbers[COUNTS]['tokens']} tokens ({plain:.1f} s plain):",
        "",
        "| correction | CPU time / plain | wall time / plain | steps / plain (CPU) | extra MiB | why it costs more |",
        "|---|---:|---:|---:|---:|---|",
        *at_length(numbers, COUNTS),
        "",
        "By length: CPU time of the prefill over plain (but for the length above, one run, that of the memory), then",
        "extra MiB. A part that grows with the square of the length would be four times as much in the next column.",
        growth(numbers),
        "",
        f"| correction | {' | '.join(lengths)} | {' | '.join(f'MiB, {n}' for n in lengths)} |",
        f"|---|{'---:|' * 2 * len(TOKENS)}",
        *by_length(numbers),
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

"""What recording costs, in words and tables: made from the stored measurements, without measuring anything."""

from __future__ import annotations

import math
import re
import statistics
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# `what` is a name in NAMES, `time` and `memory` are what the workers printed: one run may have given both.
Record = dict[str, Any]

MIB = 2**20
OURS = {"default": "attnscope, default plan", "masses,maps": "attnscope, `masses,maps`", "qk": "attnscope, `qk`"}
PEERS = {
    "eager": "transformers eager, `output_attentions`",
    "transformer-lens": "TransformerLens, `hook_pattern` cached",
    "nnsight": "nnsight, eager maps saved",
    "vlmprobe": "vlmprobe, attention profile",
    "attnread": "AttnRead, all heads",
}
NAMES = OURS | PEERS
GOALS = {"default": 1.25, "masses,maps": 1.15, "qk": 1.2}  # CPU time, times that of the plain forward
MEMORY_GOAL = 1.3  # growth of the resident memory at its peak, times that of the plain forward
JUDGED = (2000, 20000)  # lengths between which the goals hold
SEPARATE = 20000  # up to this length memory is measured in a process of its own
LONGEST = 100  # characters of an error
FITTED_FROM = 2000  # tokens; below, what does not depend on the length hides the growth


@dataclass(frozen=True)
class Cost:
    """What one thing costs at one length.

    Attributes:
        what: Its name in `NAMES`.
        tokens: Length of the prompt.
        plain_cpu: CPU seconds of the plain forward in each round.
        cpu: CPU seconds of the work in each round; empty where it did not run.
        plain_peak: Growth of the resident memory of the plain forward at its peak, bytes.
        peak: That of the work; None where it did not run.
        error: Why it did not run, or "".
        resident: Growth of the resident memory at its peak over that of the plain forward, in the process that gave the
            times: with what the allocator keeps.
    """

    what: str
    tokens: int
    plain_cpu: tuple[float, ...] = ()
    cpu: tuple[float, ...] = ()
    plain_peak: float = 0.0
    peak: float | None = None
    error: str = ""
    resident: float = 0.0

    @property
    def ratios(self) -> list[float]:
        """CPU time over that of the plain forward of the same round."""
        return [work / plain for work, plain in zip(self.cpu, self.plain_cpu, strict=False)]

    @property
    def ratio(self) -> float:
        """Median of the ratios."""
        return statistics.median(self.ratios)

    @property
    def extra_cpu(self) -> float:
        """CPU seconds above the plain forward."""
        return statistics.median(work - plain for work, plain in zip(self.cpu, self.plain_cpu, strict=False))

    @property
    def extra_peak(self) -> float:
        """Bytes above the plain forward's peak."""
        return (self.peak or 0.0) - self.plain_peak

    @property
    def growth(self) -> float:
        """Growth of the memory over that of the plain forward."""
        return (self.peak or 0.0) / self.plain_peak


def costs_of(records: Iterable[Record]) -> list[Cost]:
    """Costs from what the workers printed."""
    return [_cost(**record) for record in records]


def _cost(what: str, tokens: int, time: dict[str, Any], memory: dict[str, Any]) -> Cost:
    error = time.get("error") or memory.get("error")
    if error:
        return Cost(what, tokens, error=reason(error))
    grown = {name: statistics.median(run["peak"] for run in time[name]) for name in ("plain", "work")}
    return Cost(
        what,
        tokens,
        tuple(run["cpu"] for run in time["plain"]),
        tuple(run["cpu"] for run in time["work"]),
        statistics.median(run["peak"] for run in memory["plain"]),
        statistics.median(run["peak"] for run in memory["work"]),
        resident=grown["work"] / max(grown["plain"], 1),
    )


def reason(error: str) -> str:
    """Why something did not run, in a few words."""
    lacks = ("allocate", "out of memory", "MemoryError", "bad_alloc")
    if any(word in error for word in lacks):
        return "out of memory"
    late = re.search(r"over \d+ s of CPU time", error)
    return late[0] if late else textwrap.shorten(error, LONGEST, placeholder=" ...")


def exponent(tokens: Sequence[float], values: Sequence[float]) -> float | None:
    """Slope of a line through the logarithms: 1 is linear, 2 is quadratic.

    Args:
        tokens: Lengths.
        values: What is measured; those that are not above 0 are left out.

    Returns:
        The slope by least squares, or None for fewer than two values.
    """
    points = [(math.log(n), math.log(value)) for n, value in zip(tokens, values, strict=True) if value > 0]
    if len({x for x, _ in points}) < 2:
        return None
    slope: float = np.polyfit(*zip(*points, strict=True), 1)[0]
    return slope


def lines_of(costs: Sequence[Cost]) -> list[str]:
    """The table, a line a length and thing."""
    lines = []
    for tokens in sorted({cost.tokens for cost in costs}):
        own = [cost for cost in costs if cost.tokens == tokens]
        lines += [_plain(own), *(_line(cost) for what in NAMES for cost in own if cost.what == what)]
    return lines


def _plain(costs: Sequence[Cost]) -> str:
    """The plain forward, as it ran beside attnscope."""
    ran = [cost for cost in costs if cost.cpu and cost.what in OURS] or [cost for cost in costs if cost.cpu]
    seconds = statistics.median(second for cost in ran for second in cost.plain_cpu)
    peak = statistics.median(cost.plain_peak for cost in ran) / MIB
    return f"| {costs[0].tokens:,} | the model alone, sdpa | {seconds:.2f} | 1 | | {peak:.0f} | | 1 | |"


def _line(cost: Cost) -> str:
    head = f"| {cost.tokens:,} | {NAMES[cost.what]} |"
    if not cost.cpu:
        return f"{head} {cost.error} | | | | | | |"
    goal = GOALS.get(cost.what) if JUDGED[0] <= cost.tokens <= JUDGED[1] else None
    limits = ["" if goal is None else _judged(*pair) for pair in ((cost.ratio, goal), (cost.growth, MEMORY_GOAL))]
    cells = [
        f"{statistics.median(cost.cpu):.2f}",
        _spread(cost.ratios),
        limits[0],
        f"{(cost.peak or 0) / MIB:.0f}",
        f"{cost.extra_peak / MIB:.0f}",
        f"{cost.growth:.2f}",
        limits[1],
    ]
    return f"{head} {' | '.join(cells)} |"


def _spread(values: Sequence[float]) -> str:
    middle = f"{statistics.median(values):.2f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.2f} to {max(values):.2f})"


def _judged(value: float, goal: float | None) -> str:
    return "" if goal is None else f"{goal:g}, {'met' if round(value, 2) <= goal else 'not met'}"


def exponents(costs: Sequence[Cost]) -> list[str]:
    """The table of exponents, a line a thing that ran at two lengths or more."""
    lines = []
    for what, name in NAMES.items():
        own = sorted((c for c in costs if c.what == what and c.cpu and c.tokens >= FITTED_FROM), key=lambda c: c.tokens)
        if len(own) < 2:
            continue
        tokens = [cost.tokens for cost in own]
        fits = [
            exponent(tokens, [statistics.median(cost.cpu) for cost in own]),
            exponent(tokens, [cost.extra_cpu for cost in own]),
            exponent(tokens, [cost.peak or 0 for cost in own]),
            exponent(tokens, [cost.extra_peak for cost in own]),
        ]
        cells = ["" if fit is None else f"{fit:.2f}" for fit in fits]
        lines.append(f"| {name} | {tokens[0]:,} to {tokens[-1]:,} | {' | '.join(cells)} |")
    plain = sorted(
        {(c.tokens, statistics.median(c.plain_cpu), c.plain_peak) for c in costs if c.what == "default" and c.cpu}
    )
    long = [row for row in plain if row[0] >= FITTED_FROM]
    if len(long) > 1:
        tokens, cpu, peak = (list(column) for column in zip(*long, strict=True))
        cells = f"{exponent(tokens, cpu):.2f} | | {exponent(tokens, peak):.2f} | |"
        lines.insert(0, f"| the model alone, sdpa | {tokens[0]:,} to {tokens[-1]:,} | {cells}")
    return lines


def verdict(costs: Iterable[Cost]) -> list[str]:
    """Which goals are met: a sentence for time and one for memory, each with a list of those that are not."""
    own = [c for c in costs if c.what in GOALS and c.cpu and JUDGED[0] <= c.tokens <= JUDGED[1]]
    lines = []
    for label, values in (
        ("CPU time", [(c, c.ratio, GOALS[c.what]) for c in own]),
        ("peak memory", [(c, c.growth, MEMORY_GOAL) for c in own]),
    ):
        missed = [(c, value, goal) for c, value, goal in values if round(value, 2) > goal]
        lines.append(f"Of {len(own)} goals of {label}, {len(own) - len(missed)} are met." + " Not met:" * bool(missed))
        lines.append("")
        for what in dict.fromkeys(c.what for c, *_ in missed):
            values_of = [f"{value:.2f} at {c.tokens:,} tokens" for c, value, _ in missed if c.what == what]
            goal = next(goal for c, _, goal in missed if c.what == what)
            lines.append(f"- {NAMES[what]}, at most {goal:g} times the plain forward: {', '.join(values_of)}.")
        lines += [""] * bool(missed)
    return lines


def text(stored: dict[str, Any], costs: Sequence[Cost], *, gpu: bool = False) -> list[str]:
    """This part of the page, from what `benchmarks.recording` stores; `gpu`: the page has a part about a GPU."""
    sizes = ", ".join(f"{name} {value}" for name, value in stored["sizes"].items())
    own = ", ".join(f"{name} {number}" for name, number in stored["versions"].items())
    return [
        "What recording costs: one prefill with its first token, float32, on a CPU, one thread, beside the plain",
        f"forward and beside peers. `make bench` measures this part (in about {stored['minutes']} minutes here).",
        *(() if gpu else ("**No GPU was measured.** `python -m benchmarks.gpu` measures one in a few minutes.",)),
        "",
        "![CPU time as a multiple of the plain forward, and memory above it, by length of the prompt, for attnscope",
        "and for peers](../docs/images/recording.png)",
        "",
        *verdict(costs),
        f"- Model: Qwen2.5-VL with random weights; {sizes}. Video of 640 x 360 pixels.",
        f"- Machine: {stored['machine']}, no GPU; {own}.",
        "- Every measurement is a process of its own, in which the work and the plain forward take turns. Before that",
        f"  both run on a short prompt. CPU time is that of all threads: the median of up to {stored['rounds']} rounds",
        "  (least to most), fewer for long prompts. The ratio is taken round by round: quote ratios.",
        "- Memory is by how much the resident memory grows at its peak, what the work returns included. Extra is what",
        "  it has above the plain forward. attnscope's is measured in another process (the longest prompt's in the",
        "  same), which gives freed memory back at once: it is what has to be there. Peers' peaks, and those that one",
        "  sees of a process of one's own, hold freed memory too.",
        *_residents(costs),
        "- attnscope writes its file, and `self-check` is off: it repeats the prefill without recording.",
        "- Peers read the attention of all layers, heads and queries of the same inputs, each in an environment of",
        "  its own, and are compared with the plain forward there. What they read of the shortest prompt (maps;",
        "  vlmprobe's entropies) is compared with transformers' eager maps.",
        *peers(stored["records"]),
        f"- A peer that takes over {stored['most']:.0f} s of CPU time at one length, or more than 90% of the memory",
        "  that is free, is not run at longer ones. AttnRead runs the model once for each head-width of keys in every",
        "  layer.",
        "",
        "| tokens | what runs | CPU seconds | CPU time / plain | goal | peak MiB | extra MiB | peak / plain | goal |",
        "|---:|---|---:|---:|---|---:|---:|---:|---|",
        *lines_of(costs),
        "",
        "How it grows: the exponent of the number of tokens (1 is linear, 2 is quadratic), from a line through the",
        f"logarithms of all lengths above {FITTED_FROM:,} tokens. Extra is what lies above the plain forward.",
        "",
        "| what runs | tokens | CPU time | extra CPU time | peak | extra peak |",
        "|---|---|---:|---:|---:|---:|",
        *exponents(costs),
    ]


def _residents(costs: Sequence[Cost]) -> list[str]:
    """How far peaks grow with what the allocator keeps, a line, where it was measured."""
    own = [c.resident for c in costs if c.what in OURS and c.cpu and JUDGED[0] <= c.tokens <= JUDGED[1]]
    if not own:
        return []
    return [f"  With it, attnscope's are {min(own):.2f} to {max(own):.2f} times the plain forward's."]


def peers(records: Iterable[Record]) -> list[str]:
    """Versions of the peers, and how far what they read is from eager maps, an item a peer."""
    lines = {}
    for record in records:
        about = record["time"]
        if "versions" in about:
            names = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
            lines[record["what"]] = f"  - {names}; largest difference {about['apart']:.1g}."
    return list(lines.values())

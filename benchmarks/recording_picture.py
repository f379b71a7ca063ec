"""The picture of what recording costs by length: time beside the plain forward, and memory above it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from attnscope.report.figures.style import new_figure, styled
from benchmarks.recording_page import MIB, Cost

WIDTH, HEIGHT = 7.2, 3.1  # inches
# Name, colour, marker and width of each line; attnscope is blue.
LOOKS: dict[str, tuple[str, str, str, float]] = {
    "plain": ("the plain forward", "#8C8C8C", "", 1.0),
    "default": ("attnscope, default plan", "#0072B2", "o", 2.0),
    "masses,maps": ("attnscope, masses and maps", "#2A86C0", "s", 1.4),
    "qk": ("attnscope, queries and keys", "#5BA6D6", "^", 1.4),
    "eager": ("transformers, eager", "#444444", "D", 1.2),
    "transformer-lens": ("TransformerLens", "#D55E00", "v", 1.2),
    "nnsight": ("nnsight", "#CC79A7", "P", 1.2),
    "vlmprobe": ("vlmprobe", "#8A6D00", "X", 1.2),
    "attnread": ("AttnRead", "#009E73", "*", 1.2),
}
GAP = 0.062  # between labels, as a share of the axis


def draw(costs: Sequence[Cost], path: Path) -> None:
    """Two panels with the length of the prompt along x, all axes logarithmic."""
    ran = [cost for cost in costs if cost.cpu]
    plain = [cost for cost in ran if cost.what == "default"]
    times = {"plain": [(cost.tokens, 1.0) for cost in plain]} | _lines(ran, lambda cost: cost.ratio)
    own = {"plain": [(cost.tokens, cost.plain_peak / MIB) for cost in plain]}
    memory = own | _lines(ran, lambda cost: cost.extra_peak / MIB)
    with styled():
        figure = new_figure(WIDTH, HEIGHT)
        left, right = figure.subplots(1, 2)
        _panel(left, times, "CPU time, as a multiple of the plain forward")
        _panel(right, memory, "Memory above the plain forward, MiB")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)


def _lines(costs: Sequence[Cost], value: Callable[[Cost], float]) -> dict[str, list[tuple[int, float]]]:
    """Points of each line, values above 0 only: the axes are logarithmic."""
    points = {
        what: sorted((cost.tokens, value(cost)) for cost in costs if cost.what == what and value(cost) > 0)
        for what in LOOKS
    }
    return {what: line for what, line in points.items() if line}


def _panel(ax: Any, lines: dict[str, list[tuple[int, float]]], title: str) -> None:
    lines = {what: sorted(line) for what, line in lines.items() if line}
    for what, line in lines.items():
        _, color, marker, width = LOOKS[what]
        ax.plot(*zip(*line, strict=True), color=color, marker=marker, linewidth=width, markersize=3.5, zorder=3)
    ax.set(xscale="log", yscale="log", xlabel="tokens of the prompt")
    ax.set_title(title, loc="left", fontsize="small", fontweight="normal")
    ticks = sorted({tokens for line in lines.values() for tokens, _ in line})
    ax.set_xticks(ticks, [f"{tokens:,}" if tokens < 1000 else f"{tokens / 1000:.0f}k" for tokens in ticks])
    ax.minorticks_off()
    ax.margins(y=0.08)
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    bottom, top = ax.get_ylim()
    if top / bottom < 200:
        ax.set_yticks([step for step in (1, 2, 5, 10, 20, 50, 100, 200) if bottom <= step <= top])
    _label(ax, lines)


def _label(ax: Any, lines: dict[str, list[tuple[int, float]]]) -> None:
    """Names beside the last points: in a column at the right, or next to a line that ends early."""
    last = max(line[-1][0] for line in lines.values())
    column = {what: line for what, line in lines.items() if line[-1][0] > last / 8}
    places = spread({what: _height(ax, line[-1][1]) for what, line in column.items()}, GAP)
    for what, line in lines.items():
        name, color, *_ = LOOKS[what]
        look = {"color": color, "fontsize": "x-small", "va": "center", "annotation_clip": False}
        if what in places:
            arrow = {"arrowstyle": "-", "color": color, "linewidth": 0.4, "alpha": 0.7, "shrinkA": 0, "shrinkB": 3}
            ax.annotate(
                name, line[-1], (1.03, places[what]), xycoords="data", textcoords="axes fraction", arrowprops=arrow,
                **look,
            )  # fmt: skip
        else:
            ax.annotate(name, line[-1], (6, 0), textcoords="offset points", **look)


def _height(ax: Any, value: float) -> float:
    """Where a value is, as a share of the axis."""
    place: float = ax.transAxes.inverted().transform(ax.transData.transform((1, value)))[1]
    return place


def spread(places: dict[str, float], gap: float) -> dict[str, float]:
    """Places that are at least a gap apart, in the same order, as near to the wanted ones as pushing gets them.

    Example:
        >>> spread({"a": 0.5, "b": 0.5}, 0.1)
        {'a': 0.45, 'b': 0.55}
    """
    names = sorted(places, key=lambda name: places[name])
    groups: list[list[str]] = []
    for name in names:
        groups.append([name])
        while len(groups) > 1 and _bottom(groups[-1], places, gap) < _top(groups[-2], places, gap) + gap:
            last = groups.pop()
            groups[-1] += last
    return {
        name: round(_bottom(group, places, gap) + number * gap, 6)
        for group in groups
        for number, name in enumerate(group)
    }


def _bottom(group: Sequence[str], places: dict[str, float], gap: float) -> float:
    return sum(places[name] for name in group) / len(group) - (len(group) - 1) * gap / 2


def _top(group: Sequence[str], places: dict[str, float], gap: float) -> float:
    return _bottom(group, places, gap) + (len(group) - 1) * gap

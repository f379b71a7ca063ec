"""Accuracies of an evaluation, and what a correction and its controls change, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from attnscope.report.figures.lines import legend_outside
from attnscope.report.figures.style import (
    CHANCE,
    COLUMN,
    CYCLE,
    CYCLE_MARKERS,
    PAGE,
    dressed,
    heading,
    new_figure,
    own_axes,
    remark,
    scaled,
    short_labels,
)

Rows = Sequence[Mapping[str, Any]]
LONGEST = 26  # letters of a group
APART = 0.22  # of the room of a group, between two conditions


@dressed
def accuracies(rows: Rows, groups: Sequence[str], *, fig: Figure | SubFigure | None = None) -> list[Axes]:
    """Accuracy of each group of questions, under each condition side by side.

    Args:
        rows: With the fields `groups`, `condition`, `n`, `clips`, `accuracy`, `low`, `high` (None: no interval) and
            `chance`.
        groups: Names of the fields.
        fig: To draw into.
    """
    names = [", ".join(str(row[field]) for field in groups) or "all questions" for row in rows]
    labels = list(dict.fromkeys(names))
    conditions = list(dict.fromkeys(str(row["condition"]) for row in rows))
    figure = new_figure(PAGE, 1.1 + 0.26 * len(labels) * max(1, len(conditions) * 0.6)) if fig is None else fig
    ax = figure.subplots()
    for number, condition in enumerate(conditions):
        own = [
            (labels.index(name), row) for name, row in zip(names, rows, strict=True) if row["condition"] == condition
        ]
        y = np.array([place for place, _ in own]) + APART * (number - (len(conditions) - 1) / 2)
        look = {"color": CYCLE[number], "marker": CYCLE_MARKERS[number]}
        _points(ax, y, [row for _, row in own], "accuracy", condition, look)
    first = [next(row for name, row in zip(names, rows, strict=True) if name == label) for label in labels]
    for place, row in enumerate(first):
        level = 100 * float(row["chance"])
        label = "chance" if not place else None
        ax.plot([level, level], [place - 0.4, place + 0.4], ":", color=CHANCE, linewidth=scaled(1.4), label=label)
    counts = [f"{text} (n = {row['n']})" for text, row in zip(short_labels(labels, LONGEST), first, strict=True)]
    _sides(ax, counts, "accuracy (%)")
    ax.set_xlim(-2, 102)
    legend_outside(figure, 4, [ax])
    heading(figure, "Accuracy by group of questions")
    told = [f"{name}, {row['condition']}: {100 * row['accuracy']:.1f} %" for name, row in zip(names, rows, strict=True)]
    remark(ax, "; ".join(told[:12]) + (f"; and {len(told) - 12} more" if len(told) > 12 else ""))
    return [ax]


@dressed
def differences(rows: Rows, *, ax: Axes | None = None) -> Axes:
    """Difference from the plain model of a correction and of each of its controls.

    Args:
        rows: With `condition`, `difference`, `low`, `high` (None: no interval) and `applied`; the correction first.
        ax: Axes to draw into.
    """
    ax = own_axes(ax, COLUMN * 1.35, 1.0 + 0.2 * len(rows))
    names = [str(row["condition"]).removeprefix("control: ") for row in rows]
    ax.axvline(0, color=CHANCE, linewidth=scaled(0.8), zorder=1)
    told = []
    for place, (name, row) in enumerate(zip(names, rows, strict=True)):
        if not row["applied"]:
            ax.text(0, place, "  did not apply", va="center", fontsize=scaled(6.5))
            told.append(f"{name}: did not apply")
            continue
        look = {"color": CYCLE[0] if place else CYCLE[2], "marker": "o" if place else "D"}
        _points(ax, np.array([place]), [row], "difference", "", look)
        told.append(f"{name}: {100 * row['difference']:+.1f} points")
    _sides(ax, short_labels(names, LONGEST), "difference from plain (percentage points)")
    ax.set_title("The correction and its controls" if len(rows) > 1 else "The correction")
    remark(ax, "; ".join(told))
    return ax


def _points(ax: Axes, y: Any, rows: Rows, value: str, label: str, look: Mapping[str, Any]) -> None:
    """Points with their intervals, in percent."""
    numbers = 100 * np.array([float(row[value]) for row in rows])
    low, high = (
        100 * np.array([np.nan if row[end] is None else float(row[end]) for row in rows]) for end in ("low", "high")
    )
    ax.hlines(y, low, high, color=look["color"], linewidth=scaled(1.6), alpha=0.6, zorder=2)
    ax.plot(numbers, y, linestyle="none", markersize=scaled(3.8), zorder=3, label=label or None, **look)


def _sides(ax: Axes, labels: Sequence[str], unit: str) -> None:
    """Names on the left, from the top down, and the unit below."""
    ax.set_yticks(range(len(labels)), list(labels))
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.set_xlabel(unit)
    ax.grid(visible=False, axis="y")

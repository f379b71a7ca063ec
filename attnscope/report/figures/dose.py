"""Dose and response: what the answer and the attention do as a correction gets stronger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from textwrap import wrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from attnscope.report.figures.lines import legend_outside, parts
from attnscope.report.figures.style import CHANCE, CYCLE, CYCLE_MARKERS, PAGE, dressed, literal, new_figure, scaled

MOST_NAMED = 16  # lines that have a colour and a name of their own
DASHES = ("-", "--")


@dataclass(frozen=True)
class Panel:
    """One number of a sweep: its name in the table, a title, the label of its axis, and the ends of a fixed axis."""

    number: str
    title: str
    label: str
    within: tuple[float, float] | None = None


@dressed
def dose_response(
    table: pd.DataFrame, swept: Sequence[str], panels: Sequence[Panel], *, fig: Figure | SubFigure | None = None
) -> list[Axes]:
    """Numbers over the first swept parameter, a line for each setting of the others; dotted: the plain run.

    Args:
        table: Table of a sweep; `number`, `value`, `plain`, `n`, `counts` and a column for each swept parameter.
        swept: Names of these columns.
        panels: What is drawn, at least one.
        fig: To draw into.
    """
    columns = min(len(panels), 3 if len(panels) == 3 else 2)
    rows = -(-len(panels) // columns)
    figure = new_figure(PAGE, 0.5 + 2.1 * rows) if fig is None else fig
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for extra in axes[len(panels) :]:
        extra.remove()
    axes = axes[: len(panels)]
    doses = table[table["setting"] > 0]
    for ax, panel in zip(axes, panels, strict=True):
        _draw(ax, doses[doses["number"] == panel.number], swept, panel)
    legend_outside(figure, columns=4, axes=axes)
    return axes


def _draw(ax: Axes, rows: pd.DataFrame, swept: Sequence[str], panel: Panel) -> None:
    """One panel."""
    name, others = swept[0], list(swept[1:])
    places, labels = _doses(rows[name])
    named = rows.assign(line=_lines(rows, others))
    lines = parts(named, "line")
    for number, (label, part) in enumerate(lines.items()):
        is_named, left = len(lines) <= MOST_NAMED, (len(lines) - 1 - number) / max(len(lines) - 1, 1)
        ax.plot(
            [places[_key(value)] for value in part[name]],
            part["value"].to_numpy(np.float64),
            marker=CYCLE_MARKERS[number % len(CYCLE_MARKERS)],
            linestyle=DASHES[number // len(CYCLE) % len(DASHES)],
            color=CYCLE[number % len(CYCLE)] if is_named else CHANCE,
            linewidth=scaled(1.1 + 1.2 * left),  # equal lines show beside each other
            markersize=scaled(3.0 + 1.8 * left),
            label=literal(label) if is_named and label else "",
            clip_on=False,
        )
    plain = float(rows["plain"].iloc[0])
    if np.isfinite(plain):
        ax.axhline(plain, color=CHANCE, linestyle=":", linewidth=scaled(1.2), label="plain run", zorder=1)
    _dose_axis(ax, places, labels)
    ax.set_xlabel(f"{literal(name)} (n = {len(places)} doses, 1 prompt)")
    ax.set_title(literal("\n".join(wrap(panel.title, 40))))
    ax.set_ylabel(literal(f"{panel.label}\nn = {_counted(int(rows['n'].max()), str(rows['counts'].iloc[0]))}"))
    ax.ticklabel_format(axis="y", useOffset=False)
    if panel.within is not None:
        room = 0.03 * (panel.within[1] - panel.within[0])
        ax.set_ylim(panel.within[0] - room, panel.within[1] + room)


def _lines(rows: pd.DataFrame, others: Sequence[str]) -> list[str]:
    """The setting of the parameters that are not on the axis, in words."""
    return [
        ", ".join(f"{name} {_text(value)}" for name, value in zip(others, values, strict=True))
        for values in zip(*(rows[name] for name in others), strict=True)
    ] or [""] * len(rows)


def _doses(values: pd.Series) -> tuple[dict[float | str, float], list[str]]:
    """Where each dose stands on the axis, and what is written there."""
    keys = list(dict.fromkeys(_key(value) for value in values))
    if any(isinstance(key, str) for key in keys):
        return {key: float(i) for i, key in enumerate(keys)}, [_text(key) for key in keys]
    ordered = sorted(float(key) for key in keys)
    return {key: key for key in ordered}, [f"{key:g}" for key in ordered]


def _dose_axis(ax: Axes, places: dict[float | str, float], labels: Sequence[str]) -> None:
    """A tick at every dose; logarithmic where doses are geometric, with 0 (the identity) where it is one of them."""
    at = np.array(list(places.values()))
    if not any(isinstance(key, str) for key in places):
        positive = at[at > 0]
        if geometric(positive) and len(positive) == len(at):
            ax.set_xscale("log")
        elif geometric(positive) and len(positive) == len(at) - 1 and (at == 0).any():
            least, step = float(positive.min()), float(np.log10(positive.max() / positive.min()) / (len(positive) - 1))
            ax.set_xscale("symlog", linthresh=least, linscale=step)  # 0 is as far off as doses are from each other
            ax.set_xlim(-0.2 * least, float(positive.max()) * 10 ** (0.2 * step))
    step = -(-len(at) // 9)
    ax.set_xticks(at[::step], [literal(label) for label in labels[::step]])
    ax.set_xticks([], minor=True)


def geometric(values: NDArray[np.float64]) -> bool:
    """Whether positive numbers grow by factors rather than by steps."""
    if len(values) < 3 or (values <= 0).any():
        return False
    ordered = np.sort(values)
    factors = np.log([b / a for a, b in pairwise(ordered)])
    steps = np.diff(ordered)
    return bool(factors.std() / factors.mean() < steps.std() / steps.mean())


def _counted(n: int, counts: str) -> str:
    """A number of things in words."""
    singular = {"queries": "query"}.get(counts, counts.removesuffix("s"))
    return f"{n} {singular if n == 1 else counts}"


def _key(value: object) -> float | str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return "none" if value != value else float(value)
    return "none" if value is None else str(value)


def _text(value: object) -> str:
    key = _key(value)
    return key if isinstance(key, str) else f"{key:g}"

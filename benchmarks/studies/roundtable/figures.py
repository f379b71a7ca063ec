"""The figures of the page: tables in, matplotlib figures out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from attnscope.report.figures.style import COLUMN, PAGE, new_figure
from benchmarks.studies.conditions import CHOSEN, LINES
from benchmarks.studies.roundtable.contrast import CELLS, ROWS

# Okabe and Ito's palette; a model, or a line of the dose curve, keeps its colour on the whole page
MODELS = {"limited": ("#0072B2", "o"), "full": ("#CC79A7", "s")}
DOSES = {
    CHOSEN: ("#000000", "o"),
    "other": ("#D55E00", "s"),
    "everyone": ("#E69F00", "^"),
    "visual": ("#56B4E9", "D"),
    "lowest": ("#009E73", "v"),
}
_SHIFTS = (0.0, -0.16, -0.08, 0.08, 0.16)  # so that no interval hides another
_SHADE, _CHANCE = "#ececec", "#555555"
_ACCURACY_TASKS = ("target", "pronoun", "mention", "pointing", "target-hidden", "speaks", "cup", "count")


def accuracy(table: pd.DataFrame, names: Mapping[str, str], most_people: int) -> Figure:
    """Accuracy by number of people, one panel a task.

    Args:
        table: Of `accuracies`.
        names: Of the models, by role.
        most_people: That the limited model was trained on.
    """
    figure = new_figure(PAGE, 3.9)
    axes = figure.subplots(2, 4, sharex=True, sharey=True)
    tasks = [task for task in _ACCURACY_TASKS if (table["task"] == task).any()]
    for ax, task in zip(axes.flat, tasks, strict=False):
        rows = table[table["task"] == task]
        ax.axvspan(most_people + 0.5, 6.5, color=_SHADE, zorder=0, label=f"more people than {names['limited']} saw")
        chances = rows.drop_duplicates("people")
        ax.plot(
            chances["people"], chances["chance"], "--", color=_CHANCE, linewidth=0.9, label="chance: one of the options"
        )
        if chances["chance_others"].notna().any():
            ax.plot(
                chances["people"],
                chances["chance_others"],
                ":",
                color=_CHANCE,
                linewidth=1.1,
                label="one of the others",
            )
        for shift, (role, name) in zip((-0.06, 0.06), names.items(), strict=True):
            mine = rows[rows["role"] == role]
            _points(ax, mine["people"] + shift, mine, *MODELS[role], name)
        counts = rows["n"]
        ax.set_title(f"{task}\nn = {_span(counts)}", fontsize=8)
    for ax in axes.flat[len(tasks) :]:
        ax.set_visible(False)
    axes[0, 0].set(xlim=(0.5, 6.5), ylim=(0, 1.04), xticks=range(1, 7))
    for ax in axes[1]:
        ax.set_xlabel("people in the clip")
    figure.supylabel("accuracy (95 % interval over clips)", fontsize=8)
    _legend_below(figure, columns=3)
    return figure


def dose_curve(table: pd.DataFrame, alpha: float) -> Figure:
    """Accuracy by strength, one line a place that the answer is drawn to.

    Args:
        table: Of `doses`.
        alpha: The chosen strength.
    """
    figure = new_figure(COLUMN * 1.5, 3.4)
    ax = figure.add_subplot()
    alphas = sorted(table["alpha"].unique())
    place = {value: number for number, value in enumerate(alphas)}
    ax.axvspan(place[alpha] - 0.3, place[alpha] + 0.3, color=_SHADE, zorder=0, label=f"chosen: {alpha:g}")
    chance = table["chance"].iloc[0]
    ax.axhline(chance, color=_CHANCE, linestyle="--", linewidth=0.9, label="chance: one of the options")
    for shift, (line, (color, marker)) in reversed(list(zip(_SHIFTS, DOSES.items(), strict=True))):  # chosen on top
        rows = table[table["line"] == line]
        _points(ax, rows["alpha"].map(place) + shift, rows, color, marker, LINES[line])
    ax.set_xticks(range(len(alphas)), [f"{value:g}" for value in alphas])
    ax.set_xlabel("strength α, added to the logits of the cells (not to scale)")
    first = table.iloc[0]
    ax.set_ylabel(f"accuracy (n = {int(first['n'])}, {int(first['clips'])} clips)")
    _legend_below(figure, columns=2)
    return figure


def contrast(table: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """Lift of the attention to the asked box, by task and number of people.

    Args:
        table: Of `attention`.
        names: Of the models, by role.
    """
    figure = new_figure(PAGE, 4.0)
    axes = figure.subplots(2, 2, sharex=True, sharey="row")
    cells = [(task, people) for task, numbers in CELLS.items() for people in numbers]
    for line, view, words in ((0, "all", "mean of all heads"), (1, "best", "best head")):
        for ax, (rows, where) in zip(axes[line], ROWS.items(), strict=True):
            for shift, (role, name) in zip((-0.1, 0.1), names.items(), strict=True):
                part = table[(table["role"] == role) & (table["rows"] == rows)].set_index(["task", "people"])
                part = part.reindex(cells).rename(columns={f"{view}_lift{end}": key for end, key in _ENDS.items()})
                for task in CELLS:
                    some = [number for number, cell in enumerate(cells) if cell[0] == task]
                    _points(ax, np.array(some) + shift, part.iloc[some], *MODELS[role], name)
            ax.axhline(1, color=_CHANCE, linestyle="--", linewidth=0.9, label="uniform attention")
            ax.set_title(f"{where.removeprefix('the ').capitalize()}, {words}", fontsize=8)
            _log(ax)
    for ax in axes[:, 0]:
        ax.set_ylabel("attention to the asked box\n(× uniform)")
    for ax in axes[1]:
        ax.set_xticks(range(len(cells)), [str(people) for _, people in cells])
        for task in CELLS:
            some = [number for number, cell in enumerate(cells) if cell[0] == task]
            ax.annotate(
                task, (np.mean(some), -0.15), xycoords=("data", "axes fraction"), ha="center", va="top", fontsize=7.5
            )
        ax.set_xlabel(f"people in the clip (n = {_span(table['n'])} questions a point)", labelpad=17)
    _legend_below(figure, columns=3)
    return figure


_ENDS = {"": "accuracy", "_low": "low", "_high": "high"}


def _span(counts: pd.Series) -> str:
    """The smallest and the largest number of questions of a point."""
    return f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"


def _points(ax: Axes, x: Any, rows: pd.DataFrame, color: str, marker: str, label: str) -> None:
    """A line through estimates with their intervals."""
    value = rows["accuracy"].to_numpy(float)
    ends = np.abs(rows[["low", "high"]].to_numpy(float).T - value)
    ax.errorbar(x, value, ends, color=color, marker=marker, label=label, elinewidth=0.9, capsize=0)


def _log(ax: Axes) -> None:
    """A logarithmic axis labelled in plain numbers."""
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(FixedLocator([0.25, 0.5, 1, 2, 4, 8, 16, 32]))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _legend_below(figure: Figure, columns: int) -> None:
    entries: dict[str, Any] = {}
    for ax in figure.axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=columns)

"""The figures of the page: tables in, matplotlib figures out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attnscope.report.figures.style import CHANCE, PAGE, new_figure
from benchmarks.studies.conditions import PLAIN

# Okabe and Ito's palette; a part of the questions keeps its colour
PARTS = {"more": ("#0072B2", "o"), "fewest": ("#E69F00", "s"), "harm": ("#CC79A7", "D")}
_LINE = "#0072B2"
_ACROSS = 4


def changes(table: pd.DataFrame, labels: dict[str, str]) -> Figure:
    """Change of the accuracy under each correction, with its interval, one panel a part of the questions.

    Args:
        table: Of `measure.rows_of`.
        labels: What each of the parts is called.
    """
    figure = new_figure(PAGE, 0.6 + 0.165 * len(table))
    axes = figure.subplots(1, len(PARTS), sharey=True)
    places, families = np.arange(len(table))[::-1], table["family"].to_numpy()
    for ax, (part, (color, marker)) in zip(axes, PARTS.items(), strict=True):
        value, low, high = (100 * table[f"{part}_{name}"].to_numpy(float) for name in ("difference", "low", "high"))
        ax.axvline(0, color=CHANCE, linewidth=0.9)
        ends = np.abs(np.stack([low - value, high - value]))
        ax.errorbar(
            value, places, xerr=ends, fmt=marker, color=color, markersize=3, elinewidth=0.9, capsize=0, linestyle="none"
        )
        for row in np.flatnonzero(families[1:] != families[:-1]):
            ax.axhline(places[row] - 0.5, color="#dddddd", linewidth=0.6)
        ax.set_title(f"{labels[part]}\nn = {int(table[f'{part}_n'].iloc[0])}", fontsize=8)
        ax.grid(visible=False, axis="y")
    axes[0].set_yticks(places, list(table["condition"]), fontsize=6.5)
    axes[0].set_ylim(-0.7, len(table) - 0.3)
    figure.supxlabel("change of the accuracy, percentage points (95 % interval over clips)", fontsize=8)
    return figure


def dose_curves(table: pd.DataFrame) -> Figure:
    """Accuracy on calibration clips by strength, one panel a correction.

    Args:
        table: Of `measure.doses`.
    """
    plain = table[table["method"] == PLAIN].iloc[0]
    swept = [(str(name), part) for name, part in table[table["method"] != PLAIN].groupby("method", sort=False)]
    down = math.ceil(len(swept) / _ACROSS)
    figure = new_figure(PAGE, 0.5 + 1.45 * down)
    axes = figure.subplots(down, _ACROSS, sharey=True, squeeze=False)
    for ax, (name, part) in zip(axes.flat, swept, strict=False):
        _curve(ax, name, part, plain)
    for ax in list(axes.flat)[len(swept) :]:
        ax.set_visible(False)
    axes[0, 0].set_ylim(0, 1.02)
    figure.supylabel(f"accuracy on calibration clips (n = {int(plain['n'])}, {int(plain['clips'])} clips)", fontsize=8)
    return figure


def _curve(ax: Axes, name: str, part: pd.DataFrame, plain: Any) -> None:
    places = np.arange(len(part))
    value = part["accuracy"].to_numpy(float)
    ends = np.abs(part[["low", "high"]].to_numpy(float).T - value)
    ax.axhspan(plain["low"], plain["high"], color="#ececec", zorder=0)
    ax.axhline(plain["accuracy"], color=CHANCE, linestyle="--", linewidth=0.9)
    ax.errorbar(places, value, ends, color=_LINE, marker="o", markersize=3, elinewidth=0.9, capsize=0)
    at = part["default"].to_numpy(bool)
    ax.plot(places[at], value[at], "o", color=_LINE, markersize=6.5, markerfacecolor="none")
    ax.set_xticks(places, [f"{dose:g}" for dose in part["dose"]])
    ax.set_title(_lines(name), fontsize=7)
    ax.set_xlabel(str(part["parameter"].iloc[0]), fontsize=7)
    ax.tick_params(labelsize=6.5)


def _lines(name: str) -> str:
    """A name in two lines of about equal length."""
    words: Sequence[str] = name.split()
    if len(name) < 26:
        return name
    cut = min(range(1, len(words)), key=lambda n: abs(len(" ".join(words[:n])) - len(name) / 2))
    return " ".join(words[:cut]) + "\n" + " ".join(words[cut:])

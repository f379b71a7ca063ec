"""How the answer position shares its attention among the speakers, by layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from attnscope.metrics import OVER
from attnscope.report.figures.curves import layer_axis, shared_legend
from attnscope.report.style import COLUMN, PAGE, literal, new_figure

ASKED = "#1c2126"
OTHERS = ("#332288", "#44AA99", "#CC6677", "#999933", "#AA4499", "#88CCEE", "#882255", "#117733")  # Tol's muted colours
MARKERS = "s^Dv<>Ph"
CHANCE = "#777777"
UNIT = "share among the speakers"


@dataclass(frozen=True)
class Curve:
    """A share by layer.

    Attributes:
        name: as in the legend.
        asked: whether the question names the speaker.
        values: [L]; NaN where not defined.
        error: standard error over captures [L], None for a single one.
    """

    name: str
    asked: bool
    values: NDArray[np.float64]
    error: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Shares:
    """The curves of the captures in `rows` at the layers of these numbers, and chance there [L]."""

    rows: pd.DataFrame
    layers: list[int]
    curves: list[Curve]
    chance: NDArray[np.float64] | None = None


def shares(answer: pd.DataFrame) -> Shares | None:
    """Shares by layer, mean over heads; of several captures the asked speaker and the mean of the others.

    Args:
        answer: the table of the answer metrics, with a column `capture`.

    Returns:
        None if no share is defined (in several captures: none of an asked speaker).
    """
    rows = answer[(answer["metric"] == "answer_share") & (answer["head"] == OVER) & (answer["layer"] != OVER)]
    several = rows["capture"].nunique() > 1
    if several:
        rows = rows[rows["named"] == 1]
    if not rows["value"].notna().any():
        return None
    layers = sorted({int(n) for n in rows["layer"]})
    counted = rows.groupby(["capture", "layer"])["value"].count()
    chance = (1 / counted.where(counted > 0)).groupby("layer").mean().reindex(layers)
    if several:
        curves = [_curve("asked speaker", True, rows[rows["asked"]], layers)]
        others = rows[~rows["asked"]].groupby(["capture", "layer"])["value"].mean().reset_index()
        curves.append(_curve("others, each", False, others, layers))
    else:
        curves = []
        for name, own in rows.groupby("speaker", sort=False):
            said = bool(own["asked"].any())
            curves.append(_curve(f"{name} (asked)" if said else str(name), said, own, layers, error=False))
    drawn = [curve for curve in curves if np.isfinite(curve.values).any()]
    return Shares(rows, layers, sorted(drawn, key=lambda curve: not curve.asked), np.asarray(chance, np.float64))


def speaker_shares(answer: pd.DataFrame) -> Figure | None:
    """Share of each speaker by layer, the asked one bold, chance dashed; None if there is nothing to draw."""
    found = shares(answer)
    if found is None:
        return None
    figure = new_figure(COLUMN, 2.9)
    ax = figure.add_subplot()
    _draw(ax, found)
    layer_axis(ax, found.rows, UNIT, "Answer's share of each speaker")
    ax.set_ylim(bottom=-0.02)
    shared_legend(figure, columns=3)
    return figure


def speaker_shares_change(before: pd.DataFrame, after: pd.DataFrame) -> Figure | None:
    """Shares before and after on one scale, and their change; None if there is nothing to draw."""
    one, two = shares(before), shares(after)
    if one is None or two is None:
        return None
    figure = new_figure(PAGE, 2.9)
    axes = figure.subplots(1, 3)
    axes[1].sharey(axes[0])
    for ax, found, name in zip(axes, (one, two), ("Before", "After"), strict=False):
        _draw(ax, found)
        layer_axis(ax, found.rows, UNIT, name)
    earlier = {curve.name: curve.values for curve in one.curves}
    changed = [Curve(c.name, c.asked, c.values - earlier[c.name]) for c in two.curves if c.name in earlier]
    axes[2].axhline(0, color=CHANCE, linewidth=0.8)
    axes[2].update_datalim([(one.layers[0], -0.01), (one.layers[0], 0.01)])  # or rounding would fill the panel
    _draw(axes[2], Shares(one.rows, one.layers, changed))
    layer_axis(axes[2], one.rows, "change of the share", "Change")
    axes[1].set_ylabel("")
    axes[0].set_ylim(bottom=-0.02)
    shared_legend(figure, columns=6)
    figure.suptitle("Answer's share of each speaker", fontsize=8.5, fontweight="bold")
    return figure


def _curve(name: str, asked: bool, rows: pd.DataFrame, layers: list[int], *, error: bool = True) -> Curve:
    """The mean over captures by layer, with its standard error."""
    grouped = rows.groupby("layer")["value"]
    mean, spread = (np.asarray(numbers.reindex(layers), np.float64) for numbers in (grouped.mean(), grouped.sem()))
    return Curve(name, asked, mean, spread if error else None)


def _draw(ax: Axes, found: Shares) -> None:
    """Curves over the layers, the asked one on top; chance dashed below them."""
    x = np.array(found.layers)
    if found.chance is not None:
        ax.plot(x, found.chance, "--", color=CHANCE, linewidth=1.0, label="chance", zorder=1)
    number = 0
    for curve in found.curves:
        color, marker = (ASKED, "o") if curve.asked else (OTHERS[number % 8], MARKERS[number % 8])
        number += not curve.asked
        ax.plot(
            x,
            curve.values,
            color=color,
            marker=marker,
            linewidth=2.4 if curve.asked else 1.0,
            markersize=4.5 if curve.asked else 3.2,
            label=literal(curve.name),
            zorder=3 if curve.asked else 2,
        )
        if curve.error is not None:
            low, high = curve.values - curve.error, curve.values + curve.error
            ax.fill_between(x, low, high, color=color, alpha=0.18, linewidth=0)

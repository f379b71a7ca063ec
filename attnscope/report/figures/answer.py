"""How the answer position shares its attention among the speakers, by layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from attnscope.report.figures.labels import current
from attnscope.report.figures.lines import (
    by_layer,
    draw_line,
    layer_axis,
    legend_below,
    legend_outside,
    over_captures,
)
from attnscope.report.figures.style import (
    CHANCE,
    COLUMN,
    CYCLE,
    CYCLE_MARKERS,
    PAGE,
    dressed,
    heading,
    literal,
    new_figure,
    own_axes,
    scaled,
)

ASKED = "#1c2126"
UNIT = "share among the speakers"
TITLE = "Answer's share of each speaker"


@dataclass(frozen=True)
class Curve:
    """A share by layer: `rows` with `layer`, `value`, `low` and `high`; `asked`: the question names the speaker."""

    name: str
    asked: bool
    rows: pd.DataFrame

    @property
    def value(self) -> pd.Series[float]:
        """The share by layer."""
        return self.rows.set_index("layer")["value"].sort_index()


@dataclass(frozen=True)
class Shares:
    """Curves over the same layers, asked first; `chance` by layer."""

    curves: list[Curve]
    chance: pd.Series[float]


def shares(answer: pd.DataFrame, about: pd.DataFrame | None = None) -> Shares | None:
    """Shares by layer, mean over heads; of several captures the asked speaker and the mean of the others.

    Args:
        answer: the table of the answer metrics, with a column `capture` where there are several.
        about: what the captures are of (`attnscope.metrics.clips.keys.labels`).

    Returns:
        None if no share is defined (in several captures: none of an asked speaker).
    """
    rows = by_layer(answer, "answer_share")
    rows = rows if "capture" in rows else rows.assign(capture="")
    several = rows["capture"].nunique() > 1
    if several:
        rows = rows[rows["named"] == 1]
    if not rows["value"].notna().any():
        return None
    counted = rows.groupby(["capture", "layer"])["value"].count()
    even = (1 / counted.where(counted > 0)).rename("value").reset_index()
    # of a clip first, as the curves
    chance = over_captures(even.assign(n=1), about).set_index("layer")["value"].sort_index()
    if several:
        mean = rows.groupby(["capture", "layer", "asked"])["value"].mean().reset_index()
        pooled = over_captures(mean.assign(n=1), about)
        curves = [
            Curve(name, asked, pooled[pooled["asked"] == asked])
            for name, asked in (("asked speaker", True), ("others, each", False))
        ]
    else:
        rows = over_captures(rows)
        curves = []
        for name, own in rows.groupby("speaker", sort=False):
            said = bool(own["asked"].any())
            curves.append(Curve(f"{name} (asked)" if said else str(name), said, own))
    current().learn(curve.name.removesuffix(" (asked)") for curve in curves)
    drawn = [curve for curve in curves if curve.rows["value"].notna().any()]
    return Shares(sorted(drawn, key=lambda curve: not curve.asked), chance)


@dressed
def speaker_shares(answer: pd.DataFrame, *, about: pd.DataFrame | None = None, ax: Axes | None = None) -> Axes | None:
    """Share of each speaker by layer, the asked one bold, chance dotted; None if there is nothing to draw.

    Args:
        answer: the table of the answer metrics.
        about: what the captures are of (`attnscope.metrics.clips.keys.labels`).
        ax: axes to draw into.
    """
    found = shares(answer, about)
    if found is None:
        return None
    ax = own_axes(ax, COLUMN, 2.5)
    _draw(ax, found, TITLE)
    ax.set_ylabel(UNIT)
    legend_below(ax, columns=3)
    return ax


@dressed
def speaker_shares_change(
    before: pd.DataFrame, after: pd.DataFrame, *, fig: Figure | SubFigure | None = None
) -> list[Axes] | None:
    """Shares before and after on one scale, and their change; None if there is nothing to draw."""
    one, two = shares(before), shares(after)
    if one is None or two is None:
        return None
    figure = new_figure(PAGE, 2.7) if fig is None else fig
    axes = list(figure.subplots(1, 3))
    axes[1].sharey(axes[0])
    _draw(axes[0], one, "Before")
    _draw(axes[1], two, "After")
    axes[0].set_ylim(top=1.12 * max(float(curve.value.max()) for curve in [*one.curves, *two.curves]))
    axes[2].axhline(0, color=CHANCE, linewidth=scaled(0.8))
    axes[2].update_datalim([(one.chance.index[0], -0.01), (one.chance.index[0], 0.01)])  # or rounding would fill it
    _draw(axes[2], Shares(_changes(one, two), one.chance * np.nan), "Change", bottom=None)
    axes[0].set_ylabel(UNIT)
    axes[2].set_ylabel("change of the share")
    legend_outside(figure, columns=6, axes=axes)
    heading(figure, TITLE)
    return axes


def _changes(one: Shares, two: Shares) -> list[Curve]:
    """What each curve has become, less what it was."""
    earlier = {curve.name: curve.value for curve in one.curves}
    out = []
    for curve in two.curves:
        if curve.name in earlier:
            change = (curve.value - earlier[curve.name]).rename("value").reset_index()
            out.append(Curve(curve.name, curve.asked, over_captures(change.assign(n=1))))
    return out


def _draw(ax: Axes, found: Shares, title: str, bottom: float | None = -0.02) -> None:
    """Curves over the layers, the asked one on top; chance dotted below them."""
    if found.chance.notna().any():
        chance = found.chance
        ax.plot(chance.index, chance, ":", color=CHANCE, linewidth=scaled(1.2), label="chance", zorder=1)
    number = 0
    for curve in found.curves:
        color, marker = (ASKED, "o") if curve.asked else (CYCLE[number % 8], CYCLE_MARKERS[1:][number % 7])
        number += not curve.asked
        draw_line(ax, curve.rows, color=color, marker=marker, label=literal(curve.name), strong=curve.asked)
    ax.set_title(title)
    ax.margins(y=0.1)
    if bottom is not None:
        ax.set_ylim(bottom=bottom)
    nothing = pd.DataFrame(columns=["layer", "value", "clips"])
    layer_axis(ax, pd.concat([curve.rows for curve in found.curves]) if found.curves else nothing)

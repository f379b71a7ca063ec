"""How the answer position shares its attention among the speakers, by layer."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from attnscope.metrics.clips.curves import ASKED_SPEAKER
from attnscope.metrics.clips.curves import CHANCE as EVEN
from attnscope.report.figures.labels import current
from attnscope.report.figures.lines import draw_line, layer_axis, legend_below, legend_outside
from attnscope.report.figures.style import (
    CHANCE,
    COLUMN,
    CYCLE,
    CYCLE_MARKERS,
    INK,
    PAGE,
    dressed,
    heading,
    literal,
    new_figure,
    own_axes,
    scaled,
)

UNIT = "share among the speakers"
TITLE = "Answer's share of each speaker"


@dressed
def speaker_shares(shares: pd.DataFrame, *, ax: Axes | None = None) -> Axes | None:
    """Share of each speaker by layer, the asked one bold, chance dotted; None if there is nothing to draw.

    Args:
        shares: As from `attnscope.metrics.clips.answer_shares`.
        ax: Axes to draw into.

    Example:
        >>> ax = figures.speaker_shares(metrics.clips.answer_shares(tables["answer"]))
        >>> ax.get_xlabel(), ax.get_ylabel()
        ('layer (n = 6)', 'share among the speakers')
    """
    if shares.empty:
        return None
    ax = own_axes(ax, COLUMN, 2.5)
    _draw(ax, shares, TITLE)
    ax.set_ylabel(UNIT)
    legend_below(ax, columns=3)
    return ax


@dressed
def speaker_shares_change(
    before: pd.DataFrame, after: pd.DataFrame, *, fig: Figure | SubFigure | None = None
) -> list[Axes] | None:
    """Shares before and after on one scale, and their change; None if there is nothing to draw.

    Args:
        before: As from `attnscope.metrics.clips.answer_shares`.
        after: The same of the second capture.
        fig: To draw into.

    Example:
        >>> before, corrected = (metrics.clips.answer_shares(some["answer"]) for some in (tables, after_tables))
        >>> [ax.get_title() for ax in figures.speaker_shares_change(before, corrected)]
        ['Before', 'After', 'Change']
    """
    if before.empty or after.empty:
        return None
    keys = ["curve", "asked", "layer"]
    change = after.merge(before[[*keys, "value"]], on=keys, suffixes=("", "_before"))
    change = change[change["curve"] != EVEN].assign(value=change["value"] - change["value_before"])
    figure = new_figure(PAGE, 2.7) if fig is None else fig
    axes = list(figure.subplots(1, 3))
    axes[1].sharey(axes[0])
    _draw(axes[0], before, "Before")
    _draw(axes[1], after, "After")
    axes[0].set_ylim(top=1.12 * max(float(part.loc[part["curve"] != EVEN, "value"].max()) for part in (before, after)))
    axes[2].axhline(0, color=CHANCE, linewidth=scaled(0.8))
    first = before["layer"].min()
    axes[2].update_datalim([(first, -0.01), (first, 0.01)])  # or rounding would fill it
    _draw(axes[2], change, "Change", bottom=None)
    axes[0].set_ylabel(UNIT)
    axes[2].set_ylabel("change of the share")
    legend_outside(figure, columns=6, axes=axes)
    heading(figure, TITLE)
    return axes


def _draw(ax: Axes, shares: pd.DataFrame, title: str, bottom: float | None = -0.02) -> None:
    """Curves over the layers, the asked one on top; chance dotted below them."""
    is_even = shares["curve"] == EVEN
    even, shares = shares[is_even].sort_values("layer"), shares[~is_even]
    current().learn(shares["curve"].unique())
    if len(even):
        ax.plot(even["layer"], even["value"], ":", color=CHANCE, linewidth=scaled(1.2), label="chance", zorder=1)
    number = 0
    for name, curve in shares.groupby("curve", sort=False):
        is_asked = bool(curve["asked"].any())
        color, marker = (INK, "o") if is_asked else (CYCLE[number % 8], CYCLE_MARKERS[1:][number % 7])
        number += not is_asked
        label = f"{name} (asked)" if is_asked and name != ASKED_SPEAKER else str(name)
        draw_line(ax, curve, color=color, marker=marker, label=literal(label), strong=is_asked)
    ax.set_title(title)
    ax.margins(y=0.1)
    if bottom is not None:
        ax.set_ylim(bottom=bottom)
    layer_axis(ax, shares)

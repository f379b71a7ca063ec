"""Attention sinks and how spread out the attention is, by layer."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator

from attnscope.report.figures.lines import by_layer, draw_line, layer_axis, legend_outside, over_captures
from attnscope.report.style import CHANCE, COLORS, COLUMN, MARKERS, dressed, new_figure, scaled

QUERIES = {"visual": "visual queries", "text": "text queries", "answer_position": "answer position"}
KEYS = ("special", "text", "visual")
ANSWER = "#1c2126"


@dressed
def sinks_by_layer(
    sinks: pd.DataFrame, *, about: pd.DataFrame | None = None, fig: Figure | SubFigure | None = None
) -> list[Axes]:
    """How many keys are sinks, how much attention they take, and the entropy of a row (1: attention is even).

    Args:
        sinks: the table of the family, of one capture or of several.
        about: what the captures are of (`attnscope.metrics.pool.labels`).
        fig: to draw into.

    Returns:
        Three axes, from top to bottom.
    """
    figure = new_figure(COLUMN, 3.5) if fig is None else fig
    axes = list(figure.subplots(3, 1, sharex=True, height_ratios=[0.8, 1, 1]))
    keys = over_captures(by_layer(sinks, "sink_keys"), about)
    rows = {name: over_captures(by_layer(sinks, name), about) for name in ("sink_share", "row_entropy")}
    _bars(axes[0], keys)
    for ax, (name, part) in zip(axes[1:], rows.items(), strict=True):
        for query, said in QUERIES.items():
            color, marker = COLORS.get(query, ANSWER), MARKERS.get(query, "D")
            draw_line(ax, part[part["query"] == query], color=color, marker=marker, label=said)
        ax.set_ylim(-0.04, 1.04)
        layer_axis(ax, part, label=name == "row_entropy")
    axes[2].axhline(1, color=CHANCE, linestyle=":", linewidth=scaled(1), label="even attention")
    axes[0].set_ylabel("sink keys")
    axes[1].set_ylabel("mass on sinks")
    axes[2].set_ylabel("row entropy\n÷ log keys")
    axes[0].set_title("Attention sinks and entropy")
    figure.align_ylabels(axes)
    legend_outside(figure, columns=2, axes=axes)
    return axes


def _bars(ax: Axes, keys: pd.DataFrame) -> None:
    """Number of sinks by modality, on top of each other."""
    layers = np.sort(keys["layer"].unique())
    below = np.zeros(len(layers))
    for key in KEYS:
        part = keys[keys["key"] == key]
        if part["value"].gt(0).any():
            count = part.set_index("layer")["value"].reindex(layers).fillna(0.0).to_numpy(np.float64)
            ax.bar(layers, count, 0.8, below, color=COLORS[key], label=f"{key} sinks")
            below += count
    if not below.any():
        ax.text(0.5, 0.5, "no key is a sink", transform=ax.transAxes, ha="center", va="center", fontsize=scaled(7.5))
        ax.set_ylim(0, 1)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    layer_axis(ax, keys, label=False)

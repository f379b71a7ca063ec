"""Where the attention goes, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from attnscope.report.figures.curves import BANDS
from attnscope.report.figures.lines import (
    banded,
    by_layer,
    clips,
    dashed_key,
    draw_line,
    layer_axis,
    legend_outside,
    mean_of,
    over_captures,
    say_empty,
)
from attnscope.report.style import COLORS, COLUMN, MARKERS, dressed, new_figure, scaled

QUERIES = {
    "visual": "Visual tokens",
    "role:transcript": "Words said",
    "role:question": "Question",
    "answer_position": "Answer position",
}
KEYS = ("visual", "special", "text")  # from the bottom up
SHARE = "share of attention mass"
SINKS = {"with": "all keys", "without": "without sinks"}


@dressed
def flow_by_layer(
    modality: pd.DataFrame,
    queries: Mapping[str, str] = QUERIES,
    *,
    about: pd.DataFrame | None = None,
    fig: Figure | SubFigure | None = None,
) -> list[Axes]:
    """How each set of queries spreads its attention over the modalities, mean over heads; hatched: on attention sinks.

    A bar holds the attention of a query, 1 in all (less what learned sink logits take). Attention of one layer is not
    that of the next: what an answer owes to a token through all layers is the rollout's to say.

    Args:
        modality: the table of the family, of one capture or of several (then means over clips).
        queries: sets of queries (values of the column `query`) and what to call them; at most four.
        about: what the captures are of (`attnscope.metrics.pool.labels`).
        fig: to draw into.
    """
    rows = over_captures(by_layer(modality, "mass_share"), about)
    shown = {name: said for name, said in queries.items() if rows.loc[rows["query"] == name, "value"].notna().any()}
    across = min(2, max(1, len(shown)))
    down = max(1, -(-len(shown) // across))
    figure = new_figure(COLUMN, 0.95 + 1.05 * down) if fig is None else fig
    axes = list(figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).flat)
    for spare in axes[max(1, len(shown)) :]:
        spare.set_visible(False)
    for ax, (name, said) in zip(axes, shown.items(), strict=False):
        part = rows[rows["query"] == name]
        _bars(ax, part)
        n = int(part.loc[part["sinks"] == "with", "n"].max())
        ax.set_title(said if clips(rows) else f"{said} (n = {n})", fontsize=scaled(7.5))
        ax.set_ylim(0, 1)
        ax.grid(visible=False)
        ax.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    if not shown:
        say_empty(axes[0])
    of = f"\n{said}" if (said := mean_of(rows, bands=False)) else ""
    for ax in axes[: len(shown)][-across:]:
        ax.set_xlabel(f"layer (n = {rows['layer'].nunique()}){of}")
    figure.supylabel(SHARE, fontsize=scaled(8))
    faces = [Patch(facecolor=COLORS[key], label=f"on {key}") for key in reversed(KEYS)]
    faces.append(
        Patch(facecolor="white", edgecolor="black", hatch="/////", linewidth=scaled(0.4), label="of it on sinks")
    )
    figure.legend(handles=faces, loc="outside lower center", ncols=4, handlelength=1.3, columnspacing=0.9)
    return axes[: max(1, len(shown))]


@dressed
def shares_by_layer(
    modality: pd.DataFrame, *, about: pd.DataFrame | None = None, fig: Figure | SubFigure | None = None
) -> list[Axes]:
    """Share of attention mass on each modality, for text and for visual queries; dashed without sinks.

    The curves of `flow_by_layer` for two sets of queries, each with its interval over clips.
    """
    rows = over_captures(by_layer(modality, "mass_share"), about)
    figure = new_figure(COLUMN, 2.6) if fig is None else fig
    axes = list(figure.subplots(1, 2, sharey=True))
    for ax, query in zip(axes, ("text", "visual"), strict=True):
        of_query = rows[rows["query"] == query]
        for key in ("text", "visual", "special"):
            for sinks in SINKS:
                part = of_query[(of_query["key"] == key) & (of_query["sinks"] == sinks)]
                color, marker, dashed = COLORS[key], MARKERS[key], sinks == "without"
                draw_line(ax, part, color=color, marker=marker, label="" if dashed else f"on {key}", dashed=dashed)
        count = f"\n(n = {int(of_query['n'].max())})" if not clips(rows) and len(of_query) else ""
        ax.set_title(f"{query.capitalize()} queries{count}", fontsize=scaled(8))
        dashed_key(ax, "without sinks")
        layer_axis(ax, rows, narrow=True)
        ax.set_ylim(-0.05, 1.08)
    axes[0].set_ylabel(SHARE)
    legend_outside(figure, columns=2, axes=axes, title=BANDS if banded(rows) else "")
    return axes


def _bars(ax: Axes, part: pd.DataFrame) -> None:
    """One bar a layer: the mass on each modality, what of it is on sinks hatched."""
    layers = np.sort(part["layer"].unique())
    below = np.zeros(len(layers))
    for key in KEYS:
        every, free = (
            part[(part["key"] == key) & (part["sinks"] == sinks)]
            .set_index("layer")["value"]
            .reindex(layers)
            .fillna(0.0)
            .to_numpy(np.float64)
            for sinks in SINKS
        )
        on_sinks = np.clip(every - free, 0, None)
        ax.bar(layers, every - on_sinks, 1.0, below, color=COLORS[key], linewidth=0)
        ax.bar(
            layers,
            on_sinks,
            1.0,
            below + every - on_sinks,
            color=COLORS[key],
            hatch="/////",
            edgecolor="white",
            linewidth=0,
        )
        below += every
    ax.set_xlim(layers.min() - 0.5, layers.max() + 0.5)

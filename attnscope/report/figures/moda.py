"""The layer-wise figure of the MODA poster (P2): how much attention text and video receive in each layer."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import LogLocator

from attnscope.report.figures.lines import by_layer, draw_line, layer_axis, legend_outside, over_captures
from attnscope.report.style import CHANCE, COLORS, COLUMN, MARKERS, dressed, heading, new_figure, scaled, short

KEYS = ("text", "visual")


@dressed
def scores_by_layer(
    modality: pd.DataFrame,
    query: str = "text",
    *,
    said: str = "text queries",
    sinks: str = "with",
    about: pd.DataFrame | None = None,
    fig: Figure | SubFigure | None = None,
) -> list[Axes]:
    """Text and visual attention score by layer, and how many times the one is the other.

    The score of a modality is the mean attention per allowed pair of a query and a key of it, mean over heads. P2
    prints means over layers, for example 0.0061 on text and 0.0009 on the image, without saying for which queries
    (ours: all text of the prompt). Dotted: what attention spread evenly over each query's keys would give, which in a
    causal model differs between the modalities because they stand at different places.

    Args:
        modality: the table of the family, of one capture or of several.
        query: whose attention, for example `text`, `role:question` or `answer_position`.
        said: what to call them.
        sinks: `with` or `without` the sinks among the keys.
        about: what the captures are of (`attnscope.metrics.pool.labels`).
        fig: to draw into.

    Returns:
        The axes of the scores, and of their ratio.
    """
    figure = new_figure(COLUMN, 3.0) if fig is None else fig
    axes = list(figure.subplots(2, 1, sharex=True, height_ratios=[1.7, 1]))
    chosen = modality[(modality["query"] == query) & modality["key"].isin(KEYS) & (modality["sinks"] == sinks)]
    keys = ["capture"] if "capture" in chosen else []
    means = by_layer(chosen, "pair_mean")
    rows = over_captures(means, about)
    even = over_captures(_even(means, by_layer(chosen, "lift"), keys), about)
    for key in KEYS:
        part = rows[rows["key"] == key]
        label = f"on {key} (mean {short(float(part['value'].mean()), 2)})"
        draw_line(axes[0], part, color=COLORS[key], marker=MARKERS[key], label=label)
        level = even[even["key"] == key].sort_values("layer")
        if level["value"].notna().any():
            axes[0].plot(
                level["layer"], level["value"], ":", color=COLORS[key], linewidth=scaled(1), label=f"on {key}, if even"
            )
    ratio = over_captures(_ratio(means, keys), about)
    axes[1].axhline(1, color=CHANCE, linestyle=":", linewidth=scaled(1))
    draw_line(axes[1], ratio, color="#1c2126", marker="o", label="")
    heading(figure, "Attention score of text and video by layer")
    axes[0].set_ylabel("mean attention\nper pair")
    axes[0].set_ylim(0, 1.1 * axes[0].get_ylim()[1])
    axes[1].set_ylabel("text ÷\nvisual")
    axes[1].set_yscale("log")
    axes[1].yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axes[1].yaxis.set_major_formatter("{x:g}")
    axes[1].yaxis.set_minor_formatter("")
    layer_axis(axes[0], rows, label=False)
    queries = by_layer(chosen, "mass_share")["n"]
    layer_axis(axes[1], rows, n=f"n = {int(queries.max())} {said}" if len(queries) else said)
    legend_outside(figure, columns=2, axes=axes[:1])
    return axes


def _even(means: pd.DataFrame, lifts: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """What even attention gives per pair: the mean over its lift."""
    on = [*keys, "layer", "key"]
    both = means.merge(lifts[[*on, "value"]], on=on, suffixes=("", "_lift"))
    value = both["value"] / both["value_lift"].where(both["value_lift"] > 0)
    return both.drop(columns="value_lift").assign(value=value)


def _ratio(means: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Score of text over that of the video, in each capture."""
    on = [*keys, "layer"]
    text, visual = (means[means["key"] == key] for key in KEYS)
    both = text.merge(visual[[*on, "value"]], on=on, suffixes=("", "_visual"))
    value = both["value"] / both["value_visual"].where(both["value_visual"] > 0)
    return both.drop(columns="value_visual").assign(value=value.replace([np.inf], np.nan), key="")

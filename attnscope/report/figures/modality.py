"""Where the attention goes, layer by layer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator

from attnscope.metrics.clips.curves import by_layer, rows_of
from attnscope.report.figures.curves import BANDS
from attnscope.report.figures.lines import (
    as_curves,
    banded,
    clips,
    dashed_key,
    draw_line,
    layer_axis,
    legend_outside,
    mean_of,
    say_empty,
)
from attnscope.report.figures.style import (
    CHANCE,
    COLUMN,
    INK,
    color_of,
    dressed,
    heading,
    marker_of,
    new_figure,
    scaled,
    short,
)
from attnscope.vocabulary import (
    ANSWER_POSITION,
    HISTORY,
    MODALITIES,
    QUESTION,
    ROLE,
    SPECIAL,
    TEXT,
    TRANSCRIPT,
    VISUAL,
    group_name,
)

QUERIES = {
    VISUAL: "Visual tokens",
    group_name(ROLE, TRANSCRIPT): "Words said",
    group_name(ROLE, HISTORY): "Earlier in the chat",
    group_name(ROLE, QUESTION): "Question",
    ANSWER_POSITION: "Answer position",
}
STACKED = (VISUAL, SPECIAL, TEXT)  # from the bottom up; other modalities stand on top
SHARE = "share of attention mass"
SINKS = {"with": "all keys", "without": "without sinks"}


@dressed
def flow_by_layer(
    modality: pd.DataFrame,
    queries: Mapping[str, str] = QUERIES,
    *,
    fig: Figure | SubFigure | None = None,
) -> list[Axes]:
    """How each set of queries spreads its attention over the modalities, mean over heads; hatched: on attention sinks.

    A bar holds the attention of a query, 1 in all (less what learned sink logits take). Attention of one layer is not
    that of the next: what an answer owes to a token through all layers is the rollout's to say.

    Args:
        modality: The table of the family, of one capture, or over clips.
        queries: Sets of queries (values of the column `query`) and what to call them; at most four.
        fig: To draw into.

    Example:
        >>> axes = figures.flow_by_layer(tables["modality"], {"role:question": "Question"})
        >>> [ax.get_title() for ax in axes]
        ['Question (n = 32)']
    """
    rows = as_curves(by_layer(modality, "mass_share"))
    defined = {name: text for name, text in queries.items() if rows.loc[rows["query"] == name, "value"].notna().any()}
    across = min(2, max(1, len(defined)))
    down = max(1, -(-len(defined) // across))
    stacked = in_order(rows, STACKED)
    figure = new_figure(COLUMN, 0.95 + 1.05 * down) if fig is None else fig
    axes = list(figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).flat)
    for spare in axes[max(1, len(defined)) :]:
        spare.set_visible(False)
    for ax, (name, text) in zip(axes, defined.items(), strict=False):
        part = rows[rows["query"] == name]
        _mass_bars(ax, part, stacked)
        n = int(part.loc[part["sinks"] == "with", "n"].max())
        ax.set_title(text if clips(rows) else f"{text} (n = {n})", fontsize=scaled(7.5))
        ax.set_ylim(0, 1)
        ax.grid(visible=False)
        ax.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    if not defined:
        say_empty(axes[0])
    basis = f"\n{mean}" if (mean := mean_of(rows, bands=False)) else ""
    for ax in axes[: len(defined)][-across:]:
        ax.set_xlabel(f"layer (n = {rows['layer'].nunique()}){basis}")
    figure.supylabel(SHARE, fontsize=scaled(8))
    faces = [Patch(facecolor=color_of(key), label=f"on {key}") for key in reversed(stacked)]
    faces.append(
        Patch(facecolor="white", edgecolor="black", hatch="/////", linewidth=scaled(0.4), label="of it on sinks")
    )
    figure.legend(handles=faces, loc="outside lower center", ncols=4, handlelength=1.3, columnspacing=0.9)
    return axes[: max(1, len(defined))]


@dressed
def shares_by_layer(modality: pd.DataFrame, *, fig: Figure | SubFigure | None = None) -> list[Axes]:
    """Share of attention mass on each modality, for text and for visual queries; dashed without sinks.

    The curves of `flow_by_layer` for two sets of queries, each with its interval over clips.

    Example:
        >>> [ax.get_title().splitlines() for ax in figures.shares_by_layer(tables["modality"])]
        [['Text queries', '(n = 62)'], ['Visual queries', '(n = 144)']]
    """
    rows = as_curves(by_layer(modality, "mass_share"))
    figure = new_figure(COLUMN, 2.6) if fig is None else fig
    axes = list(figure.subplots(1, 2, sharey=True))
    for ax, query in zip(axes, (TEXT, VISUAL), strict=True):
        of_query = rows[rows["query"] == query]
        for key in in_order(rows, MODALITIES):
            for sinks in SINKS:
                part = of_query[(of_query["key"] == key) & (of_query["sinks"] == sinks)]
                color, marker, dashed = color_of(key), marker_of(key), sinks == "without"
                draw_line(ax, part, color=color, marker=marker, label="" if dashed else f"on {key}", dashed=dashed)
        count = f"\n(n = {int(of_query['n'].max())})" if not clips(rows) and len(of_query) else ""
        ax.set_title(f"{query.capitalize()} queries{count}", fontsize=scaled(8))
        dashed_key(ax, "without sinks")
        layer_axis(ax, rows, narrow=True)
        ax.set_ylim(-0.05, 1.08)
    axes[0].set_ylabel(SHARE)
    legend_outside(figure, columns=2, axes=axes, title=BANDS if banded(rows) else "")
    return axes


def in_order(rows: pd.DataFrame, known: Collection[str]) -> list[str]:
    """The modalities among the keys of rows: those that are known in their order, then all others."""
    keys = [str(key) for key in rows["key"].unique()]
    return [*(key for key in known if key in keys or not keys), *(key for key in keys if key not in known)]


def _mass_bars(ax: Axes, part: pd.DataFrame, stacked: Sequence[str]) -> None:
    """One bar a layer: the mass on each modality, what of it is on sinks hatched."""
    layers = np.sort(part["layer"].unique())
    below = np.zeros(len(layers))
    for key in stacked:
        every, free = (
            part[(part["key"] == key) & (part["sinks"] == sinks)]
            .set_index("layer")["value"]
            .reindex(layers)
            .fillna(0.0)
            .to_numpy(np.float64)
            for sinks in SINKS
        )
        on_sinks = np.clip(every - free, 0, None)
        ax.bar(layers, every - on_sinks, 1.0, below, color=color_of(key), linewidth=0)
        ax.bar(
            layers,
            on_sinks,
            1.0,
            below + every - on_sinks,
            color=color_of(key),
            hatch="/////",
            edgecolor="white",
            linewidth=0,
        )
        below += every
    ax.set_xlim(layers.min() - 0.5, layers.max() + 0.5)


# The layer-wise figure of the MODA poster (P2): how much attention text and video receive in each layer.


SCORED = (TEXT, VISUAL)


@dressed
def scores_by_layer(
    scores: pd.DataFrame, *, queries: str = "text queries", fig: Figure | SubFigure | None = None
) -> list[Axes]:
    """Text and visual attention score by layer, and how many times the one is the other.

    The score of a modality is the mean attention per allowed pair of a query and a key of it, mean over heads. P2
    prints means over layers, for example 0.0061 on text and 0.0009 on the image, without saying for which queries
    (ours: all text of the prompt). Dotted: what attention spread evenly over each query's keys would give, which in a
    causal model differs between the modalities because they stand at different places.

    Args:
        scores: As from `attnscope.metrics.clips.attention_scores`.
        queries: What to call those whose attention it is.
        fig: To draw into.

    Returns:
        The axes of the scores, and of their ratio.

    Example:
        >>> scores = metrics.clips.attention_scores(tables["modality"], "answer_position")
        >>> axes = figures.scores_by_layer(scores, queries="answer position")
        >>> len(axes), axes[-1].get_xlabel().splitlines()
        (2, ['layer (n = 6)', 'n = 1 answer position'])
    """
    figure = new_figure(COLUMN, 3.0) if fig is None else fig
    axes = list(figure.subplots(2, 1, sharex=True, height_ratios=[1.7, 1]))
    score, even, ratio = (rows_of(scores, name) for name in ("score", "even", "ratio"))
    for key in SCORED:
        part = score[score["key"] == key]
        label = f"on {key} (mean {short(float(part['value'].mean()), 2)})"
        draw_line(axes[0], part, color=color_of(key), marker=marker_of(key), label=label)
        level = even[even["key"] == key].sort_values("layer")
        if level["value"].notna().any():
            axes[0].plot(
                level["layer"],
                level["value"],
                ":",
                color=color_of(key),
                linewidth=scaled(1),
                label=f"on {key}, if even",
            )
    axes[1].axhline(1, color=CHANCE, linestyle=":", linewidth=scaled(1))
    draw_line(axes[1], ratio, color=INK, marker="o", label="")
    heading(figure, "Attention score of text and video by layer")
    axes[0].set_ylabel("mean attention\nper pair")
    axes[0].set_ylim(0, 1.1 * axes[0].get_ylim()[1])
    axes[1].set_ylabel("text ÷\nvisual")
    axes[1].set_yscale("log")
    axes[1].yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axes[1].yaxis.set_major_formatter("{x:g}")
    axes[1].yaxis.set_minor_formatter("")
    layer_axis(axes[0], score, label=False)
    n = scores["queries"].max()
    layer_axis(axes[1], score, n=f"n = {int(n)} {queries}" if n == n else queries)
    legend_outside(figure, columns=2, axes=axes[:1])
    return axes


# Attention sinks and how spread out the attention is, by layer.


SINK_QUERIES = {VISUAL: "visual queries", TEXT: "text queries", ANSWER_POSITION: "answer position"}
SINK_MODALITIES = (SPECIAL, TEXT, VISUAL)  # other modalities stand on top


@dressed
def sinks_by_layer(sinks: pd.DataFrame, *, fig: Figure | SubFigure | None = None) -> list[Axes]:
    """How many keys are sinks, how much attention they take, and the entropy of a row (1: attention is even).

    Args:
        sinks: The table of the family, of one capture, or over clips.
        fig: To draw into.

    Returns:
        Three axes, from top to bottom.

    Example:
        >>> [ax.get_title() for ax in figures.sinks_by_layer(tables["sinks"])]
        ['Attention sinks and entropy', '', '']
    """
    figure = new_figure(COLUMN, 3.5) if fig is None else fig
    axes = list(figure.subplots(3, 1, sharex=True, height_ratios=[0.8, 1, 1]))
    keys = as_curves(by_layer(sinks, "sink_keys"))
    rows = {name: as_curves(by_layer(sinks, name)) for name in ("sink_share", "row_entropy")}
    errors = as_curves(by_layer(sinks, "row_entropy_error"))
    _sink_bars(axes[0], keys)
    for ax, (name, part) in zip(axes[1:], rows.items(), strict=True):
        for query, label in SINK_QUERIES.items():
            color, marker = (INK, "D") if query == ANSWER_POSITION else (color_of(query), marker_of(query))
            draw_line(ax, part[part["query"] == query], color=color, marker=marker, label=label)
            if name == "row_entropy":
                _sampling_band(ax, part[part["query"] == query], errors[errors["query"] == query], color)
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


def _sampling_band(ax: Axes, rows: pd.DataFrame, errors: pd.DataFrame, color: Any) -> None:
    """One standard error to either side, where a sample of the queries stands for all of them."""
    both = rows.merge(errors, on="layer", suffixes=("", "_error"))
    both = both[both["value_error"] > 0]
    if len(both):
        low, high = both["value"] - both["value_error"], both["value"] + both["value_error"]
        ax.fill_between(both["layer"], low, high, color=color, alpha=0.25, linewidth=0)


def _sink_bars(ax: Axes, keys: pd.DataFrame) -> None:
    """Number of sinks by modality, on top of each other."""
    layers = np.sort(keys["layer"].unique())
    below = np.zeros(len(layers))
    for key in in_order(keys[keys["key"] != "all"], SINK_MODALITIES):
        part = keys[keys["key"] == key]
        if part["value"].gt(0).any():
            count = part.set_index("layer")["value"].reindex(layers).fillna(0.0).to_numpy(np.float64)
            ax.bar(layers, count, 0.8, below, color=color_of(key), label=f"{key} sinks")
            below += count
    if not below.any():
        ax.text(0.5, 0.5, "no key is a sink", transform=ax.transAxes, ha="center", va="center", fontsize=scaled(7.5))
        ax.set_ylim(0, 1)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    layer_axis(ax, keys, label=False)

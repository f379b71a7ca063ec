"""Where the attention goes, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator

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
from attnscope.report.figures.style import CHANCE, COLORS, COLUMN, MARKERS, dressed, heading, new_figure, scaled, short
from attnscope.vocabulary import (
    ANSWER_POSITION,
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
    group_name(ROLE, QUESTION): "Question",
    ANSWER_POSITION: "Answer position",
}
STACKED = (VISUAL, SPECIAL, TEXT)  # from the bottom up
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
        about: what the captures are of (`attnscope.metrics.clips.keys.labels`).
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
        _mass_bars(ax, part)
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
    faces = [Patch(facecolor=COLORS[key], label=f"on {key}") for key in reversed(STACKED)]
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
    for ax, query in zip(axes, (TEXT, VISUAL), strict=True):
        of_query = rows[rows["query"] == query]
        for key in MODALITIES:
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


def _mass_bars(ax: Axes, part: pd.DataFrame) -> None:
    """One bar a layer: the mass on each modality, what of it is on sinks hatched."""
    layers = np.sort(part["layer"].unique())
    below = np.zeros(len(layers))
    for key in STACKED:
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


# The layer-wise figure of the MODA poster (P2): how much attention text and video receive in each layer.


SCORED = (TEXT, VISUAL)


@dressed
def scores_by_layer(
    modality: pd.DataFrame,
    query: str = TEXT,
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
        about: what the captures are of (`attnscope.metrics.clips.keys.labels`).
        fig: to draw into.

    Returns:
        The axes of the scores, and of their ratio.
    """
    figure = new_figure(COLUMN, 3.0) if fig is None else fig
    axes = list(figure.subplots(2, 1, sharex=True, height_ratios=[1.7, 1]))
    chosen = modality[(modality["query"] == query) & modality["key"].isin(SCORED) & (modality["sinks"] == sinks)]
    keys = ["capture"] if "capture" in chosen else []
    means = by_layer(chosen, "pair_mean")
    rows = over_captures(means, about)
    even = over_captures(_even(means, by_layer(chosen, "lift"), keys), about)
    for key in SCORED:
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
    text, visual = (means[means["key"] == key] for key in SCORED)
    both = text.merge(visual[[*on, "value"]], on=on, suffixes=("", "_visual"))
    value = both["value"] / both["value_visual"].where(both["value_visual"] > 0)
    return both.drop(columns="value_visual").assign(value=value.replace([np.inf], np.nan), key="")


# Attention sinks and how spread out the attention is, by layer.


SINK_QUERIES = {VISUAL: "visual queries", TEXT: "text queries", ANSWER_POSITION: "answer position"}
SINK_MODALITIES = (SPECIAL, TEXT, VISUAL)
ANSWER = "#1c2126"


@dressed
def sinks_by_layer(
    sinks: pd.DataFrame, *, about: pd.DataFrame | None = None, fig: Figure | SubFigure | None = None
) -> list[Axes]:
    """How many keys are sinks, how much attention they take, and the entropy of a row (1: attention is even).

    Args:
        sinks: the table of the family, of one capture or of several.
        about: what the captures are of (`attnscope.metrics.clips.keys.labels`).
        fig: to draw into.

    Returns:
        Three axes, from top to bottom.
    """
    figure = new_figure(COLUMN, 3.5) if fig is None else fig
    axes = list(figure.subplots(3, 1, sharex=True, height_ratios=[0.8, 1, 1]))
    keys = over_captures(by_layer(sinks, "sink_keys"), about)
    rows = {name: over_captures(by_layer(sinks, name), about) for name in ("sink_share", "row_entropy")}
    _sink_bars(axes[0], keys)
    for ax, (name, part) in zip(axes[1:], rows.items(), strict=True):
        for query, said in SINK_QUERIES.items():
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


def _sink_bars(ax: Axes, keys: pd.DataFrame) -> None:
    """Number of sinks by modality, on top of each other."""
    layers = np.sort(keys["layer"].unique())
    below = np.zeros(len(layers))
    for key in SINK_MODALITIES:
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

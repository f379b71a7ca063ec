"""Curves by layer."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from attnscope.metrics import OVER
from attnscope.metrics.decay import LINKS
from attnscope.report.style import COLORS, COLUMN, MARKERS, PAGE, new_figure, short

ALL_LINKS = {
    "s_visual": ("visual", "visual", "visual → visual"),
    "s_text": ("text", "text", "text → text"),
    "c_visual": ("visual", "text", "visual → text"),
    "c_text": ("text", "visual", "text → visual"),
}
SINKS = {"with": "all keys", "without": "without sinks"}
HEADINGS = {"with": "All keys", "without": "Without sinks"}


def links_by_layer(modality: pd.DataFrame) -> Figure:
    """Mean attention per pair within and between modalities, with and without sinks (logarithmic)."""
    rows = _over_heads(modality, "pair_mean")
    figure = new_figure(PAGE, 2.6)
    axes = figure.subplots(1, 2, sharey=True)
    for ax, sinks in zip(axes, SINKS, strict=True):
        for link, (query, key, label) in ALL_LINKS.items():
            part = rows[(rows["query"] == query) & (rows["key"] == key) & (rows["sinks"] == sinks)]
            _line(ax, part, link, label, dashed=link.startswith("c_"))
        layer_axis(ax, rows, "mean attention per pair", HEADINGS[sinks])
        ax.set_yscale("log")
    axes[1].set_ylabel("")
    shared_legend(figure, columns=4)
    return figure


def shares_by_layer(modality: pd.DataFrame) -> Figure:
    """Share of attention mass on each modality, for text and for visual queries; dashed without sinks."""
    rows = _over_heads(modality, "mass_share")
    figure = new_figure(PAGE, 2.6)
    axes = figure.subplots(1, 2, sharey=True)
    for ax, query in zip(axes, ("text", "visual"), strict=True):
        for key in ("text", "visual", "special"):
            for sinks, name in SINKS.items():
                part = rows[(rows["query"] == query) & (rows["key"] == key) & (rows["sinks"] == sinks)]
                _line(ax, part, key, f"on {key}, {name}", dashed=sinks == "without")
        of_query = rows[(rows["query"] == query) & (rows["sinks"] == "with")]
        count = int(of_query.groupby("capture", observed=True)["n"].first().sum()) if len(of_query) else 0
        layer_axis(ax, rows, "share of attention mass", f"{query.capitalize()} queries (n = {count})")
        ax.set_ylim(-0.03, 1.03)
    axes[1].set_ylabel("")
    shared_legend(figure, columns=3)
    return figure


def gap_by_layer(modality: pd.DataFrame, denominator: str) -> Figure:
    """Gap between self and cross attention of each modality; dashed without sinks."""
    rows = _over_heads(modality, "gap")
    rows = rows[rows["denominator"] == denominator]
    figure = new_figure(COLUMN, 2.5)
    ax = figure.add_subplot()
    for query in ("text", "visual"):
        for sinks, name in SINKS.items():
            part = rows[(rows["query"] == query) & (rows["sinks"] == sinks)]
            _line(ax, part, query, f"{query}, {name}", dashed=sinks == "without")
    below = {"max": "max(s, c)", "sum": "(s + c)", "self": "s"}[denominator]
    layer_axis(ax, rows, f"gap |s − c| / {below}", "Self against cross attention")
    shared_legend(figure, columns=2)
    return figure


def decay_fits(modality: pd.DataFrame, decay: pd.DataFrame) -> Figure:
    """The links by layer and the fitted exponentials, with and without sinks."""
    rows = _over_heads(modality, "pair_mean")
    figure = new_figure(PAGE, 3.1)
    axes = figure.subplots(1, 2, sharey=True)
    for ax, sinks in zip(axes, SINKS, strict=True):
        for link, (query, key) in LINKS.items():
            part = rows[(rows["query"] == query) & (rows["key"] == key) & (rows["sinks"] == sinks)]
            mean = part.groupby("layer", observed=True)["value"].mean()
            if not mean.notna().any():
                continue
            fitted = (
                decay[(decay["link"] == link) & (decay["sinks"] == sinks)]
                .groupby("metric", observed=True)["value"]
                .mean()
            )
            gamma, a, r2 = (float(fitted[f"decay_{k}"]) for k in ("gamma", "intercept", "r2"))
            layers = mean.index.to_numpy(np.float64)
            fitted_to = f"γ = {short(gamma)}, R² = {short(r2, 2)}" if np.isfinite(gamma) else "too few layers to fit"
            label = f"{ALL_LINKS[link][2]}: {fitted_to}"
            ax.plot(
                layers,
                mean.to_numpy(),
                marker=MARKERS[link],
                color=COLORS[link],
                markeredgecolor="white",
                markeredgewidth=0.4,
                markersize=5,
                linestyle="none",
            )
            ax.plot(layers, np.exp(a) * gamma**layers, "-", color=COLORS[link], label=label)
        layer_axis(ax, rows, "mean attention per pair", HEADINGS[sinks])
        ax.set_yscale("log")
        if ax.get_legend_handles_labels()[0]:
            ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2))
    axes[1].set_ylabel("")
    return figure


def links_change(before: pd.DataFrame, after: pd.DataFrame) -> Figure:
    """Links by layer before (dashed) and after (solid), with and without sinks."""
    figure = new_figure(PAGE, 2.8)
    axes = figure.subplots(1, 2, sharey=True)
    for ax, sinks in zip(axes, SINKS, strict=True):
        for when, table in (("before", before), ("after", after)):
            rows = _over_heads(table, "pair_mean")
            for link, (query, key, label) in ALL_LINKS.items():
                part = rows[(rows["query"] == query) & (rows["key"] == key) & (rows["sinks"] == sinks)]
                _line(ax, part, link, f"{label}, {when}", dashed=when == "before")
        layer_axis(ax, rows, "mean attention per pair", HEADINGS[sinks])
        ax.set_yscale("log")
    axes[1].set_ylabel("")
    shared_legend(figure, columns=4)
    return figure


def _over_heads(modality: pd.DataFrame, metric: str) -> pd.DataFrame:
    keep = (modality["metric"] == metric) & (modality["head"] == OVER) & (modality["layer"] != OVER)
    return modality[keep]


def _line(ax: Axes, part: pd.DataFrame, style: str, label: str, *, dashed: bool) -> None:
    """The mean over captures, with a band of one standard error where there are several."""
    by_layer = part.groupby("layer", observed=True)["value"]
    mean = by_layer.mean()
    if not mean.notna().any():
        return
    x = mean.index.to_numpy(np.float64)
    filled = "white" if dashed else COLORS[style]
    ax.plot(
        x,
        mean,
        marker=MARKERS[style],
        linestyle="--" if dashed else "-",
        color=COLORS[style],
        label=label,
        markerfacecolor=filled,
    )
    if part["capture"].nunique() > 1:
        error = by_layer.sem()
        ax.fill_between(x, mean - error, mean + error, color=COLORS[style], alpha=0.18, linewidth=0)


def layer_axis(ax: Axes, rows: pd.DataFrame, ylabel: str, title: str) -> None:
    """Title and labels of an axis whose x is the layer, and what stands there if nothing was drawn."""
    captures = rows["capture"].nunique() if len(rows) else 0
    note = f"; mean ± s.e. of {captures} captures" if captures > 1 else ""
    ax.set_title(title)
    ax.set_xlabel(f"layer (n = {rows['layer'].nunique()}{note})")
    ax.set_ylabel(ylabel)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if rows["layer"].nunique() == 1:
        ax.set_xlim(rows["layer"].iloc[0] - 1, rows["layer"].iloc[0] + 1)
    if not ax.get_lines():
        ax.text(
            0.5,
            0.5,
            "not defined in this capture",
            ha="center",
            va="center",
            transform=ax.transAxes,
            color="#666666",
        )


def shared_legend(figure: Figure, columns: int) -> None:
    """One legend below the axes, of everything that any of them shows."""
    entries: dict[str, object] = {}
    for each in figure.axes:
        for handle, label in zip(*each.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=columns)  # type: ignore[call-overload]

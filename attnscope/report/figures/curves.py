"""Self and cross attention by layer: links, gap, and how both decay with depth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from attnscope.metrics.clips.curves import by_layer
from attnscope.metrics.decay import LINKS
from attnscope.report.figures.lines import (
    as_curves,
    banded,
    dashed_key,
    draw_line,
    layer_axis,
    legend_below,
    legend_outside,
    log_axis,
)
from attnscope.report.figures.style import COLORS, COLUMN, MARKERS, PAGE, dressed, new_figure, own_axes, scaled, short
from attnscope.vocabulary import TEXT, VISUAL

ALL_LINKS = {
    "s_visual": (VISUAL, VISUAL, "visual → visual"),
    "s_text": (TEXT, TEXT, "text → text"),
    "c_visual": (VISUAL, TEXT, "visual → text"),
    "c_text": (TEXT, VISUAL, "text → visual"),
}
SINKS = {"with": "all keys", "without": "without sinks"}
HEADINGS = {"with": "All keys", "without": "Without sinks"}
PAIR = "mean attention per pair"
BANDS = "bands: 95 % interval over clips"


@dressed
def links_by_layer(modality: pd.DataFrame, *, fig: Figure | SubFigure | None = None) -> list[Axes]:
    """Mean attention per pair within (solid) and between (dashed) modalities, with and without sinks (logarithmic).

    Args:
        modality: The table of the family, of one capture, or over clips.
        fig: To draw into.

    Example:
        >>> axes = figures.links_by_layer(tables["modality"])
        >>> [ax.get_title() for ax in axes]
        ['All keys', 'Without sinks']
    """
    rows = as_curves(by_layer(modality, "pair_mean"))
    figure, axes = _two(fig, COLUMN, 2.6)
    for ax, sinks in zip(axes, SINKS, strict=True):
        for link, (query, key, label) in ALL_LINKS.items():
            _link(ax, rows, link, (query, key, sinks), label, dashed=link.startswith("c_"))
        _pair_axis(ax, rows, HEADINGS[sinks], first=ax is axes[0])
    legend_outside(figure, columns=2, axes=axes, title=BANDS if banded(rows) else "")
    return axes


@dressed
def links_change(
    before: pd.DataFrame,
    after: pd.DataFrame,
    fits: Sequence[pd.DataFrame] | None = None,
    *,
    fig: Figure | SubFigure | None = None,
) -> list[Axes]:
    """Links by layer before (dashed) and after (solid), with and without sinks.

    Args:
        before: The table of the family of the first capture.
        after: The tables of the second.
        fits: Both's fits, as from `attnscope.metrics.clips.fit_means`; then γ stands in the legend.
        fig: To draw into.

    Example:
        >>> axes = figures.links_change(tables["modality"], after_tables["modality"])
        >>> [ax.get_title() for ax in axes]
        ['All keys', 'Without sinks']
    """
    figure, axes = _two(fig, PAGE, 2.8)
    tables = {name: as_curves(by_layer(t, "pair_mean")) for name, t in (("before", before), ("after", after))}
    for ax, sinks in zip(axes, SINKS, strict=True):
        for number, (when, rows) in enumerate(tables.items()):
            for link, (query, key, label) in ALL_LINKS.items():
                text = f"{label}, {when}"
                if fits is not None and link in LINKS:
                    text += f" (γ = {short(_fitted(fits[number], link, 'with')[0])})"
                _link(ax, rows, link, (query, key, sinks), text, dashed=when == "before")
        _pair_axis(ax, tables["after"], HEADINGS[sinks], first=ax is axes[0])
    legend_outside(figure, columns=4, axes=axes)
    return axes


@dressed
def gap_by_layer(modality: pd.DataFrame, denominator: str = "max", *, ax: Axes | None = None) -> Axes:
    """Gap between self and cross attention of each modality; dashed without sinks, dotted that of uniform attention.

    Args:
        modality: The table of the family, of one capture, or over clips.
        denominator: Denominator of the gap, max, sum or self.
        ax: Axes to draw into.

    Example:
        >>> ax = figures.gap_by_layer(tables["modality"])
        >>> ax.get_xlabel(), ax.get_ylabel()
        ('layer (n = 6)', 'gap |s − c| / max(s, c)')
    """
    rows = as_curves(by_layer(modality, "gap", denominator=denominator))
    even = as_curves(by_layer(modality, "gap_uniform", denominator=denominator, sinks="with"))
    ax = own_axes(ax, COLUMN, 2.4)
    for query in (TEXT, VISUAL):
        for sinks in SINKS:
            part = rows[(rows["query"] == query) & (rows["sinks"] == sinks)]
            color, marker = COLORS[query], MARKERS[query]
            dashed = sinks == "without"
            draw_line(ax, part, color=color, marker=marker, label="" if dashed else f"{query} queries", dashed=dashed)
        uniform = even[even["query"] == query].sort_values("layer")
        if uniform["value"].notna().any():
            ax.plot(uniform["layer"], uniform["value"], ":", color=COLORS[query], linewidth=scaled(1))
    dashed_key(ax, "without sinks")
    dashed_key(ax, "even attention", style=":")
    below = {"max": "max(s, c)", "sum": "(s + c)", "self": "s"}[denominator]
    ax.set_title("Self against cross attention")
    ax.set_ylabel(f"gap |s − c| / {below}")
    if denominator != "self":
        ax.set_ylim(-0.05, 1.08)
    layer_axis(ax, rows)
    legend_below(ax, columns=2)
    return ax


@dressed
def decay_fits(
    modality: pd.DataFrame,
    fits: pd.DataFrame,
    *,
    fig: Figure | SubFigure | None = None,
) -> list[Axes]:
    """The links by layer and the exponentials fitted to them, with and without sinks (logarithmic).

    Args:
        modality: The table of the family, of one capture, or over clips.
        fits: As from `attnscope.metrics.clips.fit_means`.
        fig: To draw into.

    Example:
        >>> axes = figures.decay_fits(tables["modality"], metrics.clips.fit_means(tables["decay"]))
        >>> [ax.get_yscale() for ax in axes]
        ['log', 'log']
    """
    rows = as_curves(by_layer(modality, "pair_mean"))
    _, axes = _two(fig, COLUMN, 2.9)
    for ax, sinks in zip(axes, SINKS, strict=True):
        for link, (query, key) in LINKS.items():
            part = rows[(rows["query"] == query) & (rows["key"] == key) & (rows["sinks"] == sinks)]
            if part["value"].notna().any():
                _fit(ax, part.sort_values("layer"), _fitted(fits, link, sinks), link)
        _pair_axis(ax, rows, HEADINGS[sinks], first=ax is axes[0])
        legend_below(ax, columns=1)
    return axes


def _fitted(fits: pd.DataFrame, link: str, sinks: str) -> tuple[float, float, float]:
    """Gamma, intercept and R² of a link."""
    row = fits[(fits["link"] == link) & (fits["sinks"] == sinks)]
    gamma, intercept, r2 = (float(row[name].mean()) for name in ("gamma", "intercept", "r2"))
    return gamma, intercept, r2


def _fit(ax: Axes, part: pd.DataFrame, fitted: tuple[float, float, float], link: str) -> None:
    """One link's means as points, and the mean fit as a line."""
    gamma, a, r2 = fitted
    layers = part["layer"].to_numpy(np.float64)
    text = f"γ = {short(gamma)}, R² = {short(r2, 2)}" if np.isfinite(gamma) else "too few layers to fit"
    color = COLORS[link]
    ax.plot(
        layers,
        part["value"].to_numpy(),
        marker=MARKERS[link],
        color=color,
        markeredgecolor="white",
        markeredgewidth=scaled(0.4),
        markersize=scaled(4.5),
        linestyle="none",
    )
    ax.plot(layers, np.exp(a) * gamma**layers, "-", color=color, label=f"{ALL_LINKS[link][2]}\n{text}")


def _link(ax: Axes, rows: pd.DataFrame, link: str, keys: tuple[str, str, str], label: str, *, dashed: bool) -> None:
    query, key, sinks = keys
    part = rows[(rows["query"] == query) & (rows["key"] == key) & (rows["sinks"] == sinks)]
    draw_line(ax, part, color=COLORS[link], marker=MARKERS[link], label=label, dashed=dashed)


def _pair_axis(ax: Axes, rows: pd.DataFrame, title: str, *, first: bool) -> None:
    ax.set_title(title)
    layer_axis(ax, rows, narrow=True)
    if rows["value"].notna().any():
        log_axis(ax)
    if first:
        ax.set_ylabel(PAIR)


def _two(fig: Figure | SubFigure | None, width: float, height: float) -> tuple[Figure | SubFigure, list[Axes]]:
    """Two panels side by side with one scale."""
    figure = new_figure(width, height) if fig is None else fig
    return figure, list(figure.subplots(1, 2, sharey=True))

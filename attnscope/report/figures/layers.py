"""Any metric by layer: title, unit and chance level come from the registry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from attnscope.errors import RequestError
from attnscope.metrics import OVER, get
from attnscope.metrics.registry import FOUND
from attnscope.report.figures.lines import by_layer, draw_line, layer_axis, legend_below, over_captures, parts, rows_of
from attnscope.report.figures.style import (
    CHANCE,
    COLORS,
    COLUMN,
    CYCLE,
    CYCLE_MARKERS,
    MARKERS,
    dressed,
    literal,
    own_axes,
    scaled,
    titled,
)

KEYS = ("capture", "metric", "layer", "head", "threshold", *FOUND)


@dressed
def layer_curves(
    table: pd.DataFrame,
    metric: str,
    by: str | None = None,
    *,
    where: Mapping[str, object] | None = None,
    labels: Mapping[Any, str] | None = None,
    about: pd.DataFrame | None = None,
    log: bool = False,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """A metric by layer, mean over heads; of several captures with a 95 % bootstrap interval over clips.

    Args:
        table: a tidy table that has the metric, of one capture, of several (column `capture`), or pooled.
        metric: its name in the registry.
        by: a key column: one curve for each of its values.
        where: values of the other key columns, for example `{"sinks": "with"}`.
        labels: of the values of `by` in the legend; with it only these values are drawn, in this order.
        about: what the captures are of (`attnscope.metrics.clips.keys.labels`).
        log: logarithmic values.
        title: by default that of the metric.
        ax: axes to draw into.

    Raises:
        RequestError: for an unknown metric, or if `where` and `by` leave more than one number to a layer.
    """
    entry = get(metric)
    rows = by_layer(table, metric, **(where or {}))
    if by is not None and labels is not None:
        rows = rows[rows[by].isin(list(labels))]
    rows = over_captures(rows, about)
    _refuse_many(rows, metric, by)
    ax = own_axes(ax, COLUMN, 2.3)
    if (level := chance_level(entry.chance)) is not None and len(rows):
        ax.axhline(level, color=CHANCE, linestyle=":", label=f"chance ({level:g})", zorder=1)
    groups = parts(rows, by) if by is not None else {"": rows}
    names = [name for name in labels if name in groups] if labels is not None else list(groups)
    for number, name in enumerate(names):
        color = COLORS.get(str(name), CYCLE[number % len(CYCLE)])
        marker = MARKERS.get(str(name), CYCLE_MARKERS[number % len(CYCLE_MARKERS)])
        said = labels[name] if labels is not None else str(name) or "all"
        draw_line(ax, groups[name], color=color, marker=marker, label=literal(said))
    titled(ax, entry.title if title is None else title)
    ax.set_ylabel("\n".join(wrap(unit_of(entry.unit) or entry.title, 22)))
    layer_axis(ax, rows)
    if rows["value"].notna().any():
        if log:
            ax.set_yscale("log")
        legend_below(ax, columns=2 if len(names) < 3 else 3)
    return ax


def definition(metric: str) -> str:
    """What a metric means, as the registry says it."""
    return get(metric).definition


def chance_level(chance: str) -> float | None:
    """The number that a registry's chance level is, or begins with; None where it is none or depends on the scene."""
    found = re.match(r"(\d+(?:\.\d+)?)(?: \(|$)", chance)
    return float(found[1]) if found else None


def unit_of(unit: str) -> str:
    """A unit for an axis; "" for one without."""
    return "" if unit == "1" else unit


def _refuse_many(rows: pd.DataFrame, metric: str, by: str | None) -> None:
    found = ["layer", *([by] if by is not None else [])]
    if not rows.duplicated(found).any():
        return
    several = [c for c in rows.columns if c not in KEYS and c != by and rows[c].nunique(dropna=False) > 1]
    raise RequestError(
        f"metric '{metric}' has several numbers in a layer; choose one of {', '.join(several) or 'its keys'} in `where`"
    )


# Single heads by layer, where their spread says more than a mean: one point a head, at its own place in the layer.


HEAD, MARKED, MEAN = "#7f8c9a", "#D55E00", "#1c2126"
WIDTH = 0.7  # of a layer that its heads take
LEVEL = 0.05


@dressed
def heads_by_layer(
    table: pd.DataFrame,
    metric: str,
    *,
    where: Mapping[str, object] | None = None,
    about: pd.DataFrame | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """A metric of every head, layer by layer; line: of the mean over heads; orange: q <= 0.05 (of a single capture).

    Args:
        table: a tidy table that has the metric, of one capture or of several (then means over clips).
        metric: its name in the registry.
        where: values of the key columns, for example `{"frames": "live"}`.
        about: what the captures are of (`attnscope.metrics.clips.keys.labels`).
        title: by default that of the metric.
        ax: axes to draw into.
    """
    entry = get(metric)
    rows = rows_of(table, metric, **(where or {}))
    rows = rows[(rows["head"] != OVER) & (rows["layer"] != OVER)]
    marked = _marked(rows)
    heads = over_captures(rows, about)
    ax = own_axes(ax, COLUMN, 2.4)
    if (level := chance_level(entry.chance)) is not None:
        ax.axhline(level, color=CHANCE, linestyle=":", label=f"chance ({level:g})", zorder=1)
    count = heads["head"].nunique()
    x = heads["layer"] + (heads["head"].rank(method="dense") - (count + 1) / 2) * WIDTH / max(count, 1)
    hit = pd.MultiIndex.from_frame(heads[["layer", "head"]]).isin(marked)
    size = float(np.clip(400 / max(len(heads), 1), 3, 12)) * scaled(1) ** 2
    for chosen, color, label in ((~hit, HEAD, f"heads (n = {count} a layer)"), (hit, MARKED, f"q ≤ {LEVEL:g}")):
        if chosen.any():
            ax.scatter(x[chosen], heads["value"][chosen], s=size, color=color, linewidths=0, label=label, zorder=2)
    mean = over_captures(by_layer(table, metric, **(where or {})), about).sort_values("layer")
    ax.plot(mean["layer"], mean["value"], color=MEAN, linewidth=scaled(1.2), label="mean over heads", zorder=3)
    titled(ax, entry.title if title is None else title)
    ax.set_ylabel("\n".join(wrap(unit_of(entry.unit) or entry.title, 22)))
    layer_axis(ax, heads)
    if heads["value"].notna().any():
        legend_below(ax, columns=2)
    return ax


def _marked(rows: pd.DataFrame) -> list[tuple[int, int]]:
    """Heads whose corrected p is small, in a table of one capture."""
    if "q" not in rows or ("capture" in rows and rows["capture"].nunique() > 1):
        return []
    hit = rows[rows["q"] <= LEVEL]
    return list(zip(hit["layer"], hit["head"], strict=True))

"""Any metric by layer: title, unit and chance level come from the registry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from textwrap import wrap
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from attnscope.errors import RequestError
from attnscope.metrics import get
from attnscope.metrics.registry import FOUND
from attnscope.report.figures.lines import by_layer, draw_line, layer_axis, legend_below, over_captures, parts
from attnscope.report.style import (
    CHANCE,
    COLORS,
    COLUMN,
    CYCLE,
    CYCLE_MARKERS,
    MARKERS,
    dressed,
    literal,
    own_axes,
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
        about: what the captures are of (`attnscope.metrics.pool.labels`).
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

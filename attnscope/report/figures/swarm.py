"""Single heads by layer, where their spread says more than a mean: one point a head, at its own place in the layer."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from attnscope.metrics import OVER, get
from attnscope.report.figures.layers import chance_level, unit_of
from attnscope.report.figures.lines import by_layer, layer_axis, legend_below, over_captures, rows_of
from attnscope.report.style import CHANCE, COLUMN, dressed, own_axes, scaled, titled

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
        about: what the captures are of (`attnscope.metrics.pool.labels`).
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

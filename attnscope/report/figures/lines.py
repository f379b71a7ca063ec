"""What all curves by layer share: means over captures with intervals, the axis of layers, legends beside the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import LogFormatterSciNotation, LogLocator, MaxNLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation

from attnscope.metrics import OVER
from attnscope.metrics.clips import pool
from attnscope.metrics.clips.keys import each_its_own, keys_of
from attnscope.metrics.registry import FOUND
from attnscope.report.figures.labels import letters
from attnscope.report.figures.style import SOFT, scaled

EMPTY = "not defined in this capture"
LETTER, HANDLE = 3.7, 30.0  # points on paper of a letter in a legend, and of a line and the gaps


def rows_of(table: pd.DataFrame, metric: str, **where: object) -> pd.DataFrame:
    """Rows of one metric with given keys."""
    keep = table["metric"] == metric
    for column, value in where.items():
        keep &= table[column] == value
    return table[keep]


def by_layer(table: pd.DataFrame, metric: str, **where: object) -> pd.DataFrame:
    """Rows of one metric with given keys, of single layers and of the mean over heads."""
    rows = rows_of(table, metric, **where)
    return rows[(rows["head"] == OVER) & (rows["layer"] != OVER)]


def over_captures(rows: pd.DataFrame, about: pd.DataFrame | None = None) -> pd.DataFrame:
    """Rows of one or more captures with an interval over clips.

    Args:
        rows: of a tidy table. With a column `capture` they are pooled; without they are of a single capture, or pooled
            already.
        about: what the captures are of, as from `metrics.clips.keys.labels`; by default each is of its own clip.

    Returns:
        The rows, with `low` and `high` (NaN for few clips) and `clips` (0 where the rows are of one capture). Where
        they are to be compared by `match`, only captures that define all of its values count.
    """
    if "capture" in rows and len(rows):
        names = pd.unique(rows["capture"])
        if about is None:
            about = each_its_own(names.tolist())
        if about.loc[about["capture"].isin(list(names)), "clip"].nunique() > 1:
            pooled = pool.pooled(_matching(rows), about)
            return pooled.assign(clips=pooled["n"])
        grouped = rows.groupby(keys_of(rows), sort=False, dropna=False)
        rows = grouped.agg(value=("value", "mean"), n=("n", "first")).reset_index()
    if "low" in rows:
        return rows.assign(clips=rows["n"])
    return rows.assign(low=np.nan, high=np.nan, clips=0)


def _matching(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows without the numbers of captures that say nothing to compare them with; all, if no capture does."""
    if "match" not in rows or rows["match"].nunique() < 2:
        return rows
    keys = [c for c in rows.columns if c not in ("match", *FOUND)]
    known = rows["value"].notna().groupby([rows[key] for key in keys], dropna=False)
    both = known.transform("all") & (known.transform("size") == rows["match"].nunique())
    return rows.assign(value=rows["value"].where(both)) if both.any() else rows


def clips(rows: pd.DataFrame) -> int:
    """Clips that rows from `over_captures` are over; 0 for those of one capture."""
    return int(rows["clips"].max()) if len(rows) else 0


def draw_line(
    ax: Axes, rows: pd.DataFrame, *, color: str, marker: str, label: str, dashed: bool = False, strong: bool = False
) -> None:
    """One curve by layer with its band; nothing where no value is defined."""
    if not rows["value"].notna().any():
        return
    rows = rows.sort_values("layer")
    x = rows["layer"].to_numpy(np.float64)
    value, low, high = (rows[c].to_numpy(np.float64) for c in ("value", "low", "high"))
    many = len(x) > 16
    ax.plot(
        x,
        value,
        marker=marker,
        linestyle="--" if dashed else "-",
        color=color,
        label=label,
        markerfacecolor="white" if dashed else color,
        markersize=scaled((2.2 if many else 3.2) * (1.3 if strong else 1)),
        linewidth=scaled((2.5 if strong else 1.2) * (0.8 if dashed else 1)),
        zorder=3 if strong else 2,
    )
    if np.isfinite(low).any():
        ax.fill_between(x, low, high, color=color, alpha=0.18, linewidth=0, zorder=1)


def dashed_key(ax: Axes, label: str, style: str = "--") -> None:
    """An entry of the legend for what dashed lines of any colour are."""
    ax.plot([], [], style, color=SOFT, linewidth=scaled(1), label=label)


def layer_axis(ax: Axes, rows: pd.DataFrame, *, n: str = "", label: bool = True, narrow: bool = False) -> None:
    """An axis whose x is the layer, and what stands there if nothing was drawn.

    Args:
        ax: with the curves.
        rows: what they show, from `over_captures`.
        n: what the numbers are over, for a single capture ("15 queries").
        label: whether to name the axis; of panels that share it only the lowest does.
        narrow: whether there is no room to say what the bands are.
    """
    layers = rows["layer"].nunique()
    if label:
        said = mean_of(rows, bands=not narrow) or n
        ax.set_xlabel(f"layer (n = {layers})" + (f"\n{said}" if said else ""))
    ax.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True, min_n_ticks=1))
    if layers == 1:
        ax.set_xlim(rows["layer"].iloc[0] - 1, rows["layer"].iloc[0] + 1)
    if not rows["value"].notna().any():
        say_empty(ax)


def say_empty(ax: Axes) -> None:
    """What stands in axes where no number is defined."""
    ax.text(0.5, 0.5, EMPTY, ha="center", va="center", transform=ax.transAxes, color=SOFT)
    ax.set_yticks([])


def mean_of(rows: pd.DataFrame, *, bands: bool = True) -> str:
    """What the curves of several captures are; "" for a single one."""
    count = clips(rows)
    if count < 2:
        return "of 1 clip" if count else ""
    return f"mean and 95 % interval of {count} clips" if bands and banded(rows) else f"mean of {count} clips"


def banded(rows: pd.DataFrame) -> bool:
    """Whether rows from `over_captures` have intervals: those of few clips have none."""
    return bool(len(rows)) and bool(rows["low"].notna().any())


def log_axis(ax: Axes) -> None:
    """Logarithmic values with few numbers beside them."""
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(LogFormatterSciNotation(labelOnlyBase=False, minor_thresholds=(np.inf, np.inf)))
    ax.yaxis.set_minor_formatter(NullFormatter())


def legend_below(ax: Axes, columns: int) -> None:
    """A legend under the axis and its label, of its own axes only, in so many columns as fit; none for one curve."""
    handles, labels = ax.get_legend_handles_labels()
    if len(handles) < 2:
        return
    figure = ax.figure
    lines = ax.get_xlabel().count("\n") + bool(ax.get_xlabel())
    down = ScaledTranslation(0, -scaled(14 + 11 * lines) / 72, figure.dpi_scale_trans)
    ax.legend(
        handles,
        labels,
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        bbox_transform=ax.transAxes + down,
        ncols=_columns(figure, labels, columns),
        borderaxespad=0,
    )


def legend_outside(
    figure: Figure | SubFigure, columns: int, axes: Sequence[Axes] | None = None, title: str = ""
) -> None:
    """One legend under all panels, of everything that any of them shows, in so many columns as fit."""
    entries: dict[str, object] = {}
    for each in axes if axes is not None else figure.axes:
        for handle, label in zip(*each.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        fitting = _columns(figure, list(entries), columns)
        made = figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=fitting)  # type: ignore[call-overload]
        if title:
            made.set_title(title, {"size": scaled(7)})


def _columns(figure: Figure | SubFigure, labels: Sequence[str], most: int) -> int:
    """Columns of a legend that fit: matplotlib would cut off what does not."""
    room = float(figure.bbox.width) / figure.dpi * 72
    one = scaled(max(letters(line) for label in labels for line in label.split("\n")) * LETTER + HANDLE)
    return max(1, min(most, int(room / one)))


def parts(rows: pd.DataFrame, column: str) -> dict[Any, pd.DataFrame]:
    """Rows by the value of a column, in the order in which the values come."""
    return dict(iter(rows.groupby(column, sort=False, dropna=False)))

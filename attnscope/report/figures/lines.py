"""What all curves by layer share: a line with its band, the axis of layers, legends beside the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import LogFormatterSciNotation, LogLocator, MaxNLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation

from attnscope.errors import RequestError
from attnscope.metrics.clips.curves import over_clips
from attnscope.report.figures.labels import letters
from attnscope.report.figures.style import SOFT, scaled

EMPTY = "not defined in this capture"
LETTER, HANDLE = 3.7, 30.0  # points on paper of a letter in a legend, and of a line and the gaps


def as_curves(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of one capture, or pooled ones, with `low`, `high` and `clips`; nothing is pooled while drawing.

    Raises:
        RequestError: If the rows are of several captures.
    """
    if "capture" in rows and rows["capture"].nunique() > 1:
        raise RequestError("the table holds several captures: pool them first, metrics.clips.over_clips(table, about)")
    return over_clips(rows)


def clips(rows: pd.DataFrame) -> int:
    """Clips that rows from `as_curves` are over; 0 for those of one capture."""
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
    is_dense = len(x) > 16
    ax.plot(
        x,
        value,
        marker=marker,
        linestyle="--" if dashed else "-",
        color=color,
        label=label,
        markerfacecolor="white" if dashed else color,
        markersize=scaled((2.2 if is_dense else 3.2) * (1.3 if strong else 1)),
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
        ax: With the curves.
        rows: What they show, from `as_curves`.
        n: What the numbers are over, for a single capture ("15 queries").
        label: Whether to name the axis; of panels that share it only the lowest does.
        narrow: Whether there is no room to say what the bands are.
    """
    layers = rows["layer"].nunique()
    if label:
        basis = mean_of(rows, bands=not narrow) or n
        ax.set_xlabel(f"layer (n = {layers})" + (f"\n{basis}" if basis else ""))
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
    """Whether rows from `as_curves` have intervals: those of few clips have none."""
    return bool(len(rows)) and bool(rows["low"].notna().any())


def log_axis(ax: Axes) -> None:
    """Logarithmic values with few numbers beside them."""
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(LogFormatterSciNotation(labelOnlyBase=False, minor_thresholds=(np.inf, np.inf)))
    ax.yaxis.set_minor_formatter(NullFormatter())


def legend_below(ax: Axes, columns: int) -> None:
    """A legend under the axis and its label, of its own axes only, in as many columns as fit; none for one curve."""
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
    """One legend under all panels, of everything that any of them shows, in as many columns as fit."""
    entries: dict[str, object] = {}
    for each in axes if axes is not None else figure.axes:
        for handle, label in zip(*each.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        fitting = _columns(figure, list(entries), columns)
        legend = figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=fitting)  # type: ignore[call-overload]
        if title:
            legend.set_title(title, {"size": scaled(7)})


def _columns(figure: Figure | SubFigure, labels: Sequence[str], most: int) -> int:
    """Columns of a legend that fit: matplotlib would cut off what does not."""
    room = float(figure.bbox.width) / figure.dpi * 72
    column = scaled(max(letters(line) for label in labels for line in label.split("\n")) * LETTER + HANDLE)
    return max(1, min(most, int(room / column)))


def parts(rows: pd.DataFrame, column: str) -> dict[Any, pd.DataFrame]:
    """Rows by the value of a column, in the order in which the values come."""
    return dict(iter(rows.groupby(column, sort=False, dropna=False)))

"""Maps of layer by head."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from attnscope.metrics import OVER
from attnscope.report.style import COLUMN, DIVERGING, PAGE, SEQUENTIAL, UNDEFINED, new_figure, number_ticks


@dataclass(frozen=True)
class Grid:
    """Numbers by layer and head: `values` [L, H] with the layers' and heads' numbers."""

    values: NDArray[np.float64]
    layers: list[int]
    heads: list[int]


def grid(table: pd.DataFrame) -> Grid:
    """Arrange rows with a layer, a head and a value (averaged over captures where there are several)."""
    rows = table[(table["layer"] != OVER) & (table["head"] != OVER)]
    wide = rows.pivot_table(index="layer", columns="head", values="value", aggfunc="mean", dropna=False)
    return Grid(wide.to_numpy(np.float64), [int(n) for n in wide.index], [int(n) for n in wide.columns])


def heads_map(
    data: Grid,
    *,
    title: str,
    unit: str,
    center: float | None = None,
    marks: NDArray[np.bool_] | None = None,
    mark: str = "",
) -> Figure:
    """Heat map of layer by head.

    Args:
        data: the numbers; NaN is drawn grey.
        title: of the figure.
        unit: label of the colour bar.
        center: if given, a diverging scale symmetric about it; else a sequential one from 0.
        marks: heads to mark with a dot, [L, H].
        mark: what the dot means.
    """
    figure = new_figure(COLUMN, _height(data))
    ax = figure.add_subplot()
    norm = around([data.values], center) if center is not None else from_zero([data.values])
    image = _draw(ax, data, norm, DIVERGING if center is not None else SEQUENTIAL)
    ax.set_title(title)
    _bar(figure, image, [ax], unit, center)
    _legend(ax, data, marks, mark)
    return figure


def heads_change(
    before: Grid,
    after: Grid,
    *,
    title: str,
    unit: str,
    center: float | None = None,
    active: Iterable[tuple[int, int]] = (),
) -> Figure:
    """Heat maps before and after on one scale, and of the difference on a diverging scale centred at 0.

    Args:
        before: the numbers.
        after: those of the same layers and heads.
        title: of the figure.
        unit: label of the colour bars.
        center: if given, the scale before and after is diverging about it.
        active: (layer, head) to outline: heads in which a correction acted.
    """
    figure = new_figure(PAGE, _height(before) + 0.25)
    axes = figure.subplots(1, 3, sharey=True)
    norm = (
        around([before.values, after.values], center)
        if center is not None
        else from_zero([before.values, after.values])
    )
    cmap = DIVERGING if center is not None else SEQUENTIAL
    for ax, data, name in zip(axes[:2], (before, after), ("Before", "After"), strict=True):
        image = _draw(ax, data, norm, cmap)
        ax.set_title(name)
    _bar(figure, image, list(axes[:2]), unit, center)
    change = Grid(after.values - before.values, before.layers, before.heads)
    image = _draw(axes[2], change, around([change.values], 0.0), "PuOr_r")
    axes[2].set_title("Change")
    _bar(figure, image, [axes[2]], f"change, {unit}")
    outlined = set(active)
    marks = np.array([[(layer, head) in outlined for head in before.heads] for layer in before.layers])
    for ax in axes[1:]:
        ax.set_ylabel("")
        _outline(ax, marks)
    said = f"  (outlined: the {int(marks.sum())} heads corrected)" if marks.any() else ""
    figure.suptitle(title + said, fontsize=8.5, fontweight="bold")
    return figure


def around(arrays: Sequence[NDArray[np.float64]], center: float) -> Normalize:
    """A scale symmetric about `center` that holds all finite values."""
    finite = np.concatenate([a[np.isfinite(a)] for a in arrays])
    reach = float(np.abs(finite - center).max()) if len(finite) else 0.0
    reach = max(reach, 0.1 * abs(center), 1e-6)  # rounding is not a difference to colour
    return Normalize(center - reach, center + reach)


def from_zero(arrays: Sequence[NDArray[np.float64]]) -> Normalize:
    """A scale from 0 to the largest finite value."""
    finite = np.concatenate([a[np.isfinite(a)] for a in arrays])
    return Normalize(0.0, float(finite.max()) if len(finite) and finite.max() > 0 else 1.0)


def _draw(ax: Axes, data: Grid, norm: Normalize, cmap: str) -> AxesImage:
    image = ax.imshow(
        data.values, origin="lower", aspect="auto", cmap=with_grey(cmap), norm=norm, interpolation="nearest"
    )
    number_ticks(ax, "x", data.heads)
    number_ticks(ax, "y", data.layers)
    ax.set_xlabel(f"head (n = {len(data.heads)})")
    ax.set_ylabel(f"layer (n = {len(data.layers)})")
    ax.grid(visible=False)
    if np.isnan(data.values).any():
        ax.set_xlabel(f"{ax.get_xlabel()}\ngrey: not defined")
    return image


def _bar(figure: Figure, image: AxesImage, axes: list[Axes], unit: str, center: float | None = None) -> None:
    bar = figure.colorbar(image, ax=axes, shrink=0.95, pad=0.02, aspect=22)
    bar.set_label(unit)
    low, high = bar.ax.get_ylim()
    if center and low < 0:
        bar.ax.set_ylim(0, high)  # symmetric about its centre, but a ratio has nothing below 0
    bar.outline.set_linewidth(0.4)
    bar.formatter.set_powerlimits((-3, 4))  # type: ignore[attr-defined]


def with_grey(name: str) -> Colormap:
    """A colour map that draws NaN grey."""
    return colormaps[name].with_extremes(bad=UNDEFINED)


def _height(data: Grid) -> float:
    return float(np.clip(1.3 + 0.1 * len(data.layers), 2.3, 4.4))


def _legend(ax: Axes, data: Grid, marks: NDArray[np.bool_] | None, mark: str) -> None:
    if marks is None or not marks.any():
        return
    y, x = np.nonzero(marks)
    size = float(np.clip(120 / max(len(data.layers), len(data.heads)), 2, 12))
    ax.scatter(x, y, s=size, c="black", edgecolors="white", linewidths=0.4)
    ax.set_xlabel(f"{ax.get_xlabel()}\n● {mark}")


def _outline(ax: Axes, marks: NDArray[np.bool_]) -> None:
    from matplotlib.patches import Rectangle

    for y, x in zip(*np.nonzero(marks), strict=True):
        ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, edgecolor="black", linewidth=0.9))

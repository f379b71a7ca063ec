"""Maps of layer by head: a number, its change, and the heads that corrections touched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import lcm
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from attnscope.metrics import OVER
from attnscope.report.figures.lines import as_curves
from attnscope.report.figures.style import (
    CHANGE,
    COLUMN,
    CYCLE,
    DIVERGING,
    PAGE,
    SEQUENTIAL,
    UNDEFINED,
    dressed,
    heading,
    literal,
    new_figure,
    number_ticks,
    own_axes,
    remark,
    scaled,
    short,
)

LEAST_CHANGE = 0.05  # of the largest number: where the colours of a change end at least, so that small ones stay pale


@dataclass(frozen=True)
class Grid:
    """Numbers by layer and head: `values` [L, H] with the layers' and heads' numbers.

    Example:
        >>> grid = figures.Grid(np.zeros((2, 8)), layers=[2, 3], heads=list(range(8)))
        >>> figures.heads_map(grid, title="Nothing", unit="share").get_title()
        'Nothing'
    """

    values: NDArray[np.float64]
    layers: list[int]
    heads: list[int]


def grid(table: pd.DataFrame) -> Grid:
    """Arrange rows with a layer, a head and a value, of one capture or over clips.

    Example:
        >>> rows = figures.rows_of(tables["modality"], "mass_share", query="text", key="visual", sinks="with")
        >>> figures.grid(rows).values.shape
        (6, 8)
    """
    rows = as_curves(table[(table["layer"] != OVER) & (table["head"] != OVER)])
    wide = rows.pivot(index="layer", columns="head", values="value")
    return Grid(wide.to_numpy(np.float64), [int(n) for n in wide.index], [int(n) for n in wide.columns])


@dressed
def heads_map(
    data: Grid,
    *,
    title: str,
    unit: str,
    center: float | None = None,
    marks: NDArray[np.bool_] | None = None,
    mark: str = "",
    norm: Normalize | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Heat map of layer by head.

    Args:
        data: The numbers; NaN is drawn grey.
        title: Title of the figure.
        unit: Label of the colour bar.
        center: If given, a diverging scale symmetric about it; else a sequential one from 0.
        marks: Heads to mark with a dot, [L, H].
        mark: What the dot means.
        norm: A colour scale to share with other maps, instead of the map's own.
        ax: Axes to draw into.

    Example:
        >>> data = figures.grid(figures.rows_of(tables["answer"], "answer_mass", asked=True))
        >>> ax = figures.heads_map(data, title="Answer's mass on Dan", unit="share")
        >>> ax.get_title(), ax.get_xlabel(), ax.get_ylabel()
        ("Answer's mass on Dan", 'head (n = 8)', 'layer (n = 6)')
    """
    ax = own_axes(ax, COLUMN, _height(data))
    if norm is None:
        norm = around([data.values], center) if center is not None else from_zero([data.values])
    image = draw_map(ax, data, norm, DIVERGING if center is not None else SEQUENTIAL)
    ax.set_title(literal(title))
    bar(image, [ax], unit, center)
    dots(ax, data, marks, mark)
    return ax


@dressed
def heads_change(
    before: Grid,
    after: Grid,
    *,
    title: str,
    unit: str,
    center: float | None = None,
    active: Iterable[tuple[int, int]] = (),
    fig: Figure | SubFigure | None = None,
) -> list[Axes]:
    """Heat maps before and after on one scale, and of the difference on a diverging scale centred at 0.

    Args:
        before: The numbers.
        after: Those of the same layers and heads.
        title: Title of the figure.
        unit: Label of the colour bars.
        center: If given, the scale before and after is diverging about it.
        active: (layer, head) to outline: heads in which a correction acted.
        fig: To draw into.

    Example:
        >>> rows = [figures.rows_of(some["answer"], "answer_mass", asked=True) for some in (tables, after_tables)]
        >>> before, corrected = map(figures.grid, rows)
        >>> axes = figures.heads_change(before, corrected, title="Answer's mass on Dan", unit="share")
        >>> [ax.get_title() for ax in axes]
        ['Before', 'After', 'Change']
    """
    figure = new_figure(PAGE, _height(before) + 0.25) if fig is None else fig
    axes = list(figure.subplots(1, 3, sharey=True))
    both = [before.values, after.values]
    norm = around(both, center) if center is not None else from_zero(both)
    cmap = DIVERGING if center is not None else SEQUENTIAL
    for ax, data, name in zip(axes[:2], (before, after), ("Before", "After"), strict=True):
        image = draw_map(ax, data, norm, cmap)
        ax.set_title(name)
    bar(image, axes[:2], unit, center)
    change = Grid(after.values - before.values, before.layers, before.heads)
    image = draw_map(axes[2], change, around_change(change.values, both), CHANGE)
    axes[2].set_title("Change")
    bar(image, [axes[2]], f"change, {unit}")
    outlined = set(active)
    marks = np.array([[(layer, head) in outlined for head in before.heads] for layer in before.layers])
    for ax in axes[1:]:
        ax.set_ylabel("")
        _outline(ax, marks & ~marks.all())  # a frame around each of them would mark none
    where = f"  (outlined: the {int(marks.sum())} heads corrected)" if marks.any() else ""
    where = "  (all heads corrected)" if marks.all() else where
    heading(figure, title + where)
    return axes


def around(arrays: Sequence[NDArray[np.float64]], center: float) -> Normalize:
    """A scale symmetric about `center` that holds all finite values."""
    finite = np.concatenate([a[np.isfinite(a)] for a in arrays])
    reach = float(np.abs(finite - center).max()) if len(finite) else 0.0
    reach = max(reach, 0.1 * abs(center), 1e-6)  # rounding is not a difference to colour
    return Normalize(center - reach, center + reach)


def around_change(change: NDArray[np.float64], of: Sequence[NDArray[np.float64]]) -> Normalize:
    """A scale of a change about 0: it ends no earlier than at a part of the largest number `of` which it is one."""
    largest = max((float(np.abs(a[np.isfinite(a)]).max(initial=0.0)) for a in of), default=0.0)
    return around([change, np.array([LEAST_CHANGE * largest])], 0.0)


def from_zero(arrays: Sequence[NDArray[np.float64]]) -> Normalize:
    """A scale from 0 to the largest finite value."""
    finite = np.concatenate([a[np.isfinite(a)] for a in arrays])
    return Normalize(0.0, float(finite.max()) if len(finite) and finite.max() > 0 else 1.0)


def draw_map(ax: Axes, data: Grid, norm: Normalize, cmap: str) -> QuadMesh:
    """The cells of a map and the numbers of layers and heads; NaN is grey, and said to be."""
    table = pd.DataFrame(data.values, data.layers, data.heads)
    every = max(1, -(-len(data.heads) // 7)), max(1, -(-len(data.layers) // 10))
    sns.heatmap(
        table, ax=ax, norm=norm, vmin=norm.vmin, vmax=norm.vmax, cmap=cmap, cbar=False,
        xticklabels=every[0], yticklabels=every[1],
    )  # fmt: skip
    ax.invert_yaxis()  # layer 0 at the bottom
    ax.tick_params(rotation=0)
    ax.set_facecolor(UNDEFINED)
    grey = "\ngrey: not defined" if np.isnan(data.values).any() else ""
    ax.set_xlabel(f"head (n = {len(data.heads)}){grey}")
    ax.set_ylabel(f"layer (n = {len(data.layers)})")
    (mesh,) = (part for part in ax.collections if isinstance(part, QuadMesh))
    remark(ax, in_words(data))
    return mesh


def in_words(data: Grid) -> str:
    """Where a map is highest and lowest."""
    if not np.isfinite(data.values).any():
        return "not defined for any head"
    ends = []
    for word, at in (("highest", np.nanargmax(data.values)), ("lowest", np.nanargmin(data.values))):
        row, column = divmod(int(at), len(data.heads))
        value = short(float(data.values[row, column]))
        ends.append(f"{word} {value} at layer {data.layers[row]}, head {data.heads[column]}")
    missing = int(np.isnan(data.values).sum())
    return "; ".join(ends) + (f"; not defined for {missing} heads" if missing else "")


def bar(image: QuadMesh, axes: Sequence[Axes], unit: str, center: float | None = None) -> None:
    """A colour bar beside maps that share it."""
    colorbar = axes[0].figure.colorbar(image, ax=list(axes), pad=0.02, aspect=22)
    colorbar.set_label(unit)
    low, high = colorbar.ax.get_ylim()
    if center and low < 0:
        colorbar.ax.set_ylim(0, high)  # symmetric about its centre, but a ratio has nothing below 0
    colorbar.outline.set_linewidth(scaled(0.4))
    colorbar.formatter.set_powerlimits((-3, 4))  # type: ignore[attr-defined]


def dots(ax: Axes, data: Grid, marks: NDArray[np.bool_] | None, mark: str) -> None:
    """Dots on some heads, and under the axis what they mean."""
    if marks is None or not marks.any():
        return
    y, x = np.nonzero(marks)
    size = float(np.clip(120 / max(len(data.layers), len(data.heads)), 2, 12))
    ax.scatter(x + 0.5, y + 0.5, s=size * scaled(1) ** 2, c="black", edgecolors="white", linewidths=scaled(0.4))
    ax.set_xlabel(f"{ax.get_xlabel()}\n● {mark}")


def _height(data: Grid) -> float:
    return float(np.clip(1.3 + 0.1 * len(data.layers), 2.2, 3.6))


def _outline(ax: Axes, marks: NDArray[np.bool_]) -> None:
    for y, x in zip(*np.nonzero(marks), strict=True):
        edge = Rectangle((x, y), 1, 1, fill=False, edgecolor="black", linewidth=scaled(0.9), clip_on=False)
        ax.add_patch(edge)


# The heads that corrections touched.


UNTOUCHED = "#ececec"


@dressed
def heads_touched(
    layers: Sequence[int], heads: int, touched: Mapping[str, set[tuple[int, int]]], *, ax: Axes | None = None
) -> Axes:
    """Map of layer by head with the heads that corrections touched, in a colour for each correction.

    The cell of a head that several touched is divided among them.

    Args:
        layers: Numbers of the layers.
        heads: Heads of a layer.
        touched: (layer, head) by correction.
        ax: Axes to draw into.
    """
    names = [name for name, heads_of in touched.items() if any(layer in layers for layer, _ in heads_of)]
    who = {
        (row, head): [number for number, name in enumerate(names) if (layer, head) in touched[name]]
        for row, layer in enumerate(layers)
        for head in range(heads)
    }
    parts = lcm(*(len(own) for own in who.values() if own))
    colors = [to_rgb(CYCLE[number % len(CYCLE)]) for number in range(len(names))]
    image = np.full((len(layers), heads * parts, 3), to_rgb(UNTOUCHED))
    for (row, head), own in who.items():
        for place, number in enumerate(own):
            width = parts // len(own)
            start = head * parts + place * width
            image[row, start : start + width] = colors[number]
    ax = own_axes(ax, COLUMN, float(np.clip(1.2 + 0.1 * len(layers) + 0.12 * len(names), 1.9, 3.8)))
    ends = (-0.5, heads - 0.5, -0.5, len(layers) - 0.5)
    ax.imshow(image, origin="lower", aspect="auto", extent=ends, interpolation="nearest")
    number_ticks(ax, "x", list(range(heads)), 12)
    number_ticks(ax, "y", list(layers))
    ax.set_xlabel(f"head (n = {heads})")
    ax.set_ylabel(f"layer (n = {len(layers)})")
    ax.grid(visible=False)
    edges: dict[str, Any] = {"colors": "white", "linewidth": scaled(0.9)}
    ax.vlines(np.arange(1, heads) - 0.5, *ends[2:], **edges)
    ax.hlines(np.arange(1, len(layers)) - 0.5, *ends[:2], **edges)
    ax.set_title(f"Heads touched: {sum(map(bool, who.values()))} of {len(who)}")
    remark(ax, "; ".join(f"{name}: {len(own)} heads in layers {_in_a_row(own)}" for name, own in touched.items()))
    keys = [Patch(facecolor=color, label=literal(name)) for name, color in zip(names, colors, strict=True)]
    if len(keys) > 1:
        ax.legend(handles=keys, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
    return ax


def _in_a_row(places: Iterable[tuple[int, int]]) -> str:
    """The layers of heads, as text."""
    return ", ".join(str(layer) for layer in sorted({layer for layer, _ in places}))

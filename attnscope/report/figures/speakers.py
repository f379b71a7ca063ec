"""Who attends to whom: the density matrix of the speakers and its change; and whether words find their speaker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from attnscope.metrics import OVER
from attnscope.metrics.clips.curves import rows_of
from attnscope.metrics.people.matrix import chance_of, row_shares, speakers_of
from attnscope.report.figures.heads import Grid, around, around_change, bar, draw_map, grid
from attnscope.report.figures.lines import as_curves, clips
from attnscope.report.figures.style import (
    CHANGE,
    COLUMN,
    DIVERGING,
    ON_MAP,
    PAGE,
    UNDEFINED,
    dressed,
    figure_of,
    give_fonts,
    heading,
    new_figure,
    remark,
    scaled,
    short_labels,
)

FRAMES = {"live": "Live frames", "all": "All frames"}
UNIT = "share of a row"
PALE = 0.32  # distance of a colour from the middle of its scale from which white letters stand out
MOST = 8  # cells side by side into which numbers fit
GAP = 0.1  # inches between the heading and the titles under it
TRIMS = 3
LONGEST = 9  # letters of a name on an axis


@dressed
def speaker_matrix(
    speakers: pd.DataFrame, head: tuple[int, int] | None = None, *, fig: Figure | SubFigure | None = None
) -> list[Axes]:
    """Density M[s, s'] as shares of its rows, at live and at all frames; white is chance.

    Args:
        speakers: The table of the speaker metrics.
        head: Layer and head; by default the mean over all of them.
        fig: To draw into.

    Example:
        >>> axes = figures.speaker_matrix(tables["speakers"], head=(2, 0))
        >>> [label.get_text() for label in axes[0].get_xticklabels()]
        ['Eva', 'Cleo', 'Ada', 'Dan', 'Ben']
    """
    layer, which = head or (OVER, OVER)
    rows = rows_of(speakers, "speaker_density", layer=layer, head=which)
    names = speakers_of(rows)
    parts = {label: row_shares(rows[rows["frames"] == frames], names) for frames, label in FRAMES.items()}
    return _matrices(parts, names, fig)


@dressed
def speaker_matrices(
    speakers: pd.DataFrame,
    groups: int | Sequence[tuple[int, int]] = 3,
    *,
    frames: str = "live",
    fig: Figure | SubFigure | None = None,
) -> list[Axes]:
    """The matrix by depth: densities, mean over heads and over the layers of a group, as shares of their rows.

    Args:
        speakers: The table of the speaker metrics.
        groups: How many groups of neighbouring layers, or first and last layer of each.
        frames: `live` or `all`.
        fig: To draw into.

    Example:
        >>> axes = figures.speaker_matrices(tables["speakers"], groups=[(0, 2), (3, 5)])
        >>> [ax.get_title() for ax in axes]
        ['layers 0-2', 'layers 3-5']
    """
    rows = rows_of(speakers, "speaker_density", head=OVER, frames=frames)
    rows = rows[rows["layer"] != OVER]
    layers = np.sort(rows["layer"].unique())
    if isinstance(groups, int):
        chunks = [chunk for chunk in np.array_split(layers, min(groups, len(layers))) if len(chunk)]
        groups = [(int(chunk[0]), int(chunk[-1])) for chunk in chunks]
    names, parts = speakers_of(rows), {}
    for low, high in groups:
        label = f"layers {low}-{high}" if high > low else f"layer {low}"
        parts[label] = row_shares(rows[rows["layer"].between(low, high)], names)
    return _matrices(parts, names, fig)


def _matrices(parts: dict[str, NDArray[np.float64]], names: list[str], fig: Figure | SubFigure | None) -> list[Axes]:
    """Matrices side by side, one scale for all, centred at chance; a row for everybody whose words say something."""
    speaking = np.logical_or.reduce([np.isfinite(part).any(1) for part in parts.values()])
    center = chance_of(parts.values())
    norm = around(list(parts.values()), center)
    rows = np.flatnonzero(speaking) if speaking.any() else np.arange(len(names))
    figure = new_figure(COLUMN, _height(len(parts), len(rows), short_labels(names, LONGEST))) if fig is None else fig
    axes = list(figure.subplots(1, len(parts), sharey=True, squeeze=False)[0])
    for ax, (title, part) in zip(axes, parts.items(), strict=True):
        numbers = len(names) * len(parts) <= MOST
        image = draw_matrix(ax, part, names, rows, norm, DIVERGING, numbers=numbers)
        ax.set_title(title, fontsize=scaled(7.5))
    axes[0].set_ylabel("words of")
    over = heading(figure, f"Who attends to whom (n = {len(names)} speakers)")
    _bar(figure, image, axes, center)
    if fig is None:
        _trim(figure_of(axes), axes, over)
    return axes


def draw_matrix(
    ax: Axes,
    part: NDArray[np.float64],
    names: Sequence[str],
    rows: NDArray[np.intp],
    norm: Normalize,
    cmap: str,
    *,
    numbers: bool = True,
    signed: bool = False,
) -> QuadMesh:
    """One matrix [S, S] of the speakers, some of its rows, with names, own cells outlined.

    Args:
        ax: Axes to draw into.
        part: The matrix.
        names: Names of the speakers.
        rows: Which rows are drawn.
        norm: The colour scale.
        cmap: Its colours.
        numbers: Whether to write them into the cells.
        signed: Whether they are changes, written with their sign.
    """
    labels = short_labels(names, LONGEST)
    cells = pd.DataFrame(part[rows], [labels[row] for row in rows], labels)
    texts = cells.map(_signed if signed else _share) if numbers else False
    font: dict[str, Any] = {"fontsize": scaled(6.5)}
    sns.heatmap(
        cells, ax=ax, norm=norm, vmin=norm.vmin, vmax=norm.vmax, cmap=cmap, square=True, cbar=False,
        annot=texts, fmt="", annot_kws=font, xticklabels=1, yticklabels=1,
    )  # fmt: skip
    ax.set_facecolor(UNDEFINED)
    for text, value in zip(ax.texts, part[rows][np.isfinite(part[rows])], strict=False):
        text.set_color("white" if abs(float(norm(value)) - 0.5) > PALE else ON_MAP)  # seaborn's white is pale on blue
    for y, own in enumerate(rows):
        ax.add_patch(Rectangle((own, y), 1, 1, fill=False, edgecolor="black", linewidth=scaled(1), clip_on=False))
    for y, x in zip(*np.nonzero(np.isnan(part[rows]) & numbers), strict=True):
        ax.text(x + 0.5, y + 0.5, "—", ha="center", va="center", color=ON_MAP, **font)
    ax.tick_params(axis="x", rotation=90, labelsize=scaled(6.5))
    ax.tick_params(axis="y", rotation=0, labelsize=scaled(6.5))
    ax.set_xlabel("pixels of")
    (mesh,) = (part for part in ax.collections if isinstance(part, QuadMesh))
    remark(ax, _in_words(part[rows], names, rows, signed=signed))
    return mesh


def _in_words(part: NDArray[np.float64], names: Sequence[str], rows: NDArray[np.intp], *, signed: bool) -> str:
    """At whom the words of each speaker look most; of a change, what changed most."""
    if signed:
        if not np.isfinite(part).any():
            return "not defined"
        row, column = divmod(int(np.nanargmax(np.abs(part))), len(names))
        whom = f"from the words of {names[rows[row]]} to {names[column]}"
        return f"largest change {_signed(float(part[row, column]))}, {whom}"
    most = [
        f"{names[own]} looks most at {names[int(np.nanargmax(line))]} ({_share(float(np.nanmax(line)))})"
        for own, line in zip(rows, part, strict=True)
        if np.isfinite(line).any()
    ]
    return "; ".join(most) or "not defined"


def _height(parts: int, rows: int, labels: list[str]) -> float:
    """Inches that square cells, names under them and a colour bar take."""
    cell = (COLUMN - 0.45 - 0.05 * max(map(len, labels), default=0)) / max(parts * len(labels), 1)
    return 1.25 + min(rows * cell, 1.5) + 0.06 * max(map(len, labels), default=0)


def _trim(figure: Figure, axes: Sequence[Axes], over: Text) -> None:
    """Take away what `_height` gave too much: an empty band under the heading, since cells stay square."""
    engine = figure.get_layout_engine()
    assert engine is not None
    give_fonts(figure)
    for _ in range(TRIMS):  # gaps elsewhere shrink with it, so that once is not enough
        engine.execute(figure)
        top = max(box.y1 for ax in axes if (box := ax.get_tightbbox()) is not None)
        empty = (over.get_window_extent().y0 - top) / figure.dpi - scaled(GAP)
        figure.set_figheight(figure.get_figheight() - max(0.0, empty))


def _bar(figure: Figure | SubFigure, image: QuadMesh, axes: list[Axes], center: float) -> None:
    colorbar = figure.colorbar(image, ax=axes, location="bottom", pad=0.05, aspect=32, shrink=0.9, ticks=MaxNLocator(5))
    colorbar.set_label(f"{UNIT} (white: chance {center:.2g}; outlined: own)", fontsize=scaled(7))
    colorbar.outline.set_linewidth(scaled(0.4))
    low, high = colorbar.ax.get_xlim()
    if low < 0:
        colorbar.ax.set_xlim(0, high)


def _share(value: float) -> str:
    """A share as it stands in its cell."""
    return f"{value:.2f}".lstrip("0") if value < 1 else f"{value:.0f}"


def _signed(value: float) -> str:
    """A change as it stands in its cell."""
    return f"{value:+.2f}".replace("-", "−").replace("0.", ".") if abs(value) >= 0.005 else "0"


@dressed
def matrices_change(
    before: pd.DataFrame, after: pd.DataFrame, frames: str, *, fig: Figure | SubFigure | None = None
) -> list[Axes]:
    """Density M[s, s'] as shares of its rows before and after on one scale, and the change on another.

    Args:
        before: The table of the speaker metrics of the first capture.
        after: The tables of the second.
        frames: `live` or `all`.
        fig: To draw into.
    """
    first, second, names = matrices_of(before, after, frames)
    rows = np.flatnonzero(np.isfinite(first).any(1) | np.isfinite(second).any(1))
    norm, change = around([first, second], chance_of([first, second])), second - first
    width = min(PAGE, 3 * (0.5 + 0.42 * len(names)) + 1.6)
    figure = new_figure(width, 1.15 + 0.3 * max(len(rows), 2)) if fig is None else fig
    axes = list(figure.subplots(1, 3, sharey=True))
    numbers = len(names) <= 6
    draw_matrix(axes[0], first, names, rows, norm, DIVERGING, numbers=numbers)
    shares = draw_matrix(axes[1], second, names, rows, norm, DIVERGING, numbers=numbers)
    own = around_change(change, [first, second])
    changes = draw_matrix(axes[2], change, names, rows, own, CHANGE, numbers=numbers, signed=True)
    for ax, title in zip(axes, ("Before", "After", "Change"), strict=True):
        ax.set_title(title)
    for mesh, beside, label in ((shares, axes[:2], "share of a row"), (changes, axes[2], "change")):
        colorbar = figure.colorbar(mesh, ax=beside, pad=0.02, aspect=14)
        colorbar.set_label(label)
        colorbar.outline.set_linewidth(scaled(0.4))
        if mesh is shares:
            colorbar.ax.set_ylim(bottom=max(0.0, colorbar.ax.get_ylim()[0]))  # no share lies below 0
    axes[0].set_ylabel("words of")
    heading(figure, f"Who attends to whom (n = {len(names)} speakers)")
    return axes


def matrices_of(
    before: pd.DataFrame, after: pd.DataFrame, frames: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str]]:
    """The matrices before and after [S, S] of the mean over layers and heads, and the speakers."""
    parts = [rows_of(t, "speaker_density", layer=OVER, head=OVER, frames=frames) for t in (before, after)]
    names = speakers_of(parts[0])
    return row_shares(parts[0], names), row_shares(parts[1], names), names


# Does the attention of words find the box of the one who says them? Grounding AUC by layer and head.


AUC_CHANCE = 0.5


@dressed
def grounding_maps(
    grounding: pd.DataFrame,
    speaker: str = "",
    *,
    fig: Figure | SubFigure | None = None,
) -> list[Axes]:
    """Grounding AUC of every head at the frames live for the words, and over all frames, on one scale.

    Args:
        grounding: The table of the family, of one capture, or over clips.
        speaker: Whose words and box; by default the mean over speakers.
        fig: To draw into.

    Returns:
        One axes for each choice of frames at which the AUC is defined; at least one.

    Example:
        >>> axes = figures.grounding_maps(tables["grounding"], "Dan")
        >>> [ax.get_title().splitlines() for ax in axes]
        [['Live frames', 'n = 2 cells'], ['All frames', 'n = 8 cells']]
    """
    maps: dict[str, tuple[Grid, str]] = {}
    for frames, label in FRAMES.items():
        rows = as_curves(rows_of(grounding, "grounding_auc", frames=frames, speaker=speaker, turn=OVER))
        if rows["value"].notna().any():
            n, things = (
                (clips(rows), "clip") if clips(rows) else (int(rows["n"].max()), "cell" if speaker else "speaker")
            )
            maps[label] = grid(rows), f"{n} {things}{'s' * (n != 1)}"
    maps = maps or {FRAMES["live"]: (Grid(np.full((1, 1), np.nan), [0], [0]), "0 speakers")}
    data = [values for values, _ in maps.values()]
    height = float(np.clip(1.35 + 0.1 * len(data[0].layers), 2.1, 3.6))
    figure = new_figure(COLUMN, height) if fig is None else fig
    axes = list(figure.subplots(1, len(maps), sharey=True, squeeze=False)[0])
    norm = around([values.values for values in data], AUC_CHANCE)
    for ax, (label, (values, basis)) in zip(axes, maps.items(), strict=True):
        image = draw_map(ax, values, norm, DIVERGING)
        ax.set_title(f"{label}\nn = {basis}", fontsize=scaled(7.5))
        if ax is not axes[0]:
            ax.set_ylabel("")
    bar(image, axes, f"AUC ({AUC_CHANCE:g} = chance)")
    heading(figure, f"Grounding AUC, words of {speaker}" if speaker else "Grounding AUC")
    return axes

"""Who attends to whom: the density matrix of the speakers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from attnscope.metrics import OVER
from attnscope.report.figures.heads import Grid, around, bar, draw_map, grid, with_grey
from attnscope.report.figures.lines import clips, over_captures, rows_of
from attnscope.report.figures.style import (
    COLUMN,
    DIVERGING,
    dressed,
    figure_of,
    give_fonts,
    heading,
    new_figure,
    scaled,
    short_labels,
)

FRAMES = {"live": "Live frames", "all": "All frames"}
UNIT = "share of a row"
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
        speakers: the table of the speaker metrics.
        head: layer and head; by default the mean over all of them.
        fig: to draw into.
    """
    layer, which = head or (OVER, OVER)
    rows = rows_of(speakers, "speaker_density", layer=layer, head=which)
    names = matrix_names(rows)
    parts = {said: shares(rows[rows["frames"] == frames], names) for frames, said in FRAMES.items()}
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
        speakers: the table of the speaker metrics.
        groups: how many groups of neighbouring layers, or first and last layer of each.
        frames: `live` or `all`.
        fig: to draw into.
    """
    rows = rows_of(speakers, "speaker_density", head=OVER, frames=frames)
    rows = rows[rows["layer"] != OVER]
    layers = np.sort(rows["layer"].unique())
    if isinstance(groups, int):
        chunks = [chunk for chunk in np.array_split(layers, min(groups, len(layers))) if len(chunk)]
        groups = [(int(chunk[0]), int(chunk[-1])) for chunk in chunks]
    names, parts = matrix_names(rows), {}
    for low, high in groups:
        said = f"layers {low}-{high}" if high > low else f"layer {low}"
        parts[said] = shares(rows[rows["layer"].between(low, high)], names)
    return _matrices(parts, names, fig)


def drawable(speakers: pd.DataFrame) -> bool:
    """Whether any words can be compared over the pixels of two speakers."""
    rows = rows_of(speakers, "speaker_density", head=OVER)
    return any(np.isfinite(shares(part)).any() for _, part in rows.groupby("frames"))


def shares(rows: pd.DataFrame, names: list[str] | None = None) -> NDArray[np.float64]:
    """Densities as shares of their row [S, S], averaged over layers and captures; NaN in a row with a single number."""
    names = matrix_names(rows) if names is None else names
    wide = rows.pivot_table(index="speaker", columns="target", values="value", aggfunc="mean", dropna=False)
    m = wide.reindex(index=names, columns=names).to_numpy(np.float64, copy=True)
    m[np.isfinite(m).sum(1) < 2] = np.nan  # a share needs something to be a share of
    total = np.nansum(m, axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(m / np.where(total > 0, total, np.nan))


def matrix_names(rows: pd.DataFrame) -> list[str]:
    """The speakers of a matrix, in their order."""
    return [str(name) for name in dict.fromkeys(rows["speaker"])]


def _matrices(parts: dict[str, NDArray[np.float64]], names: list[str], fig: Figure | SubFigure | None) -> list[Axes]:
    """Matrices side by side, one scale for all, centred at chance; a row for everybody whose words say something."""
    said = np.logical_or.reduce([np.isfinite(part).any(1) for part in parts.values()])
    chance = [1 / np.isfinite(row).sum() for part in parts.values() for row in part if np.isfinite(row).any()]
    center = float(np.mean(chance)) if chance else 0.5
    norm = around(list(parts.values()), center)
    rows = np.flatnonzero(said) if said.any() else np.arange(len(names))
    figure = new_figure(COLUMN, _height(len(parts), len(rows), short_labels(names, LONGEST))) if fig is None else fig
    axes = list(figure.subplots(1, len(parts), sharey=True, squeeze=False)[0])
    for ax, (title, part) in zip(axes, parts.items(), strict=True):
        numbers = len(names) * len(parts) <= MOST
        image = draw_matrix(ax, part, names, rows, norm, with_grey(DIVERGING), numbers=numbers)
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
    cmap: Colormap,
    *,
    numbers: bool = True,
    signed: bool = False,
) -> AxesImage:
    """One matrix [S, S] of the speakers, some of its rows, with names, own cells outlined.

    Args:
        ax: axes to draw into.
        part: the matrix.
        names: of the speakers.
        rows: which rows are drawn.
        norm: the colour scale.
        cmap: its colours.
        numbers: whether to write them into the cells.
        signed: whether they are changes, written with their sign.
    """
    image = ax.imshow(part[rows], norm=norm, cmap=cmap, aspect="equal")
    if numbers:
        _numbers(ax, part[rows], norm, signed=signed)
    for y, own in enumerate(rows):
        ax.add_patch(Rectangle((own - 0.5, y - 0.5), 1, 1, fill=False, edgecolor="black", linewidth=scaled(1)))
    labels = short_labels(names, LONGEST)
    ax.set_xticks(range(len(names)), labels, rotation=90, fontsize=scaled(6.5))
    ax.set_yticks(range(len(rows)), [labels[row] for row in rows], fontsize=scaled(6.5))
    ax.set_xlabel("pixels of")
    ax.grid(visible=False)
    return image


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


def _bar(figure: Figure | SubFigure, image: AxesImage, axes: list[Axes], center: float) -> None:
    colorbar = figure.colorbar(image, ax=axes, location="bottom", pad=0.05, aspect=32, shrink=0.9, ticks=MaxNLocator(5))
    colorbar.set_label(f"{UNIT} (white: chance {center:.2g}; outlined: own)", fontsize=scaled(7))
    colorbar.outline.set_linewidth(scaled(0.4))
    low, high = colorbar.ax.get_xlim()
    if low < 0:
        colorbar.ax.set_xlim(0, high)


def _numbers(ax: Axes, part: NDArray[np.float64], norm: Normalize, *, signed: bool = False) -> None:
    """The shares in their cells; a dash where there is none."""
    for (y, x), value in np.ndenumerate(part):
        known = np.isfinite(value)
        said = f"{value:.2f}".lstrip("0") if known and value < 1 else f"{value:.0f}" if known else "—"
        if signed and known:
            said = f"{value:+.2f}".replace("-", "−").replace("0.", ".") if abs(value) >= 0.005 else "0"
        dark = known and abs(float(norm(value)) - 0.5) > 0.32
        ax.text(x, y, said, ha="center", va="center", fontsize=scaled(6.5), color="white" if dark else "black")


# Does the attention of words find the box of the one who says them? Grounding AUC by layer and head.


AUC_CHANCE = 0.5


@dressed
def grounding_maps(
    grounding: pd.DataFrame,
    speaker: str = "",
    *,
    about: pd.DataFrame | None = None,
    fig: Figure | SubFigure | None = None,
) -> list[Axes]:
    """Grounding AUC of every head at the frames live for the words, and over all frames, on one scale.

    Args:
        grounding: the table of the family, of one capture or of several.
        speaker: whose words and box; by default the mean over speakers.
        about: what the captures are of (`attnscope.metrics.clips.keys.labels`).
        fig: to draw into.

    Returns:
        One axes for each choice of frames at which the AUC is defined; at least one.
    """
    found: dict[str, tuple[Grid, int, int]] = {}  # map, n of one capture, clips
    for frames, said in FRAMES.items():
        rows = rows_of(grounding, "grounding_auc", frames=frames, speaker=speaker, turn=OVER)
        if not rows["value"].notna().any():
            continue
        pooled = over_captures(rows, about)
        found[said] = grid(pooled), int(rows["n"].max()), clips(pooled)
    if not found:
        found["Live frames"] = Grid(np.full((1, 1), np.nan), [0], [0]), 0, 0
    maps = [data for data, _, _ in found.values()]
    height = float(np.clip(1.35 + 0.1 * len(maps[0].layers), 2.1, 3.6))
    figure = new_figure(COLUMN, height) if fig is None else fig
    axes = list(figure.subplots(1, len(found), sharey=True, squeeze=False)[0])
    norm = around([data.values for data in maps], AUC_CHANCE)
    for ax, (said, (data, n, count)) in zip(axes, found.items(), strict=True):
        image = draw_map(ax, data, norm, DIVERGING)
        of = (
            f"{count} clip{'s' * (count != 1)}"
            if count
            else f"{n} cells"
            if speaker
            else f"{n} speaker" + "s" * (n != 1)
        )
        ax.set_title(f"{said}\nn = {of}", fontsize=scaled(7.5))
        if ax is not axes[0]:
            ax.set_ylabel("")
    bar(image, axes, f"AUC ({AUC_CHANCE:g} = chance)")
    heading(figure, f"Grounding AUC, words of {speaker}" if speaker else "Grounding AUC")
    return axes

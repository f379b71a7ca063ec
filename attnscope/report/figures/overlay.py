"""Attention drawn over the frames that the model saw."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from attnscope.report.figures.heads import around
from attnscope.report.figures.stage import Stage, choose, paint
from attnscope.report.style import PAGE, SEQUENTIAL, literal, new_figure

HEAT = (0.15, 0.8)  # opacity over the frame where there is no attention (or change), and where it is largest
TOP = 99.5  # percentile at which the colour scale ends: a sink would leave all else dark
UNIT = "attention per token\n(× uniform)"


def overlay(on: Stage, values: NDArray[np.float64], *, title: str, speaker: str | None, most: int = 12) -> Figure:
    """Attention over the frames in their order in time, on one colour scale.

    Args:
        on: the frames and places.
        values: one number a token, [P], relative to uniform attention.
        title: of the figure.
        speaker: whose box is drawn in full; other speakers' boxes are dashed.
        most: frames to draw at most, evenly chosen, with those where the speaker talks preferred.
    """
    frames = choose(on, most)
    columns = min(4, len(frames))
    rows = -(-len(frames) // columns)
    figure, axes = _canvas(on, rows, columns)
    norm, clipped = scale(on, [values])
    image = None
    for i, ax in enumerate(every := [ax for row in axes for ax in row]):
        if i >= len(frames):
            ax.set_visible(False)
            continue
        image = draw(ax, on, values, frames[i], norm, SEQUENTIAL)
        name_frame(ax, on, frames[i])
        draw_boxes(ax, on, frames[i], speaker)
    if image is not None:
        bar = figure.colorbar(image, ax=every, extend="max" if clipped else "neither", pad=0.015, aspect=18)
        bar.set_label(UNIT)
    figure.suptitle(literal(title) + _left_out(on, frames), fontsize=8.5, fontweight="bold")
    return figure


def overlay_change(
    on: Stage,
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    *,
    title: str,
    speaker: str | None,
    most: int = 4,
) -> Figure:
    """Attention before and after on one colour scale, and their difference; one column a frame."""
    frames = choose(on, most)
    figure, axes = _canvas(on, 3, len(frames))
    norm, clipped = scale(on, [before, after])
    shown = on.placed
    change = after - before
    reach = np.percentile(np.abs(change[shown]), TOP) if shown.any() else 0.0
    change_norm = around([np.array([reach, -reach])], 0.0)
    for row, (values, name) in enumerate(((before, "Before"), (after, "After"), (change, "Change"))):
        for ax, f in zip(axes[row], frames, strict=True):
            image = draw(ax, on, values, f, change_norm if row == 2 else norm, "PuOr_r" if row == 2 else SEQUENTIAL)
            draw_boxes(ax, on, f, speaker)
            if row == 0:
                name_frame(ax, on, f)
        axes[row][0].set_ylabel(name, fontweight="bold")
        if row == 1:
            figure.colorbar(
                image, ax=[*axes[0], *axes[1]], extend="max" if clipped else "neither", pad=0.015, aspect=26
            ).set_label(UNIT)
        if row == 2:
            over = bool(shown.any() and np.abs(change[shown]).max() > reach)
            figure.colorbar(image, ax=axes[2], extend="both" if over else "neither", pad=0.015, aspect=13).set_label(
                "change\n(× uniform)"
            )
    figure.suptitle(literal(title) + _left_out(on, frames), fontsize=8.5, fontweight="bold")
    return figure


def scale(on: Stage, values: list[NDArray[np.float64]]) -> tuple[Normalize, bool]:
    """A shared colour scale from 0, and whether values lie above its end."""
    shown = np.concatenate([v[on.placed] for v in values])
    if not len(shown) or not np.isfinite(shown).any() or np.nanmax(shown) <= 0:
        return Normalize(0.0, 1.0), False
    top = float(np.nanpercentile(shown, TOP)) or float(np.nanmax(shown))
    return Normalize(0.0, top), bool(np.nanmax(shown) > top)


def draw(ax: Axes, on: Stage, values: NDArray[np.float64], frame: int, norm: Normalize, cmap: str) -> AxesImage:
    """One frame with the attention on its tokens; parts that no token shows stay grey."""
    width, height = on.size
    extent = (0, width, height, 0)
    ax.imshow(on.images[frame], extent=extent)
    heat = paint(on, values, frame)
    ends = max(abs(norm.vmin or 0.0), abs(norm.vmax or 0.0)) or 1.0
    strength = np.clip(np.abs(np.nan_to_num(np.ma.filled(heat, 0.0))) / ends, 0, 1)
    image = ax.imshow(
        heat,
        extent=extent,
        norm=norm,
        cmap=colormaps[cmap],
        alpha=HEAT[0] + (HEAT[1] - HEAT[0]) * strength,  # the frame stays visible where little attention falls
        interpolation="nearest",
    )
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return image


def draw_boxes(ax: Axes, on: Stage, frame: int, speaker: str | None) -> None:
    """The chosen speaker's box, named; the others' thin and dashed."""
    width, height = on.size
    for name, boxes in on.boxes.items():
        x0, y0, x1, y1 = boxes[frame]
        if not np.isfinite(x0):
            continue
        chosen = name == speaker
        for color, extra in (("black", 1.0), ("white", 0.0)):  # readable over light and dark
            ax.add_patch(
                Rectangle(
                    (x0, y0),
                    x1 - x0,
                    y1 - y0,
                    fill=False,
                    edgecolor=color,
                    linewidth=(1.4 if chosen else 0.7) + extra,
                    linestyle="-" if chosen or extra else (0, (3, 2)),
                    alpha=1.0 if chosen else 0.8,
                )
            )
        if chosen:
            late = x0 > 0.6 * width  # the name is written towards the middle, or the frame's edge would cut it
            above = y0 > 0.12 * height  # over the box where there is room, so that it hides no face
            ax.text(
                (min(x1, width) - 0.015 * width) if late else max(x0, 0) + 0.015 * width,
                y0 - 0.02 * height if above else np.clip(y0 + 0.02 * height, 0, 0.88 * height),
                literal(name),
                va="bottom" if above else "top",
                ha="right" if late else "left",
                fontsize=6.5,
                fontweight="bold",
                color="white",
                clip_on=True,
                path_effects=[withStroke(linewidth=1.6, foreground="black")],
            )
    ax.set_xlim(0, width)
    ax.set_ylim(height, 0)


def name_frame(ax: Axes, on: Stage, frame: int) -> None:
    """The time of a frame, and whether the speaker talks."""
    if on.kind == "image":
        return
    time = on.times[frame]
    name = f"{time:.2f} s" if on.kind == "video" and np.isfinite(time) else f"frame {frame}"
    ax.set_title(
        name + (" · talking" if on.live[frame] else ""),
        fontsize=7,
        fontweight="bold" if on.live[frame] else "normal",
        pad=2.5,
    )


def _canvas(on: Stage, rows: int, columns: int) -> tuple[Figure, list[list[Axes]]]:
    """A page-wide figure of panels in the frames' shape."""
    width, height = on.size
    panel = min((PAGE - 0.9) / max(columns, 2), 3.0 * width / height)
    figure = new_figure(min(PAGE, panel * columns + 0.9), rows * (max(panel * height / width, 0.55) + 0.2) + 0.5)
    return figure, [list(row) for row in figure.subplots(rows, columns, squeeze=False)]


def _left_out(on: Stage, frames: list[int]) -> str:
    return f"  ({len(frames)} of {len(on.times)} frames)" if len(frames) < len(on.times) else ""

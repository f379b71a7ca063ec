"""Attention drawn over the frames that the model saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from attnscope.report.figures.frames.backdrop import Backdrop, choose, paint
from attnscope.report.figures.frames.placement import LETTER, place_names
from attnscope.report.figures.frames.shading import COLORS, TOP, label_ratios, ratio_scale, shade
from attnscope.report.figures.heads import around_change
from attnscope.report.figures.labels import current, middle
from attnscope.report.figures.style import CHANGE, PAGE, dressed, heading, new_figure, remark, scaled, short

TARGET = "#F0E442"  # the box of whom a correction draws the answer to, in a colour that no scale has over grey
WIDE = 0.5  # of a frame that a name takes at most
NAME = 6.5  # points of the chosen speaker's name


@dressed
def overlay(
    on: Backdrop,
    values: NDArray[np.float64],
    *,
    title: str,
    speaker: str | None,
    most: int = 12,
    columns: int = 4,
    width: float = PAGE,
) -> list[Axes]:
    """Attention over the frames in their order in time, on one colour scale.

    Args:
        on: The frames and places.
        values: One number a token, [P], relative to uniform attention.
        title: Title of the figure.
        speaker: Whose box is drawn in full; other speakers' boxes are dashed.
        most: Frames to draw at most, evenly chosen, with those where the speaker talks preferred.
        columns: Frames side by side; two fit into a column of a paper.
        width: Width of the figure, in inches on paper.

    Returns:
        One axes a frame.

    Example:
        >>> lift = cap.maps(layer=2, head=0, group="answer_position").values * cap.prompt_length
        >>> on = figures.read_backdrop(cap, "Dan")
        >>> len(figures.overlay_frames(on, lift, title="Answer", speaker="Dan", most=4))
        4
    """
    frames = choose(on, most)
    columns = min(columns, len(frames))
    figure, panels = canvas(on, -(-len(frames) // columns), columns, width)
    axes = [ax for row in panels for ax in row]
    norm, extend = scale(on, [values])
    for ax in axes[len(frames) :]:
        ax.set_visible(False)
    for ax, frame in zip(axes, frames, strict=False):
        draw(ax, on, values, frame, norm)
        name_frame(ax, on, frame)
        draw_boxes(ax, on, frame, speaker)
    label_ratios(shade_bar(figure, norm, COLORS, axes, extend, 18), norm)
    remark(axes[0], in_words(on, values))
    heading(figure, title + _left_out(on, frames))
    return axes[: len(frames)]


@dressed
def overlay_change(
    on: Backdrop,
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    *,
    title: str,
    speaker: str | None,
    most: int = 4,
    after_images: NDArray[np.uint8] | None = None,
    target: str | None = None,
) -> list[Axes]:
    """Attention before and after on one colour scale, and their difference; one column a frame.

    Args:
        on: The frames and places.
        before: One number a token, [P], relative to uniform attention.
        after: The same of the second capture, in the places of the first.
        title: Title of the figure.
        speaker: Whose box is drawn in full; other speakers' boxes are dashed.
        most: Frames to draw at most.
        after_images: [F, h, w, 3] what was shown after, where that may be something else.
        target: To whom a correction draws the attention: the box is drawn in full and in a colour of its own.

    Example:
        >>> maps = [one.maps(layer=2, head=0, group="answer_position").values for one in (cap, after)]
        >>> before, corrected = (values * cap.prompt_length for values in maps)
        >>> on = figures.read_backdrop(cap, "Dan")
        >>> len(figures.overlay_change(on, before, corrected, title="Answer", speaker="Dan", most=2))
        6
    """
    frames = choose(on, most)
    figure, axes = canvas(on, 3, len(frames), PAGE)
    norm, extend = scale(on, [before, after])
    later = on if after_images is None else replace(on, images=after_images)
    change = after - before
    defined = on.placed & np.isfinite(change)
    reach = np.percentile(np.abs(change[defined]), TOP) if defined.any() else 0.0
    change_norm = around_change(np.array([reach]), [np.array([_top(on, [before, after])])])
    over = bool(defined.any() and np.abs(change[defined]).max() > (change_norm.vmax or 0.0))
    for row, (values, name) in enumerate(((before, "Before"), (after, "After"), (change, "Change"))):
        for ax, f in zip(axes[row], frames, strict=True):
            colors = (change_norm, CHANGE) if row == 2 else (norm, COLORS)
            draw(ax, later if row == 1 else on, values, f, *colors)
            draw_boxes(ax, on, f, speaker, target)
            if row == 0:
                name_frame(ax, on, f)
        axes[row][0].set_ylabel(name, fontweight="bold")
        if row == 1:
            label_ratios(shade_bar(figure, norm, COLORS, [*axes[0], *axes[1]], extend, 26), norm)
        if row == 2:
            bar = shade_bar(figure, change_norm, CHANGE, axes[2], "both" if over else "neither", 13)
            bar.set_label("change\n(times uniform)")
    for panels, some, name in zip(axes, (before, after), ("before", "after"), strict=False):
        remark(panels[0], f"{name}: {in_words(on, some)}")
    heading(figure, title + _left_out(on, frames))
    return [ax for row in axes for ax in row]


def in_words(on: Backdrop, values: NDArray[np.float64]) -> str:
    """Where attention over the frames is highest: when, and on whom.

    Args:
        on: The frames and places.
        values: One number a token, [P], relative to uniform attention.
    """
    known = on.placed & np.isfinite(values)
    if not known.any():
        return "not defined on the frames"
    at = int(np.flatnonzero(known)[np.argmax(values[known])])
    frame = int(on.first[at])
    x, y = (on.cells[at, :2] + on.cells[at, 2:]) / 2
    inside = [
        name
        for name, boxes in on.boxes.items()
        if np.isfinite(boxes[frame]).all()
        and boxes[frame, 0] <= x <= boxes[frame, 2]
        and boxes[frame, 1] <= y <= boxes[frame, 3]
    ]
    where = f"inside the box of {' and of '.join(inside)}" if inside else "outside of all boxes"
    when = (
        f" at {on.times[frame]:.2f} s" if on.kind == "video" and np.isfinite(on.times[frame]) else f" in frame {frame}"
    )
    return f"highest {short(float(values[at]))} times uniform attention{'' if on.kind == 'image' else when}, {where}"


@dressed
def frames_change(on: Backdrop, before: NDArray[np.uint8], after: NDArray[np.uint8], *, most: int = 4) -> list[Axes]:
    """Frames before and after, in their colours.

    Args:
        on: Their places in time.
        before: [F, h, w, 3] what was shown before.
        after: The same of the second capture.
        most: Frames to draw at most.
    """
    quiet = replace(on, live=np.zeros_like(on.live))
    frames = choose(quiet, most)
    figure, axes = canvas(on, 2, len(frames), PAGE)
    for row, images, when in zip(axes, (before, after), ("Before", "After"), strict=True):
        for ax, frame in zip(row, frames, strict=True):
            ax.imshow(images[frame])
            ax.set_xticks([])
            ax.set_yticks([])
            ax.grid(visible=False)
            ax.spines[:].set_visible(False)
            if when == "Before":
                name_frame(ax, quiet, frame)
        row[0].set_ylabel(when, fontweight="bold")
    heading(figure, "What the model was shown")
    return [ax for row in axes for ax in row]


def scale(on: Backdrop, values: Sequence[NDArray[np.float64]]) -> tuple[LogNorm, str]:
    """The colour scale that numbers [P] share where tokens have places, and beyond which of its ends some lie."""
    return ratio_scale([some[on.placed] for some in values])


def draw(
    ax: Axes, on: Backdrop, values: NDArray[np.float64], frame: int, norm: Normalize, cmap: str = COLORS
) -> AxesImage:
    """One frame with the attention on its tokens; parts that no token shows stay grey."""
    width, height = on.size
    extent = (0, width, height, 0)
    ax.imshow(on.grey(frame), extent=extent)
    image = ax.imshow(np.dstack(shade(paint(on, values, frame), norm, cmap)), extent=extent, interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return image


def shade_bar(figure: Figure, norm: Normalize, cmap: str, axes: Sequence[Axes], extend: str, aspect: float) -> Colorbar:
    """A colour bar whose colours are as strong as over the frames, on white."""
    level = np.linspace(0, 1, 256)
    colors, opacity = shade(np.asarray(norm.inverse(level), np.float64)[None], norm, cmap)
    mixed = ListedColormap((1 - opacity[0, :, None]) + colors[0] * opacity[0, :, None])
    mappable = ScalarMappable(norm, mixed)
    return figure.colorbar(mappable, ax=list(axes), extend=extend, pad=0.015, aspect=aspect)


def _top(on: Backdrop, values: Sequence[NDArray[np.float64]]) -> float:
    """The number that few lie above, of tokens with places."""
    placed = np.concatenate([some[on.placed] for some in values])
    return float(np.nanpercentile(placed, TOP)) if np.isfinite(placed).any() else 0.0


def draw_boxes(ax: Axes, on: Backdrop, frame: int, speaker: str | None, target: str | None = None) -> None:
    """Everybody's box with the name: the chosen speaker's and the target's in full, the others' thin and dashed."""
    width, height = on.size
    ax.set_xlim(0, width)
    ax.set_ylim(height, 0)
    visible = {name: boxes[frame] for name, boxes in on.boxes.items() if np.isfinite(boxes[frame]).all()}
    for name, (x0, y0, x1, y1) in visible.items():
        chosen = name in (speaker, target)
        bright = TARGET if name == target else "white"
        for color, extra in (("black", 1.0), (bright, 0.0)):  # readable over light and dark
            edge = Rectangle(
                (x0, y0),
                x1 - x0,
                y1 - y0,
                fill=False,
                edgecolor=color,
                linewidth=scaled((1.4 if chosen else 0.7) + extra),
                linestyle="-" if chosen or extra else (0, (3, 2)),
                alpha=1.0 if chosen else 0.8,
            )
            ax.add_patch(edge)
    room = ax.bbox.width / ax.figure.dpi * 72  # points across the frame, before the layout
    current().learn(visible)
    longest = max(6, int(WIDE * room / scaled(1) / LETTER))
    texts = {name: middle(current().written(name), longest) for name in visible}
    for name, (x, y) in place_names(visible, on.size, room / scaled(1), target or speaker, texts).items():
        chosen = name in (speaker, target)
        ax.text(
            x,
            y,
            texts[name].replace("$", r"\$"),
            va="top",
            ha="left",
            fontsize=scaled(NAME if chosen else NAME - 1),
            fontweight="bold" if chosen else "normal",
            color=TARGET if name == target else "white",
            clip_on=True,
            path_effects=[withStroke(linewidth=scaled(1.5), foreground="black")],
        )


def name_frame(ax: Axes, on: Backdrop, frame: int) -> None:
    """The time of a frame, and whether the speaker talks."""
    if on.kind == "image":
        return
    time = on.times[frame]
    name = f"{time:.2f} s" if on.kind == "video" and np.isfinite(time) else f"frame {frame}"
    ax.set_title(
        name + (" · talking" if on.live[frame] else ""),
        fontsize=scaled(7),
        fontweight="bold" if on.live[frame] else "normal",
        pad=scaled(2.5),
    )


def canvas(on: Backdrop, rows: int, columns: int, page: float) -> tuple[Figure, list[list[Axes]]]:
    """A figure of panels in the frames' shape, at most `page` inches wide on paper."""
    width, height = on.size
    panel = min((page - 0.9) / max(columns, 2), 3.0 * width / height)
    high = max(
        rows * (max(panel * height / width, 0.55) + 0.2) + 0.5, 2.0
    )  # at least what the colour bar's label takes
    figure = new_figure(min(page, panel * columns + 0.9), high)
    return figure, [list(row) for row in figure.subplots(rows, columns, squeeze=False)]


def _left_out(on: Backdrop, frames: list[int]) -> str:
    return f"  ({len(frames)} of {len(on.times)} frames)" if len(frames) < len(on.times) else ""

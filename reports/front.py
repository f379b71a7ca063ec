"""The picture at the top of the README: where the answer looks before and after, with the answers of the model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import attnscope
from attnscope.capture import Capture
from attnscope.metrics.people.cells import cell_lift
from attnscope.report.figures.frames.backdrop import Backdrop, backdrop
from attnscope.report.figures.frames.overlay import draw, draw_boxes, scale, shade_bar
from attnscope.report.figures.frames.shading import COLORS, label_ratios
from attnscope.report.figures.style import PAGE, new_figure, scaled, styled
from attnscope.vocabulary import ANSWER_POSITION

LAYER, ASKED = 2, "Dan"  # the layer that the demo's correction acts in, and whom its question names
Floats = NDArray[np.float64]
RIGHT, WRONG = "#2b8a3e", "#c92a2a"


def front(before: Path, after: Path, out: Path) -> None:
    """Write two panels: attention of the answer position on the whole clip, mean over the heads of one layer.

    Args:
        before: The demo's plain capture.
        after: Its corrected one.
        out: The PNG to write.
    """
    with attnscope.open(before) as plain, attnscope.open(after) as corrected, styled():
        figure = new_figure(PAGE, 3.5)
        axes = list(figure.subplots(1, 2))
        views = [whole_clip(backdrop(cap, None), cell_lift(cap, ANSWER_POSITION, LAYER)) for cap in (plain, corrected)]
        norm, extend = scale(views[0][0], [values for _, values in views])
        for ax, cap, (on, values), how in zip(
            axes, (plain, corrected), views, ("Uncorrected", f"Attention drawn to {ASKED}"), strict=True
        ):
            draw(ax, on, values, 0, norm)
            draw_boxes(ax, on, 0, None, ASKED)
            is_right = answer_of(cap) == cap.scene.answer
            ax.set_title(
                f'{how}: "{answer_of(cap)}" ({"right" if is_right else "wrong"})',
                color=RIGHT if is_right else WRONG,
                fontsize=scaled(10),
                fontweight="bold",
            )
        bar = shade_bar(figure, norm, COLORS, axes, extend, 26)
        label_ratios(bar, norm)
        bar.set_label("attention per cell, times uniform", fontsize=scaled(8))
        figure.suptitle(f'"{plain.scene.question}"', fontsize=scaled(12))
        figure.savefig(out, dpi=200)


def answer_of(cap: Capture) -> str:
    """What the model answered."""
    return str(cap.answer["text"]).strip()


def whole_clip(on: Backdrop, values: Floats) -> tuple[Backdrop, Floats]:
    """All frames on the last one, where the people sit still: a cell has the mean over the clip."""
    cells, inverse = np.unique(on.cells[on.placed], axis=0, return_inverse=True)
    means = np.bincount(inverse.ravel(), values[on.placed]) / np.bincount(inverse.ravel())
    frame = len(on.images) - 1
    first = np.zeros(len(cells), np.int64)
    boxes = {name: box[[frame]] for name, box in on.boxes.items()}
    images, times, live = on.images[[frame]], on.times[[frame]], on.live[[frame]]
    return replace(on, images=images, times=times, live=live, boxes=boxes, cells=cells, first=first, last=first), means

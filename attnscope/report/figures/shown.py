"""What a model was shown before and after, where a correction changed the frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from attnscope.report.figures.overlay import canvas, name_frame
from attnscope.report.figures.stage import Stage, choose
from attnscope.report.style import PAGE, dressed, heading


@dressed
def frames_shown(on: Stage, before: NDArray[np.uint8], after: NDArray[np.uint8], *, most: int = 4) -> list[Axes]:
    """Frames before and after, in their colours.

    Args:
        on: their places in time.
        before: [F, h, w, 3] what was shown before.
        after: the same of the second capture.
        most: frames to draw at most.
    """
    quiet = replace(on, live=np.zeros_like(on.live))
    frames = choose(quiet, most)
    figure, axes = canvas(on, 2, len(frames), PAGE)
    for row, images, said in zip(axes, (before, after), ("Before", "After"), strict=True):
        for ax, frame in zip(row, frames, strict=True):
            ax.imshow(images[frame])
            ax.set_xticks([])
            ax.set_yticks([])
            ax.grid(visible=False)
            ax.spines[:].set_visible(False)
            if said == "Before":
                name_frame(ax, quiet, frame)
        row[0].set_ylabel(said, fontweight="bold")
    heading(figure, "What the model was shown")
    return [ax for row in axes for ax in row]

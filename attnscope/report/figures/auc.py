"""Does the attention of words find the box of the one who says them? Grounding AUC by layer and head."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from attnscope.metrics import OVER
from attnscope.report.figures.heads import Grid, around, bar, draw_map, grid
from attnscope.report.figures.lines import clips, over_captures, rows_of
from attnscope.report.style import COLUMN, DIVERGING, dressed, heading, new_figure, scaled

FRAMES = {"live": "Live frames", "all": "All frames"}
CHANCE = 0.5


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
        about: what the captures are of (`attnscope.metrics.pool.labels`).
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
    norm = around([data.values for data in maps], CHANCE)
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
    bar(image, axes, f"AUC ({CHANCE:g} = chance)")
    heading(figure, f"Grounding AUC, words of {speaker}" if speaker else "Grounding AUC")
    return axes

"""What the sections of pages share: words, views of heads, and when a change is worth a figure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.metrics.clips.curves import rows_of
from attnscope.report.figures.heads import LEAST_CHANGE
from attnscope.report.figures.style import short
from attnscope.report.page.numbers import RISE

MOST_OVERLAYS = 3  # captures whose frames are shown; a page of hundreds of frames helps nobody
SCALE = (
    "Before and after share one colour scale; the difference has its own, centred at 0, which ends no earlier than at "
    f"{100 * LEAST_CHANGE:g} % of the largest number: a small change stays pale."
)
VISIBLE = 0.01  # of the largest number: a smaller change is put in words, not drawn on a scale that would blow it up
FRAMES = {"live": "live frames", "all": "all frames"}
_BANDS = " Bands: 95 % bootstrap interval of the mean over clips, from six clips on."


class View(NamedTuple):
    """Whose attention is laid over the frames: a head, or (None) the mean of all layers and heads."""

    name: str
    text: str
    layer: int | None = None
    head: int | None = None


MEAN = View("mean", "mean of all layers and heads")


def unmoved(before: NDArray[np.float64], after: NDArray[np.float64]) -> str | None:
    """How little numbers changed, in words; None if a figure of the change is worth drawing.

    Args:
        before: The numbers before.
        after: The same after; where one of the two is not defined there is no change.
    """
    known = np.isfinite(before)
    if before.shape != after.shape or not np.array_equal(known, np.isfinite(after)):
        return None
    if not known.any():
        return "not defined"
    change = float(np.abs(after[known] - before[known]).max())
    largest = float(np.abs([before[known], after[known]]).max())
    if change <= RISE * max(largest, 1.0):
        return "the same"
    if change >= VISIBLE * largest:
        return None
    return f"changed by at most {short(change, 2)}, of up to {short(largest, 2)}"


def bands(table: pd.DataFrame, about: pd.DataFrame) -> str:
    """What the bands of curves are, for a caption; "" where there are none.

    Args:
        table: What is drawn, with a column `capture`.
        about: What the captures are of (`attnscope.metrics.clips.keys.labels`).
    """
    clips = about.loc[about["capture"].isin(table["capture"].unique()), "clip"]
    return _BANDS if clips.nunique() > 1 else ""


def best_frames(speakers: pd.DataFrame) -> str:
    """Live frames if anything is defined there, else all."""
    live = rows_of(speakers, "speaker_density", frames="live")
    return "live" if live["value"].notna().any() else "all"

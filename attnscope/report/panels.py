"""What the figures of all sections share. A section's figures are in `<section>_panels.py`, with their captions."""

from __future__ import annotations

import pandas as pd

from attnscope.report.figures.lines import rows_of

MOST_OVERLAYS = 3  # captures whose frames are shown; a page of hundreds of frames helps nobody
SCALE = "Before and after share one colour scale; the difference has its own, centred at 0."
FRAMES = {"live": "live frames", "all": "all frames"}
_BANDS = " Bands: 95 % bootstrap interval of the mean over clips, from six clips on."


def bands(table: pd.DataFrame, about: pd.DataFrame) -> str:
    """What the bands of curves are, for a caption; "" where there are none.

    Args:
        table: what is drawn, with a column `capture`.
        about: what the captures are of (`attnscope.metrics.pool.labels`).
    """
    clips = about.loc[about["capture"].isin(table["capture"].unique()), "clip"]
    return _BANDS if clips.nunique() > 1 else ""


def best_frames(speakers: pd.DataFrame) -> str:
    """Live frames if anything is defined there, else all."""
    live = rows_of(speakers, "speaker_density", frames="live")
    return "live" if live["value"].notna().any() else "all"

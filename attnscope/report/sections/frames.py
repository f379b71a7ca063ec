"""The section on the frames: where the words look in the picture, moment by moment, and as a film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from attnscope.metrics import OVER
from attnscope.metrics.people.cells import best_head, cell_lift
from attnscope.report.figures import overlay, turns
from attnscope.report.figures.canvas import stage
from attnscope.report.figures.movie import movie
from attnscope.report.inputs import Tables, subject
from attnscope.report.page.output import Output, Picture
from attnscope.report.sections.panels import MOST_OVERLAYS

if TYPE_CHECKING:
    from attnscope.capture import Capture

TITLE = "Attention on the frames"
LEAD = "Where the attention falls in the picture, in the order of time."


View = tuple[str, str, int | None, int | None]  # name, in words, layer, head


def overlay_panels(
    out: Output,
    caps: Sequence[Capture],
    names: Sequence[str],
    tables: Tables,
    speaker: str | None,
    *,
    films: bool = False,
) -> list[Picture]:
    """Attention on the frames and over the clip: the mean over all heads, and the head with the highest consistency.

    Args:
        out: where they are written.
        caps: the captures.
        names: their names.
        tables: the tables by family.
        speaker: whose attention is drawn; see `subject`.
        films: also write the first view of each capture as a film, `overlay_mean.mp4` and `.gif`, beside the figures.
    """
    pictures = []
    for number, (name, cap) in enumerate(zip(names, caps, strict=True)):
        who = subject(cap, speaker) if cap.has("maps") else None
        if who is None or number >= MOST_OVERLAYS:
            continue
        suffix, of = (f"_{number + 1}", f" ({name})") if len(caps) > 1 else ("", "")
        table = tables["speakers"]
        pictures += _of_one(out, cap, table[table["capture"] == name], who, (suffix, of), films)
    return pictures


def _of_one(
    out: Output,
    cap: Capture,
    table: pd.DataFrame,
    who: tuple[str, str | None],
    named: tuple[str, str],
    films: bool,
) -> list[Picture]:
    """The frames of one capture; `named`: what its files and its titles end in."""
    (group, speaker), (suffix, of) = who, named
    on = stage(cap, speaker)
    if not on.placed.any():
        return []
    said = f"the words of {speaker}" if speaker else "the question"
    views: list[View] = [("mean", "mean of all layers and heads", None, None)]
    best = best_head(table)
    if best is not None:
        views.append(("best_head", f"layer {best[0]}, head {best[1]}, highest speaker consistency", *best[:2]))
    pictures = []
    for view, text, layer, head in views:
        title, name = f"Attention of {said}\n{text}", f"overlay_{view}{suffix}"
        caption = (
            f"Attention of {said} on each visual token, as a multiple of uniform attention; {text}. "
            "Red: more than that, blue: less; white: as much. One colour scale for all frames"
            + (f"; the box of {speaker} is drawn solid." if speaker in on.boxes else ".")
        )
        figure = overlay.overlay(on, cell_lift(cap, group, layer, head), title=title, speaker=speaker)
        picture = out.figure(name, figure, f"On the frames: {text}{of}", caption)
        if films and view == "mean":
            made = out.films(name, partial(movie, cap, group, title=title, speaker=speaker))
            picture = replace(picture, films=made)
        pictures.append(picture)
    lines = {text: (OVER if layer is None else layer, OVER if head is None else head) for _, text, layer, head in views}
    over_time = turns.own_share_over_time(table, cap.scene, lines)
    if over_time is not None:
        caption = (
            "Of the attention of the words being said, how much falls on the one who says them, as a share of all "
            "speakers in view; thick: of a turn as a whole. Below, who talks when."
        )
        pictures.append(out.figure(f"own_share{suffix}", over_time, f"Own speaker's share over time{of}", caption))
    return pictures

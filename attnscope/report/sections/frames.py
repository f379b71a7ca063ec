"""The section on the frames: where the words look in the picture, moment by moment, and as a film."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from attnscope.metrics import OVER
from attnscope.metrics.clips.curves import rows_of
from attnscope.metrics.people.cells import best_head, cell_lift
from attnscope.report.change import Change, example
from attnscope.report.figures import turns
from attnscope.report.figures.frames import overlay
from attnscope.report.figures.frames.backdrop import backdrop
from attnscope.report.figures.frames.movie import movie
from attnscope.report.inputs import Analysis, subject
from attnscope.report.page.section import Section
from attnscope.report.sections.panels import MEAN, MOST_OVERLAYS, SCALE, View, best_frames, unmoved

if TYPE_CHECKING:
    from attnscope.capture import Capture

TITLE = "Attention on the frames"
Who = tuple[str, str | None]  # a query group, and the speaker whose words it is


def of_captures(analysis: Analysis) -> Section:
    """Attention on the frames and over the clip: the mean over all heads, and the head with the highest consistency."""
    section = Section(
        TITLE,
        "Where the attention falls in the picture, in the order of time.",
        output=analysis.output,
        table="speakers",
    )
    if "speakers" not in analysis.tables:
        return section
    for cap, table, suffix, of_name in analysis.parts("speakers", MOST_OVERLAYS):
        who = subject(cap, analysis.speaker) if cap.has("maps") else None
        if who is not None:
            _of_capture(section, cap, table, who, (suffix, of_name), films=analysis.films)
    return section


def _of_capture(
    section: Section, cap: Capture, table: pd.DataFrame, who: Who, ends: tuple[str, str], *, films: bool
) -> None:
    """The frames of one capture; `ends`: of its file names and its titles."""
    (group, speaker), (suffix, of_name) = who, ends
    on = backdrop(cap, speaker)
    if not on.placed.any():
        return
    views = [MEAN]
    if best := best_head(table):
        views.append(View("best_head", f"layer {best[0]}, head {best[1]}, highest speaker consistency", *best[:2]))
    for view in views:
        title, name = f"Attention of {words_of(who)}\n{view.text}", f"overlay_{view.name}{suffix}"
        caption = (
            f"Attention of {words_of(who)} on each visual token, as a multiple of uniform attention; {view.text}. "
            "Red: more than that, blue: less; white: as much. One colour scale for all frames"
            + (f"; the box of {speaker} is drawn solid." if speaker in on.boxes else ".")
        )
        figure = overlay.overlay(on, cell_lift(cap, group, view.layer, view.head), title=title, speaker=speaker)
        section.draw(name, figure, f"On the frames: {view.text}{of_name}", caption)
        if films and view is MEAN and section.output is not None:
            paths = section.output.films(name, partial(movie, cap, group, title=title, speaker=speaker))
            section.pictures[-1] = replace(section.pictures[-1], films=paths)
    lines = {
        view.text: (OVER if view.layer is None else view.layer, OVER if view.head is None else view.head)
        for view in views
    }
    over_time = turns.own_share_over_time(table, cap.scene, lines)
    if over_time is not None:
        section.draw(
            f"own_share{suffix}",
            over_time,
            f"Own speaker's share over time{of_name}",
            "Of the attention of the words being said, how much falls on the one who says them, as a share of all "
            "speakers in view; thick: of a turn as a whole. Below, who talks when.",
        )


def of_change(change: Change) -> Section:
    """The same frames before and after."""
    section = Section(
        TITLE, "The same frames before and after, and what changed.", output=change.output, table="speakers_change"
    )
    has_maps = change.first.has("maps") and change.second.has("maps")
    who = subject(change.first, change.speaker) if has_maps else None
    on = change.backdrop
    if who is None or not on.placed.any() or who[0] not in change.second.query_groups["name"].tolist():
        return section
    for view in _views(change):
        before, after = change.values(who[0], view)
        if how := unmoved(before[on.placed], after[on.placed]):
            section.unchanged.append(f"attention of {words_of(who)}, {view.text} ({how})")
            continue
        figure = overlay.overlay_change(
            on,
            before,
            after,
            title=f"Attention of {words_of(who)}\n{view.text}",
            speaker=who[1],
            after_images=change.second.frames.images,
        )
        caption = (
            f"Attention of {words_of(who)} on each visual token, as a multiple of uniform attention (red: more than "
            f"that, blue: less); {view.text}. {SCALE}"
        )
        section.draw(f"overlay_{view.name}_change", figure, f"On the frames: {view.text}", caption)
    return section


def _views(change: Change) -> list[View]:
    """Which heads are laid over the frames: the mean of all, and a single one."""
    tables = change.both("speakers")
    if tables is None:
        return [MEAN]
    lifts = [rows_of(table, "speaker_consistency_lift", frames=best_frames(tables[0])) for table in tables]
    head = example(lifts, change.active, "speaker consistency over chance")
    return [MEAN, head] if head else [MEAN]


def words_of(who: Who) -> str:
    """Whose attention it is, in words."""
    return f"the words of {who[1]}" if who[1] else "the question"

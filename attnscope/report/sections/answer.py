"""The section on the answer position: at whom it looks, by head, by layer and on the frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from attnscope.metrics.answer import ASKED, answer_group
from attnscope.metrics.clips.curves import answer_shares, by_layer, over_clips, rows_of
from attnscope.metrics.people.cells import best_answer_head, cell_lift
from attnscope.metrics.registry import OVER
from attnscope.report.change import Change, example
from attnscope.report.figures import answer, heads
from attnscope.report.figures.frames import overlay
from attnscope.report.figures.frames.backdrop import backdrop
from attnscope.report.figures.style import short
from attnscope.report.inputs import Analysis
from attnscope.report.page.provenance import acted_on_answer
from attnscope.report.page.section import Section
from attnscope.report.sections.panels import MEAN, MOST_OVERLAYS, SCALE, View, bands, unmoved

if TYPE_CHECKING:
    from attnscope.capture import Capture

TITLE = "Where the answer looks"
LEAD = "At whom does the position look that predicts the answer?"
BY_LAYER = (
    "The answer position's density of attention on each speaker with a visible box, as a share of the sum over all of "
    "them; mean over heads. Dotted: chance, the same density on everyone."
)


def of_captures(analysis: Analysis) -> Section:
    """Lift on the asked speaker by head, shares by layer, and the frames; only what is defined."""
    section = Section(TITLE, LEAD, output=analysis.output, table="answer")
    if "answer" not in analysis.tables:
        return section
    table, about = analysis.tables["answer"], analysis.about
    lifts = rows_of(table, "answer_lift", **ASKED)
    if lifts["value"].notna().any():
        is_single = len(analysis.caps) == 1
        data = heads.grid(over_clips(lifts.assign(speaker=""), about))
        whom = str(lifts["speaker"].iloc[0]) if lifts["capture"].nunique() == 1 else "the asked speaker"
        figure = heads.heads_map(
            data,
            title=f"Answer's lift on {whom}",
            unit="lift over uniform (1 = uniform)",
            center=1.0,
            marks=data.values == lifts.loc[lifts["head"] >= 0, "value"].max() if is_single else None,
            mark="highest",
        )
        caption = (
            "Attention of the answer position on a cell of the speaker whom the question names, as a multiple of "
            f"uniform attention, for each layer and head. Red: it looks at {whom} more than at an average key."
        )
        section.draw("answer_lift", figure, f"The answer's lift on {whom} by head", caption, first=True)
    curves = answer.speaker_shares(answer_shares(table, about))
    if curves is not None:
        caption = f"{BY_LAYER} {bold(table)}{bands(table, about)}"
        section.draw("answer_share", curves, "Speakers' shares by layer", caption, first=True)
    for cap, rows, suffix, of_name in analysis.parts("answer", MOST_OVERLAYS):
        _overlays(section, cap, rows, suffix, of_name)
    return section


def _overlays(section: Section, cap: Capture, table: pd.DataFrame, suffix: str, of_name: str) -> None:
    """The frames of one capture: the mean over all heads, and the head with the highest lift on the asked speaker."""
    group, on = answer_group(cap), backdrop(cap, None)
    if group is None or not on.placed.any():
        return
    asked, views = asked_of(table), [MEAN]
    if best := best_answer_head(table):
        views.append(View("best_head", f"layer {best[0]}, head {best[1]}, highest lift on {asked}", *best))
    for view in views:
        title = f"Attention of the answer position\n{view.text}"
        values = cell_lift(cap, group, view.layer, view.head)
        figure = overlay.overlay(on, values, title=title, speaker=asked)
        caption = f"{overlay_caption(view.text, asked)} One colour scale for all frames."
        heading = f"The answer position: {view.text}{of_name}"
        is_first = view is not MEAN and not suffix
        section.draw(f"answer_overlay_{view.name}{suffix}", figure, heading, caption, first=is_first)


def asked_of(table: pd.DataFrame) -> str | None:
    """The one speaker whom the question of a capture names."""
    names = rows_of(table, "answer_lift", **ASKED)["speaker"]
    return str(names.iloc[0]) if len(names) else None


def bold(table: pd.DataFrame) -> str:
    """What the bold line of the shares is."""
    return "Bold: whom the question names." if table["asked"].any() else "The question names none of them."


def overlay_caption(text: str, asked: str | None, target: str | None = None) -> str:
    """What an overlay of the answer position shows, and whose box stands out: of the asked one, and of the target."""
    draws = "to whom the correction draws the answer"
    boxes = f" The box of {asked}, whom the question names, is drawn solid." if asked else ""
    if target:
        also = f"whom the question names and {draws}" if target == asked else draws
        boxes = (boxes if target != asked else "") + f" The box of {target}, {also}, is solid and yellow."
    return (
        "Attention of the answer position, the last of the prompt, on each visual token, as a multiple of uniform "
        f"attention (red: more than that, blue: less); {text}.{boxes}"
    )


def of_change(change: Change) -> Section:
    """Frames, maps and curves before and after: first the frames where the correction acted on the answer.

    They are about the speaker to whom a correction draws the answer, else the one whom the question names.
    """
    section = Section(TITLE, LEAD, output=change.output, table="answer_change")
    tables = change.both("answer")
    if tables is None:
        return section
    section.remarks = whether_drawn(change, tables)
    change_overlays(section, change, tables)
    frames, section.pictures = section.pictures, []
    change_maps(section, change, tables)
    maps = section.pictures
    section.pictures = [*frames, *maps] if acted_on_answer(change.second) else [*maps, *frames]
    return section


Pair = tuple[pd.DataFrame, pd.DataFrame]


def change_overlays(section: Section, change: Change, tables: Pair) -> None:
    """The frames before, after and their change: the mean, and the head whose lift on one speaker rose most."""
    first, second, group = change.first, change.second, answer_group(change.first)
    if group is None or answer_group(second) != group or not (first.has("maps") and second.has("maps")):
        return
    on, asked = backdrop(first, None).prompt_only(first.prompt_length), asked_of(tables[0])
    if not on.placed.any():
        return
    for view in _views(change, tables, change.target or asked):
        before, after = change.values(group, view)
        if how := unmoved(before[on.placed], after[on.placed]):
            section.unchanged.append(f"attention of the answer position, {view.text} ({how})")
            continue
        figure = overlay.overlay_change(
            on,
            before,
            after,
            title=f"Attention of the answer position\n{view.text}",
            speaker=asked,
            after_images=second.frames.images,
            target=change.target,
        )
        caption = f"{overlay_caption(view.text, asked, change.target)} {SCALE}"
        name, title = f"answer_overlay_{view.name}_change", f"The answer position: {view.text}"
        section.draw(name, figure, title, caption, first=view is not MEAN)


def _views(change: Change, tables: Pair, whom: str | None) -> list[View]:
    """The mean of all heads, and one head of those touched, by its lift on a speaker."""
    lifts = [_lifts(table, whom) for table in tables]
    head = example(lifts, change.drawing_heads, f"lift on {whom}") if whom else None
    return [MEAN, head] if head else [MEAN]


def change_maps(section: Section, change: Change, tables: Pair) -> None:
    """Lift on one speaker by head, and shares by layer, before, after and their change."""
    asked, target = asked_of(tables[0]), change.target
    whom = target or asked
    lifts = [_lifts(table, whom) for table in tables]
    if whom and all(part["value"].notna().any() for part in lifts):
        who = "to whom the correction draws it" if target and target != asked else "whom the question names"
        caption = (
            f"Attention of the answer position on a cell of the speaker {who}, as a multiple of uniform attention, for "
            f"each layer and head. {SCALE}"
        )
        before, after = (heads.grid(part) for part in lifts)
        if how := unmoved(before.values, after.values):
            section.unchanged.append(f"its lift on {whom}, of every head ({how})")
        else:
            title, unit = f"Answer's lift on {whom}", "lift over uniform"
            figure = heads.heads_change(before, after, title=title, unit=unit, center=1.0, active=change.active)
            section.draw("answer_lift_change", figure, f"The answer's lift on {whom} by head", caption, first=True)
    shares = [by_layer(table, "answer_share")["value"].to_numpy(np.float64) for table in tables]
    if how := unmoved(*shares):
        section.unchanged.append(f"its share of each speaker ({how})")
    elif (curves := answer.speaker_shares_change(*map(answer_shares, tables))) is not None:
        caption = f"{BY_LAYER} {bold(tables[0])}" + (f" The correction draws it to {target}." if target else "")
        section.draw("answer_share_change", curves, "Speakers' shares by layer", caption, first=True)


def whether_drawn(change: Change, tables: Pair) -> list[str]:
    """What the answer's lift on the one to whom it is drawn has become, in words; of all heads and of those touched."""
    if change.target is None:
        return []
    lifts = [_lifts(table, change.target) for table in tables]
    parts = [("over all layers and heads", [part[part["layer"] == OVER] for part in lifts])]
    own = [part[pd.MultiIndex.from_frame(part[["layer", "head"]]).isin(change.drawing_heads)] for part in lifts]
    if len(own[0]):
        where = f"over the {len(own[0])} heads that draw it" if len(own[0]) > 1 else "in the head that does"
        parts.append((where, own))
    sentences = [
        f"{short(float(before['value'].mean()))} before and {short(float(after['value'].mean()))} after {where}"
        for where, (before, after) in parts
    ]
    return [f"Drawn to {change.target}: the answer's lift on {change.target} is, on average, {'; '.join(sentences)}."]


def _lifts(table: pd.DataFrame, whom: str | None) -> pd.DataFrame:
    """Rows of the answer's lift on a speaker; none for nobody."""
    return rows_of(table, "answer_lift", speaker=whom or "")

"""Which figures say where the answer looks, in a report of captures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from attnscope.metrics.answer import ASKED, answer_group
from attnscope.metrics.people.cells import best_answer_head, cell_lift
from attnscope.metrics.registry import OVER
from attnscope.report.change import Change, View, example
from attnscope.report.figures import answer, heads, overlay
from attnscope.report.figures.canvas import stage
from attnscope.report.figures.lines import by_layer, over_captures, rows_of
from attnscope.report.figures.style import short
from attnscope.report.inputs import Tables
from attnscope.report.page.output import Output, Picture
from attnscope.report.sections.panels import MOST_OVERLAYS, SCALE, bands, unmoved

if TYPE_CHECKING:
    from attnscope.capture import Capture
    from attnscope.report.change import View

TITLE = "Where the answer looks"
LEAD = "At whom does the position look that predicts the answer?"
BY_LAYER = (
    "The answer position's density of attention on each speaker with a visible box, as a share of the sum over all of "
    "them; mean over heads. Dotted: chance, the same density on everyone."
)
MEAN: View = ("mean", "mean of all layers and heads", None, None)


def answer_panels(
    out: Output,
    caps: Sequence[Capture],
    names: Sequence[str],
    tables: Tables,
    about: pd.DataFrame,
) -> list[Picture]:
    """Lift on the asked speaker by head, shares by layer, and the frames; only what is defined."""
    if "answer" not in tables:
        return []
    table, pictures = tables["answer"], []
    lifts = rows_of(table, "answer_lift", **ASKED)
    if lifts["value"].notna().any():
        data = heads.grid(over_captures(lifts.assign(speaker=""), about))
        whom = _whom(lifts)
        figure = heads.heads_map(
            data,
            title=f"Answer's lift on {whom}",
            unit="lift over uniform (1 = uniform)",
            center=1.0,
            marks=None if len(caps) > 1 else data.values == lifts.loc[lifts["head"] >= 0, "value"].max(),
            mark="highest",
        )
        caption = (
            "Attention of the answer position on a cell of the speaker whom the question names, as a multiple of "
            f"uniform attention, for each layer and head. Red: it looks at {whom} more than at an average key."
        )
        pictures.append(out.figure("answer_lift", figure, f"The answer's lift on {whom} by head", caption))
    curves = answer.speaker_shares(table, about=about)
    if curves is not None:
        caption = f"{BY_LAYER} {bold(table)}{bands(table, about)}"
        pictures.append(out.figure("answer_share", curves, "Speakers' shares by layer", caption))
    for number, (name, cap) in enumerate(zip(names, caps, strict=True)):
        if number < MOST_OVERLAYS:
            rows = table[table["capture"] == name]
            pictures += _overlays(out, cap, rows, f"_{number + 1}" if len(caps) > 1 else "", name)
    return pictures


def _overlays(out: Output, cap: Capture, table: pd.DataFrame, suffix: str, name: str) -> list[Picture]:
    """The frames of one capture: the mean over all heads, and the head with the highest lift on the asked speaker."""
    group, on = answer_group(cap), stage(cap, None)
    if group is None or not on.placed.any():
        return []
    asked = asked_of(table)
    views, pictures = [MEAN], []
    if best := best_answer_head(table):
        views.append(("best_head", f"layer {best[0]}, head {best[1]}, highest lift on {asked}", *best))
    for view, text, layer, head in views:
        title = f"Attention of the answer position\n{text}"
        figure = overlay.overlay(on, cell_lift(cap, group, layer, head), title=title, speaker=asked)
        caption = f"{overlay_caption(text, asked)} One colour scale for all frames."
        said = f"The answer position: {text}" + (f" ({name})" if suffix else "")
        pictures.append(out.figure(f"answer_overlay_{view}{suffix}", figure, said, caption))
    return pictures


def asked_of(table: pd.DataFrame) -> str | None:
    """The one speaker whom the question of a capture names."""
    found = rows_of(table, "answer_lift", **ASKED)["speaker"]
    return str(found.iloc[0]) if len(found) else None


def _whom(lifts: pd.DataFrame) -> str:
    """The asked speaker of one capture, or of several."""
    return str(lifts["speaker"].iloc[0]) if lifts["capture"].nunique() == 1 else "the asked speaker"


def bold(table: pd.DataFrame) -> str:
    """What the bold line of the shares is."""
    return "Bold: whom the question names." if table["asked"].any() else "The question names none of them."


def overlay_caption(text: str, asked: str | None, target: str | None = None) -> str:
    """What an overlay of the answer position shows, and whose box stands out: of the asked one, and of the target."""
    drawn = "to whom the correction draws the answer"
    said = f" The box of {asked}, whom the question names, is drawn solid." if asked else ""
    if target:
        also = f"whom the question names and {drawn}" if target == asked else drawn
        said = (said if target != asked else "") + f" The box of {target}, {also}, is solid and yellow."
    return (
        "Attention of the answer position, the last of the prompt, on each visual token, as a multiple of uniform "
        f"attention (red: more than that, blue: less); {text}.{said}"
    )


# Which figures say where the answer looks in a before/after report: at the asked one, or at whom it is drawn to.


def change_overlays(out: Output, found: Change, unchanged: list[str]) -> list[Picture]:
    """The frames before, after and their change: the mean, and the head whose lift on one speaker rose most.

    The speaker is the one to whom a correction draws the answer, else the one whom the question names.

    Args:
        out: where they are written.
        found: the captures.
        unchanged: is given what needs no figure, since nothing changed.
    """
    one, two = found.one, found.two
    group = answer_group(one) if "answer" in found.before and "answer" in found.after else None
    if group is None or answer_group(two) != group or not (one.has("maps") and two.has("maps")):
        return []
    on, asked, target = stage(one, None).prompt_only(one.prompt_length), asked_of(found.before["answer"]), found.target
    if not on.placed.any():
        return []
    pictures = []
    for view, text, layer, head in _views(found, target or asked):
        values = found.values(group, layer, head)
        if how := unmoved(values[0][on.placed], values[1][on.placed]):
            unchanged.append(f"attention of the answer position, {text} ({how})")
            continue
        figure = overlay.overlay_change(
            on,
            *values,
            title=f"Attention of the answer position\n{text}",
            speaker=asked,
            after_images=two.frames.images,
            target=target,
        )
        caption = f"{overlay_caption(text, asked, target)} {SCALE}"
        name = f"answer_overlay_{view}_change"
        pictures.append(out.figure(name, figure, f"The answer position: {text}", caption))
    return pictures


def _views(found: Change, whom: str | None) -> list[View]:
    """The mean of all heads, and one head of those touched, by its lift on a speaker."""
    lifts = [_lifts(table["answer"], whom) for table in (found.before, found.after)]
    one = example(lifts, found.drawing, f"lift on {whom}") if whom else None
    return [MEAN, one] if one else [MEAN]


def change_maps(out: Output, found: Change, unchanged: list[str]) -> list[Picture]:
    """Lift on one speaker by head, and shares by layer, before, after and their change; as `change_overlays`."""
    if "answer" not in found.before or "answer" not in found.after:
        return []
    pictures = []
    before, after = found.before["answer"], found.after["answer"]
    asked, target = asked_of(before), found.target
    whom = target or asked
    lifts = [_lifts(table, whom) for table in (before, after)]
    if whom and all(part["value"].notna().any() for part in lifts):
        who = "to whom the correction draws it" if target and target != asked else "whom the question names"
        caption = (
            f"Attention of the answer position on a cell of the speaker {who}, as a multiple of uniform attention, for "
            f"each layer and head. {SCALE}"
        )
        maps = [heads.grid(part) for part in lifts]
        if how := unmoved(maps[0].values, maps[1].values):
            unchanged.append(f"its lift on {whom}, of every head ({how})")
        else:
            title, unit = f"Answer's lift on {whom}", "lift over uniform"
            figure = heads.heads_change(maps[0], maps[1], title=title, unit=unit, center=1.0, active=found.active)
            pictures.append(out.figure("answer_lift_change", figure, f"The answer's lift on {whom} by head", caption))
    shares = [by_layer(table, "answer_share")["value"].to_numpy(np.float64) for table in (before, after)]
    if how := unmoved(shares[0], shares[1]):
        unchanged.append(f"its share of each speaker ({how})")
    elif (curves := answer.speaker_shares_change(before, after)) is not None:
        caption = f"{BY_LAYER} {bold(before)}" + (f" The correction draws it to {target}." if target else "")
        pictures.append(out.figure("answer_share_change", curves, "Speakers' shares by layer", caption))
    return pictures


def whether_drawn(found: Change) -> list[str]:
    """What the answer's lift on the one to whom it is drawn has become, in words; of all heads and of those touched."""
    if found.target is None or "answer" not in found.before or "answer" not in found.after:
        return []
    one, two = (_lifts(table["answer"], found.target) for table in (found.before, found.after))
    parts = [("over all layers and heads", [part[part["layer"] == OVER] for part in (one, two)])]
    own = [part[pd.MultiIndex.from_frame(part[["layer", "head"]]).isin(found.drawing)] for part in (one, two)]
    if len(own[0]):
        where = f"over the {len(own[0])} heads that draw it" if len(own[0]) > 1 else "in the head that does"
        parts.append((where, own))
    said = [
        f"{short(float(before['value'].mean()))} before and {short(float(after['value'].mean()))} after {where}"
        for where, (before, after) in parts
    ]
    return [f"Drawn to {found.target}: the answer's lift on {found.target} is, on average, {'; '.join(said)}."]


def _lifts(table: pd.DataFrame, whom: str | None) -> pd.DataFrame:
    """Rows of the answer's lift on a speaker; none for nobody."""
    return rows_of(table, "answer_lift", speaker=whom or "")

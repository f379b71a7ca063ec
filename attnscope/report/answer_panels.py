"""Which figures say where the answer looks, in a report of captures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from attnscope.metrics.answer import ASKED, answer_group
from attnscope.metrics.cells import best_answer_head, cell_lift
from attnscope.report.figures import answer, heads, overlay
from attnscope.report.figures.lines import over_captures, rows_of
from attnscope.report.figures.stage import stage
from attnscope.report.inputs import Tables
from attnscope.report.output import Output, Picture
from attnscope.report.panels import MOST_OVERLAYS, bands

if TYPE_CHECKING:
    from attnscope.capture import Capture

TITLE = "Where the answer looks"
LEAD = "At whom does the position look that predicts the answer?"
BY_LAYER = (
    "The answer position's density of attention on each speaker with a visible box, as a share of the sum over all of "
    "them; mean over heads. Dotted: chance, the same density on everyone."
)
View = tuple[str, str, int | None, int | None]  # name, in words, layer, head
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

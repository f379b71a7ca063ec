"""Which figures say where the answer looks, in a report of captures and in a before/after report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.metrics.answer import ASKED, answer_group
from attnscope.metrics.cells import best_answer_head, cell_lift
from attnscope.report.figures import answer, heads, overlay
from attnscope.report.figures.lines import by_layer, over_captures, rows_of
from attnscope.report.figures.stage import stage
from attnscope.report.inputs import Tables
from attnscope.report.output import Output, Picture
from attnscope.report.pairing import Pairing
from attnscope.report.panels import MOST_OVERLAYS, RISE, SCALE, bands, unmoved

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
        caption = f"{BY_LAYER} {_bold(table)}{bands(table, about)}"
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
    asked = _asked(table)
    views, pictures = [MEAN], []
    if best := best_answer_head(table):
        views.append(("best_head", f"layer {best[0]}, head {best[1]}, highest lift on {asked}", *best))
    for view, text, layer, head in views:
        title = f"Attention of the answer position\n{text}"
        figure = overlay.overlay(on, cell_lift(cap, group, layer, head), title=title, speaker=asked)
        caption = f"{_overlay_caption(text, asked)} One colour scale for all frames."
        said = f"The answer position: {text}" + (f" ({name})" if suffix else "")
        pictures.append(out.figure(f"answer_overlay_{view}{suffix}", figure, said, caption))
    return pictures


def change_overlays(
    out: Output,
    one: Capture,
    two: Capture,
    before: Tables,
    after: Tables,
    pairing: Pairing,
    images: NDArray[np.uint8],
    unchanged: list[str],
) -> list[Picture]:
    """The frames before, after and their change: the mean, and the head whose lift on the asked speaker rose most.

    Where none rose, it is the head with the highest.

    Args:
        out: where they are written.
        one: the capture before.
        two: the capture after.
        before: the first's tables.
        after: the second's.
        pairing: of their positions.
        images: the frames that were shown after.
        unchanged: is given what needs no figure, since nothing changed.
    """
    group = answer_group(one) if "answer" in before and "answer" in after else None
    if group is None or answer_group(two) != group:
        return []
    on = stage(one, None)
    if not on.placed.any():
        return []
    asked, views, pictures, n = _asked(before["answer"]), [MEAN], [], one.prompt_length
    if most := best_answer_head(_rise(before["answer"], after["answer"])):
        views.append(("most_changed", f"layer {most[0]}, head {most[1]}, whose lift on {asked} rose most", *most))
    elif best := best_answer_head(after["answer"]):
        views.append(("best_head", f"layer {best[0]}, head {best[1]}, highest lift on {asked}", *best))
    for view, text, layer, head in views:
        values = [cell_lift(one, group, layer, head)[:n], pairing.brought(cell_lift(two, group, layer, head))]
        if how := unmoved(values[0][on.placed[:n]], values[1][on.placed[:n]]):
            unchanged.append(f"attention of the answer position, {text} ({how})")
            continue
        title = f"Attention of the answer position\n{text}"
        figure = overlay.overlay_change(on.prompt_only(n), *values, title=title, speaker=asked, after_images=images)
        caption = f"{_overlay_caption(text, asked)} {SCALE}"
        name = f"answer_overlay_{view}_change"
        pictures.append(out.figure(name, figure, f"The answer position: {text}", caption))
    return pictures


def change_maps(
    out: Output, before: Tables, after: Tables, active: list[tuple[int, int]], unchanged: list[str]
) -> list[Picture]:
    """Lift on the asked speaker by head, and shares by layer, before, after and their change; `unchanged` as above."""
    if "answer" not in before or "answer" not in after:
        return []
    pictures = []
    lifts = [rows_of(table["answer"], "answer_lift", **ASKED) for table in (before, after)]
    if all(part["value"].notna().any() for part in lifts):
        whom, maps = _whom(lifts[0]), [heads.grid(part) for part in lifts]
        caption = (
            "Attention of the answer position on a cell of the speaker whom the question names, as a multiple of "
            f"uniform attention, for each layer and head. {SCALE}"
        )
        if how := unmoved(maps[0].values, maps[1].values):
            unchanged.append(f"its lift on {whom}, of every head ({how})")
        else:
            title, unit = f"Answer's lift on {whom}", "lift over uniform"
            figure = heads.heads_change(maps[0], maps[1], title=title, unit=unit, center=1.0, active=active)
            pictures.append(out.figure("answer_lift_change", figure, f"The answer's lift on {whom} by head", caption))
    shares = [by_layer(table["answer"], "answer_share")["value"].to_numpy(np.float64) for table in (before, after)]
    if how := unmoved(shares[0], shares[1]):
        unchanged.append(f"its share of each speaker ({how})")
    elif (curves := answer.speaker_shares_change(before["answer"], after["answer"])) is not None:
        caption = f"{BY_LAYER} {_bold(before['answer'])}"
        pictures.append(out.figure("answer_share_change", curves, "Speakers' shares by layer", caption))
    return pictures


def _asked(table: pd.DataFrame) -> str | None:
    """The one speaker whom the question of a capture names."""
    found = rows_of(table, "answer_lift", **ASKED)["speaker"]
    return str(found.iloc[0]) if len(found) else None


def _whom(lifts: pd.DataFrame) -> str:
    """The asked speaker of one capture, or of several."""
    return str(lifts["speaker"].iloc[0]) if lifts["capture"].nunique() == 1 else "the asked speaker"


def _bold(table: pd.DataFrame) -> str:
    """What the bold line of the shares is."""
    return "Bold: whom the question names." if table["asked"].any() else "The question names none of them."


def _rise(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """The table with what each number rose by, of those that did (by more than rounding)."""
    keys = ["metric", "layer", "head", "speaker", "asked", "named"]
    one, two = (table.set_index(keys)["value"] for table in (before, after))
    rise = (two - one).reset_index()
    return rise[rise["value"] > RISE]


def _overlay_caption(text: str, asked: str | None) -> str:
    said = f" The box of {asked}, whom the question names, is drawn solid." if asked else ""
    return (
        "Attention of the answer position, the last of the prompt, on each visual token, as a multiple of uniform "
        f"attention; {text}.{said}"
    )

"""Which figures a report of captures has, with the captions that make each readable alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from attnscope.metrics import OVER
from attnscope.metrics.cells import best_head, cell_lift
from attnscope.report.figures import curves, heads, matrix, overlay
from attnscope.report.figures.stage import stage
from attnscope.report.inputs import Tables, subject
from attnscope.report.output import Output, Picture

if TYPE_CHECKING:
    from attnscope.capture import Capture

MOST_OVERLAYS = 6  # captures whose frames are shown; a page of hundreds of frames helps nobody
SCALE = "Before and after share one colour scale; the difference has its own, centred at 0."
FRAMES = {"live": "live frames", "all": "all frames"}


def rows_of(table: pd.DataFrame, metric: str, **where: object) -> pd.DataFrame:
    """Rows of one metric with given keys."""
    keep = table["metric"] == metric
    for column, value in where.items():
        keep &= table[column] == value
    return table[keep]


def speaker_panels(out: Output, tables: Tables) -> list[Picture]:
    """Consistency by layer and head, and the density matrix; only what is defined."""
    if "speakers" not in tables:
        return []
    table, pictures = tables["speakers"], []
    for frames, said in FRAMES.items():
        lifts = rows_of(table, "speaker_consistency_lift", frames=frames)
        if not lifts["value"].notna().any():
            continue
        q = heads.grid(lifts.assign(value=lifts["q"]))
        count = int(lifts.loc[lifts["layer"] == OVER, "n"].max())
        several = table["capture"].nunique() > 1
        figure = heads.heads_map(
            heads.grid(lifts),
            title=f"Speaker consistency, {said}",
            unit="lift over chance (1 = chance)",
            center=1.0,
            marks=None if several else q.values <= 0.05,
            mark="q ≤ 0.05, corrected for all heads",
        )
        caption = (
            f"Lift of the speaker-consistency score over chance for each layer and head ({said}). Red: "
            "the words of a speaker attend more densely to that speaker's pixels than to the other "
            f"speakers'. n = {count} speakers enter."
        )
        pictures.append(
            out.figure(f"speaker_consistency_{frames}", figure, f"Speaker consistency by head, {said}", caption)
        )
    if matrix.drawable(table):
        caption = (
            "Whose words attend to whose pixels: attention per token pair, as a share of each row, mean "
            "over all layers and heads. A dash stands where one of the two has no words or no visible "
            "box."
        )
        pictures.append(
            out.figure(
                "speaker_matrix",
                matrix.speaker_matrix(table),
                "Words of one speaker, pixels of another",
                caption,
            )
        )
    return pictures


def modality_panels(out: Output, tables: Tables, denominator: str) -> list[Picture]:
    """Cross-modal mass by head, links, shares and gap by layer, and the decay fit."""
    if "modality" not in tables:
        return []
    table = tables["modality"]
    pictures = []
    cross = rows_of(table, "mass_share", query="text", key="visual", sinks="with")
    if cross["value"].notna().any():
        figure = heads.heads_map(
            heads.grid(cross), title="Attention mass, text → visual", unit="share of attention mass"
        )
        caption = (
            "Share of the attention of text queries that falls on visual tokens, for each layer and head "
            "(sinks included)."
        )
        pictures.append(out.figure("cross_modal_mass", figure, "Cross-modal mass by head", caption))
    caption = (
        f"|s − c| by layer, denominator {denominator}; s and c are the means per pair within a modality "
        "and to the other one."
    )
    pictures.append(
        out.figure("gap", curves.gap_by_layer(table, denominator), "Gap between self and cross attention", caption)
    )
    caption = (
        "Mean attention per allowed pair of tokens, within (solid) and between (dashed) modalities, mean "
        "over heads. Left with all keys, right without attention sinks. Visual queries see only the text "
        "that stands before the video."
    )
    pictures.append(out.figure("links", curves.links_by_layer(table), "Self and cross attention by layer", caption))
    caption = (
        "Where the attention of text queries (left) and of visual queries (right) goes, mean over heads; "
        "dashed: without the mass on sinks."
    )
    pictures.append(out.figure("shares", curves.shares_by_layer(table), "Mass share by layer", caption))
    if "decay" in tables:
        caption = (
            "Points: mean attention per pair. Lines: least-squares fit of log α = a + l log γ over the "
            "layers. A low R² says that a single exponent does not describe the curve."
        )
        pictures.append(out.figure("decay", curves.decay_fits(table, tables["decay"]), "Decay with depth", caption))
    return pictures


def overlay_panels(
    out: Output, caps: Sequence[Capture], names: Sequence[str], tables: Tables, speaker: str | None
) -> list[Picture]:
    """Attention on the frames: the mean over all heads, and the head with the highest speaker consistency."""
    pictures = []
    for number, (name, cap) in enumerate(zip(names, caps, strict=True)):
        who = subject(cap, speaker) if cap.has("maps") else None
        if who is None or number >= MOST_OVERLAYS:
            continue
        on = stage(cap, who[1])
        if not on.placed.any():
            continue
        said = f"the words of {who[1]}" if who[1] else "the question"
        suffix = f"_{number + 1}" if len(caps) > 1 else ""
        of = f" ({name})" if len(caps) > 1 else ""
        views: list[tuple[str, str, int | None, int | None]] = [("mean", "mean of all layers and heads", None, None)]
        table = tables["speakers"]
        best = best_head(table[table["capture"] == name])
        if best is not None:
            views.append(
                (
                    "best_head",
                    f"layer {best[0]}, head {best[1]}, highest speaker consistency",
                    best[0],
                    best[1],
                )
            )
        for view, text, layer, head in views:
            title = f"Attention of {said}\n{text}"
            figure = overlay.overlay(on, cell_lift(cap, who[0], layer, head), title=title, speaker=who[1])
            caption = (
                f"Attention of {said} on each visual token, as a multiple of uniform attention; {text}. "
                "One colour scale for all frames"
                + (f"; the box of {who[1]} is drawn solid." if who[1] in on.boxes else ".")
            )
            pictures.append(out.figure(f"overlay_{view}{suffix}", figure, f"On the frames: {text}{of}", caption))
    return pictures

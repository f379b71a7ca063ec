"""The section on speakers: consistency, who attends to whom, grounding, own speaker against the others."""

from __future__ import annotations

import pandas as pd

from attnscope.metrics import OVER
from attnscope.metrics.clips.curves import layer_means, over_clips, rows_of
from attnscope.metrics.people.matrix import comparable
from attnscope.report.change import Change
from attnscope.report.figures import heads, layers, speakers
from attnscope.report.inputs import Analysis
from attnscope.report.page.section import Section
from attnscope.report.sections.panels import FRAMES, SCALE, bands, best_frames, unmoved

TITLE = "Speakers"
LEAD = "Do the words of a speaker attend to the pixels of that speaker?"
MATCH = {"matched": "the speaker", "mismatched": "the others, each"}
LIFT = "speaker_consistency_lift"
MATRIX = "Words of one speaker, pixels of another"


def of_captures(analysis: Analysis) -> Section:
    """Consistency by head and by layer, who attends to whom, grounding; only what is defined."""
    section = Section(TITLE, LEAD, output=analysis.output, table="speakers")
    if "speakers" not in analysis.tables:
        return section
    table, about = analysis.tables["speakers"], analysis.about
    _consistency(section, table, about)
    casts = {tuple(part["speaker"].unique()) for _, part in table.groupby("capture", sort=False)}
    if len(casts) == 1 and comparable(table):
        caption = (
            "Whose words attend to whose pixels: attention per token pair as a share of each row, mean over heads{}. "
            "White: as much as on anybody else. Grey: no visible box."
        )
        section.draw("speaker_matrix", speakers.speaker_matrix(table), MATRIX, caption.format(" and layers"))
        figure = speakers.speaker_matrices(table, frames=best_frames(table))
        section.draw("speaker_matrix_depth", figure, f"{MATRIX}, by depth", caption.format(""))
    grounding = analysis.tables.get("grounding", table[:0])
    auc = over_clips(rows_of(grounding, "grounding_auc", speaker="", turn=OVER), about)
    if auc["value"].notna().any():
        section.draw(
            "grounding_auc",
            speakers.grounding_maps(auc),
            "Grounding AUC by head",
            "Area under the ROC curve of the attention of a speaker's words as a detector of the cells of the "
            "speaker's box, mean over speakers. Red: better than chance.",
            table="grounding",
        )
    if "pairs" in analysis.tables:
        where = {"frames": best_frames(table), "heads": "mean"}
        rows = layer_means(rows_of(analysis.tables["pairs"], "speaker_pair_mean", **where), about)
        if rows["value"].notna().any():
            title = "Attention of words on a person"
            section.draw(
                "speaker_pairs",
                layers.layer_curves(rows, "speaker_pair_mean", "match", labels=MATCH, title=title),
                "Own speaker against the others, by layer",
                "Mean attention of a word on a cell of the person who says it, and on a cell of somebody else, mean "
                f"over heads.{bands(table, about)}",
                table="pairs",
            )
    return section


def _consistency(section: Section, table: pd.DataFrame, about: pd.DataFrame) -> None:
    """The lift of speaker consistency, by head at both choices of frames, and by layer."""
    is_single = table["capture"].nunique() == 1
    for frames, where in FRAMES.items():
        lifts = rows_of(table, LIFT, frames=frames)
        if not lifts["value"].notna().any():
            continue
        count = int(lifts.loc[lifts["layer"] == OVER, "n"].max())
        basis = f"n = {count} speakers enter." if is_single else "Mean over clips."
        figure = heads.heads_map(
            heads.grid(over_clips(lifts, about)),
            title=f"Speaker consistency, {where}",
            unit="lift over chance (1 = chance)",
            center=1.0,
            marks=heads.grid(lifts.assign(value=lifts["q"])).values <= 0.05 if is_single else None,
            mark="q ≤ 0.05, corrected for all heads",
        )
        caption = (
            f"Lift of the speaker-consistency score over chance for each layer and head ({where}). Red: the words of a "
            f"speaker attend more densely to that speaker's pixels than to the other speakers'. {basis}"
        )
        section.draw(f"speaker_consistency_{frames}", figure, f"Speaker consistency by head, {where}", caption)
    if not section.pictures:
        return
    if is_single:
        figure = layers.heads_by_layer(table, LIFT, where={"frames": best_frames(table)})
        caption = "The same lift by layer: a point for each head, and the lift of the mean over heads as a line."
    else:
        figure = layers.layer_curves(layer_means(table, about, LIFT), LIFT, "frames", labels=FRAMES)
        caption = f"The same lift by layer, of the mean over heads.{bands(table, about)}"
    section.draw("speaker_consistency_layers", figure, "Speaker consistency by layer", caption)


def of_change(change: Change) -> Section:
    """Who attends to whom, and consistency by head, before and after."""
    section = Section(TITLE, LEAD, output=change.output, table="speakers_change")
    tables = change.both("speakers")
    if tables is None:
        return section
    before, after = tables
    frames = best_frames(before)
    if list(before["speaker"].unique()) == list(after["speaker"].unique()) and all(map(comparable, tables)):
        first, second, _ = speakers.matrices_of(before, after, frames)
        if how := unmoved(first, second):
            section.unchanged.append(f"who attends to whom ({how})")
        else:
            section.draw(
                "speaker_matrix_change",
                speakers.matrices_change(before, after, frames),
                MATRIX,
                "Whose words attend to whose pixels: attention per token pair as a share of each row, mean over heads "
                f"and layers, {FRAMES[frames]}. White: as much as on anybody else. {SCALE}",
            )
    change.draw_heads(
        section,
        change.pair("speakers", LIFT, frames=frames),
        f"speaker_consistency_{frames}_change",
        f"Speaker consistency, {FRAMES[frames]}",
        "lift over chance",
        f"Lift of the speaker-consistency score over chance for each layer and head ({FRAMES[frames]}).",
        center=1.0,
    )
    return section

"""The section on speakers: consistency, who attends to whom, grounding, own speaker against the others."""

from __future__ import annotations

import pandas as pd

from attnscope.metrics import OVER
from attnscope.report.figures import heads, layers, speakers
from attnscope.report.figures.lines import over_captures, rows_of
from attnscope.report.inputs import Tables
from attnscope.report.page.output import Output, Picture
from attnscope.report.sections.panels import FRAMES, bands, best_frames

TITLE = "Speakers"
LEAD = "Do the words of a speaker attend to the pixels of that speaker?"
MATCH = {"matched": "the speaker", "mismatched": "the others, each"}


def speaker_panels(out: Output, tables: Tables, about: pd.DataFrame) -> list[Picture]:
    """Consistency by head and by layer, who attends to whom, grounding; only what is defined.

    Args:
        out: where they are written.
        tables: the tables by family, with a column `capture`.
        about: what the captures are of (`attnscope.metrics.clips.keys.labels`).
    """
    if "speakers" not in tables:
        return []
    table = tables["speakers"]
    pictures = _consistency(out, table, about)
    alike = {tuple(part["speaker"].unique()) for _, part in table.groupby("capture", sort=False)}
    if len(alike) == 1 and speakers.drawable(table):
        caption = (
            "Whose words attend to whose pixels: attention per token pair as a share of each row, mean over heads{}. "
            "White: as much as on anybody else. Grey: no visible box."
        )
        name, title = "speaker_matrix", "Words of one speaker, pixels of another"
        figure = speakers.speaker_matrix(table)
        pictures.append(out.figure(name, figure, title, caption.format(" and layers")))
        figure = speakers.speaker_matrices(table, frames=best_frames(table))
        pictures.append(out.figure(f"{name}_depth", figure, f"{title}, by depth", caption.format("")))
    found = rows_of(tables["grounding"], "grounding_auc", speaker="", turn=OVER) if "grounding" in tables else table[:0]
    if found["value"].notna().any():
        caption = (
            "Area under the ROC curve of the attention of a speaker's words as a detector of the cells of the "
            "speaker's box, mean over speakers. Red: better than chance."
        )
        figure = speakers.grounding_maps(tables["grounding"], about=about)
        pictures.append(out.figure("grounding_auc", figure, "Grounding AUC by head", caption))
    if "pairs" in tables:
        where = {"frames": best_frames(table), "heads": "mean"}
        rows = rows_of(tables["pairs"], "speaker_pair_mean", **where)
        if rows["value"].notna().any():
            by_layer = layers.layer_curves(
                rows, "speaker_pair_mean", "match", labels=MATCH, about=about, title="Attention of words on a person"
            )
            caption = (
                "Mean attention of a word on a cell of the person who says it, and on a cell of somebody else, mean "
                f"over heads.{bands(table, about)}"
            )
            pictures.append(out.figure("speaker_pairs", by_layer, "Own speaker against the others, by layer", caption))
    return pictures


def _consistency(out: Output, table: pd.DataFrame, about: pd.DataFrame) -> list[Picture]:
    """The lift of speaker consistency, by head at both choices of frames, and by layer."""
    pictures = []
    metric = "speaker_consistency_lift"
    several = table["capture"].nunique() > 1
    for frames, said in FRAMES.items():
        lifts = rows_of(table, metric, frames=frames)
        if not lifts["value"].notna().any():
            continue
        q = heads.grid(lifts.assign(value=lifts["q"]))
        count = int(lifts.loc[lifts["layer"] == OVER, "n"].max())
        of = "Mean over clips." if several else f"n = {count} speakers enter."
        figure = heads.heads_map(
            heads.grid(over_captures(lifts, about)),
            title=f"Speaker consistency, {said}",
            unit="lift over chance (1 = chance)",
            center=1.0,
            marks=None if several else q.values <= 0.05,
            mark="q ≤ 0.05, corrected for all heads",
        )
        caption = (
            f"Lift of the speaker-consistency score over chance for each layer and head ({said}). Red: the words of a "
            "speaker attend more densely to that speaker's pixels than to the other speakers'. "
            f"{of}"
        )
        name, title = f"speaker_consistency_{frames}", f"Speaker consistency by head, {said}"
        pictures.append(out.figure(name, figure, title, caption))
    if pictures and several:
        by_layer = layers.layer_curves(table, metric, "frames", labels=FRAMES, about=about)
        caption = f"The same lift by layer, of the mean over heads.{bands(table, about)}"
        pictures.append(out.figure("speaker_consistency_layers", by_layer, "Speaker consistency by layer", caption))
    elif pictures:
        by_layer = layers.heads_by_layer(table, metric, where={"frames": best_frames(table)})
        caption = "The same lift by layer: a point for each head, and the lift of the mean over heads as a line."
        pictures.append(out.figure("speaker_consistency_layers", by_layer, "Speaker consistency by layer", caption))
    return pictures

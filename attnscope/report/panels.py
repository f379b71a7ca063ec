"""Which figures a report of captures has, with the captions that make each readable alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from attnscope.metrics import OVER
from attnscope.metrics.cells import best_head, cell_lift
from attnscope.report.figures import auc, curves, flow, heads, layers, matrix, moda, overlay, sinks, swarm, turns
from attnscope.report.figures.lines import rows_of as rows_of
from attnscope.report.figures.movie import movie
from attnscope.report.figures.stage import stage
from attnscope.report.inputs import Tables, subject
from attnscope.report.output import Output, Picture

if TYPE_CHECKING:
    from attnscope.capture import Capture

MOST_OVERLAYS = 6  # captures whose frames are shown; a page of hundreds of frames helps nobody
SCALE = "Before and after share one colour scale; the difference has its own, centred at 0."
FRAMES = {"live": "live frames", "all": "all frames"}
MATCH = {"matched": "the speaker", "mismatched": "the others, each"}
BANDS = " Bands: 95 % bootstrap interval of the mean over clips."


def speaker_panels(out: Output, tables: Tables, about: pd.DataFrame | None = None) -> list[Picture]:
    """Consistency by head and by layer, who attends to whom, grounding; only what is defined.

    Args:
        out: where they are written.
        tables: the tables by family, with a column `capture`.
        about: what the captures are of (`attnscope.metrics.pool.labels`); by default each is of its own clip.
    """
    if "speakers" not in tables:
        return []
    table = tables["speakers"]
    pictures = _consistency(out, table, about)
    alike = {tuple(part["speaker"].unique()) for _, part in table.groupby("capture", sort=False)}
    if len(alike) == 1 and matrix.drawable(table):
        caption = (
            "Whose words attend to whose pixels: attention per token pair as a share of each row, mean over heads{}. "
            "White: as much as on anybody else. Grey: no visible box."
        )
        name, title = "speaker_matrix", "Words of one speaker, pixels of another"
        figure = matrix.speaker_matrix(table)
        pictures.append(out.figure(name, figure, title, caption.format(" and layers")))
        figure = matrix.speaker_matrices(table, frames=_best_frames(table))
        pictures.append(out.figure(f"{name}_depth", figure, f"{title}, by depth", caption.format("")))
    found = rows_of(tables["grounding"], "grounding_auc", speaker="", turn=OVER) if "grounding" in tables else table[:0]
    if found["value"].notna().any():
        caption = (
            "Area under the ROC curve of the attention of a speaker's words as a detector of the cells of the "
            "speaker's box, mean over speakers. Red: better than chance."
        )
        figure = auc.grounding_maps(tables["grounding"], about=about)
        pictures.append(out.figure("grounding_auc", figure, "Grounding AUC by head", caption))
    if "pairs" in tables:
        where = {"frames": _best_frames(table), "heads": "mean"}
        rows = rows_of(tables["pairs"], "speaker_pair_mean", **where)
        if rows["value"].notna().any():
            by_layer = layers.layer_curves(
                rows, "speaker_pair_mean", "match", labels=MATCH, about=about, title="Attention of words on a person"
            )
            caption = (
                "Mean attention of a word on a cell of the person who says it, and on a cell of somebody else, mean "
                f"over heads.{_bands(table)}"
            )
            pictures.append(out.figure("speaker_pairs", by_layer, "Own speaker against the others, by layer", caption))
    return pictures


def _consistency(out: Output, table: pd.DataFrame, about: pd.DataFrame | None) -> list[Picture]:
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
        figure = heads.heads_map(
            heads.grid(lifts),
            title=f"Speaker consistency, {said}",
            unit="lift over chance (1 = chance)",
            center=1.0,
            marks=None if several else q.values <= 0.05,
            mark="q ≤ 0.05, corrected for all heads",
        )
        caption = (
            f"Lift of the speaker-consistency score over chance for each layer and head ({said}). Red: the words of a "
            "speaker attend more densely to that speaker's pixels than to the other speakers'. "
            f"n = {count} speakers enter."
        )
        name, title = f"speaker_consistency_{frames}", f"Speaker consistency by head, {said}"
        pictures.append(out.figure(name, figure, title, caption))
    if pictures and several:
        by_layer = layers.layer_curves(table, metric, "frames", labels=FRAMES, about=about)
        caption = f"The same lift by layer, of the mean over heads.{BANDS}"
        pictures.append(out.figure("speaker_consistency_layers", by_layer, "Speaker consistency by layer", caption))
    elif pictures:
        by_layer = swarm.heads_by_layer(table, metric, where={"frames": _best_frames(table)})
        caption = "The same lift by layer: a point for each head, and the lift of the mean over heads as a line."
        pictures.append(out.figure("speaker_consistency_layers", by_layer, "Speaker consistency by layer", caption))
    return pictures


def modality_panels(out: Output, tables: Tables, denominator: str, about: pd.DataFrame | None = None) -> list[Picture]:
    """Attention scores, flow and links by layer, gap, cross-modal mass by head, decay, sinks, rollout and rank."""
    if "modality" not in tables:
        return []
    table = tables["modality"]
    bands, pictures = _bands(table), []
    caption = (
        "Mean attention of a text query on a text token and on a visual token, by layer, mean over heads; dotted: what "
        "attention spread evenly over the keys of each query would give. Below, how many times the one is the "
        f"other.{bands}"
    )
    figure = moda.scores_by_layer(table, about=about)
    pictures.append(out.figure("scores", figure, "Text and visual attention score by layer", caption))
    caption = (
        "Where the attention of a query goes, layer by layer, mean over heads. Each bar is all of it; hatched: what "
        "falls on attention sinks."
    )
    pictures.append(out.figure("flow", flow.flow_by_layer(table, about=about), "Flow between modalities", caption))
    if bands:
        caption = (
            f"The same for all text and all visual queries, with intervals; dashed: without the mass on sinks.{bands}"
        )
        figure = flow.shares_by_layer(table, about=about)
        pictures.append(out.figure("shares", figure, "Mass share by layer", caption))
    cross = rows_of(table, "mass_share", query="text", key="visual", sinks="with")
    if cross["value"].notna().any():
        by_head = heads.heads_map(
            heads.grid(cross), title="Attention mass, text → visual", unit="share of attention mass"
        )
        caption = (
            "Share of the attention of text queries that falls on visual tokens, by layer and head (sinks included)."
        )
        pictures.append(out.figure("cross_modal_mass", by_head, "Cross-modal mass by head", caption))
    caption = (
        f"|s − c| by layer, denominator {denominator}; s and c are the means per pair within a modality and to the "
        f"other one. Dotted: the gap of attention spread evenly over the allowed keys.{bands}"
    )
    by_layer = curves.gap_by_layer(table, denominator, about=about)
    pictures.append(out.figure("gap", by_layer, "Gap between self and cross attention", caption))
    caption = (
        "Mean attention per allowed pair of tokens, within (solid) and between (dashed) modalities, mean over heads. "
        "Left with all keys, right without attention sinks. Visual queries see only the text that stands before the "
        f"video.{bands}"
    )
    figure = curves.links_by_layer(table, about=about)
    pictures.append(out.figure("links", figure, "Self and cross attention by layer", caption))
    if "decay" in tables:
        caption = (
            "Points: mean attention per pair. Lines: least-squares fit of log α = a + l log γ over the layers. A low "
            "R² says that a single exponent does not describe the curve."
        )
        figure = curves.decay_fits(table, tables["decay"], about=about)
        pictures.append(out.figure("decay", figure, "Decay with depth", caption))
    return pictures + _spread(out, tables, about)


def _spread(out: Output, tables: Tables, about: pd.DataFrame | None) -> list[Picture]:
    """Sinks and entropy, what reaches the answer through all layers, and rank; of what the captures hold."""
    pictures = []
    bands = _bands(tables["modality"])
    if "sinks" in tables and (tables["sinks"]["metric"] == "sink_keys").any():
        caption = (
            "Keys that take much attention whatever is said, the mass on them, and the entropy of a row over that of "
            f"even attention, by layer, mean over heads.{bands}"
        )
        figure = sinks.sinks_by_layer(tables["sinks"], about=about)
        pictures.append(out.figure("sinks", figure, "Attention sinks and entropy", caption))
    singles = (
        ("rollout", "rollout_lift", "key", ("text", "visual", "special"), "Rollout of the answer by layer"),
        ("rank", "rank_one_residual", "tokens", ("all", "text", "visual"), "Rank collapse"),
    )
    for family, metric, by, names, title in singles:
        rows = rows_of(tables[family], metric) if family in tables else pd.DataFrame({"value": []})
        if rows["value"].notna().any():
            curve = layers.layer_curves(rows, metric, by, labels={name: name for name in names}, about=about)
            pictures.append(out.figure(metric, curve, title, f"{layers.definition(metric)}{bands}"))
    return pictures


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
        on = stage(cap, who[1])
        if not on.placed.any():
            continue
        said = f"the words of {who[1]}" if who[1] else "the question"
        suffix = f"_{number + 1}" if len(caps) > 1 else ""
        of = f" ({name})" if len(caps) > 1 else ""
        views: list[tuple[str, str, int | None, int | None]] = [("mean", "mean of all layers and heads", None, None)]
        table = tables["speakers"]
        table = table[table["capture"] == name]
        best = best_head(table)
        if best is not None:
            views.append(("best_head", f"layer {best[0]}, head {best[1]}, highest speaker consistency", *best[:2]))
        for view, text, layer, head in views:
            title = f"Attention of {said}\n{text}"
            figure = overlay.overlay(on, cell_lift(cap, who[0], layer, head), title=title, speaker=who[1])
            caption = (
                f"Attention of {said} on each visual token, as a multiple of uniform attention; {text}. "
                "One colour scale for all frames"
                + (f"; the box of {who[1]} is drawn solid." if who[1] in on.boxes else ".")
            )
            pictures.append(out.figure(f"overlay_{view}{suffix}", figure, f"On the frames: {text}{of}", caption))
            if films and view == "mean":
                movie(cap, who[0], *out.films(f"overlay_{view}{suffix}"), title=title, speaker=who[1])
        lines = {
            text: (OVER if layer is None else layer, OVER if head is None else head) for _, text, layer, head in views
        }
        over_time = turns.own_share_over_time(table, cap.scene, lines)
        if over_time is not None:
            caption = (
                "Of the attention of the words being said, how much falls on the one who says them, as a share of all "
                "speakers in view; thick: of a turn as a whole. Below, who talks when."
            )
            pictures.append(out.figure(f"own_share{suffix}", over_time, f"Own speaker's share over time{of}", caption))
    return pictures


def _best_frames(table: pd.DataFrame) -> str:
    """Live frames if anything is defined there, else all."""
    live = rows_of(table, "speaker_density", frames="live")
    return "live" if live["value"].notna().any() else "all"


def _bands(table: pd.DataFrame) -> str:
    return BANDS if table["capture"].nunique() > 1 else ""

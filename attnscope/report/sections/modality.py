"""The section on text and video: scores, flow, gap, decay, sinks, rollout and rank."""

from __future__ import annotations

import pandas as pd

from attnscope.report.figures import curves, heads, layers, modality
from attnscope.report.figures.lines import over_captures, rows_of
from attnscope.report.inputs import Tables
from attnscope.report.page.output import Output, Picture
from attnscope.report.sections.panels import bands
from attnscope.vocabulary import MODALITIES, TEXT, VISUAL, hidden_groups

TITLE = "Within and between modalities"
LEAD = "How much attention stays within text or video, how much crosses over, and how that changes with depth."


def modality_panels(out: Output, tables: Tables, denominator: str, about: pd.DataFrame) -> list[Picture]:
    """Attention scores, flow and links by layer, gap, cross-modal mass by head, decay, sinks, rollout and rank."""
    if "modality" not in tables:
        return []
    table = tables["modality"]
    pictures: list[Picture] = []
    said = bands(table, about)
    caption = (
        "Mean attention of a text query on a text token and on a visual token, by layer, mean over heads; dotted: what "
        "attention spread evenly over the keys of each query would give. Below, how many times the one is the "
        f"other.{said}"
    )
    figure = modality.scores_by_layer(table, about=about)
    pictures.append(out.figure("scores", figure, "Text and visual attention score by layer", caption))
    caption = (
        "Where the attention of a query goes, layer by layer, mean over heads. Each bar is all of it; hatched: what "
        "falls on attention sinks."
    )
    pictures.append(out.figure("flow", modality.flow_by_layer(table, about=about), "Flow between modalities", caption))
    if said:
        caption = (
            f"The same for all text and all visual queries, with intervals; dashed: without the mass on sinks.{said}"
        )
        figure = modality.shares_by_layer(table, about=about)
        pictures.append(out.figure("shares", figure, "Mass share by layer", caption))
    cross = rows_of(table, "mass_share", query=TEXT, key=VISUAL, sinks="with")
    if cross["value"].notna().any():
        by_head = heads.heads_map(
            heads.grid(over_captures(cross, about)),
            title="Attention mass, text → visual",
            unit="share of attention mass",
        )
        caption = (
            "Share of the attention of text queries that falls on visual tokens, by layer and head (sinks included)."
        )
        pictures.append(out.figure("cross_modal_mass", by_head, "Cross-modal mass by head", caption))
    caption = (
        f"|s − c| by layer, denominator {denominator}; s and c are the means per pair within a modality and to the "
        f"other one. Dotted: the gap of attention spread evenly over the allowed keys.{said}"
    )
    by_layer = curves.gap_by_layer(table, denominator, about=about)
    pictures.append(out.figure("gap", by_layer, "Gap between self and cross attention", caption))
    caption = (
        "Mean attention per allowed pair of tokens, within (solid) and between (dashed) modalities, mean over heads. "
        "Left with all keys, right without attention sinks. Visual queries see only the text that stands before the "
        f"video.{said}"
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


def _spread(out: Output, tables: Tables, about: pd.DataFrame) -> list[Picture]:
    """Sinks and entropy, what reaches the answer through all layers, and rank; of what the captures hold."""
    pictures = []
    said = bands(tables["modality"], about)
    if "sinks" in tables and (tables["sinks"]["metric"] == "sink_keys").any():
        caption = (
            "Keys that take much attention whatever is said, the mass on them, and the entropy of a row over that of "
            f"even attention, by layer, mean over heads.{said}"
        )
        figure = modality.sinks_by_layer(tables["sinks"], about=about)
        pictures.append(out.figure("sinks", figure, "Attention sinks and entropy", caption))
    singles = (
        ("rollout", "rollout_lift", "key", tuple(MODALITIES), "Rollout of the answer by layer"),
        ("rank", "rank_one_residual", "tokens", hidden_groups(MODALITIES), "Rank collapse"),
    )
    for family, metric, by, names, title in singles:
        rows = rows_of(tables[family], metric) if family in tables else pd.DataFrame({"value": []})
        if rows["value"].notna().any():
            curve = layers.layer_curves(rows, metric, by, labels={name: name for name in names}, about=about)
            pictures.append(out.figure(metric, curve, title, f"{layers.definition(metric)}{said}"))
    return pictures

"""The section on text and video: scores, flow, gap, decay, sinks, rollout and rank."""

from __future__ import annotations

from matplotlib.colors import Normalize

from attnscope.metrics import get
from attnscope.metrics.clips.curves import attention_scores, fit_means, layer_means, over_clips, rows_of
from attnscope.report.change import Change
from attnscope.report.figures import curves, heads, layers, modality
from attnscope.report.inputs import Analysis
from attnscope.report.page.section import Section
from attnscope.report.sections.panels import bands
from attnscope.vocabulary import GENERATED, MODALITIES, TEXT, VISUAL, hidden_groups

TITLE = "Within and between modalities"


def of_captures(analysis: Analysis) -> Section:
    """Attention scores, flow and links by layer, gap, cross-modal mass by head, decay, sinks, rollout and rank."""
    lead = "How much attention stays within text or video, how much crosses over, and how that changes with depth."
    section = Section(TITLE, lead, output=analysis.output, table="modality")
    if "modality" not in analysis.tables:
        return section
    table, about = analysis.tables["modality"], analysis.about
    is_token = table["query"].str.startswith(f"{GENERATED}:")  # single tokens of the answer have no curve here
    means = layer_means(table[~is_token], about, "mass_share", "pair_mean", "gap", "gap_uniform")
    intervals = bands(table, about)
    section.draw(
        "scores",
        modality.scores_by_layer(attention_scores(table, about=about)),
        "Text and visual attention score by layer",
        "Mean attention of a text query on a text token and on a visual token, by layer, mean over heads; dotted: what "
        "attention spread evenly over the keys of each query would give. Below, how many times the one is the "
        f"other.{intervals}",
    )
    section.draw(
        "flow",
        modality.flow_by_layer(means),
        "Flow between modalities",
        "Where the attention of a query goes, layer by layer, mean over heads. Each bar is all of it; hatched: what "
        "falls on attention sinks.",
    )
    if intervals:
        section.draw(
            "shares",
            modality.shares_by_layer(means),
            "Mass share by layer",
            "The same for all text and all visual queries, with intervals; dashed: without the mass on "
            f"sinks.{intervals}",
        )
    cross = over_clips(rows_of(table, "mass_share", query=TEXT, key=VISUAL, sinks="with"), about)
    if cross["value"].notna().any():
        title, unit = "Attention mass, text → visual", "share of attention mass"
        section.draw(
            "cross_modal_mass",
            heads.heads_map(heads.grid(cross), title=title, unit=unit),
            "Cross-modal mass by head",
            "Share of the attention of text queries that falls on visual tokens, by layer and head (sinks included).",
        )
    _gates(section, analysis)
    section.draw(
        "gap",
        curves.gap_by_layer(means, analysis.denominator),
        "Gap between self and cross attention",
        f"|s − c| by layer, denominator {analysis.denominator}; s and c are the means per pair within a modality and "
        f"to the other one. Dotted: the gap of attention spread evenly over the allowed keys.{intervals}",
    )
    section.draw(
        "links",
        curves.links_by_layer(means),
        "Self and cross attention by layer",
        "Mean attention per allowed pair of tokens, within (solid) and between (dashed) modalities, mean over heads. "
        "Left with all keys, right without attention sinks. Visual queries see only the text that stands before the "
        f"video.{intervals}",
    )
    if "decay" in analysis.tables:
        section.draw(
            "decay",
            curves.decay_fits(means, fit_means(analysis.tables["decay"], about)),
            "Decay with depth",
            "Points: mean attention per pair. Lines: least-squares fit of log α = a + l log γ over the layers. A low "
            "R² says that a single exponent does not describe the curve.",
            table="decay",
        )
    _spread(section, analysis, intervals)
    return section


def _gates(section: Section, analysis: Analysis) -> None:
    """Beside where heads attend: how much of their output passes, if the model has gates for it."""
    if "heads" not in analysis.tables:
        return
    gate = over_clips(rows_of(analysis.tables["heads"], "output_gate"), analysis.about)
    if not gate["value"].notna().any():
        return
    section.draw(
        "output_gate",
        heads.heads_map(
            heads.grid(gate), title="Output gate, answer position", unit="share that passes", norm=Normalize(0, 1)
        ),
        "Output gate by head",
        "This model multiplies the output of each head by a gate. The map shows the gate at the answer position, as a "
        "mean over the head's channels: a head near 0 attends, but passes on little of what it reads.",
        table="heads",
    )


def _spread(section: Section, analysis: Analysis, intervals: str) -> None:
    """Sinks and entropy, what reaches the answer through all layers, and rank; of what the captures hold."""
    tables, about = analysis.tables, analysis.about
    if "sinks" in tables and (tables["sinks"]["metric"] == "sink_keys").any():
        section.draw(
            "sinks",
            modality.sinks_by_layer(layer_means(tables["sinks"], about)),
            "Attention sinks and entropy",
            "Keys that take much attention whatever is said, the mass on them, and the entropy of a row over that of "
            "even attention, by layer, mean over heads. The entropy of visual queries is of a sample of them, unless "
            f"all were read; the band there is one standard error of that sample.{intervals}",
            table="sinks",
        )
    for family, metric, by, names, title in (
        ("rollout", "rollout_lift", "key", tuple(MODALITIES), "Rollout of the answer by layer"),
        ("rank", "rank_one_residual", "tokens", hidden_groups(MODALITIES), "Rank collapse"),
    ):
        if family not in tables:
            continue
        rows = layer_means(tables[family], about, metric)
        if rows["value"].notna().any():
            figure = layers.layer_curves(rows, metric, by, labels={name: name for name in names})
            section.draw(metric, figure, title, f"{get(metric).definition}{intervals}", table=family)


def of_change(change: Change) -> Section:
    """Mass from text to video, and the gap of text, by head, before and after."""
    lead = "How much attention stays within text or video, and how much crosses over."
    section = Section(TITLE, lead, output=change.output, table="modality_change")
    change.draw_heads(
        section,
        change.pair("modality", "mass_share", query=TEXT, key=VISUAL, sinks="with"),
        "cross_modal_mass_change",
        "Attention mass, text → visual",
        "share of mass",
        "Share of the attention of text queries that falls on visual tokens (sinks included).",
    )
    change.draw_heads(
        section,
        change.pair("modality", "gap", query=TEXT, sinks="with", denominator=change.denominator),
        "gap_change",
        "Gap of text",
        f"gap (/{change.denominator})",
        f"Gap between self and cross attention of text queries, denominator {change.denominator}.",
    )
    return section

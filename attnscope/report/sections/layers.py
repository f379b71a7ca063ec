"""The section on depth in a before/after report: the same numbers by layer, and how links decay."""

from __future__ import annotations

from attnscope.metrics.clips.curves import fit_means, rows_of
from attnscope.report.change import Change
from attnscope.report.figures import curves, layers
from attnscope.report.page.section import Section
from attnscope.report.sections.panels import FRAMES, best_frames, unmoved


def of_change(change: Change) -> Section:
    """Numbers by layer before and after, and the decay of the links."""
    lead = "The same numbers by depth, mean over heads; and how links decay."
    section = Section("Layer by layer", lead, output=change.output, table="modality_change")
    frames = best_frames(change.before["speakers"]) if "speakers" in change.before else "all"
    figure = layers.layers_change(change.before, change.after, change.denominator, frames, change.target)
    if figure is not None:
        section.draw(
            "layers_change",
            figure,
            "Before and after by layer",
            "Dashed before, solid after (one on the other where nothing changed). Of text queries unless another is "
            f"named; of speakers: {FRAMES[frames]}. Sinks are included.",
        )
    tables = change.both("modality")
    if tables is None:
        return section
    if how := unmoved(*(rows_of(table, "pair_mean")["value"].to_numpy() for table in tables)):
        links = "attention per pair within and between modalities, and how it decays with depth"
        section.unchanged.append(f"{links} ({how})")
        return section
    fits = change.both("decay")
    section.draw(
        "links_change",
        curves.links_change(*tables, [fit_means(table) for table in fits] if fits else None),
        "Decay with depth",
        "Mean attention per allowed pair by layer, mean over heads; dashed before, solid after. Left with all keys, "
        "right without sinks. γ: factor per layer of the exponential fitted to a curve (all keys).",
    )
    return section

"""Which figures a before/after report has. What is the same before and after is said, not drawn."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from attnscope import metrics
from attnscope.report.change import Change, Section, View, example
from attnscope.report.figures import changes, curves, heads, overlay
from attnscope.report.figures.canvas import stage
from attnscope.report.figures.changes import heads_touched
from attnscope.report.figures.lines import rows_of
from attnscope.report.figures.speakers import drawable
from attnscope.report.inputs import subject
from attnscope.report.page.output import Output, Picture
from attnscope.report.page.provenance import acted_on_answer, touched
from attnscope.report.pairing import shown_by
from attnscope.report.sections import speakers
from attnscope.report.sections.answer import LEAD, MEAN, TITLE, change_maps, change_overlays, whether_drawn
from attnscope.report.sections.panels import FRAMES, SCALE, best_frames, unmoved
from attnscope.vocabulary import TEXT, VISUAL

if TYPE_CHECKING:
    from attnscope.capture import Capture


def sections(out: Output, found: Change) -> list[dict[str, Any]]:
    """Figures by heading: where the answer looks comes first, frames on top, if the correction acted on the answer."""
    on_answer, unchanged = acted_on_answer(found.two), list[str]()
    frames, maps = change_overlays(out, found, unchanged), change_maps(out, found, unchanged)
    pictures = [*frames, *maps] if on_answer else [*maps, *frames]
    answer = Section(TITLE, LEAD, pictures, unchanged, whether_drawn(found))
    speakers = _speakers(out, found)
    chosen = [
        *([answer, speakers] if on_answer else [speakers, answer]),
        _overlays(out, found),
        _layers(out, found),
        _modalities(out, found),
    ]
    missing = metrics.explain(found.two, threshold=found.threshold)
    if missing:  # no matter of the correction, and so at the end
        chosen.append(Section("Not computed, and why", "", [], [], missing))
    return [one.page() for one in chosen]


def touched_panels(out: Output, one: Capture, two: Capture) -> list[Picture]:
    """What the model was shown, if that changed, and which heads the corrections touched, if any."""
    pictures, found = [], touched(two)
    if shown_by(two.correction) and not np.array_equal(one.frames.images, two.frames.images):
        figure = changes.frames_shown(stage(one, None), one.frames.images, two.frames.images)
        caption = "The frames as the model was shown them; the correction changed them, not the attention."
        pictures.append(out.figure("frames_shown", figure, "Frames before and after", caption))
    if not found:
        return pictures
    layers = [int(n) for n in two.layers]
    caption = "In colour: the heads in which a correction acted."
    if any(one & other for one, other in combinations(found.values(), 2)):
        caption += " The cell of a head in which several acted is divided among them."
    drawn = heads_touched(layers, two.heads, found)
    return [*pictures, out.figure("heads_touched", drawn, "Heads touched, by layer", caption)]


def _speakers(out: Output, found: Change) -> Section:
    section = Section(speakers.TITLE, speakers.LEAD, [], [])
    if "speakers" not in found.before or "speakers" not in found.after:
        return section
    before, after = found.before["speakers"], found.after["speakers"]
    frames = best_frames(before)
    if list(before["speaker"].unique()) == list(after["speaker"].unique()) and drawable(before) and drawable(after):
        one, two, _ = changes.matrices_of(before, after, frames)
        if how := unmoved(one, two):
            section.same.append(f"who attends to whom ({how})")
        else:
            figure = changes.matrices_change(before, after, frames)
            caption = (
                "Whose words attend to whose pixels: attention per token pair as a share of each row, mean over heads "
                f"and layers, {FRAMES[frames]}. White: as much as on anybody else. {SCALE}"
            )
            name, title = "speaker_matrix_change", "Words of one speaker, pixels of another"
            section.pictures.append(out.figure(name, figure, title, caption))
    said = FRAMES[frames]
    caption = f"Lift of the speaker-consistency score over chance for each layer and head ({said}). {SCALE}"
    _map(
        out,
        section,
        found,
        found.pair("speakers", "speaker_consistency_lift", frames=frames),
        f"speaker_consistency_{frames}_change",
        f"Speaker consistency, {said}",
        "lift over chance",
        caption,
        1.0,
    )
    return section


def _modalities(out: Output, found: Change) -> Section:
    lead = "How much attention stays within text or video, and how much crosses over."
    section = Section("Within and between modalities", lead, [], [])
    caption = f"Share of the attention of text queries that falls on visual tokens (sinks included). {SCALE}"
    pair = found.pair("modality", "mass_share", query=TEXT, key=VISUAL, sinks="with")
    name, title = "cross_modal_mass_change", "Attention mass, text → visual"
    _map(out, section, found, pair, name, title, "share of mass", caption)
    caption = f"Gap between self and cross attention of text queries, denominator {found.denominator}. {SCALE}"
    pair = found.pair("modality", "gap", query=TEXT, sinks="with", denominator=found.denominator)
    _map(out, section, found, pair, "gap_change", "Gap of text", f"gap (/{found.denominator})", caption)
    return section


def _layers(out: Output, found: Change) -> Section:
    section = Section("Layer by layer", "The same numbers by depth, mean over heads; and how links decay.", [], [])
    frames = best_frames(found.before["speakers"]) if "speakers" in found.before else "all"
    figure = changes.layers_change(found.before, found.after, found.denominator, frames, found.target)
    if figure is not None:
        caption = (
            "Dashed before, solid after (one on the other where nothing changed). Text queries unless said; of "
            f"speakers: {FRAMES[frames]}. Sinks are included."
        )
        section.pictures.append(out.figure("layers_change", figure, "Before and after by layer", caption))
    if "modality" not in found.before or "modality" not in found.after:
        return section
    one, two = (rows_of(t["modality"], "pair_mean")["value"].to_numpy() for t in (found.before, found.after))
    if how := unmoved(one, two):
        section.same.append(f"attention per pair within and between modalities, and how it decays with depth ({how})")
    else:
        fits = [t["decay"] for t in (found.before, found.after) if "decay" in t]
        caption = (
            "Mean attention per allowed pair by layer, mean over heads; dashed before, solid after. Left with all "
            "keys, right without sinks. γ: factor per layer of the exponential fitted to a curve (all keys)."
        )
        drawn = curves.links_change(found.before["modality"], found.after["modality"], fits if len(fits) == 2 else None)
        section.pictures.append(out.figure("links_change", drawn, "Decay with depth", caption))
    return section


def _map(
    out: Output,
    section: Section,
    found: Change,
    pair: tuple[heads.Grid, heads.Grid] | None,
    name: str,
    title: str,
    unit: str,
    caption: str,
    center: float | None = None,
) -> None:
    """Maps by head before, after and of the change; in words where there is none."""
    if pair is None:
        return
    if how := unmoved(pair[0].values, pair[1].values):
        section.same.append(f"{title[0].lower()}{title[1:]}, of every head ({how})")
        return
    figure = heads.heads_change(*pair, title=title, unit=unit, center=center, active=found.active)
    section.pictures.append(out.figure(name, figure, f"{title}, by head", caption))


def _overlays(out: Output, found: Change) -> Section:
    section = Section("Attention on the frames", "The same frames before and after, and what changed.", [], [])
    both = found.one.has("maps") and found.two.has("maps")
    who = subject(found.one, found.speaker) if both else None
    on = found.on
    if who is None or not on.placed.any() or who[0] not in found.two.query_groups["name"].tolist():
        return section
    said = f"the words of {who[1]}" if who[1] else "the question"
    for view, text, layer, head in _views(found):
        before, after = found.values(who[0], layer, head)
        if how := unmoved(before[on.placed], after[on.placed]):
            section.same.append(f"attention of {said}, {text} ({how})")
            continue
        figure = overlay.overlay_change(
            on,
            before,
            after,
            title=f"Attention of {said}\n{text}",
            speaker=who[1],
            after_images=found.two.frames.images,
        )
        caption = (
            f"Attention of {said} on each visual token, as a multiple of uniform attention (red: more than that, blue: "
            f"less); {text}. {SCALE}"
        )
        section.pictures.append(out.figure(f"overlay_{view}_change", figure, f"On the frames: {text}", caption))
    return section


def _views(found: Change) -> list[View]:
    """Which heads are laid over the frames: the mean of all, and one."""
    if "speakers" not in found.before or "speakers" not in found.after:
        return [MEAN]
    frames, metric = best_frames(found.before["speakers"]), "speaker_consistency_lift"
    lifts = [rows_of(table["speakers"], metric, frames=frames) for table in (found.before, found.after)]
    one = example(lifts, found.active, "speaker consistency over chance")
    return [MEAN, one] if one else [MEAN]

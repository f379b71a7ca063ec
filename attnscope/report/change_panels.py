"""Which figures a before/after report has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from attnscope.metrics.cells import best_head, cell_lift
from attnscope.report import speaker_panels
from attnscope.report.answer_panels import LEAD, RISE, TITLE, change_maps, change_overlays
from attnscope.report.figures import curves, heads, overlay
from attnscope.report.figures.lines import rows_of
from attnscope.report.figures.stage import stage
from attnscope.report.inputs import Tables, subject
from attnscope.report.output import Output, Picture
from attnscope.report.panels import FRAMES, SCALE
from attnscope.report.provenance import acted_on_answer, active_heads

if TYPE_CHECKING:
    from attnscope.capture import Capture


def sections(
    out: Output,
    one: Capture,
    two: Capture,
    before: Tables,
    after: Tables,
    speaker: str | None,
    denominator: str,
) -> list[dict[str, Any]]:
    """Figures by heading; `denominator` is that of the gap shown by head.

    Where the answer looks comes first, frames on top, if the correction acted on the answer.
    """
    active, on_answer = active_heads(two), acted_on_answer(two)
    frames = change_overlays(out, one, two, before, after)
    maps = change_maps(out, before, after, active)
    answer = {"title": TITLE, "lead": LEAD, "pictures": [*frames, *maps] if on_answer else [*maps, *frames]}
    speakers = {
        "title": speaker_panels.TITLE,
        "lead": speaker_panels.LEAD,
        "pictures": _speakers(out, before, after, active),
    }
    return [
        *([answer, speakers] if on_answer else [speakers, answer]),
        {
            "title": "Attention on the frames",
            "lead": "The same frames before and after, and what changed.",
            "pictures": _overlays(out, one, two, before, after, speaker),
        },
        {
            "title": "Within and between modalities",
            "lead": "How much attention stays within text or video, and how much crosses over.",
            "pictures": _modalities(out, before, after, active, denominator),
        },
    ]


def _speakers(out: Output, before: Tables, after: Tables, active: list[tuple[int, int]]) -> list[Picture]:
    pictures = []
    for frames, said in FRAMES.items():
        pair = _pair(before, after, "speakers", "speaker_consistency_lift", frames=frames)
        if pair is not None:
            figure = heads.heads_change(
                *pair,
                title=f"Speaker consistency, {said}",
                unit="lift over chance",
                center=1.0,
                active=active,
            )
            caption = f"Lift of the speaker-consistency score over chance for each layer and head ({said}). {SCALE}"
            pictures.append(
                out.figure(
                    f"speaker_consistency_{frames}_change",
                    figure,
                    f"Speaker consistency by head, {said}",
                    caption,
                )
            )
    return pictures


def _modalities(
    out: Output, before: Tables, after: Tables, active: list[tuple[int, int]], denominator: str
) -> list[Picture]:
    pictures = []
    pair = _pair(before, after, "modality", "mass_share", query="text", key="visual", sinks="with")
    if pair is not None:
        figure = heads.heads_change(*pair, title="Attention mass, text → visual", unit="share of mass", active=active)
        caption = f"Share of the attention of text queries that falls on visual tokens (sinks included). {SCALE}"
        pictures.append(out.figure("cross_modal_mass_change", figure, "Cross-modal mass by head", caption))
    pair = _pair(before, after, "modality", "gap", query="text", sinks="with", denominator=denominator)
    if pair is not None:
        figure = heads.heads_change(*pair, title="Gap of text", unit=f"gap (/{denominator})", active=active)
        caption = f"Gap between self and cross attention of text queries, denominator {denominator}. {SCALE}"
        pictures.append(out.figure("gap_change", figure, "Gap of text by head", caption))
    if "modality" in before and "modality" in after:
        caption = (
            "Mean attention per allowed pair by layer, mean over heads; dashed before, solid after. Left "
            "with all keys, right without sinks."
        )
        figure = curves.links_change(before["modality"], after["modality"])
        pictures.append(out.figure("links_change", figure, "Self and cross attention by layer", caption))
    return pictures


def _overlays(
    out: Output, one: Capture, two: Capture, before: Tables, after: Tables, speaker: str | None
) -> list[Picture]:
    who = subject(one, speaker) if one.has("maps") and two.has("maps") else None
    if who is None:
        return []
    on = stage(one, who[1])
    if not on.placed.any():
        return []
    said = f"the words of {who[1]}" if who[1] else "the question"
    views: list[tuple[str, str, int | None, int | None]] = [("mean", "mean of all layers and heads", None, None)]
    if most := _most_risen(before, after):
        views.append(
            ("most_changed", f"layer {most[0]}, head {most[1]}, whose speaker consistency rose most", *most[:2])
        )
    elif best := best_head(after["speakers"]):
        views.append(("best_head", f"layer {best[0]}, head {best[1]}, highest speaker consistency", *best[:2]))
    pictures = []
    n = one.prompt_length
    for view, text, layer, head in views:
        values = [cell_lift(cap, who[0], layer, head)[:n] for cap in (one, two)]
        figure = overlay.overlay_change(
            on.prompt_only(n), values[0], values[1], title=f"Attention of {said}\n{text}", speaker=who[1]
        )
        caption = f"Attention of {said} on each visual token, as a multiple of uniform attention; {text}. {SCALE}"
        pictures.append(out.figure(f"overlay_{view}_change", figure, f"On the frames: {text}", caption))
    return pictures


def _most_risen(before: Tables, after: Tables) -> tuple[int, int, str] | None:
    """The head whose speaker consistency rose most, by the rule of `best_head`; None if none rose."""
    keys = ["metric", "layer", "head", "frames"]
    one, two = (rows_of(t["speakers"], "speaker_consistency_lift").set_index(keys)["value"] for t in (before, after))
    rise = (two - one).reset_index()
    return best_head(rise[rise["value"] > RISE])


def _pair(
    before: Tables, after: Tables, family: str, metric: str, **where: object
) -> tuple[heads.Grid, heads.Grid] | None:
    """Both maps by head, if both are defined somewhere."""
    if family not in before or family not in after:
        return None
    parts: list[pd.DataFrame] = [rows_of(t[family], metric, **where) for t in (before, after)]
    if not all(part["value"].notna().any() for part in parts):
        return None
    return heads.grid(parts[0]), heads.grid(parts[1])

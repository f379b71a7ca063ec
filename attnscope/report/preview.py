"""The page of a preview: a scene at its sampled frames, before any model runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import RequestError
from attnscope.files.reports import DOCUMENT, PAGE
from attnscope.report.figures.turns import speaker_colors
from attnscope.report.page.numbers import ranges
from attnscope.report.page.render import render
from attnscope.report.page.scenery import MOST_FRAMES, frames_of, time_line, turns_of
from attnscope.report.page.staging import draft
from attnscope.scene.problems import seconds
from attnscope.vocabulary import is_visual

if TYPE_CHECKING:
    from attnscope.model import ModelPreview
    from attnscope.scene import Finding, ScenePreview

KIND = "preview"


def preview(
    scene: ScenePreview, out: str | Path, *, model: ModelPreview | None = None, source: str | None = None
) -> dict[str, Any]:
    """Write the page of a preview, `report.html`, and its facts, `report.json`.

    Args:
        scene: A scene at its sampled frames (`attnscope.scene.preview_scene`).
        out: Folder to write into; made if it does not exist.
        model: What a model's processor makes of it (`attnscope.model.preview_model`).
        source: What was previewed, for the title; the name of the video by default.

    Returns:
        The facts and the warnings, JSON-able: `report` (where the page is), `warnings`, `scene`, `model`.

    Raises:
        RequestError: If the folder cannot be used.
        RunError: If the page cannot be written.

    Example:
        >>> facts = attnscope.report.preview(attnscope.scene.preview_scene(scene), "previewed")
        >>> facts["warnings"], len(facts["scene"]["frames"])
        ([], 8)
    """
    check_folder(out)
    findings = [*scene.findings, *(model.findings if model else [])]
    colors = speaker_colors(scene.scene)
    title = source or scene.scene.video.name
    page = render(
        "preview.html.j2",
        title=title,
        facts=_facts(scene, model),
        findings=findings,
        about=[_about(finding, scene) for finding in findings],
        scene=scene.scene,
        line=time_line(scene, colors),
        frames=frames_of(scene, colors, model=model, findings=findings),
        left_out=max(len(scene.frames.times) - MOST_FRAMES, 0),
        people=_people(scene, model, colors),
        turns=turns_of(scene, colors),
        model=model,
    )
    about: dict[str, Any] = {
        "title": f"Preview: {title}",
        "question": scene.scene.question,
        "answers": [],
        "sentence": None,
    }
    if not findings:
        about["sentence"] = "No warning."
    else:
        about["sentence"] = f"{len(findings)} warning{'' if len(findings) == 1 else 's'}: {findings[0].text}"
    with draft(Path(out)) as report:
        report.output.text(report.page, page)
        facts = {
            "report": str(Path(out) / report.page),
            "kind": KIND,
            "warnings": [finding.to_dict() for finding in findings],
            "scene": scene.to_dict(),
            "model": None if model is None else model.to_dict(),
            "about": about,
        }
        report.output.json(report.document, facts)
    return facts


def check_folder(out: str | Path) -> None:
    """Refuse the name of a page where a folder is asked for.

    Raises:
        RequestError: Naming it.
    """
    if Path(out).suffix.lower() in (".html", ".htm"):
        raise RequestError.of("out", Path(out), f"names a page; give a folder, which gets {PAGE} and {DOCUMENT}")


def _facts(scene: ScenePreview, model: ModelPreview | None) -> list[str]:
    """What is shown and how, a sentence each."""
    frames = scene.frames
    count = len(frames.times)
    kind = "image" if frames.kind == "image" else "frame"
    facts = [f"{count} {kind}{'' if count == 1 else 's'} of {frames.width} × {frames.height} pixels"]
    if scene.window is not None:
        low, high = scene.window
        whole = "on a clock" if frames.media else "of a clip"
        facts[0] += f", sampled from {seconds(low)} to {seconds(high)} s {whole} of {seconds(frames.duration or 0)} s"
    for number, item in enumerate(scene.scene.further):
        medium = frames.media[number + 1]
        rows = f"from {kind} {medium.first} on"
        facts.append(f"{item.video.name} is shown in the same prompt, {rows}; it begins at {seconds(item.start)} s")
    if model is None:
        return [*facts, "Frames are drawn as stored and upright, not as a processor gives them to a model"]
    return [*facts, *model_facts(scene, model)]


def model_facts(scene: ScenePreview, model: ModelPreview) -> list[str]:
    """What a model gets of a scene, a sentence each."""
    frames, facts = scene.frames, list[str]()
    cells = [len(frame.cells) for frame in model.frames]
    sizes = {frame.size for frame in model.frames}
    facts.append(f"For {model.model} the prompt has {len(model.tokens):,} tokens, {_visual(model):,} of them visual")
    if not any(cells):
        return facts
    first = model.frames[0]
    words = f"{min(cells)}" if min(cells) == max(cells) else f"{min(cells)} to {max(cells)}"
    facts.append(f"A frame has {words} cells (visual tokens that show it); a cell shows {_cell_size(first.cells)}")
    if frames.media:
        facts.append(
            "Frames are drawn as stored: at which size the model gets them is shown for a single video or image"
        )
    elif sizes == {None}:
        facts.append("Frames are drawn as stored: the model gets several pictures of each, or does not state its size")
    else:
        width, height = first.size or (0, 0)
        facts.append(f"The model gets each frame as {width} × {height} pixels, and it is drawn at that resolution")
    if first.region != (0.0, 0.0, float(frames.width), float(frames.height)):
        facts.append("What is dark has no cell: the model is not shown it")
    spans = (model.tokens["frame_last"] - model.tokens["frame_first"] + 1)[model.tokens["frame_first"] >= 0]
    if (longest := int(spans.max())) > 1:
        facts.append(
            f"A visual token shows up to {longest} frames at once, so a cell is somebody's if a box covers it in one of"
            " them"
        )
    return [*facts, f"Coloured cells are those that a box covers by {model.coverage:g} or more"]


def _visual(model: ModelPreview) -> int:
    return int(is_visual(model.tokens).sum())


def _cell_size(cells: NDArray[np.float32]) -> str:
    """The sizes of cells in words."""
    sides = np.rint(cells[:, 2:] - cells[:, :2]).astype(int)
    sizes, counts = np.unique(sides, axis=0, return_counts=True)
    width, height = sizes[counts.argmax()]
    few = "" if len(sizes) == 1 else ", most of them"
    return f"{width} × {height} pixels of the source{few}"


def _about(finding: Finding, scene: ScenePreview) -> str:
    """Where a finding is seen, for the end of its line."""
    if not finding.frames or len(finding.frames) == len(scene.frames.times):
        return ""
    return "frames " + ranges(finding.frames) if len(finding.frames) > 1 else f"frame {finding.frames[0]}"


def _people(scene: ScenePreview, model: ModelPreview | None, colors: dict[str, str]) -> list[dict[str, Any]]:
    count = len(scene.frames.times)
    rows = []
    for name in scene.scene.speaker_names:
        turns = [turn for turn in scene.scene.transcript if turn.speaker == name]
        spoken = sum((turn.end or turn.start) - turn.start for turn in turns if turn.start is not None)
        visible = ~np.isnan(scene.boxes_of(name)[:, 0])
        cells = None
        if model is not None and name in scene.boxes.speakers:
            row = scene.boxes.speakers.index(name)
            own = [int(frame.owners[row].sum()) for frame, here in zip(model.frames, visible, strict=True) if here]
            cells = "—" if not own else f"{min(own)}" if min(own) == max(own) else f"{min(own)} to {max(own)}"
        rows.append(
            {
                "name": name,
                "color": colors[name],
                "turns": len(turns),
                "spoken": f"{seconds(spoken)} s" if turns else "—",
                "boxes": f"{int(visible.sum())} of {count}" if name in scene.scene.speakers else "no box",
                "cells": cells or "—",
            }
        )
    return rows

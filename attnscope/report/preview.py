"""The page of a preview: a scene at its sampled frames, before any model runs."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Container, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from attnscope.files import write_whole
from attnscope.report.figures.frames.placement import LETTER, place_names
from attnscope.report.figures.labels import middle
from attnscope.report.figures.turns import speaker_colors
from attnscope.report.page.render import render
from attnscope.scene.problems import seconds
from attnscope.vocabulary import is_visual

if TYPE_CHECKING:
    from attnscope.model import FrameCells, ModelPreview
    from attnscope.scene import Finding, ScenePreview

MOST_FRAMES = 96  # on a page; of more they are chosen evenly
PIXELS = 3_000_000  # of all pictures of a page together
LONGEST, SHORTEST = 720, 120  # pixels of a picture's longer side
QUALITY = 85
NOBODY = "no speaker"
GREY = "#777777"
ROOM = 210.0  # points across a frame, as far as names are concerned
INSTANT = 0.5  # percent of the time line that an utterance without an end takes
TICKS = 8


def preview(
    scene: ScenePreview, out: str | Path, *, model: ModelPreview | None = None, source: str | None = None
) -> dict[str, Any]:
    """Write the page of a preview.

    Args:
        scene: A scene at its sampled frames (`attnscope.scene.preview_scene`).
        out: The page to write.
        model: What a model's processor makes of it (`attnscope.model.preview_model`).
        source: What was previewed, for the title; the name of the video by default.

    Returns:
        The facts and the warnings, JSON-able: `page`, `warnings`, `scene`, `model`.

    Raises:
        RunError: If the page cannot be written.

    Example:
        >>> facts = attnscope.report.preview(attnscope.scene.preview_scene(scene), "preview.html")
        >>> facts["warnings"], len(facts["scene"]["frames"])
        ([], 8)
    """
    findings = [*scene.findings, *(model.findings if model else [])]
    colors = speaker_colors(scene.scene)
    page = render(
        "preview.html.j2",
        title=source or scene.scene.video.name,
        facts=_facts(scene, model),
        findings=findings,
        about=[_about(finding, scene) for finding in findings],
        scene=scene.scene,
        line=_time_line(scene, colors),
        frames=_frames(scene, model, colors, findings),
        left_out=max(len(scene.frames.times) - MOST_FRAMES, 0),
        people=_people(scene, model, colors),
        turns=_turns(scene, colors),
        model=model,
    )
    write_whole(out, page)
    return {
        "page": str(out),
        "warnings": [finding.to_dict() for finding in findings],
        "scene": scene.to_dict(),
        "model": None if model is None else model.to_dict(),
    }


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
    return "frames " + _ranges(finding.frames) if len(finding.frames) > 1 else f"frame {finding.frames[0]}"


def _ranges(numbers: Sequence[int]) -> str:
    runs = np.split(np.array(numbers), np.flatnonzero(np.diff(numbers) > 1) + 1)
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


# ---- frames


def _frames(
    scene: ScenePreview, model: ModelPreview | None, colors: dict[str, str], findings: Sequence[Finding]
) -> list[dict[str, Any]]:
    count = len(scene.frames.times)
    shown = np.unique(np.linspace(0, count - 1, min(count, MOST_FRAMES)).round().astype(int)).tolist()
    size = _drawn_size(scene.frames.width, scene.frames.height, len(shown))
    return [_frame(scene, model, number, size, colors, findings) for number in shown]


def _drawn_size(width: int, height: int, count: int) -> tuple[int, int]:
    """Width and height of the pictures of a page, so that all of them together stay light."""
    scale = min(1.0, LONGEST / max(width, height), math.sqrt(PIXELS / count / (width * height)))
    scale = min(1.0, max(scale, SHORTEST / max(width, height)))
    return max(round(width * scale), 1), max(round(height * scale), 1)


def _frame(
    scene: ScenePreview,
    model: ModelPreview | None,
    number: int,
    size: tuple[int, int],
    colors: dict[str, str],
    findings: Sequence[Finding],
) -> dict[str, Any]:
    frames = scene.frames
    visible = {name: box[number] for name, box in _boxes(scene).items() if not np.isnan(box[number]).any()}
    speaking = [
        turn.speaker or NOBODY
        for turn, live in zip(scene.scene.transcript, scene.inside, strict=True)
        if live[number] and turn.start is not None
    ]
    seen = model.frames[number] if model is not None else None
    letters = max(int(ROOM / 2 / LETTER), 6)
    texts = {name: middle(name, letters) for name in visible}
    spots = place_names(visible, (frames.width, frames.height), ROOM, None, texts)
    return {
        "number": number,
        "time": None if frames.kind == "image" else seconds(float(frames.times[number])),
        "width": frames.width,
        "height": frames.height,
        "letter": frames.width / ROOM * LETTER / 0.58,  # of a sans-serif, letters are 0.58 of their size wide
        "uri": _picture(frames.images[number], size, seen),
        "boxes": [
            {
                "name": name,
                "text": texts[name],
                "color": colors[name],
                "rectangle": [round(float(v), 1) for v in (box[0], box[1], box[2] - box[0], box[3] - box[1])],
                "spot": [round(v, 1) for v in spots[name]],
                "speaks": name in speaking,
            }
            for name, box in visible.items()
        ],
        "speaking": list(dict.fromkeys(speaking)),
        "cells": None if seen is None else _drawn_cells(scene, seen, colors, visible),
        "warnings": [
            finding.kind for finding in findings if number in finding.frames and len(finding.frames) < len(frames.times)
        ],
    }


def _boxes(scene: ScenePreview) -> dict[str, NDArray[np.float32]]:
    return dict(zip(scene.boxes.speakers, scene.boxes.xyxy, strict=True))


def _drawn_cells(
    scene: ScenePreview, seen: FrameCells, colors: dict[str, str], visible: Container[str]
) -> dict[str, Any]:
    """Paths of the grid, of everybody's cells, and of what has no cell."""
    counts = {name: int(own.sum()) for name, own in zip(scene.boxes.speakers, seen.owners, strict=True)}
    return {
        "grid": _path(seen.cells),
        "own": [
            {"name": name, "color": colors[name], "path": _path(seen.cells[own])}
            for name, own in zip(scene.boxes.speakers, seen.owners, strict=True)
            if own.any()
        ],
        "counts": {name: count for name, count in counts.items() if count or name in visible},
        "region": seen.region,
    }


def _path(cells: NDArray[np.float32]) -> str:
    """Rectangles as an SVG path."""
    return "".join(f"M{x0:.4g} {y0:.4g}H{x1:.4g}V{y1:.4g}H{x0:.4g}z" for x0, y0, x1, y1 in cells.tolist())


def _picture(image: NDArray[np.uint8], size: tuple[int, int], seen: FrameCells | None) -> str:
    """A frame as a data URI; what a model gets of it no finer than the model gets it."""
    picture = Image.fromarray(image)
    if seen is not None and seen.region is not None and seen.size is not None:
        edges = [round(edge) for edge in seen.region]
        part = picture.crop((edges[0], edges[1], edges[2], edges[3])).resize(seen.size, Image.Resampling.BICUBIC)
        coarse = part.resize((edges[2] - edges[0], edges[3] - edges[1]), Image.Resampling.BICUBIC)
        picture.paste(coarse, (edges[0], edges[1]))
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


# ---- people, turns, time line


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


def _turns(scene: ScenePreview, colors: dict[str, str]) -> list[dict[str, Any]]:
    rows = []
    for number, turn in enumerate(scene.scene.transcript):
        inside = np.flatnonzero(scene.inside[number])
        live = np.flatnonzero(scene.live[number])
        frames = "all" if turn.start is None else _ranges(inside.tolist()) if len(inside) else f"none (near {live[0]})"
        times = [seconds(time) for time in (turn.start, turn.end) if time is not None]
        rows.append(
            {
                "number": number,
                "speaker": turn.speaker,
                "color": colors.get(turn.speaker or "", GREY),
                "time": " to ".join(times),
                "text": turn.text,
                "frames": frames,
                "missed": not len(inside),
            }
        )
    return rows


def _time_line(scene: ScenePreview, colors: dict[str, str]) -> dict[str, Any] | None:
    """Bars in percent of the clip: turns above, boxes below, one lane for each person; None for an image."""
    duration = scene.frames.duration
    if scene.window is None or not duration:
        return None
    lanes: dict[str | None, dict[str, Any]] = {
        name: {"name": name, "color": colors[name], "turns": [], "boxes": []} for name in scene.scene.speaker_names
    }
    for number, turn in enumerate(scene.scene.transcript):
        if turn.start is None:
            continue
        lane = lanes.setdefault(turn.speaker, {"name": NOBODY, "color": GREY, "turns": [], "boxes": []})
        lane["turns"].append(
            {
                **_bar(turn.start, turn.end or turn.start, duration),
                "missed": not scene.inside[number].any(),
                "title": f"turn {number}: {turn.text}",
            }
        )
    for name, speaker in scene.scene.speakers.items():
        lanes[name]["boxes"] = [_bar(segment.start, segment.end, duration) for segment in speaker.segments]
    low, high = (_percent(time, duration) for time in scene.window)
    count = len(scene.frames.times)
    every = max(1, math.ceil(count / 12))
    return {
        "lanes": list(lanes.values()),
        "frames": [
            {"at": _percent(float(time), duration), "number": number, "named": number % every == 0}
            for number, time in enumerate(scene.frames.times)
        ],
        "outside": [(0.0, low), (high, round(100 - high, 3))] if (low, high) != (0.0, 100.0) else [],
        "ticks": [(_percent(time, duration), seconds(time)) for time in _ticks(duration)],
        "untimed": sum(turn.start is None for turn in scene.scene.transcript),
    }


def _bar(start: float, end: float, duration: float) -> dict[str, float]:
    left = _percent(start, duration)
    return {"left": left, "width": max(round(_percent(end, duration) - left, 3), INSTANT)}


def _percent(time: float, duration: float) -> float:
    return round(100 * min(max(time / duration, 0.0), 1.0), 3)


def _ticks(duration: float) -> list[float]:
    """Round times from 0 on, at most `TICKS` of them."""
    power = 10.0 ** math.floor(math.log10(duration / TICKS))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if duration / (power * factor) <= TICKS)
    return [step * number for number in range(int(duration / step + 1e-9) + 1)]

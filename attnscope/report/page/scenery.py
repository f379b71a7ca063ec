"""A scene on a page: its frames with everybody's box, who speaks when, and the turns; as SVG and text, no script."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from attnscope.report.figures.frames.placement import LETTER, place_names
from attnscope.report.figures.labels import middle
from attnscope.report.page.numbers import ranges
from attnscope.scene.boxes import scene_boxes
from attnscope.scene.frames import Frames
from attnscope.scene.preview import ScenePreview
from attnscope.scene.problems import seconds
from attnscope.scene.speaking import inside_frames, live_frames

if TYPE_CHECKING:
    from attnscope.capture import Capture
    from attnscope.model import FrameCells, ModelPreview
    from attnscope.scene import Finding

MOST_FRAMES = 96  # on a page; of more they are chosen evenly
PIXELS = 3_000_000  # of all pictures of a page together
LONGEST, SHORTEST = 720, 120  # pixels of a picture's longer side
QUALITY = 85
NOBODY = "no speaker"
GREY = "#777777"
ROOM = 210.0  # points across a frame, as far as names are concerned
INSTANT = 0.5  # percent of the time line that an utterance without an end takes
TICKS = 8


def of_capture(cap: Capture) -> ScenePreview:
    """The scene of a capture at the frames that its model was shown."""
    times, scene = np.asarray(cap.frames.times, np.float64), cap.scene
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    said = [time for turn in scene.transcript for time in (turn.start, turn.end) if time is not None]
    duration = None if cap.frames.kind == "image" else max([float(times[-1]) + step / 2, *said]) if len(times) else None
    size: dict[str, Any] = {"width": cap.frames.width, "height": cap.frames.height, "kind": cap.frames.kind}
    more: dict[str, Any] = {"source_fps": None, "duration": duration, "total_frames": None}
    frames = Frames(images=cap.frames.images, times=times, indices=cap.frames.indices, **size, **more)
    turns = scene.transcript
    inside, live = (
        np.array([which(turn.start, turn.end, times) for turn in turns]).reshape(len(turns), len(times))
        for which in (inside_frames, live_frames)
    )
    window = None if duration is None else (0.0, duration)
    return ScenePreview(scene, frames, scene_boxes(scene, frames), window, inside, live, findings=[])


def frames_of(
    scene: ScenePreview,
    colors: Mapping[str, str],
    *,
    model: ModelPreview | None = None,
    findings: Sequence[Finding] = (),
    most: int = MOST_FRAMES,
    pixels: int = PIXELS,
) -> list[dict[str, Any]]:
    """The sampled frames with the boxes of people, ready to be drawn.

    Args:
        scene: A scene at its frames.
        colors: A colour for everybody who has a box.
        model: What a model gets of them: cells are then drawn, too.
        findings: What is to be said of single frames.
        most: Frames to draw at most; of more they are chosen evenly.
        pixels: Of all pictures together.
    """
    count = len(scene.frames.times)
    shown = np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist()
    size = _drawn_size(scene.frames.width, scene.frames.height, max(len(shown), 1), pixels)
    return [_frame(scene, model, number, size, colors, findings) for number in shown]


def _drawn_size(width: int, height: int, count: int, pixels: int) -> tuple[int, int]:
    """Width and height of the pictures of a page, so that all of them together stay light."""
    scale = min(1.0, LONGEST / max(width, height), math.sqrt(pixels / count / (width * height)))
    scale = min(1.0, max(scale, SHORTEST / max(width, height)))
    return max(round(width * scale), 1), max(round(height * scale), 1)


def _frame(
    scene: ScenePreview,
    model: ModelPreview | None,
    number: int,
    size: tuple[int, int],
    colors: Mapping[str, str],
    findings: Sequence[Finding],
) -> dict[str, Any]:
    frames = scene.frames
    visible = {name: box[number] for name, box in boxes_by_name(scene).items() if not np.isnan(box[number]).any()}
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


def boxes_by_name(scene: ScenePreview) -> dict[str, NDArray[np.float32]]:
    """Boxes in all frames, [F, 4], of everybody who has one."""
    return dict(zip(scene.boxes.speakers, scene.boxes.xyxy, strict=True))


def _drawn_cells(
    scene: ScenePreview, seen: FrameCells, colors: Mapping[str, str], visible: Container[str]
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


def as_given(picture: Image.Image, seen: FrameCells | None) -> Image.Image:
    """A frame at the resolution at which a model gets it, in its own size; as it is where that is not known."""
    if seen is None or seen.region is None or seen.size is None:
        return picture
    left, top, right, bottom = (round(edge) for edge in seen.region)
    part = picture.crop((left, top, right, bottom)).resize(seen.size, Image.Resampling.BICUBIC)
    given = picture.copy()
    given.paste(part.resize((right - left, bottom - top), Image.Resampling.BICUBIC), (left, top))
    return given


def _picture(image: NDArray[np.uint8], size: tuple[int, int], seen: FrameCells | None) -> str:
    """A frame as a data URI; what a model gets of it no finer than the model gets it."""
    picture = as_given(Image.fromarray(image), seen)
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def turns_of(scene: ScenePreview, colors: Mapping[str, str]) -> list[dict[str, Any]]:
    """The turns of the transcript: who says what when, and at which frames."""
    rows = []
    for number, turn in enumerate(scene.scene.transcript):
        inside = np.flatnonzero(scene.inside[number])
        live = np.flatnonzero(scene.live[number])
        frames = "all" if turn.start is None else ranges(inside.tolist()) if len(inside) else f"none (near {live[0]})"
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


def time_line(scene: ScenePreview, colors: Mapping[str, str]) -> dict[str, Any] | None:
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
                "when": f"{seconds(turn.start)} s",
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

"""Boxes from Label Studio: the JSON export of tasks with `VideoRectangle` regions.

A region is a track; its `sequence` holds keyframes in percent of the picture, between which the boxes are
interpolated. A keyframe that is not `enabled` is still seen at its own moment, and nothing is seen after it.
Label Studio counts frames at a rate of its own (24 a second unless the project says otherwise), so frames say nothing
of the video: their times count, which are those that the player showed, `frame / rate`. Frame 1 is shown from the
beginning, so its time is 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from attnscope.errors import SceneError
from attnscope.scene.importers.boxes.names import Naming, TrackNames
from attnscope.scene.importers.boxes.rotated import scaled, upright
from attnscope.scene.importers.registry import importer
from attnscope.scene.importers.streaming import json_items, name_of, number
from attnscope.scene.records import BoxRecord, LeftOut, Note

_UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")  # put before the names of uploaded files
_REGION = "videorectangle"


@importer(
    name="label-studio",
    yields=("boxes",),
    summary="boxes from Label Studio: its JSON export of video rectangles",
    documentation="https://labelstud.io/tags/videorectangle",
    unverified="read against the code of its editor and of its own converter; no export of a server was at hand",
)
def read_label_studio(
    path: Path, *, attribute: str = "name", naming: Naming = "auto", predictions: bool = False
) -> Iterator[BoxRecord | LeftOut | Note]:
    """Read the video rectangles of a JSON export; the memory is that of the largest task.

    Args:
        path: The export ("JSON", not "JSON-MIN").
        attribute: Name of a control of each region (choices, text) that holds a person's name.
        naming: What a region without it is called: its label, with its number where several regions of a task have
            that label ("auto"), or its "label", or always with the number ("track").
        predictions: Read what models predicted instead of what people drew.
    """
    names = TrackNames([], attribute, naming)
    for at, task in enumerate(json_items(path, "item")):
        if not isinstance(task, dict) or not {"annotations", "predictions"} & task.keys():
            if at == 0:
                raise SceneError(f"{path}: [0]: has neither annotations nor predictions; export as JSON, not JSON-MIN")
            yield LeftOut(where=f"[{at}]", what="box", reason="the task has neither annotations nor predictions")
            continue
        yield from _task(f"[{at}]", task, names, predictions)
    for note in names.notes(path.name):
        yield Note(text=note)


def _task(where: str, task: Mapping[str, Any], names: TrackNames, predictions: bool) -> Iterator[BoxRecord | LeftOut]:
    clip = _clip(task)
    wanted = "predictions" if predictions else "annotations"
    lists = {kind: [a for a in _list(task.get(kind)) if isinstance(a, dict)] for kind in ("annotations", "predictions")}
    chosen = _chosen(lists[wanted])
    for kind, found in lists.items():
        for number_, annotation in enumerate(found):
            results = _list(annotation.get("result"))
            place = f"{where}.{kind}[{number_}]"
            if annotation is chosen:
                yield from _regions(place, clip, results, names)
                continue
            reason = f"{wanted} of the task are read, and this is one of its {kind}"
            if kind == wanted:
                reason = "the annotation is cancelled" if annotation.get("was_cancelled") else "another is read"
            for region, result in enumerate(results):
                for frame in range(len(_sequence(result))):
                    yield LeftOut(
                        where=f"{place}.result[{region}].sequence[{frame}]", clip=clip, what="box", reason=reason
                    )


def _chosen(annotations: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The ground truth, or else the first that is not cancelled."""
    kept = [annotation for annotation in annotations if not annotation.get("was_cancelled")]
    return next((annotation for annotation in kept if annotation.get("ground_truth")), kept[0] if kept else None)


def _regions(where: str, clip: str, results: Sequence[Any], names: TrackNames) -> Iterator[BoxRecord | LeftOut]:
    controls: dict[str, dict[str, object]] = {}  # region -> control -> what was chosen or written
    for result in results:
        if isinstance(result, dict) and not _is_region(result) and isinstance(result.get("value"), dict):
            value = result["value"]
            texts = _list(value.get("choices")) or _list(value.get("text")) or [value.get("text")]
            controls.setdefault(str(result.get("id")), {})[str(result.get("from_name"))] = next(iter(texts), None)
    regions = [result for result in results if _is_region(result)]
    ids = {str(region.get("id")) for region in regions}
    names.tracks.update((clip, _label(region)) for region in regions if _sequence(region))
    for at, result in enumerate(results):
        place = f"{where}.result[{at}]"
        if not _is_region(result):
            of_region = isinstance(result, dict) and str(result.get("id")) in ids
            if not of_region:  # what is said of a region is no record of its own
                kind = name_of(result.get("type")) if isinstance(result, dict) else ""
                yield LeftOut(where=place, clip=clip, what="box", reason=f"a result '{kind}' is no box of a video")
            continue
        name = names.name(clip, _label(result), str(at + 1), controls.get(str(result.get("id")), {}))
        yield from _boxes(place, clip, result, name)
    names.tracks.clear()


def _is_region(result: Any) -> bool:
    return isinstance(result, dict) and result.get("type") == _REGION


def _label(region: Mapping[str, Any]) -> str:
    labels = _list(_object(region.get("value")).get("labels"))
    return next((name_of(label) for label in labels if name_of(label)), "track")


def _boxes(where: str, clip: str, region: Mapping[str, Any], name: str) -> Iterator[BoxRecord | LeftOut]:
    value = _object(region.get("value"))
    sequence = _sequence(region)
    count, duration = number(value.get("framesCount")), number(value.get("duration"))
    rate = count / duration if count and duration and duration > 0 else None
    size = number(region.get("original_width")), number(region.get("original_height"))
    order = sorted(range(len(sequence)), key=lambda at: number(_field(sequence[at], "frame")) or 0)
    visible = False  # whether the keyframe before was enabled
    for at in order:
        key, place = sequence[at], f"{where}.sequence[{at}]"
        enabled = _field(key, "enabled") is not False
        seen, visible = enabled or visible, enabled
        frame, time = number(_field(key, "frame")), number(_field(key, "time"))
        sides = [number(_field(key, side)) for side in ("x", "y", "width", "height")]
        degrees = number(_field(key, "rotation") or 0)
        reason = ""
        if not seen:
            reason = "the keyframe is not enabled, and neither is the one before"
        elif frame is None and time is None:
            reason = "the keyframe has neither frame nor time"
        elif None in sides or degrees is None:
            reason = "a side of the box is no number"
        elif degrees % 360 and not all(size):
            reason = "the box is rotated, and the file does not say how large the picture is"
        if reason:
            yield LeftOut(where=place, clip=clip, what="box", reason=reason, name=name)
            continue
        if frame is not None and frame <= 1:
            time = 0.0
        elif time is None and rate is not None and frame is not None:
            time = frame / rate
        yield BoxRecord(
            where=place,
            clip=clip,
            name=name,
            xyxy=_fractions([side or 0.0 for side in sides], degrees or 0.0, size),
            units="fraction",
            time=time,
            frame=int(frame) if time is None and frame is not None else None,
            track=str(region.get("id")),
            keyframe=enabled,
        )


def _fractions(
    sides: Sequence[float], degrees: float, size: tuple[float | None, float | None]
) -> tuple[float, float, float, float]:
    left, top, width, height = (side / 100 for side in sides)
    box = (left, top, left + width, top + height)
    if degrees % 360 == 0 or not size[0] or not size[1]:
        return box
    pixels = (box[0] * size[0], box[1] * size[1], box[2] * size[0], box[3] * size[1])
    return scaled(upright(pixels, degrees, (pixels[0], pixels[1])), size[0], size[1])


def _clip(task: Mapping[str, Any]) -> str:
    """The video's name: of the task's `video`, or of its only value that is text."""
    data = _object(task.get("data"))
    texts = [value for value in data.values() if isinstance(value, str)]
    named = data.get("video")
    address = named if isinstance(named, str) else texts[0] if len(texts) == 1 else ""
    parts = urlsplit(address)
    within = parse_qs(parts.query).get("d", [""])[0] or unquote(parts.path)
    name = within.replace("\\", "/").rpartition("/")[2]
    return _UPLOADED.sub("", name) if "/upload/" in parts.path else name


def _sequence(result: Any) -> list[Any]:
    return _list(_object(_object(result).get("value")).get("sequence"))


def _field(key: Any, name: str) -> Any:
    return key.get(name) if isinstance(key, dict) else None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []

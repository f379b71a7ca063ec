"""Boxes from CVAT: "CVAT for video 1.1", and "CVAT for images 1.1" where the images are frames of a video.

A track has keyframes, between which boxes are interpolated, and `outside="1"` where it is not visible any more.
A track that is visible in the last frame of its task ends there, for nobody looked at the rest of the video. Where the
name of a track changes, its next box is also the last one of the name before. cvat_tasks.py says what the numbers of
frames mean, cvat_images.py what those of images. The sizes of the pictures are in the file, so boxes are fractions of
them. Shapes that are no rectangles are left out by name.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO
from xml.etree.ElementTree import Element

from attnscope.errors import SceneError
from attnscope.files import open_regular
from attnscope.scene.importers.boxes.cvat_images import Counted, ImageNumbers
from attnscope.scene.importers.boxes.cvat_tasks import HEAD, Task, Tasks
from attnscope.scene.importers.boxes.names import Naming, TrackNames
from attnscope.scene.importers.boxes.rotated import scaled, upright
from attnscope.scene.importers.registry import importer
from attnscope.scene.importers.streaming import not_a_number, number, whole, xml_elements
from attnscope.scene.records import BoxRecord, LeftOut, Note

_FILE = "annotations.xml"
_MOST = 5  # tracks in one sentence
_SIDES = ("xtl", "ytl", "xbr", "ybr")


@importer(
    name="cvat",
    yields=("boxes",),
    suffixes=(".xml", ".zip"),
    summary="boxes from CVAT, for video 1.1 and for images 1.1, as .xml or in its .zip",
    documentation="https://docs.cvat.ai/docs/manual/advanced/xml_format/",
    unverified="held against one export of 2020 and against the code that writes the format today",
)
def read_cvat(
    path: Path,
    *,
    attribute: str = "name",
    naming: Naming = "auto",
    frames_by: Counted = "auto",
    first_frame: int | None = None,
) -> Iterator[BoxRecord | LeftOut | Note]:
    """Read the boxes of a CVAT export.

    Args:
        path: The file annotations.xml, or the .zip that holds it.
        attribute: Attribute that holds a person's name.
        naming: What a track without that attribute is called: its label, with its number where several tracks of a
            clip have that label ("auto"), or its "label", or always with the number ("track").
        frames_by: Which frame an image is: its "id", or the number in its "name"; "auto" takes the id and refuses a
            file in which names and ids contradict each other.
        first_frame: Number that the first frame has in the names of images. If it is not given, it is 0, or 1 where no
            name has a number below 1.
    """
    images = ImageNumbers(path, frames_by, first_frame)
    names = TrackNames(_tracks(path, images), attribute, naming)
    images.check()
    tasks = Tasks()
    track: Element | None = None
    before: BoxRecord | None = None  # the last box of the track
    renamed: list[str] = []
    known: dict[str, object] = {}  # attributes of the track so far; some tools write them once
    with _opened(path) as file:
        for event, element, tags in xml_elements(path, file, "annotations", whole=("image",)):
            depth = len(tags)
            if event == "start":
                if depth == 2:
                    track, known, before = element if element.tag == "track" else None, {}, None
                continue
            if depth == 3 and tags[1] == "meta" and element.tag in HEAD:
                tasks.add(element)
            elif depth == 3 and track is not None:
                for shape in element if element.tag == "track" else (element,):  # a skeleton has tracks of its points
                    known.update(_attributes(shape))
                    record = _tracked(shape, track, tasks.of(track), names, known)
                    if isinstance(record, BoxRecord):
                        if before is not None and _renames(before, record):
                            renamed.append(f"track {track.get('id', '')} ({before.name}, {record.name})")
                            yield replace(record, name=before.name, until=record.frame)
                        before = record
                    yield record
            elif depth == 2 and element.tag == "image":
                yield from _image(element, tasks.of(element), names, images)
            elif depth == 2 and element.tag not in ("version", "meta", "track"):
                where = f"<{element.tag}> of frame {element.get('frame', '?')}"
                yield LeftOut(where=where, what="box", reason=f"an element <{element.tag}> is no box")
    for note in [*names.notes(path.name), *images.notes()]:
        yield Note(text=note)
    if renamed:
        more = f" and {len(renamed) - _MOST} more" if len(renamed) > _MOST else ""
        yield Note(
            text=f"{path.name}: the name of a track changes: {', '.join(renamed[:_MOST])}{more}; the box at the change "
            "counts for both names"
        )


def _tracks(path: Path, images: ImageNumbers) -> Iterator[tuple[str, str]]:
    """The clip and the label of every track of boxes; the numbers of images are seen on the way."""
    tasks = Tasks()
    track: Element | None = None
    with _opened(path) as file:
        for event, element, tags in xml_elements(path, file, "annotations"):
            if event == "end" and len(tags) == 3 and tags[1] == "meta" and element.tag in HEAD:
                tasks.add(element)
            if event == "start" and len(tags) == 2 and element.tag == "image":
                images.see(element, tasks.of(element))
            if event == "start" and len(tags) == 2:
                track = element if element.tag == "track" else None
            if event == "start" and len(tags) == 3 and element.tag == "box" and track is not None:
                yield tasks.of(track).clip, track.get("label", "").strip() or "track"
                track = None  # it counts once


def _renames(before: BoxRecord, record: BoxRecord) -> bool:
    """Whether somebody else is in the next box of a track, who took the place of the one before at that moment."""
    return before.name != record.name and not before.ends and (before.frame or 0) < (record.frame or 0)


def _tracked(
    shape: Element, track: Element, task: Task, names: TrackNames, attributes: Mapping[str, object]
) -> BoxRecord | LeftOut:
    number_, label = track.get("id", ""), track.get("label", "")
    where = f"track {number_} frame {shape.get('frame', '?')}"
    if shape.tag != "box":
        return LeftOut(where=where, clip=task.clip, what="box", reason=f"a shape <{shape.tag}> is no box", name=label)
    name = names.name(task.clip, label, number_, attributes)
    written = whole(shape.get("frame"))
    frame = task.frame(written)
    if frame is None:
        reason = (
            "the box has no number of a frame"
            if written is None or written < 0
            else "the frame is none of those that its task shows"
        )
        return LeftOut(where=where, clip=task.clip, what="box", reason=reason, name=name)
    box = _box(shape)
    if isinstance(box, str):
        return LeftOut(where=where, clip=task.clip, what="box", reason="a side of the box is no number", name=name)
    return BoxRecord(
        where=where,
        clip=task.clip,
        name=name,
        xyxy=scaled(box, *task.size) if task.size else box,
        units="fraction" if task.size else "pixels",
        frame=frame,
        track=f"{track.get('task_id', '')}:{number_}",
        keyframe=True,
        ends=shape.get("outside") == "1",
        until=task.until,
    )


def _image(image: Element, task: Task, names: TrackNames, images: ImageNumbers) -> Iterator[BoxRecord | LeftOut]:
    """The boxes of an image; who they are says an attribute, or else a label that one box of the image has."""
    frame, size = images.frame(image, task), [number(image.get(side)) for side in ("width", "height")]
    labels = [shape.get("label", "").strip() for shape in image if shape.tag == "box"]
    for at, shape in enumerate(image):
        where, label = f"image {image.get('id', '?')} shape {at + 1}", shape.get("label", "").strip()
        reason = ""
        box = _box(shape) if shape.tag == "box" else ""
        attributes = _attributes(shape)
        named = names.name(task.clip, label, "", attributes) != names.name(task.clip, label, "", {})
        if shape.tag != "box":
            reason = f"a shape <{shape.tag}> is no box"
        elif frame is None:
            reason = "the image is no frame of a video: its name does not end in a number"
        elif isinstance(box, str):
            reason = "a side of the box is no number"
        elif not named and labels.count(label) > 1 and names.naming != "label":
            reason = "several boxes of the image have one label, and no attribute tells who they are"
        if reason or isinstance(box, str) or frame is None:
            yield LeftOut(where=where, clip=task.clip, what="box", reason=reason, name=label)
            continue
        name = names.name(task.clip, label, "", attributes) if named else label or "track"
        yield BoxRecord(
            where=where,
            clip=task.clip,
            name=name,
            xyxy=scaled(box, size[0], size[1]) if size[0] and size[1] else box,
            units="fraction" if size[0] and size[1] else "pixels",
            frame=frame,
        )


def _attributes(shape: Element) -> Mapping[str, object]:
    return {child.get("name", ""): child.text for child in shape if child.tag == "attribute"}


def _box(shape: Element) -> tuple[float, float, float, float] | str:
    """The box in pixels; what is wrong with it, if something is."""
    sides = [number(shape.get(side)) for side in _SIDES]
    for side, value in zip(_SIDES, sides, strict=True):
        if value is None:
            return not_a_number(side, shape.get(side))
    left, top, right, bottom = (value or 0.0 for value in sides)
    degrees = number(shape.get("rotation", "0"))
    if degrees is None:
        return not_a_number("rotation", shape.get("rotation"))
    if degrees % 360 == 0:
        return left, top, right, bottom
    return upright((left, top, right, bottom), degrees, ((left + right) / 2, (top + bottom) / 2))


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The XML file, or the one inside a .zip."""
    with open_regular(path, SceneError) as file:
        if file.read(4) not in (b"PK\x03\x04", b"PK\x05\x06"):
            file.seek(0)
            yield file
            return
        try:
            with zipfile.ZipFile(file) as archive:
                inside = [name for name in archive.namelist() if Path(name).name == _FILE]
                if len(inside) != 1:
                    raise SceneError(f"{path}: holds {len(inside) or 'no'} {_FILE}; one is read at a time")
                with archive.open(inside[0]) as member:
                    yield member
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
            raise SceneError(f"{path}: not a .zip that can be read: {error}") from None

"""Boxes from COCO-style JSON of videos, in its two shapes.

In the first (TAO, MMTracking, CVAT's COCO export) an annotation is one box in an image: `image_id`, `bbox`, and the
track as `track_id`, `instance_id` or `attributes.track_id`. An image says its video and its frame as `frame_index`,
`frame_id`, or by the number at the end of its file name. In the second (YouTube-VIS, OVIS) an annotation is a track:
`video_id` and `bboxes`, one for each of the video's `file_names`, null where the track is not visible.

The file is read three times from its beginning, and images are kept in a temporary database on disk, so that the
memory does not grow with the file.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from attnscope.errors import SceneError
from attnscope.scene.importers.boxes.names import Naming, TrackNames
from attnscope.scene.importers.boxes.rotated import scaled
from attnscope.scene.importers.registry import importer
from attnscope.scene.importers.streaming import json_items, json_keys, name_of, number, whole
from attnscope.scene.records import BoxRecord, LeftOut, Note

_NUMBER = re.compile(r"(\d{1,15})$")
Counted = Literal["name", "order"]
Place = tuple[str, int, float | None, float | None]  # clip, frame, width, height of the picture


@importer(
    name="coco",
    yields=("boxes",),
    summary="boxes from COCO-style JSON of videos (TAO, MMTracking, YouTube-VIS, OVIS)",
    documentation="https://github.com/TAO-Dataset/tao/blob/master/tao/toolkit/tao/tao.py",
    unverified="read against published descriptions of the formats; no file of the data sets was at hand",
)
def read_coco(
    path: Path,
    *,
    attribute: str = "name",
    naming: Naming = "auto",
    frames_by: Counted = "name",
    first_frame: int | None = None,
) -> Iterator[BoxRecord | LeftOut | Note]:
    """Read the boxes of a COCO-style file of videos.

    Args:
        path: The JSON file.
        attribute: Attribute of an annotation or of its track that holds a person's name.
        naming: What a track without it is called: its category, with its number where several tracks of a video have
            that category ("auto"), or its "label" (the category), or always with the number ("track").
        frames_by: Which frame an image is that does not say it: the number in its file "name", or its "order" among
            the files of its video, which is right for a folder that holds these files alone.
        first_frame: Number that the first frame of a video has in the file. If it is not given, it is 0, or 1 where
            frames are numbered as their files are and no file has a number below 1.
    """
    if frames_by not in get_args(Counted):
        raise ValueError(f"frames_by: {frames_by} is not one of {', '.join(get_args(Counted))}")
    keys = json_keys(path)
    if keys is None or "annotations" not in keys or not {"videos", "images"} & set(keys):
        raise SceneError(f"{path}: is no object with annotations and videos or images, as COCO-style files are")
    with closing(sqlite3.connect("")) as database:  # a temporary file that its closing removes
        source = _Source(path, database, frames_by, first_frame)
        source.read(keys)
        names = TrackNames(source.tracks(), attribute, naming)
        for at, annotation in enumerate(json_items(path, "annotations.item")):
            where = f"annotations[{at}]"
            if not isinstance(annotation, dict):
                yield LeftOut(where=where, what="box", reason="the annotation is not an object")
            elif isinstance(annotation.get("bboxes"), list):
                yield from source.of_track(where, annotation, names)
            else:
                yield source.of_image(where, annotation, names)
    for note in [*source.notes(), *names.notes(path.name)]:
        yield Note(text=note)


class _Source:
    """Videos, images, categories and tracks of a file."""

    def __init__(self, path: Path, database: sqlite3.Connection, frames_by: str, first: int | None) -> None:
        self.path, self.database, self.frames_by, self.first = path, database, frames_by, first
        self.lowest: int | None = None  # the lowest number in the name of a file
        self.categories: dict[str, str] = {}
        self.skipping: str = ""  # a video whose numbers leave frames out
        database.execute(
            "CREATE TABLE videos (id TEXT PRIMARY KEY, name TEXT, width REAL, height REAL, frames TEXT, twice INT)"
        )
        database.execute(
            "CREATE TABLE images (id TEXT PRIMARY KEY, video TEXT, file TEXT, frame INT, width REAL, height REAL, "
            "place INT, twice INT)"
        )
        database.execute("CREATE TABLE tracks (id TEXT PRIMARY KEY, fields TEXT, twice INT)")
        database.execute(
            "CREATE TABLE seen (clip TEXT, category TEXT, track TEXT, PRIMARY KEY (clip, category, track))"
        )

    def read(self, keys: list[str]) -> None:
        """Read everything but the annotations, and count the tracks of each category."""
        add = self.database.execute
        for category in self._objects(keys, "categories"):
            self.categories[str(category.get("id"))] = name_of(category.get("name"))
        for video in self._objects(keys, "videos"):
            files = [str(file) for file in _list(video.get("file_names"))]
            name = name_of(video.get("name")) or name_of(video.get("file_name"))
            name = name or (PurePosixPath(files[0]).parent.name if files else "")
            size = number(video.get("width")), number(video.get("height"))
            values = (str(video.get("id")), name, *size, json.dumps(self._numbers(name, files)))
            add(_insert("videos", "id", "name", "width", "height", "frames"), values)
        order: dict[str, int] = {}
        for image in self._objects(keys, "images"):
            clip, file = str(image.get("video_id")), name_of(image.get("file_name"))
            order[clip] = order.get(clip, -1) + 1
            frame = _stated(image)
            if frame is None:
                self._see([_number(file)])
            size = number(image.get("width")), number(image.get("height"))
            columns = ("id", "video", "file", "frame", "width", "height", "place")
            add(_insert("images", *columns), (str(image.get("id")), clip, file, frame, *size, order[clip]))
        for track in self._objects(keys, "tracks"):
            add(_insert("tracks", "id", "fields"), (str(track.get("id")), json.dumps(_scalars(track))))
        for annotation in self._objects(keys, "annotations"):
            place = self._video(annotation) if "bboxes" in annotation else self._image(annotation)
            if not isinstance(place, str) and _track(annotation) and not _is_crowd(annotation):
                key = (place[0], self._category(annotation), _track(annotation))
                add("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", key)

    def tracks(self) -> Iterator[tuple[str, str]]:
        """The clip and the category of each track."""
        yield from self.database.execute("SELECT clip, category FROM seen")

    def notes(self) -> list[str]:
        """What is unsure about the numbers of frames."""
        notes = []
        if self.skipping:
            notes.append(
                f"{self.path.name}: frames are numbered as their files are, and those of {self.skipping} leave numbers "
                "out; frames_by=order counts the files instead"
            )
        if self.lowest and self.first is None and self.frames_by == "name":
            other = 1 - self.from_name
            notes.append(
                f"{self.path.name}: the lowest number of a file is {self.lowest}, so files are taken to count from "
                f"{self.from_name}; first_frame={other} makes them count from {other}"
            )
        return notes

    @property
    def from_name(self) -> int:
        """The number that the first frame has in the names of files."""
        return self.first if self.first is not None else int(self.lowest == 1)

    def _see(self, numbers: Iterable[int | None]) -> None:
        known = [number for number in (*numbers, self.lowest) if number is not None]
        self.lowest = min(known, default=None)

    def of_image(self, where: str, annotation: Mapping[str, Any], names: TrackNames) -> BoxRecord | LeftOut:
        """The box of an annotation in one image."""
        place = self._image(annotation)
        return self._record(where, annotation, annotation.get("bbox"), place, names)

    def of_track(self, where: str, annotation: Mapping[str, Any], names: TrackNames) -> Iterator[BoxRecord | LeftOut]:
        """The boxes of an annotation that is a track; null is no record."""
        video = self._video(annotation)
        frames: list[int | None] = [] if isinstance(video, str) else json.loads(video[4])
        for at, box in enumerate(annotation["bboxes"]):
            if box is None:
                continue
            place: Place | str
            if isinstance(video, str):
                place = video
            elif at >= len(frames) or frames[at] is None:
                place = "the video has no file for the box"
            else:
                shift = self.from_name if self.frames_by == "name" else 0
                place = (video[0], (frames[at] or 0) - shift, video[2], video[3])
            yield self._record(f"{where}.bboxes[{at}]", annotation, box, place, names)

    def _record(
        self, where: str, annotation: Mapping[str, Any], box: Any, place: Place | str, names: TrackNames
    ) -> BoxRecord | LeftOut:
        track = _track(annotation)
        sides = [number(side) for side in _list(box)]
        reason = ""
        if isinstance(place, str):
            reason = place
        elif not track:
            reason = "the annotation names no track"
        elif _is_crowd(annotation):
            reason = "a crowd is no single person"
        elif self._is_twice("tracks", track):
            reason = "the id of its track is given to several"
        elif len(sides) != 4 or None in sides:
            reason = "the box is not four numbers"
        elif place[1] < 0:
            reason = "the frame is before the first one"
        if reason or isinstance(place, str):
            return LeftOut(where=where, what="box", reason=reason, name=track)
        clip, frame, width, height = place
        left, top, wide, high = (side or 0.0 for side in sides)
        corners = (left, top, left + wide, top + high)
        return BoxRecord(
            where=where,
            clip=clip,
            name=names.name(clip, self._category(annotation), track, self._attributes(annotation, track)),
            xyxy=scaled(corners, width, height) if width and height else corners,
            units="fraction" if width and height else "pixels",
            frame=frame,
            track=track,
            score=score if (score := number(annotation.get("score"))) is not None and 0 <= score <= 1 else None,
        )

    def _image(self, annotation: Mapping[str, Any]) -> Place | str:
        """Where an annotation is; the reason if the file does not say."""
        row = self.database.execute(
            "SELECT i.video, i.file, i.frame, i.width, i.height, i.place, v.name, i.twice, v.twice "
            "FROM images i "
            "LEFT JOIN videos v ON v.id = i.video WHERE i.id = ?",
            (str(annotation.get("image_id")),),
        ).fetchone()
        if row is None:
            return "the image of the box is unknown"
        video, file, frame, width, height, order, name, *twice = row
        if any(twice):
            return f"the id of its {'image' if twice[0] else 'video'} is given to several"
        folder = PurePosixPath(file).parent.name
        clip = name or folder or ("" if video == "None" else video)
        if frame is None:
            named = _number(file)
            frame = order if self.frames_by == "order" else named - self.from_name if named is not None else None
        else:
            frame -= self.first or 0
        return (clip, frame, width, height) if frame is not None else "the image does not say which frame it is"

    def _video(self, annotation: Mapping[str, Any]) -> tuple[str, str, float | None, float | None, str] | str:
        """The video of an annotation; the reason if the file does not say."""
        row = self.database.execute(
            "SELECT name, id, width, height, frames FROM videos WHERE id = ?", (str(annotation.get("video_id")),)
        ).fetchone()
        if row is None:
            return "the video of the track is unknown"
        return (
            "the id of its video is given to several"
            if self._is_twice("videos", row[1])
            else (row[0] or row[1], *row[1:])
        )

    def _is_twice(self, table: str, identity: str) -> bool:
        """Whether an id is given to several different objects."""
        row = self.database.execute(f"SELECT twice FROM {table} WHERE id = ?", (identity,)).fetchone()
        return row is not None and bool(row[0])

    def _numbers(self, name: str, files: list[str]) -> list[int | None]:
        """The number of each file of a video: its place, or that in its name."""
        if self.frames_by == "order":
            return list(range(len(files)))
        numbers = [_number(file) for file in files]
        self._see(numbers)
        known = [n for n in numbers if n is not None]
        if not self.skipping and known and known != list(range(known[0], known[0] + len(known))):
            self.skipping = name
        return numbers

    def _category(self, annotation: Mapping[str, Any]) -> str:
        return self.categories.get(str(annotation.get("category_id")), "") or "track"

    def _attributes(self, annotation: Mapping[str, Any], track: str) -> dict[str, object]:
        row = self.database.execute("SELECT fields FROM tracks WHERE id = ?", (track,)).fetchone()
        own = annotation.get("attributes")
        return {**(json.loads(row[0]) if row else {}), **_scalars(annotation), **(own if isinstance(own, dict) else {})}

    def _objects(self, keys: list[str], key: str) -> Iterator[dict[str, Any]]:
        if key in keys:
            for item in json_items(self.path, f"{key}.item"):
                if isinstance(item, dict) and (key == "annotations" or item.get("id") is not None):
                    yield item


def _insert(table: str, *columns: str) -> str:
    """The statement that adds a row, and marks the row of its id where that has other contents.

    The place of an image is no content: the same image may be listed twice.
    """
    compared = [column for column in columns if column not in ("id", "place")]
    own, other = (", ".join(f"{prefix}{column}" for column in compared) for prefix in (f"{table}.", "excluded."))
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) "
        f"ON CONFLICT (id) DO UPDATE SET twice = 1 WHERE ({own}) IS NOT ({other})"
    )


def _is_crowd(annotation: Mapping[str, Any]) -> bool:
    return annotation.get("iscrowd") in (1, True)


def _stated(image: Mapping[str, Any]) -> int | None:
    return next((n for k in ("frame_index", "frame_id") if (n := whole(image.get(k))) is not None), None)


def _number(file: str) -> int | None:
    """The number at the end of a file's name."""
    match = _NUMBER.search(PurePosixPath(file).stem)
    return int(match[1]) if match else None


def _track(annotation: Mapping[str, Any]) -> str:
    attributes = annotation.get("attributes")
    own = attributes.get("track_id") if isinstance(attributes, dict) else None
    of_shape = annotation.get("id") if "bboxes" in annotation else None
    values = (annotation.get("track_id"), annotation.get("instance_id"), own, of_shape)
    return next((name_of(value) for value in values if name_of(value)), "")


def _scalars(value: Mapping[str, Any]) -> dict[str, object]:
    return {key: item for key, item in value.items() if isinstance(item, str | int)}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []

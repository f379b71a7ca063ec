"""Reading scene files and speaker files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import TypeAdapter, ValidationError

from attnscope.errors import SceneError
from attnscope.files import exists, path_status
from attnscope.scene.importers.registry import IMPORTERS, reader
from attnscope.scene.importers.sources import check_prefix, of_clip, split
from attnscope.scene.importers.speech.transcripts import transcript_and_notes
from attnscope.scene.joining.segments import Clock, place
from attnscope.scene.joining.videos import facts
from attnscope.scene.models import BoxUnits, SceneFields, Speaker, Speakers
from attnscope.scene.problems import one_line, read_json, show
from attnscope.scene.records import BoxRecord, LeftOut, Note

SomeScene = TypeVar("SomeScene", bound=SceneFields)


def read_scene(
    cls: type[SomeScene],
    path: Path,
    video: Path | None = None,
    *,
    find: Callable[[str], Path | None] | None = None,
    must_exist: bool = True,
) -> SomeScene:
    """Read a scene file; see `Scene.read` and `scene_of`."""
    data = read_json(path)
    if not isinstance(data, dict):
        raise SceneError(f"{path}: {show(data)} is not an object; a scene file is one JSON object")
    return scene_of(cls, data, path.parent, str(path), video, find=find, must_exist=must_exist)


def scene_of(
    cls: type[SomeScene],
    data: dict[str, Any],
    folder: Path,
    source: str,
    video: Path | None = None,
    *,
    find: Callable[[str], Path | None] | None = None,
    must_exist: bool = True,
) -> SomeScene:
    """A scene from the fields of a scene file.

    Args:
        cls: What it becomes.
        data: The fields.
        folder: What its `video` is relative to.
        source: What errors call it.
        video: Used in place of its `video`.
        find: Finds a video by the name that the scene gives; where it finds none, the scene's own path counts.
        must_exist: Refuse a scene whose video is not there.

    Raises:
        SceneError: A field is wrong.
    """
    if video is not None:
        data = {**data, "video": str(video.absolute())}
    scene = cls.model_validate(data, context={"source": source})
    place = _Place(folder, source, find, must_exist)
    if video is not None:
        full = _video(folder / scene.video, None)
        if must_exist and not exists(full):
            raise SceneError(f"{video}: no such file")
    else:
        full = place.of("video", scene.video)
    further = [
        item.model_copy(update={"video": place.of(f"further[{number}].video", item.video)})
        for number, item in enumerate(scene.further)
    ]
    return scene.model_copy(update={"video": full, "further": further})


class _Place(NamedTuple):
    """Where the videos of a scene file are sought; see `scene_of`."""

    folder: Path
    source: str
    find: Callable[[str], Path | None] | None
    must_exist: bool

    def of(self, field: str, video: Path) -> Path:
        """Where a video is that a field names.

        Raises:
            SceneError: It is not there, or cannot be.
        """
        try:
            found = None if self.find is None else self.find(str(video))
        except SceneError as error:
            raise SceneError(f"{self.source}: {field}: {video}: ", *error.args) from None
        full = _video(self.folder / video if found is None else found, self.source)
        if self.must_exist and not exists(full):
            nor = "" if self.find is None else ", nor is there one of its name in the folder of videos"
            raise SceneError(f"{self.source}: {field}: {video}: no such file{nor}")
        return full


def _video(path: Path, scene: str | None) -> Path:
    """Where a video is, links followed; what cannot be a path at all is an error of the scene file that names it.

    Raises:
        SceneError: The path is too long, holds a character that no name can, or its links lead in a circle.
    """
    try:
        path_status(path, SceneError)
        return Path(os.path.realpath(path))
    except SceneError as error:
        raise SceneError(*([] if scene is None else [f"{scene}: video: "]), *error.args) from None


def read_speakers(path: str | Path) -> tuple[dict[str, Speaker], BoxUnits | None]:
    """Read a speakers' file: the `speakers` of a scene file alone, or a whole scene file.

    Returns:
        Speakers by name, and the box units if the file states them.

    Raises:
        SceneError: The file or a field is wrong.

    Example:
        >>> speakers, units = attnscope.scene.read_speakers("speakers.json")
        >>> list(speakers), units
        (['Eva', 'Cleo', 'Ada', 'Dan', 'Ben'], None)
    """
    path = Path(path)
    data = read_json(path)
    if not isinstance(data, dict):
        raise SceneError(f"{path}: {show(data)} is not an object; a speakers' file maps names to segments")
    units: BoxUnits | None = None
    root: tuple[str, ...] = ()
    if _is_scene(data):
        unknown = sorted(data.keys() - SceneFields.model_fields.keys())
        if unknown:
            raise SceneError(f"{path}: {unknown[0]}: is not a field of this format")
        data, given, root = data["speakers"], data.get("box_units"), ("speakers",)
        if given not in (None, "pixels", "fraction"):
            raise SceneError(f"{path}: box_units: {show(given)} is not one of 'pixels' or 'fraction'")
        units = given
    return _speakers(data, str(path), root), units


def speakers_and_notes(source: str | Path, video: Path) -> tuple[dict[str, Speaker], BoxUnits | None, list[str]]:
    """Read speakers' boxes of any format.

    Args:
        source: A speakers' file, or `FORMAT:PATH` of a format that gives boxes.
        video: Tells the times of frames, the size of the picture, and whose boxes are wanted of several clips.

    Returns:
        As `read_speakers`, and what a user should know, one sentence each.

    Raises:
        SceneError: The file or a field is wrong, or no box can be used.
    """
    name, path = split(source)
    if name is None:
        check_prefix(path)
        if path.suffix.lower() == ".json" or reader("boxes", path.suffix) is None:
            return *read_speakers(path), []
    read = IMPORTERS[name] if name is not None else reader("boxes", path.suffix)
    assert read is not None
    if "boxes" not in read.yields:
        raise SceneError(f"{source}: {read.name} gives {' and '.join(read.yields)}, no boxes")
    notes: list[str] = []
    reasons: Counter[str] = Counter()
    boxes = []
    for record in read(path):
        if isinstance(record, Note):
            notes.append(record.text)
        elif isinstance(record, LeftOut) and record.what == "box":
            reasons[record.reason] += 1
        elif isinstance(record, BoxRecord):
            boxes.append(record)
    known = facts(video, None)
    clock = Clock(times=known.times, duration=known.duration)
    placed = place(of_clip(path, boxes, video.name), clock, known.size)
    reasons.update(reason for _, reason in placed.rejected)
    notes += [f"{path.name}: {note}" for note in placed.notes]
    notes += [f"{path.name}: boxes left out: {count:,}: {reason}" for reason, count in reasons.items()]
    if not placed.speakers:
        raise SceneError(f"{path}: holds no box that can be used" + "".join(f"; {note}" for note in notes))
    return _speakers(placed.speakers, str(path)), placed.box_units, notes


def _speakers(data: Any, source: str, root: tuple[str, ...] = ()) -> dict[str, Speaker]:
    try:
        speakers: dict[str, Speaker] = TypeAdapter(Speakers).validate_python(data)
        return speakers
    except ValidationError as error:
        raise SceneError(one_line(source, error, root)) from None


def files_to_dict(
    video: Path,
    transcript: str | Path | None,
    speakers: str | Path | None,
    box_units: BoxUnits | None,
    merge_rolling: bool,
) -> tuple[dict[str, Any], list[str]]:
    """The fields of a scene that come from files, and what a user should know; see `Scene.from_files`."""
    if not exists(_video(video, None)):
        raise SceneError(f"{video}: no such file")
    data: dict[str, Any] = {"video": _video(video, None)}
    notes: list[str] = []
    if speakers is not None:
        data["speakers"], stated, notes = speakers_and_notes(speakers, video)
        if stated and box_units and stated != box_units:
            raise SceneError(f'{speakers}: box_units: is "{stated}" in the file, but "{box_units}" was asked for')
        box_units = box_units or stated
    if transcript is not None:
        names = data.get("speakers", ())
        data["transcript"], more = transcript_and_notes(transcript, merge_rolling, names, video)
        notes = [*notes, *more]
    if box_units is not None:
        data["box_units"] = box_units
    return data, notes


def _is_scene(data: dict[str, Any]) -> bool:
    """A scene file has the key `speakers`; so has a speakers' file in which somebody is called that."""
    inner = data.get("speakers")
    return isinstance(inner, dict) and "segments" not in inner

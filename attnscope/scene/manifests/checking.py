"""Everything that is wrong with a manifest: its lines, their scenes, and the videos of these."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from attnscope.errors import RequestError
from attnscope.files import exists
from attnscope.progress import Progress
from attnscope.scene.frames import Frames
from attnscope.scene.joining.videos import Videos
from attnscope.scene.manifests.reading import Entry, ManifestReader, check_scorable
from attnscope.scene.media import check_against, read_frames, read_scene_frames
from attnscope.scene.models import Sampling
from attnscope.scene.problems import seconds


@dataclass
class Checked:
    """What was found.

    Attributes:
        path: The manifest.
        lines: How many lines it has.
        questions: How many of them can be scored.
        videos: How many videos they are about.
        missing: Those videos that are not there.
        problems: One line each.
    """

    path: Path
    lines: int = 0
    questions: int = 0
    videos: int = 0
    missing: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def check_manifest(path: str | Path, videos: str | Path | None = None, progress: Progress | None = None) -> Checked:
    """Read every line, every scene and every video of a manifest, and list what is wrong.

    Args:
        path: A manifest, a folder with a `manifest.jsonl`, or a table of questions.
        videos: Folder in which videos are found by the names that scenes give; a video that is missing is a problem
            only with it.
        progress: Called with (what, done, total).

    Raises:
        RequestError: If there is no such file, or it is no manifest at all.
    """
    find = None if videos is None else Videos(videos).find
    reader = ManifestReader(path, find, must_exist=videos is not None)
    lines = list(reader.lines())
    checked = Checked(reader.path, len(lines))
    problems: dict[str, list[int]] = {}  # without their line: one scene file may be named by many
    films: dict[tuple[Any, ...], Frames | str | None] = {}
    for number, line in lines:
        if progress is not None:
            progress("lines", number, lines[-1][0])
        try:
            entry = reader.entry(number, line)
            if entry.scene.question is not None:
                check_scorable(entry)
                checked.questions += 1
            _check_video(entry, films)
        except RequestError as error:
            message = str(error).removeprefix(f"{reader.place(number)}: ")
            problems.setdefault(message, []).append(number)
    checked.videos = len({key[0] for key in films})
    checked.missing = sorted({str(key[0]) for key, film in films.items() if film is None})
    checked.problems = [
        f"{reader.path}: {_lines(numbers, reader.unit)}: {message}" for message, numbers in problems.items()
    ]
    return checked


def _check_video(entry: Entry, films: dict[tuple[Any, ...], Frames | str | None]) -> None:
    """Hold a scene against its video, which is looked at once.

    Raises:
        RequestError: If the video cannot be read, or the times of the scene are not in it.
    """
    scene = entry.scene
    if scene.further:
        keys = [(path, scene.frame_rate) for path in (scene.video, *(item.video for item in scene.further))]
        for key in keys:
            films.setdefault(key, _film(*key))
        if all(films[key] is not None for key in keys):
            read_scene_frames(scene, Sampling(frames=1))
        return
    key = (scene.video, scene.frame_rate)
    if key not in films:
        films[key] = _film(*key)
    film = films[key]
    if film is None:
        return
    if isinstance(film, str):
        raise RequestError(f"{scene.video}: {film}")
    check_against(scene, film)
    if scene.window is None:
        return
    if film.duration is None:
        raise RequestError(f"{entry.where}: window: an image has no time")
    if scene.window[0] >= film.duration:
        ends = f"{scene.video.name} ends at {seconds(film.duration)} s"
        raise RequestError(f"{entry.where}: window: {seconds(scene.window[0])} s is after the end: {ends}")


def _film(path: Path, rate: float | None) -> Frames | str | None:
    """What is known of a video, without pixels; what is wrong with it; None if it is not there."""
    if not exists(path):
        return None
    try:
        frames = read_frames(path, Sampling(frames=1, frame_rate=rate))
    except RequestError as error:
        return str(error).removeprefix(f"{path}: ")
    return replace(frames, images=frames.images[:0])


def _lines(numbers: list[int], unit: str) -> str:
    """`line 3`, `lines 3, 5, 8 and 12 more`."""
    if len(numbers) == 1:
        return f"{unit} {numbers[0]}"
    shown = ", ".join(map(str, numbers[:3]))
    return f"{unit}s {shown}" + (f" and {len(numbers) - 3:,} more" if len(numbers) > 3 else "")

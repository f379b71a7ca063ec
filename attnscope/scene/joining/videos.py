"""Where the video of a clip is, and what has to be known of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from attnscope.errors import RequestError, SceneError
from attnscope.files import is_folder
from attnscope.scene.frames import Frames
from attnscope.scene.joining.clips import IMAGE_SUFFIXES, VIDEO_SUFFIXES, clip_path
from attnscope.scene.models import Sampling

_DEPTH = 4  # folders below the one that is given


class Videos:
    """Videos, images and folders of frames below a folder, found by the names of clips.

    A name is found without its suffix; where several files have it, the folders and the suffix in the name decide.
    """

    def __init__(self, folder: str | Path) -> None:
        """Nothing is read yet.

        Raises:
            RequestError: If there is no such folder.
        """
        self.folder = Path(folder)
        if not is_folder(self.folder):
            raise RequestError.of("videos", self.folder, "no such folder")

    @cached_property
    def _index(self) -> dict[str, list[Path]]:
        """Paths by the name without suffix, as names are compared."""
        index: dict[str, list[Path]] = {}
        waiting = [(self.folder, 0)]
        while waiting:
            folder, depth = waiting.pop()
            inner = []
            for entry in _entries(folder):
                path = Path(entry.path)
                if entry.name.startswith("."):
                    continue
                if _is_folder(entry):
                    inner.append((path, depth + 1))
                elif path.suffix.lower() not in VIDEO_SUFFIXES | IMAGE_SUFFIXES:
                    continue
                index.setdefault(clip_path(entry.name)[-1], []).append(path)
            waiting += [(path, at) for path, at in reversed(inner) if at < _DEPTH and not _holds_frames(path)]
        return index

    def find(self, name: str) -> Path | None:
        """The video of a clip; None if there is none.

        Raises:
            SceneError: If several have its name.
        """
        wanted = clip_path(name)
        found = self._index.get(wanted[-1], [])
        if len(found) > 1:
            found = _nearest(found, wanted, self.folder)
        if len(found) > 1:
            suffix = Path(name).suffix.lower()
            found = [path for path in found if path.suffix.lower() == suffix] or found
        if len(found) > 1:
            found = [path for path in found if path.suffix.lower() in VIDEO_SUFFIXES] or found
        if len(found) > 1:
            raise SceneError("several videos have its name")
        return found[0] if found else None


def _nearest(found: list[Path], wanted: tuple[str, ...], base: Path) -> list[Path]:
    """Those whose folders have most in common with the folders in the name."""

    def common(path: Path) -> int:
        folders = clip_path(path.relative_to(base).as_posix())[-2::-1]
        count = 0
        for a, b in zip(folders, wanted[-2::-1], strict=False):
            if a != b:
                break
            count += 1
        return count

    most = max(map(common, found))
    return [path for path in found if common(path) == most]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links that lead in a circle
        return False


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def _holds_frames(folder: Path) -> bool:
    """Whether a folder is a clip itself: its first file is an image."""
    try:
        with os.scandir(folder) as entries:
            first = next((entry for entry in entries if entry.is_file()), None)
    except OSError:
        return False
    return first is not None and Path(first.name).suffix.lower() in IMAGE_SUFFIXES


@dataclass(frozen=True)
class Facts:
    """What boxes, turns and questions are held against.

    Attributes:
        frames: As they were read, without pixels.
        duration: Seconds; None for an image, and for a folder of frames whose rate nobody says.
        times: Seconds of every frame; None where there is no clock.
        sound: When the sound begins, in seconds from the first frame; None if there is none.
    """

    frames: Frames
    duration: float | None
    times: list[float] | None
    sound: float | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, upright."""
        return self.frames.width, self.frames.height

    @property
    def rate(self) -> float | None:
        """Frames a second of a video, on average; None for anything else."""
        return self.frames.source_fps if self.frames.kind == "video" else None

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of frames, which has no clock of its own."""
        return self.frames.kind == "folder"

    def at_rate(self, rate: float | None) -> Facts:
        """The same with the rate of a folder of frames; nothing else has use for one."""
        if not self.is_folder or rate is None:
            return self
        count = self.frames.total_frames or 0
        frames = replace(self.frames, source_fps=rate, duration=count / rate)
        return Facts(frames, frames.duration, [number / rate for number in range(count)])


def facts(path: Path, rate: float | None) -> Facts:
    """Look at a video, an image or a folder of frames.

    Args:
        path: The video.
        rate: Frames a second of a folder; None if nobody says.

    Raises:
        MediaError: If it cannot be read.
    """
    from attnscope.scene.media import read_frames
    from attnscope.scene.sound import sound_start
    from attnscope.scene.walk import open_walk

    frames = read_frames(path, Sampling(frames=1))
    frames = replace(frames, images=frames.images[:0])
    if frames.kind == "video":
        walk = open_walk(path)
        return Facts(frames, frames.duration, walk.times.tolist(), sound_start(walk))
    return Facts(frames, None, [0.0] if frames.kind == "image" else None).at_rate(rate)

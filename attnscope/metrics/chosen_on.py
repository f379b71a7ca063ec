"""What heads were chosen on: clips and scenes by what they hold, so that double dipping is noticed.

A correction that is tried on the clip its heads were chosen on is flattered by it. A heads file says which clips these
were, by path, by a checksum of the film and by one of the transcript and the boxes, since a clip has many captures.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from attnscope.files import real_path

if TYPE_CHECKING:
    from attnscope.metrics.headlist import HeadList
    from attnscope.scene import Scene

_WHOLE = 64 << 20  # bytes up to which a file is read whole; of a larger one as much is spread over it
_PIECES = 64


class Shown(BaseModel):
    """A clip that heads were chosen on.

    Attributes:
        capture: the capture's file.
        video: the film's.
        video_sha256: of the film (of 64 MiB and more: of pieces spread over it); "" where it was gone.
        scene_sha256: of the scene's transcript and boxes; "" where it has neither.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    capture: str
    video: str
    video_sha256: str = ""
    scene_sha256: str = ""


def shown(capture: str | Path, scene: Scene) -> Shown:
    """What a capture shows."""
    return Shown(
        capture=str(capture),
        video=str(scene.video),
        video_sha256=file_sha256(scene.video),
        scene_sha256=scene_sha256(scene),
    )


def scene_sha256(scene: Scene) -> str:
    """Of who says what when and who is where, whatever is asked; "" for a scene without either."""
    document = scene.model_dump(mode="json")
    parts = {name: document.get(name) for name in ("transcript", "speakers")}
    if not any(parts.values()):
        return ""
    parts["box_units"] = document.get("box_units")
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def file_sha256(path: str | Path) -> str:
    """Of a regular file, or of the names and sizes in a folder of frames; "" where nothing can be read."""
    try:
        file = real_path(path)
        if file.is_dir():
            held = sorted((frame.name, frame.stat().st_size) for frame in file.iterdir() if frame.is_file())
            return hashlib.sha256(json.dumps(held).encode()).hexdigest()
        about = file.stat()
        return _file_sha256(file, about.st_size, about.st_mtime_ns) if file.is_file() else ""
    except (OSError, ValueError):
        return ""


@lru_cache(maxsize=4096)
def _file_sha256(path: Path, size: int, _changed: int) -> str:
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        if size <= _WHOLE:
            digest.update(file.read())
        else:
            for piece in range(_PIECES):
                file.seek(piece * (size - _WHOLE // _PIECES) // (_PIECES - 1))
                digest.update(file.read(_WHOLE // _PIECES))
    return digest.hexdigest()


def overlap(heads: HeadList, scene: Scene, capture: str | Path | None = None) -> str:
    """How a scene meets what heads were chosen on; "" if it does not.

    Args:
        heads: a heads file.
        scene: that a correction with these heads is tried on.
        capture: the capture that is corrected, if it is one: heads files of before name captures only.

    Returns:
        What they share, and the capture it is of.
    """
    if capture is not None and any(real_path(capture) == real_path(one) for one in heads.captures):
        return f"this very capture, {capture}"
    chosen_on = heads.shown
    video, film, words = Path(scene.video), file_sha256(scene.video), scene_sha256(scene)
    for one in chosen_on:
        if _same_path(video, Path(one.video)) or (film and film == one.video_sha256):
            return f"the same film as {one.capture}"
    for one in chosen_on:
        if words and words == one.scene_sha256:
            return f"the same transcript and boxes as {one.capture}"
    return ""


def _same_path(one: Path, other: Path) -> bool:
    return one.is_absolute() and other.is_absolute() and real_path(one) == real_path(other)


def caution(where: str) -> str:
    """What a reader must know where `overlap` is not empty."""
    return (
        f"the heads were chosen on {where}: a result on what they were chosen on flatters them; measure on other clips"
    )

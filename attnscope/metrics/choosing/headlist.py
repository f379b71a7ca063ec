"""The heads file: which heads were chosen, of which model, by what and from which captures.

It is JSON, written by `attnscope heads` and taken by the commands that run a model under a correction.
Heads belong to one model: the file names it, and another model is refused.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, PrivateAttr, ValidationError

from attnscope._version import __version__
from attnscope.errors import RequestError
from attnscope.files import is_folder, real_path, write_whole
from attnscope.scene.problems import one_line, read_json
from attnscope.weights import ModelId, same_model

if TYPE_CHECKING:
    from attnscope.scene import Scene

SUFFIX = ".json"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class OfModel(_Part):
    """The model that heads belong to; `layers` and `heads` are its numbers of them.

    `weights_sha256` is null in files of attnscope before the fingerprint of weights.
    """

    id: str
    config_sha256: str
    weights_sha256: str | None = None
    layers: PositiveInt
    heads: PositiveInt

    def __str__(self) -> str:
        return str(self.known)

    @property
    def known(self) -> ModelId:
        """What tells it apart."""
        return ModelId(self.id, self.config_sha256, self.weights_sha256)


class By(_Part):
    """What the heads were chosen by, and how many were taken from which layers."""

    name: str
    metric: str
    definition: str
    lowest: bool
    frames: str
    threshold: float
    gate: float | None
    least: float | None
    top: PositiveInt
    layers: str | None


class Head(_Part):
    """One head; `effect` is of knocking it out, null: not measured. The other numbers are as in a ranking."""

    rank: PositiveInt
    layer: NonNegativeInt
    head: NonNegativeInt
    value: float
    low: float | None = None
    high: float | None = None
    n: NonNegativeInt
    top_share: float | None = None
    mass: float | None = None
    output_gate: float | None = None
    effect: float | None = None


class HeadList(_Part):
    """A heads file.

    Attributes:
        format, version: Of the file.
        attnscope: The version that made it.
        model: Whose heads they are.
        criterion: By what they were chosen.
        captures: The files they were chosen from.
        shown: The clips in these, by what they hold; empty in files of earlier versions.
        clips: How many clips these show.
        heads: The best first.
        stability, agreement: As `attnscope.metrics.choosing.ranking` returns them; null where not defined.
        cause: What the heads' `effect` is of, and how it goes with the order; null where nothing was knocked out.
        notes: Sentences that a user should read.
    """

    format: Literal["attnscope heads"] = "attnscope heads"
    version: Literal[1] = 1
    attnscope: str = __version__
    model: OfModel
    criterion: By
    captures: list[str]
    shown: list[Shown] = Field(default_factory=list)
    clips: PositiveInt
    heads: list[Head] = Field(min_length=1)
    stability: dict[str, int | float | None]
    agreement: list[dict[str, str | int | float | None]]
    cause: dict[str, str | int | float | None] | None = None
    notes: list[str]
    _path: str = PrivateAttr("")  # where it was read from, for messages

    @property
    def text(self) -> str:
        """The heads as layer.head: "12.3,4.0"."""
        return ",".join(f"{head.layer}.{head.head}" for head in self.heads)

    def write(self, path: str | Path) -> None:
        """Write the file, complete or not at all.

        Raises:
            RequestError: As `check_name`.
            RunError: If it cannot be written.
        """
        check_name(path)
        write_whole(path, json.dumps(self.model_dump(), indent=2, ensure_ascii=False) + "\n")

    def check_model(self, id: str, config_sha256: str, weights_sha256: str | None = None) -> None:
        """Refuse another model than the one of the file, as `same_model` tells them apart.

        Args:
            id: Of the model at hand.
            config_sha256: SHA-256 of its configuration.
            weights_sha256: SHA-256 of its weights, rounded to bfloat16; None if they are not known.

        Raises:
            RequestError: If it is another one.
        """
        here = ModelId(id, config_sha256, weights_sha256)
        if not same_model(here, self.model.known):
            raise RequestError.of(
                "heads", Path(self._path), f"model: the heads are of {self.model}, and the model is {here}"
            )


def check_name(path: str | Path) -> None:
    """Refuse a name that does not tell a heads file from heads in words, and a place where there can be none.

    Raises:
        RequestError: If it does not end in .json, is a folder, or is in none.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise RequestError(f"{path}: the name of a heads file ends in {SUFFIX}")
    if is_folder(path):
        raise RequestError(f"{path}: is a folder, not a heads file")
    if not is_folder(path.parent):
        raise RequestError(f"{path}: there is no folder {path.parent}")


def read(path: str | Path) -> HeadList:
    """Read a heads file.

    Raises:
        RequestError: If there is none, or a field is wrong; the message names both.
    """
    document = read_json(Path(path))
    try:
        heads_file = HeadList.model_validate(document, strict=True)
    except ValidationError as error:
        raise RequestError(one_line(str(path), error)) from None
    for number, head in enumerate(heads_file.heads):
        for name, value, size in (
            ("layer", head.layer, heads_file.model.layers),
            ("head", head.head, heads_file.model.heads),
        ):
            if value >= size:
                raise RequestError(f"{path}: heads[{number}].{name}: {value} is more than {size - 1}, the model's last")
    heads_file._path = str(path)
    return heads_file


# What heads were chosen on: clips and scenes by what they hold, so that double dipping is noticed.
#
# A correction that is tried on the clip its heads were chosen on is flattered by it. A heads file says which clips
# these were, by path, by a checksum of the film and by one of the transcript and the boxes, since a clip has many
# captures.


_WHOLE = 64 << 20  # bytes up to which a file is read whole; of a larger one as much is spread over it
_PIECES = 64


class Shown(BaseModel):
    """A clip that heads were chosen on.

    Attributes:
        capture: The capture's file.
        video: The film's.
        video_sha256: SHA-256 of the film (of 64 MiB and more: of pieces spread over it); "" where it was gone.
        scene_sha256: SHA-256 of the scene's transcript and boxes; "" where it has neither.
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
        heads: A heads file.
        scene: That a correction with these heads is tried on.
        capture: The capture that is corrected, if it is one: heads files of earlier versions name captures only.

    Returns:
        What they share, and the capture it is of.
    """
    if capture is not None and any(real_path(capture) == real_path(clip) for clip in heads.captures):
        return f"this very capture, {capture}"
    chosen_on = heads.shown
    video, film, words = Path(scene.video), file_sha256(scene.video), scene_sha256(scene)
    for clip in chosen_on:
        if _same_path(video, Path(clip.video)) or (film and film == clip.video_sha256):
            return f"the same film as {clip.capture}"
    for clip in chosen_on:
        if words and words == clip.scene_sha256:
            return f"the same transcript and boxes as {clip.capture}"
    return ""


def _same_path(path: Path, other: Path) -> bool:
    return path.is_absolute() and other.is_absolute() and real_path(path) == real_path(other)


def caution(where: str) -> str:
    """What a reader must know where `overlap` is not empty."""
    return (
        f"the heads were chosen on {where}: a result on what they were chosen on flatters them; measure on other clips"
    )

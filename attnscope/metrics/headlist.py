"""The heads file: which heads were chosen, of which model, by what and from which captures.

It is JSON, written by `attnscope heads` and taken by `--heads` of the commands that run a model under a correction.
Heads belong to one model: the file names it, and another model is refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, PrivateAttr, ValidationError

from attnscope._version import __version__
from attnscope.errors import RequestError
from attnscope.files import is_folder, write_whole
from attnscope.metrics.chosen_on import Shown
from attnscope.scene.problems import one_line, read_json
from attnscope.weights import ModelId, same_model

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
    effect: float | None = None


class HeadList(_Part):
    """A heads file.

    Attributes:
        format, version: of the file.
        attnscope: the version that made it.
        model: whose heads they are.
        criterion: by what they were chosen.
        captures: the files they were chosen from.
        shown: the clips in these, by what they hold; empty in files of before.
        clips: how many clips these show.
        heads: the best first.
        stability, agreement: as `attnscope.metrics.ranking` returns them; null where not defined.
        cause: what the heads' `effect` is of, and how it goes with the order; null where nothing was knocked out.
        notes: sentences that a user should read.
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
            RequestError: as `check_name`.
            RunError: if it cannot be written.
        """
        check_name(path)
        write_whole(path, json.dumps(self.model_dump(), indent=2, ensure_ascii=False) + "\n")

    def check_model(self, id: str, config_sha256: str, weights_sha256: str | None = None) -> None:
        """Refuse another model than the one of the file, as `same_model` tells them apart.

        Args:
            id: of the model at hand.
            config_sha256: of its configuration.
            weights_sha256: of its weights, rounded to bfloat16; None if they are not known.

        Raises:
            RequestError: if it is another one.
        """
        here = ModelId(id, config_sha256, weights_sha256)
        if not same_model(here, self.model.known):
            raise RequestError(f"--heads {self._path}: model: the heads are of {self.model}, and the model is {here}")


def check_name(path: str | Path) -> None:
    """Refuse a name by which `--heads` would not know a file, and a place where there can be none.

    Raises:
        RequestError: if it does not end in .json, is a folder, or is in none.
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
        RequestError: if there is none, or a field is wrong; the message names both.
    """
    document = read_json(Path(path))
    try:
        found = HeadList.model_validate(document, strict=True)
    except ValidationError as error:
        raise RequestError(one_line(str(path), error)) from None
    for number, head in enumerate(found.heads):
        for name, value, size in (("layer", head.layer, found.model.layers), ("head", head.head, found.model.heads)):
            if value >= size:
                raise RequestError(f"{path}: heads[{number}].{name}: {value} is more than {size - 1}, the model's last")
    found._path = str(path)
    return found

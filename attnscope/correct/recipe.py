"""correction.json: corrections as a file that another person applies to another clip or model.

Methods and their parameters, in the order in which they are applied. Heads are kept with the model that they belong to:
those of a heads file only that model takes; with those that were typed, another model gets a warning in the record.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from attnscope._version import __version__
from attnscope.correct.base import Correction
from attnscope.correct.heads.fixed import ModelLike, OwnHeads
from attnscope.correct.registry import MOST, build
from attnscope.errors import RequestError
from attnscope.files import write_whole
from attnscope.metrics.choosing.headlist import SUFFIX, HeadList
from attnscope.scene.problems import field_path, one_line, read_json, show
from attnscope.weights import ModelId

FORMAT: Literal["attnscope correction"] = "attnscope correction"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class HeadsOf(_Part):
    """The model that heads were typed for."""

    id: str
    config_sha256: str
    weights_sha256: str | None = None  # of the weights rounded to bfloat16; files of older versions lack it


class Step(_Part):
    """One correction."""

    method: str
    params: dict[str, Any]
    heads_of: HeadsOf | None = None


class Recipe(_Part):
    """The file."""

    format: Literal["attnscope correction"] = FORMAT
    version: Literal[1] = 1
    attnscope: str = __version__
    corrections: list[Step] = Field(min_length=1, max_length=MOST)


def write(path: str | Path, corrections: Sequence[Correction], model: ModelLike | None = None) -> None:
    """Write corrections, in their order; the file is complete or absent.

    Args:
        path: The file.
        corrections: One or more.
        model: The model that heads written as "2.3,4.0" are of, if it is known and they do not say it themselves.

    Raises:
        RunError: If it cannot be written.

    Example:
        >>> attnscope.correct.write_corrections("mine.json", [attnscope.correct.Pai(alpha=0.5)])
        >>> attnscope.correct.read_corrections("mine.json")
        [Pai(alpha=0.5, layers='0.0625-1.0')]
    """
    steps = [Step(method=one.method, params=_saved(one), heads_of=_owner(one, model)) for one in corrections]
    document = Recipe(corrections=steps).model_dump()
    for step in document["corrections"]:
        if step["heads_of"] is None:
            del step["heads_of"]
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    write_whole(path, text)


def read(path: str | Path) -> list[Correction]:
    """Read corrections.

    Raises:
        RequestError: If there is no such file, or a field, method or parameter of it is wrong.

    Example:
        >>> attnscope.correct.read_corrections("correction.json") == [social]
        True
    """
    document = read_json(Path(path))
    try:
        recipe = Recipe.model_validate(document)
    except ValidationError as error:
        form = document.get("format") if isinstance(document, dict) else None
        if form == FORMAT:
            raise RequestError(one_line(str(path), error)) from None
        own = "" if form is None else f" (its format is {show(form)})"
        raise RequestError(f"{path}: is not a correction.json, as attnscope correct writes it{own}") from None
    found = []
    for number, step in enumerate(recipe.corrections):
        try:
            found.append(build(step.method, _loaded(step, Path(path), number)))
        except RequestError as error:
            if str(error).startswith(str(path)):
                raise
            raise RequestError(f"{path}: corrections[{number}]: ", *error.args) from None
    return found


def _saved(one: Correction) -> dict[str, Any]:
    """Parameters as JSON; heads from a file with all that the file says."""
    heads = getattr(one, "heads", None)
    return one.params() | ({"heads": heads.model_dump()} if isinstance(heads, HeadList) else {})


def _owner(one: Correction, model: ModelLike | None) -> HeadsOf | None:
    """Whose heads those are that a correction has as text."""
    heads = getattr(one, "heads", None)
    if isinstance(heads, OwnHeads):
        return HeadsOf(**heads.model._asdict())
    known = model is not None and isinstance(heads, str) and heads
    if model is None or not known:
        return None
    return HeadsOf(id=model.id, config_sha256=model.config_sha256, weights_sha256=model.weights_sha256)


def _loaded(step: Step, path: Path, number: int) -> dict[str, Any]:
    """Parameters with the heads that stand in the file; heads of another file would not travel with it."""
    params = step.params
    heads = params.get("heads")
    where = ("corrections", number, "params", "heads")
    if isinstance(heads, str) and heads.endswith(SUFFIX):
        raise RequestError(f"{path}: {field_path(where)}: {show(heads)} is another file; its content belongs here")
    if isinstance(heads, str) and step.heads_of is not None:
        return params | {"heads": OwnHeads.of(heads, ModelId(**step.heads_of.model_dump()))}
    if not isinstance(heads, dict):
        return params
    try:
        found = HeadList.model_validate(heads, strict=True)
    except ValidationError as error:
        raise RequestError(one_line(str(path), error, where)) from None
    found._path = str(path)
    return params | {"heads": found}

"""correction.json: corrections as a file that another person applies to another clip or model.

Methods and their parameters, in the order in which they are applied. Heads that came from a heads file are kept with
the model that they belong to, and only that model takes them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from attnscope._version import __version__
from attnscope.correct.base import Correction, build
from attnscope.errors import RequestError, RunError
from attnscope.metrics.headlist import SUFFIX, HeadList
from attnscope.scene.problems import field_path, one_line, read_json, show


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Step(_Part):
    """One correction."""

    method: str
    params: dict[str, Any]


class Recipe(_Part):
    """The file."""

    format: Literal["attnscope correction"] = "attnscope correction"
    version: Literal[1] = 1
    attnscope: str = __version__
    corrections: list[Step] = Field(min_length=1)


def write(path: str | Path, corrections: Sequence[Correction]) -> None:
    """Write corrections, in their order; the file is complete or absent.

    Raises:
        RunError: If it cannot be written.
    """
    steps = [Step(method=one.method, params=_saved(one)) for one in corrections]
    text = json.dumps(Recipe(corrections=steps).model_dump(), indent=2, ensure_ascii=False) + "\n"
    part = Path(path).with_name(f"{Path(path).name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from None


def read(path: str | Path) -> list[Correction]:
    """Read corrections.

    Raises:
        RequestError: If there is no such file, or a field, method or parameter of it is wrong.
    """
    document = read_json(Path(path))
    try:
        recipe = Recipe.model_validate(document)
    except ValidationError as error:
        raise RequestError(one_line(str(path), error)) from None
    found = []
    for number, step in enumerate(recipe.corrections):
        try:
            found.append(build(step.method, _loaded(step.params, Path(path), number)))
        except RequestError as error:
            if str(error).startswith(str(path)):
                raise
            raise RequestError(f"{path}: corrections[{number}]: {error}") from None
    return found


def _saved(one: Correction) -> dict[str, Any]:
    """Parameters as JSON; heads from a file with all that the file says."""
    heads = getattr(one, "heads", None)
    return one.params() | ({"heads": heads.model_dump()} if isinstance(heads, HeadList) else {})


def _loaded(params: dict[str, Any], path: Path, number: int) -> dict[str, Any]:
    """Parameters with the heads that stand in the file; heads of another file would not travel with it."""
    heads = params.get("heads")
    where = ("corrections", number, "params", "heads")
    if isinstance(heads, str) and heads.endswith(SUFFIX):
        raise RequestError(f"{path}: {field_path(where)}: {show(heads)} is another file; its content belongs here")
    if not isinstance(heads, dict):
        return params
    try:
        found = HeadList.model_validate(heads, strict=True)
    except ValidationError as error:
        raise RequestError(one_line(str(path), error, where)) from None
    found._path = str(path)
    return params | {"heads": found}

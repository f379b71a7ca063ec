"""The types of what the JSON documents of a capture hold: whoever reads one may rely on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

Whole = Annotated[int, Field(ge=0)]


class _Document(BaseModel):
    """Fields may be missing here, and more may be there; what is there has its type."""

    model_config = ConfigDict(extra="allow", strict=True)


class _Model(_Document):
    id: str | None = None
    dtype: str = ""
    layers: Whole = 0
    heads: Whole = 0
    kv_heads: Whole = 0
    versions: dict[str, Any] = {}


class _Scene(_Document):
    speakers: dict[str, Any] = {}
    transcript: list[dict[str, Any]] = []
    options: list[str] = []


class _Run(_Document):
    plan: dict[str, Any] = {}


class _Prompt(_Document):
    text: str = ""
    length: Whole = 0


class _Token(_Document):
    id: Whole = 0
    text: str = ""
    logprob: float | int | None = None


class _Option(_Document):
    text: str = ""
    tokens: list[Whole] = []
    logprob: float | int | None = None


class _Answer(_Document):
    text: str = ""
    tokens: list[_Token] = []
    options: list[_Option] = []


class _SelfCheck(_Document):
    name: str = ""
    value: float | int | None = None
    tolerance: float | int | None = None
    passed: bool | None = None


class _Check(_Document):
    checks: list[_SelfCheck] = []


class _Correction(_Document):
    method: str = ""
    params: dict[str, Any] = {}
    active: list[list[Any]] = []  # [layer, [head, ...]]
    notes: list[str] = []
    cautions: list[str] = []
    unused: list[str] = []


_TYPES: dict[str, TypeAdapter[Any]] = {
    "/model": TypeAdapter(_Model),
    "/scene": TypeAdapter(_Scene),
    "/run": TypeAdapter(_Run),
    "/prompt": TypeAdapter(_Prompt),
    "/answer": TypeAdapter(_Answer),
    "/check": TypeAdapter(_Check),
    "/correction": TypeAdapter(list[_Correction]),
}


def wrong_types(path: str, document: object) -> Iterator[str]:
    """What of a document is of a wrong type, one line each.

    Args:
        path: of its node.
        document: the parsed JSON.
    """
    if not isinstance(document, list if path == "/correction" else dict):
        wanted = "a list" if path == "/correction" else "an object"
        yield f"is a JSON {type(document).__name__}, not {wanted}"
        return
    try:
        _TYPES[path].validate_python(document)
    except ValidationError as error:
        for wrong in error.errors(include_url=False, include_context=False):
            place = ".".join(str(part) for part in wrong["loc"] if part not in ("float", "int"))
            value = repr(wrong["input"])
            shown = value if len(value) <= 40 else value[:39] + "\N{HORIZONTAL ELLIPSIS}"
            yield f"field '{place}' is {shown}: {wrong['msg'][0].lower()}{wrong['msg'][1:]}"

"""Parameters of corrections: the dataclass fields of one, as text and as values from outside, checked by type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

from attnscope.errors import RequestError
from attnscope.metrics.headlist import HeadList
from attnscope.scene.problems import show

# What a field may be annotated with, and how a message says it. HeadList: a heads file, given as its path or read.
_KINDS: dict[str, tuple[type, str]] = {
    "float": (float, "a number"),
    "int": (int, "a whole number"),
    "bool": (bool, "true or false"),
    "str": (str, "text"),
    "HeadList": (HeadList, "heads"),
    "None": (type(None), "none"),
}
_NONE = ("none", "null", "")
_BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def check(method: str, cls: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of the right names and types; a whole number stands for a number.

    Raises:
        RequestError: If the method has no such parameter, needs one that is not given, or a value is of another type.
    """
    known = _fields(cls)
    found = {}
    for name, value in given.items():
        if name not in known:
            raise RequestError(f"{_flag(name)} {show(value)}: {unknown(method, name, cls)}")
        kinds = _kinds(known[name])
        if isinstance(value, int) and not isinstance(value, bool) and "int" not in kinds and "float" in kinds:
            value = float(value)
        if kinds and not any(_is(value, kind) for kind in kinds):
            raise RequestError(f"{_flag(name)} {show(value)}: is not {said(known[name])}")
        found[name] = value
    for name, own in known.items():
        if name not in given and own.default is MISSING and own.default_factory is MISSING:
            raise RequestError(f"{method} needs {_flag(name)}")
    return found


def parse(method: str, cls: type, name: str, text: str, flag: str = "") -> Any:
    """The value of a parameter that is written as text.

    Args:
        method: Its name.
        cls: Its class.
        name: Of the parameter.
        text: The value.
        flag: How the user gave it, for messages; `--set` if not said.

    Raises:
        RequestError: If the method has no such parameter, or the text is no value of its type.
    """
    known, flag = _fields(cls), flag or f"--set {method}.{name}={text}"
    if name not in known:
        raise RequestError(f"{flag}: {unknown(method, name, cls)}")
    kinds = _kinds(known[name])
    if "None" in kinds and text.lower() in _NONE:
        return None
    if "bool" in kinds and text.lower() in _BOOLS:
        return _BOOLS[text.lower()]
    for kind, make in (("int", int), ("float", float)):
        if kind in kinds:
            try:
                return make(text)
            except ValueError:
                continue
    if "str" in kinds or not kinds:
        return text
    raise RequestError(f"{flag}: is not {said(known[name])}")


def names(cls: type) -> list[str]:
    """The parameters of a correction."""
    return list(_fields(cls))


def unknown(method: str, name: str, cls: type) -> str:
    """What to say of a parameter that a method does not have."""
    return f"{method} has no parameter {name}; it has {', '.join(names(cls)) or 'none'}"


def said(field: Field[Any]) -> str:
    """The types of a field in words: "a number or none"."""
    kinds = [kind for kind in _kinds(field) if kind != "HeadList"]
    return " or ".join(_KINDS[kind][1] for kind in kinds)


def _fields(cls: type) -> dict[str, Field[Any]]:
    return {field.name: field for field in fields(cls) if field.init}


def _kinds(field: Field[Any]) -> list[str]:
    """The alternatives of an annotation, as its module writes them."""
    written = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
    return [kind for part in written.split("|") if (kind := part.strip()) in _KINDS]


def _is(value: Any, kind: str) -> bool:
    wanted = _KINDS[kind][0]
    return isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"

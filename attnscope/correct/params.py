"""Parameters of corrections: the dataclass fields of one, as text and as values from outside, checked by type."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from numbers import Integral, Real
from typing import Any

from attnscope.errors import Argument, RequestError
from attnscope.metrics.choosing.headlist import HeadList

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
MOST = 1e30  # size of a number: beyond it, what is computed from it overflows in float32
_BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def wrong(method: str, name: str, value: Any, why: str) -> RequestError:
    """What is wrong with a parameter: "pai.alpha=-1.0: must be a number of at least 0".

    One form for the command line, correction.json and Python, so that it never names an option that is not there.
    Without a method, it is an argument of a function.
    """
    return RequestError.of(f"{method}.{name}" if method else name, value, why)


def check_names(method: str, cls: type, given: Mapping[str, Any]) -> None:
    """Refuse what is no parameter of a method, and a method without one that it needs.

    Raises:
        RequestError: Naming the parameters that there are.
    """
    known = _fields(cls)
    for name, value in given.items():
        if name not in known:
            raise wrong(method, name, value, unknown(method, name, cls))
    for name, own in known.items():
        if name not in given and own.default is MISSING and own.default_factory is MISSING:
            raise RequestError(f"{method} needs {name}")


def typed(method: str, cls: type, name: str, value: Any) -> Any:
    """A value of the type of a parameter; a whole number stands for a number, numpy's for Python's.

    Raises:
        RequestError: If it is of another type, or a number that is not finite or too large to compute with.
    """
    field = _fields(cls)[name]
    kinds = _kinds(field)
    if isinstance(value, Real) and not isinstance(value, bool) and {"int", "float"} & set(kinds):
        number: Any = value
        if not -MOST <= number <= MOST:  # which NaN is not either
            raise wrong(method, name, value, f"must be a number between -{MOST:.0e} and {MOST:.0e}")
        if isinstance(value, Integral) and "int" in kinds:
            value = int(number)
        elif "float" in kinds:
            value = float(number)
    if kinds and not any(_is(value, kind) for kind in kinds):
        raise wrong(method, name, value, f"is not {said(field)}")
    return value


def parse(method: str, cls: type, name: str, text: str, given: Argument | None = None) -> Any:
    """The value of a parameter that is written as text.

    Args:
        method: Its name.
        cls: Its class.
        name: Name of the parameter.
        text: The value.
        given: The argument that messages name; METHOD.NAME if not given.

    Raises:
        RequestError: If the method has no such parameter, or the text is no value of its type.
    """
    known, given = _fields(cls), given or Argument(f"{method}.{name}", text)
    if name not in known:
        raise RequestError(given, f": {unknown(method, name, cls)}")
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
    raise RequestError(given, f": is not {said(known[name])}")


def names(cls: type) -> list[str]:
    """The parameters of a correction."""
    return list(_fields(cls))


def meanings(cls: type) -> dict[str, str]:
    """The first sentence about each parameter in the docstring of a correction; units and sources are in it."""
    section = inspect.cleandoc(cls.__doc__ or "").partition("Attributes:\n")[2]
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?=    \S)", section):
        name, _, text = " ".join(entry.split()).partition(": ")
        found[name] = re.split(r"(?<=[^.A-Z]\.) (?=[A-Z`\"])", text.rstrip())[0]
    return {name: found.get(name, "") for name in names(cls)}


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

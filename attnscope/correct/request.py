"""Corrections as a command line asks for them: names in order, and parameters that find the names they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attnscope.correct import params as parameters
from attnscope.correct.base import Correction
from attnscope.correct.params import Parameter
from attnscope.correct.recipe import read
from attnscope.correct.registry import MOST, build, method_class
from attnscope.errors import Argument, RequestError


def requested(
    methods: Sequence[str],
    named: Mapping[str, Any],
    settings: Sequence[str] = (),
    *,
    file: str | Path | None = None,
) -> list[Correction]:
    """Make corrections.

    Args:
        methods: Their names, in the order in which they are applied.
        named: Parameters by name; None is not given. Each goes to the one method that has such a parameter.
        settings: Texts KEY=VALUE, for the one method that has the parameter, or METHOD.KEY=VALUE.
        file: Or all of it from a correction.json.

    Raises:
        RequestError: If a method, parameter or value is wrong, if a parameter belongs to none of the methods or to
            several, or if there is a file and more.
    """
    if file is not None:
        stray = [
            *(Argument("methods", method) for method in methods),
            *(Argument(name, value) for name, value in named.items() if value is not None),
            *(Argument("settings", text) for text in settings),
        ]
        if stray:
            raise RequestError.of("file", Path(file), "says which corrections there are; leave out ", stray[0])
        return read(file)
    return [build(method, params) for method, params in steps(methods, named, settings)]


def steps(
    methods: Sequence[str], named: Mapping[str, Any], settings: Sequence[str] = ()
) -> list[tuple[str, dict[str, Any]]]:
    """Each method with the parameters that are given for it; arguments and errors as of `requested`."""
    given = {name: value for name, value in named.items() if value is not None}
    if not methods and (given or settings):
        first = Argument(*next(iter(given.items()))) if given else Argument("settings", settings[0])
        raise RequestError(first, ": is about a correction; say which with ", Argument("methods"))
    if len(methods) > MOST:
        raise RequestError.of(
            "methods", ..., f"{len(methods):,} corrections are given; at most {MOST} are applied together"
        )
    known = [method_class(method).parameters() for method in methods]
    params: list[dict[str, Any]] = [{} for _ in methods]
    for name, value in given.items():
        which = _whose(Argument(name, value), name, methods, known)
        if isinstance(value, str):  # an option that is text for one method may be a number for another
            value = parameters.parse(methods[which], known[which], name, value, Argument(name, value))
        params[which][name] = value
    for text in settings:
        method, name, value = _parts(text)
        which = _whose(Argument("settings", text), name, methods, known, method)
        if name in params[which]:
            raise RequestError.of("settings", text, f"{name} is given twice")
        params[which][name] = parameters.parse(
            methods[which], known[which], name, value, Argument("settings", f"{methods[which]}.{name}={value}")
        )
    return list(zip(methods, params, strict=True))


def _parts(text: str) -> tuple[str, str, str]:
    """Method (or ""), parameter and value of METHOD.KEY=VALUE."""
    key, equals, value = text.partition("=")
    method, _, name = key.strip().rpartition(".")
    if not equals or not name:
        raise RequestError.of("settings", text, "is not KEY=VALUE or METHOD.KEY=VALUE")
    return method, name.replace("-", "_"), value.strip()


def _whose(
    given: Argument, name: str, methods: Sequence[str], known: Sequence[Mapping[str, Parameter]], only: str = ""
) -> int:
    """Number of the one method that has a parameter."""
    if only and only not in methods:
        raise RequestError(given, f": {only} is none of the methods {', '.join(methods)}")
    among = [number for number, method in enumerate(methods) if only in ("", method)]
    having = [number for number in among if name in known[number]]
    if not having:
        raise RequestError(given, ": ", "; ".join(parameters.unknown(methods[n], name, known[n]) for n in among))
    if len(having) > 1:
        both = " and ".join(methods[number] for number in having)
        alone = only or len({methods[n] for n in having}) == 1
        how = ["a file with ", Argument("file")] if alone else [Argument("settings", f"METHOD.{name}=VALUE")]
        raise RequestError(given, f": is a parameter of {both}; say which with ", *how)
    return having[0]

"""All corrections by name: registering, making and describing them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

from attnscope.correct import params as parameters
from attnscope.correct.base import Correction
from attnscope.errors import RequestError
from attnscope.scene.problems import show, written

MOST = 64  # corrections that are applied together
_METHODS: dict[str, type[Correction]] = {}


def correction(cls: type[Correction]) -> type[Correction]:
    """Class decorator: register a correction under its `method`."""
    _METHODS[cls.method] = cls
    return cls


def corrections() -> dict[str, type[Correction]]:
    """All corrections by method name."""
    return dict(_METHODS)


def listed(given: Correction | Sequence[Correction]) -> list[Correction]:
    """Corrections as a list, from one or several.

    Raises:
        RequestError: If something else is among them, such as a method's name, or there are more than `MOST`.
    """
    several = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    if len(several) > MOST:
        raise RequestError(f"corrections: {len(several):,} are given; at most {MOST} are applied together")
    for one in several:
        if not isinstance(one, Correction):
            said = one.__name__ if isinstance(one, type) else show(one)
            like = "make one with attnscope.correct.make(NAME), or as SocialBias(alpha=1.0)"
            raise RequestError(f"{said} is not a correction; {like}")
    return several


def make(method: str, **params: Any) -> Correction:
    """Make a correction from its name and parameters; parameters that are None keep their default.

    Raises:
        RequestError: If there is no such method or parameter, or a parameter is out of range.
    """
    return build(method, {name: value for name, value in params.items() if value is not None})


def build(method: str, params: Mapping[str, Any]) -> Correction:
    """Make a correction from its name and parameters, of which None is a value like others.

    Raises:
        RequestError: As `make`.
    """
    cls = method_class(method)
    parameters.check_names(method, cls, params)
    make_it: Callable[..., Correction] = cls
    return make_it(**params)


def method_class(method: str) -> type[Correction]:
    """The correction of a name.

    Raises:
        RequestError: If there is none.
    """
    if method not in _METHODS:
        near = difflib.get_close_matches(method.lower().replace("_", "-"), _METHODS, 1)
        meant = f"did you mean {near[0]}? There are" if near else "choose from"
        raise RequestError(f"there is no correction named {show(method)}; {meant} {', '.join(sorted(_METHODS))}")
    return _METHODS[method]


def about(method: str) -> dict[str, Any]:
    """Source mark, summary and default parameters of a method, and whether it changes what the model is shown."""
    if method not in _METHODS:
        return {}
    cls = _METHODS[method]
    defaults = {field.name: None if field.default is MISSING else field.default for field in fields(cls)}
    shows = cls.show is not Correction.show
    return {"source": cls.source, "summary": cls.summary, "defaults": defaults, "shows": shows}


def catalogue() -> list[dict[str, Any]]:
    """What each correction is: method, summary, source mark, parameters with their defaults, and what these mean."""
    return [
        {
            "method": method,
            "summary": cls.summary,
            "source": cls.source,
            "parameters": ", ".join(f"{f.name}={written(f.default)}" for f in fields(cls)),
            "fields": [
                {"name": f.name, "default": written(f.default), "meaning": parameters.meanings(cls)[f.name]}
                for f in fields(cls)
            ],
        }
        for method, cls in sorted(_METHODS.items())
    ]

"""All corrections by name: registering, making and describing them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attnscope.correct import params as parameters
from attnscope.correct.base import Correction
from attnscope.errors import RequestError
from attnscope.plugins import Registry
from attnscope.scene.problems import show, written

MOST = 64  # corrections that are applied together
_METHODS: Registry[type[Correction]] = Registry("correction", "method", "source", "summary")


def correction(cls: type[Correction]) -> type[Correction]:
    """Class decorator: register a correction under its `method`.

    Raises:
        ValueError: If the name is taken.

    Example:
        >>> @attnscope.correct.correction
        ... class Stronger(attnscope.correct.Pai):
        ...     method = "pai-stronger"
        >>> attnscope.correct.make("pai-stronger", alpha=1.0).params()
        {'alpha': 1.0, 'layers': '0.0625-1.0'}
    """
    _METHODS.add(cls.method, cls, cls.__module__)
    return cls


def corrections() -> dict[str, type[Correction]]:
    """All corrections by method name.

    Example:
        >>> attnscope.correct.corrections()["social-bias"].__name__
        'SocialBias'
    """
    return dict(_METHODS)


def listed(given: Correction | Sequence[Correction]) -> list[Correction]:
    """Corrections as a list, from one or several.

    Raises:
        RequestError: If something else is among them, such as a method's name, or there are more than `MOST`.
    """
    several = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    if len(several) > MOST:
        raise RequestError(f"corrections: {len(several):,} are given; at most {MOST} are applied together")
    for member in several:
        if not isinstance(member, Correction):
            name = member.__name__ if isinstance(member, type) else show(member)
            like = "make one with attnscope.correct.make(NAME), or as SocialBias(alpha=1.0)"
            raise RequestError(f"{name} is not a correction; {like}")
    return several


def make(method: str, **params: Any) -> Correction:
    """Make a correction from its name and parameters; parameters that are None keep their default.

    Raises:
        RequestError: If there is no such method or parameter, or a parameter is out of range.

    Example:
        >>> attnscope.correct.make("pai", alpha=0.5)
        Pai(alpha=0.5, layers='0.0625-1.0')
    """
    return build(method, {name: value for name, value in params.items() if value is not None})


def build(method: str, params: Mapping[str, Any]) -> Correction:
    """Make a correction from its name and parameters, of which None is a value like others.

    Raises:
        RequestError: As `make`.
    """
    cls = method_class(method)
    parameters.check_names(method, cls.parameters(), params)
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
    return _METHODS[method].about() if method in _METHODS else {}


def catalogue() -> list[dict[str, Any]]:
    """What each correction is: method, summary, source mark, what it changes, and its declared parameters.

    Example:
        >>> [entry["method"] for entry in attnscope.correct.catalogue()][:3]
        ['adaptvis', 'boxes-drawn', 'boxes-told']
    """
    return [
        {
            "method": method,
            "summary": cls.summary,
            "source": cls.source,
            "plugin": _METHODS.plugin(method),
            "changes": list(cls.changes),
            "parameters": ", ".join(f"{p.name}={written(p.default)}" for p in parameters.declared(cls).values()),
            "fields": parameters.described(parameters.declared(cls)),
            "controls": parameters.described(parameters.declared(cls.control)) if cls.control else [],
        }
        for method, cls in sorted(_METHODS.items())
    ]


def schema(method: str) -> dict[str, Any]:
    """The JSON Schema of a method's parameters.

    Raises:
        RequestError: If there is no such method.

    Example:
        >>> schema = attnscope.correct.schema("pai")
        >>> sorted(schema["properties"]), schema["properties"]["alpha"]["default"]
        (['alpha', 'layers'], 0.2)
    """
    return parameters.schema(method, method_class(method).parameters())

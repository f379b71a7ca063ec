"""The settings of a sweep: "alpha=0.5,1,2" and the like, every value of each with every value of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from attnscope.correct import params as parameters
from attnscope.correct.base import Correction
from attnscope.correct.registry import build, method_class
from attnscope.errors import Argument, RequestError

MOST = 200  # settings of one sweep
Step = tuple[str, Mapping[str, Any]]  # a method and the parameters that are given for it


@dataclass(frozen=True)
class Axis:
    """One swept parameter.

    Attributes:
        step: Which of the corrections it belongs to.
        key: Name of the parameter.
        name: What tables call it: the key, or METHOD.KEY where several corrections are in force.
        values: In the order given.
    """

    step: int
    key: str
    name: str
    values: tuple[Any, ...]

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers."""
        return all(type(value) in (int, float, type(None)) for value in self.values)


@dataclass(frozen=True)
class Setting:
    """One point of the grid: a value for each axis, by name, and the corrections that it makes."""

    values: dict[str, Any]
    corrections: tuple[Correction, ...]

    @property
    def text(self) -> str:
        """The setting in words."""
        return ", ".join(f"{name}={said(value)}" for name, value in self.values.items())


def axes(sweeps: Sequence[str], steps: Sequence[Step]) -> list[Axis]:
    """Read swept parameters.

    Args:
        sweeps: "alpha=0.5,1", or where several corrections have such a parameter "social-bias.alpha=0.5,1". Values are
            separated by commas, or, where there is one, by semicolons: "heads=2.3,4.0;1.1" has two.
        steps: The corrections.

    Raises:
        RequestError: If a parameter is not known, given or swept twice, or a value is not of its type.
    """
    found: list[Axis] = []
    for text in sweeps:
        name, equals, listed = text.partition("=")
        values = [part.strip() for part in listed.split(";" if ";" in listed else ",")]
        if not equals or not all([name.strip(), *values]):
            raise RequestError.of("sweeps", text, "is not KEY=VALUE,VALUE like alpha=0.5,1,2")
        step, key = _parameter(name.strip(), steps)
        method, given = steps[step]
        if given.get(key) is not None:
            raise RequestError.of("sweeps", text, Argument(key, given[key]), " is given too; give one of the two")
        long = f"{method}.{key}" if len(steps) > 1 else key
        typed = tuple(_typed(method, key, value) for value in values)
        for number, value in enumerate(typed):
            if value in typed[:number]:
                raise RequestError.of("sweeps", text, f"{said(value)} is there twice")
        if any((step, key) == (axis.step, axis.key) for axis in found):
            raise RequestError.of("sweeps", text, f"{key} is swept twice; give all its values at once")
        found.append(Axis(step, key, long, typed))
    return found


def grid(axes: Sequence[Axis], steps: Sequence[Step]) -> list[Setting]:
    """All settings, the last axis changing fastest.

    Raises:
        RequestError: If there are none or too many, or a value is out of range, naming it.
    """
    if not axes:
        raise RequestError(
            Argument("sweeps"), ": no parameter is given; say which, like ", Argument("sweeps", "alpha=0.5,1,2")
        )
    count = prod(len(axis.values) for axis in axes)
    if count > MOST:
        times = " x ".join(str(len(axis.values)) for axis in axes)
        raise RequestError.of("sweeps", ..., f"{times} = {count} settings; at most {MOST} fit into one sweep")
    found = []
    for values in product(*(axis.values for axis in axes)):
        swept = {axis.name: value for axis, value in zip(axes, values, strict=True)}
        params = [dict(given) for _, given in steps]
        for axis, value in zip(axes, values, strict=True):
            params[axis.step][axis.key] = value
        try:
            made = tuple(build(method, own) for (method, _), own in zip(steps, params, strict=True))
        except RequestError as error:
            raise RequestError.of("sweeps", Setting(swept, ()).text, *error.args) from None
        found.append(Setting(swept, made))
    return found


def said(value: Any) -> str:
    """A value as it is written on the command line."""
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _parameter(name: str, steps: Sequence[Step]) -> tuple[int, str]:
    """Which correction and which of its parameters a name means.

    Raises:
        RequestError: If there is none, or there are several.
    """
    method, dot, key = name.rpartition(".")
    key = key.replace("-", "_")
    own = [i for i, (asked, _) in enumerate(steps) if not dot or asked == method]
    if not own:
        methods = ", ".join(asked for asked, _ in steps)
        raise RequestError.of("sweeps", name, f'"{method}" is none of the corrections in force, {methods}')
    known = {i: method_class(steps[i][0]).parameters() for i in own}
    having = [i for i in own if key in known[i]]
    if not having:
        listed = "; ".join(parameters.unknown(steps[i][0], key, known[i]) for i in own)
        raise RequestError.of("sweeps", name, listed)
    if len(having) > 1:
        methods = " or ".join(dict.fromkeys(f"{steps[i][0]}.{key}" for i in having))
        raise RequestError.of("sweeps", name, f"several corrections have it; write {methods}")
    return having[0], key


def _typed(method: str, key: str, text: str) -> Any:
    """A value of the type of a parameter.

    Raises:
        RequestError: If it is none.
    """
    return parameters.parse(method, method_class(method).parameters(), key, text, Argument("sweeps", f"{key}={text}"))

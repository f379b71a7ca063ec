"""Parameters of corrections: each is declared once, as a dataclass field, and everything else comes from that.

Constructors check by the declaration, texts NAME=VALUE are read by it, and help texts, tables of the documentation and
the JSON Schema are written from it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from dataclasses import Field as DataField
from functools import cache
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, create_model

from attnscope.errors import Argument, RequestError
from attnscope.metrics.choosing.headlist import HeadList
from attnscope.scene.problems import written

MOST = 1e30  # size of a number: beyond it, what is computed from it overflows in float32
_WORDS = {float: "a number", int: "a whole number", bool: "true or false", str: "text", NoneType: "none"}
REQUIRED: Any = object()  # in place of a default, or of a value of the right type
_NONE = ("none", "null", "")
_BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a correction.

    Attributes:
        meaning: A sentence or more, with units.
        source: Of the meaning and the default: `paper`, `code`, `2nd` (a secondary summary) or `ours`.
        ge: The least value.
        gt: A bound that is no value itself.
        le: The largest value.
        lt: A bound that is no value itself.
        read: Makes what is kept of a value of the right type, or refuses it; called with the value and the method.
        name: The name; this and what follows come from the field.
        type: The annotation, resolved: float, int, bool, str, None, `Literal`, a tuple of these, or a union.
        default: The default, `REQUIRED` if a value has to be given.
    """

    meaning: str = ""
    source: str = "ours"
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    read: Callable[[Any, str], Any] | None = None
    name: str = ""
    type: Any = str
    default: Any = REQUIRED

    @property
    def kinds(self) -> tuple[Any, ...]:
        """The alternatives of the type."""
        return get_args(self.type) if get_origin(self.type) in (Union, UnionType) else (self.type,)

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values of a closed list; empty if it is open."""
        return tuple(value for kind in self.kinds if get_origin(kind) is Literal for value in get_args(kind))

    @property
    def words(self) -> str:
        """The types in words: "a number or none"."""
        return " or ".join(_said(kind) for kind in self.kinds if kind is not HeadList)

    @property
    def takes(self) -> str:
        """The types and the range in words: "a whole number of at least 1 or none"."""
        words = [
            _said(kind) + f" {self.bounds}" * (kind in (int, float)) for kind in self.kinds if kind is not HeadList
        ]
        return " or ".join(word.rstrip() for word in words)

    @property
    def bounds(self) -> str:
        """The range in words: "in (0, 1]" or "of at least 0"; empty if there is none."""
        low = "" if self.ge is self.gt is None else f"({self.gt:g}" if self.ge is None else f"[{self.ge:g}"
        high = "" if self.le is self.lt is None else f"{self.lt:g})" if self.le is None else f"{self.le:g}]"
        if low and high:
            return f"in {low}, {high}"
        if low:
            return f"{'of at least' if low[0] == '[' else 'above'} {low[1:]}"
        return f"{'of at most' if high[-1] == ']' else 'below'} {high[:-1]}" if high else ""

    def checked(self, value: Any, method: str) -> Any:
        """The value as it is kept: a whole number stands for a number, numpy's for Python's, a list for a tuple.

        Raises:
            RequestError: If it is of another type or out of range.
        """
        numeric = {int, float} & set(self.kinds)
        if numeric and _is_number(value) and not -MOST <= value <= MOST:  # which NaN is not either
            raise wrong(method, self.name, value, f"must be a number between -{MOST:.0e} and {MOST:.0e}")
        for kind in self.kinds:
            kept = _kept(kind, value)
            if kept is not REQUIRED:
                break
        else:
            raise wrong(method, self.name, value, self._refusal)
        if _is_number(kept) and not self._holds(kept):
            must = self.bounds if self.bounds.startswith("in") else f"a number {self.bounds}"
            raise wrong(method, self.name, kept, f"must be {must}")
        return self.read(kept, method) if self.read else kept

    def parsed(self, text: str, method: str, given: Argument) -> Any:
        """The value that a text stands for.

        Args:
            text: The value.
            method: Whose parameter it is.
            given: The argument that messages name.

        Raises:
            RequestError: If it stands for none.
        """
        for kind in sorted(self.kinds, key=_eagerness):
            value = _parsed(kind, text)
            if value is not REQUIRED:
                return value
        if self.choices:
            raise wrong(method, self.name, text, self._refusal)
        raise RequestError(given, f": {self._refusal}")

    @property
    def _refusal(self) -> str:
        return f"choose from {', '.join(map(str, self.choices))}" if self.choices else f"is not {self.words}"

    def _holds(self, value: float) -> bool:
        return (
            (self.ge is None or value >= self.ge)
            and (self.gt is None or value > self.gt)
            and (self.le is None or value <= self.le)
            and (self.lt is None or value < self.lt)
        )


def parameter(
    default: Any = REQUIRED,
    meaning: str = "",
    source: str = "ours",
    *,
    declared: bool = True,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    read: Callable[[Any, str], Any] | None = None,
) -> Any:
    """Declare a parameter: a dataclass field with what is to be known of it.

    Args:
        default: Its default; without one, a value has to be given.
        meaning: As of `Parameter`, like all that follow.
        source: Source mark.
        declared: Whether it is a parameter at all, or a field of another kind.
        ge: Least value.
        gt: Bound below, excluded.
        le: Largest value.
        lt: Bound above, excluded.
        read: What is kept of a value.

    Returns:
        The field.

    Example:
        >>> from dataclasses import dataclass
        >>> @attnscope.correct.correction
        ... @dataclass(frozen=True)
        ... class Louder(attnscope.correct.Pai):
        ...     method = "louder"
        ...     limit: float = attnscope.correct.parameter(2.0, "Largest share.", ge=0)
        >>> attnscope.correct.make("louder", limit=-1.0)
        Traceback (most recent call last):
        attnscope.errors.RequestError: louder.limit=-1.0: ...
    """
    known = Parameter(meaning, source, ge, gt, le, lt, read) if declared else None
    return field(default=MISSING if default is REQUIRED else default, metadata={"parameter": known})


def declared(cls: type) -> dict[str, Parameter]:
    """The parameters of a dataclass by name: those of its own first, then those of its bases."""
    return dict(_declared(cls))


@cache
def _declared(cls: Any) -> dict[str, Parameter]:
    known: dict[str, Parameter] = {}
    for own in fields(cls):
        declaration = own.metadata.get("parameter", Parameter())
        if own.init and declaration is not None:
            default = REQUIRED if own.default is MISSING else own.default
            known[own.name] = replace(declaration, name=own.name, type=_annotation(cls, own), default=default)
    order = [name for base in cls.__mro__ for name in vars(base).get("__annotations__", ()) if name in known]
    return {name: known[name] for name in dict.fromkeys(order)}


def _annotation(cls: Any, own: DataField[Any]) -> Any:
    """The annotation of a field, resolved in the module of the class that declares it."""
    if not isinstance(own.type, str):
        return own.type
    owner = next(base for base in cls.__mro__ if own.name in vars(base).get("__annotations__", ()))
    return eval(own.type, vars(sys.modules[owner.__module__]))


def check(settings: Any) -> None:
    """Check every parameter of a frozen dataclass that has a `method`, and keep the values as declared.

    Raises:
        RequestError: "METHOD.NAME=VALUE: " and what is wrong.
    """
    for name, known in declared(type(settings)).items():
        object.__setattr__(settings, name, known.checked(getattr(settings, name), settings.method))


def wrong(method: str, name: str, value: Any, why: str) -> RequestError:
    """What is wrong with a parameter: "pai.alpha=-1.0: must be a number of at least 0".

    One form for the command line, correction.json and Python, so that it never names an option that is not there.
    Without a method, it is an argument of a function.
    """
    return RequestError.of(f"{method}.{name}" if method else name, value, why)


def check_names(method: str, known: Mapping[str, Parameter], given: Mapping[str, Any]) -> None:
    """Refuse what is no parameter of a method, and a method without one that it needs.

    Raises:
        RequestError: Naming the parameters that there are.
    """
    for name, value in given.items():
        if name not in known:
            raise wrong(method, name, value, unknown(method, name, known))
    for name, own in known.items():
        if name not in given and own.default is REQUIRED:
            raise RequestError(f"{method} needs {name}")


def parse(method: str, known: Mapping[str, Parameter], name: str, text: str, given: Argument | None = None) -> Any:
    """The value of a parameter that is written as text.

    Args:
        method: Its name.
        known: Its parameters.
        name: Of the parameter.
        text: The value.
        given: The argument that messages name; METHOD.NAME if not given.

    Raises:
        RequestError: If the method has no such parameter, or the text is no value of its type.
    """
    given = given or Argument(f"{method}.{name}", text)
    if name not in known:
        raise RequestError(given, f": {unknown(method, name, known)}")
    return known[name].parsed(text, method, given)


def unknown(method: str, name: str, known: Mapping[str, Parameter]) -> str:
    """What to say of a parameter that a method does not have."""
    return f"{method} has no parameter {name}; it has {', '.join(known) or 'none'}"


def described(known: Mapping[str, Parameter]) -> list[dict[str, Any]]:
    """Parameters for a listing: name, default, what it takes, choices, source mark and meaning."""
    return [
        {
            "name": one.name,
            "default": "" if one.default is REQUIRED else written(one.default),
            "values": one.takes,
            "choices": [str(choice) for choice in one.choices],
            "source": one.source,
            "meaning": one.meaning,
        }
        for one in known.values()
    ]


def schema(title: str, known: Mapping[str, Parameter]) -> dict[str, Any]:
    """The JSON Schema of parameters, as they stand in correction.json."""
    annotated: dict[str, Any] = {}
    for name, one in known.items():
        bounds = {bound: getattr(one, bound) for bound in ("ge", "gt", "le", "lt")}
        about = Field(description=one.meaning, json_schema_extra={"source": one.source}, **bounds)
        annotated[name] = (Annotated[one.type, about], ... if one.default is REQUIRED else one.default)
    model: type[BaseModel] = create_model(title, __config__=ConfigDict(extra="forbid"), **annotated)
    return model.model_json_schema()


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _said(kind: Any) -> str:
    """A type in words."""
    if get_origin(kind) is Literal:
        return ", ".join(map(str, get_args(kind)))
    if get_origin(kind) is tuple:
        return f"values, comma-separated, each {_said(get_args(kind)[0])}"
    return _WORDS[kind]


def _kept(kind: Any, value: Any) -> Any:
    """A value as a type keeps it, `REQUIRED` if it is of another type."""
    if get_origin(kind) is Literal:
        return next((own for own in get_args(kind) if own == value and type(own) is type(value)), REQUIRED)
    if get_origin(kind) is tuple:
        return _tuple(kind, value, _kept) if isinstance(value, (list, tuple)) else REQUIRED
    if kind is float and _is_number(value):
        return float(value)
    if kind is int and isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    own = kind not in (int, float) and isinstance(value, kind)
    return value if own else REQUIRED


def _parsed(kind: Any, text: str) -> Any:
    """The value of a type that a text stands for, `REQUIRED` if it stands for none."""
    if get_origin(kind) is Literal:
        return next((value for value in get_args(kind) if str(value) == text), REQUIRED)
    if get_origin(kind) is tuple:
        return _tuple(kind, [part.strip() for part in text.split(",")] if text else [], _parsed)
    if kind is NoneType:
        return None if text.lower() in _NONE else REQUIRED
    if kind is bool:
        return _BOOLS.get(text.lower(), REQUIRED)
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            return REQUIRED
    return text if kind is str else REQUIRED


def _tuple(kind: Any, values: list[Any] | tuple[Any, ...], make: Callable[[Any, Any], Any]) -> Any:
    """A tuple of values that each of its types takes, `REQUIRED` if one does not or they are too few or too many."""
    types = get_args(kind)
    types = types[:1] * len(values) if types[1:] == (...,) else types
    made = tuple(make(own, value) for own, value in zip(types, values, strict=False))
    return REQUIRED if len(types) != len(values) or any(one is REQUIRED for one in made) else made


def _eagerness(kind: Any) -> int:
    """Types in the order in which a text is tried: text itself last."""
    return [NoneType, bool, int, float].index(kind) if kind in (NoneType, bool, int, float) else 5 if kind is str else 4

"""What a correction is: a small serialisable object that binds to a prompt and then edits attention calls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from attnscope.errors import RequestError

if TYPE_CHECKING:
    from attnscope.attention import AttentionCall
    from attnscope.model import Prompt


class Running(ABC):
    """A correction at work on one prompt: an edit of the seam (`attnscope.attention.Edit`)."""

    @abstractmethod
    def __call__(self, call: AttentionCall) -> AttentionCall:
        """Edit one attention call."""

    @abstractmethod
    def record(self) -> dict[str, Any]:
        """What was done: `method`, `params`, `active` [[layer, [head, ...]], ...] and `notes`."""


@dataclass(frozen=True)
class Correction(ABC):
    """Base of all corrections; fields are its parameters."""

    method: ClassVar[str]
    source: ClassVar[str]
    summary: ClassVar[str]

    @abstractmethod
    def bind(self, prompt: Prompt, layers: int) -> Running:
        """Prepare for one prompt of a model with so many layers.

        Raises:
            RequestError: If the correction needs something that the scene does not have.
        """

    def params(self) -> dict[str, Any]:
        """The parameters, as stored in a capture."""
        return asdict(self)


_METHODS: dict[str, type[Correction]] = {}


def correction(cls: type[Correction]) -> type[Correction]:
    """Class decorator: register a correction under its `method`."""
    _METHODS[cls.method] = cls
    return cls


def corrections() -> dict[str, type[Correction]]:
    """All corrections by method name."""
    return dict(_METHODS)


def make(method: str, **params: Any) -> Correction:
    """Make a correction from its name and parameters; parameters that are None keep their default.

    Raises:
        RequestError: If there is no such method or parameter, or a parameter is out of range.
    """
    if method not in _METHODS:
        raise RequestError(f'--method "{method}" is not a correction; choose from {", ".join(sorted(_METHODS))}')
    build: Callable[..., Correction] = _METHODS[method]
    given = {name: value for name, value in params.items() if value is not None}
    try:
        return build(**given)
    except TypeError as error:
        raise RequestError(f"--method {method}: {str(error).split(') ')[-1]}") from None


def catalogue() -> list[dict[str, str]]:
    """What each correction is: method, summary, source mark and parameters with their defaults."""
    return [
        {
            "method": method,
            "summary": cls.summary,
            "source": cls.source,
            "parameters": ", ".join(f"{f.name}={f.default}" for f in fields(cls)),
        }
        for method, cls in sorted(_METHODS.items())
    ]

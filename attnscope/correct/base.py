"""What a correction is: a small serialisable object that binds to a prompt and then edits attention calls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from attnscope.correct import params as parameters
from attnscope.correct.placing import Placing
from attnscope.errors import RequestError
from attnscope.scene.problems import written

if TYPE_CHECKING:
    from torch import Tensor

    from attnscope.attention import AttentionCall, Edit
    from attnscope.model import Prompt
    from attnscope.scene import Frames, Scene


@dataclass(frozen=True)
class Decoder:
    """What a correction has to know of a model.

    Attributes:
        layers: Numbers of the layers with softmax attention, increasing.
        depth: Number of all layers, the denominator of depth.
        heads: Query heads of a layer.
        id: The model's name or folder.
        config_sha256: Hash of its configuration.
        scout: Runs the plain model on the prompts that a correction is bound to, under edits that only look (they
            return their call), and returns the logits after each prompt [B, vocabulary]. It costs one prefill. None
            where there is no model, only what a capture holds of it.
    """

    layers: tuple[int, ...]
    depth: int
    heads: int
    id: str
    config_sha256: str
    scout: Callable[[Sequence[Edit]], Tensor] | None = None

    def look(self, method: str, edits: Sequence[Edit]) -> Tensor:
        """Scout, for a correction that cannot do without.

        Raises:
            RequestError: If there is no model to run.
        """
        if self.scout is None:
            raise RequestError(f"{method}: has to run the model once before it acts, which a capture alone cannot do")
        return self.scout(edits)


class Running(ABC):
    """A correction at work on a batch of prompts: an edit of the seam (`attnscope.attention.Edit`)."""

    @abstractmethod
    def __call__(self, call: AttentionCall) -> AttentionCall:
        """Edit one attention call."""

    def padded_to(self, length: int) -> None:
        """Follow a batch that is padded on the left to more than its longest prompt, before the model runs.

        Args:
            length: Column at which every prompt of the batch ends.
        """
        for value in vars(self).values():
            for one in value if isinstance(value, (list, tuple)) else [value]:
                if isinstance(one, Placing):
                    one.padded = length
                elif isinstance(one, Running):
                    one.padded_to(length)

    @abstractmethod
    def records(self) -> list[dict[str, Any]]:
        """What was done, one a prompt: `method`, `params`, `active` [[layer, [head, ...]], ...] and `notes`."""

    def documents(self) -> list[dict[str, Any]]:
        """`records` as a capture keeps them: with what its readers, who need no torch, should know of the method."""
        return [record | about(str(record["method"])) for record in self.records()]

    def record(self) -> dict[str, Any]:
        """What was done to the only prompt.

        Raises:
            RequestError: If the correction was bound to several prompts.
        """
        found = self.records()
        if len(found) != 1:
            raise RequestError(f"the correction was bound to {len(found)} prompts; ask for records(), one a prompt")
        return found[0]


@dataclass(frozen=True)
class Correction(ABC):
    """Base of all corrections; fields are its parameters."""

    method: ClassVar[str]
    source: ClassVar[str]
    summary: ClassVar[str]

    def show(self, scene: Scene, frames: Frames) -> tuple[Scene, Frames]:
        """What the model is shown in place of a scene and its frames; most corrections change nothing here.

        Raises:
            RequestError: If the scene lacks something that the correction needs.
        """
        return scene, frames

    @abstractmethod
    def bind(self, prompts: Sequence[Prompt], decoder: Decoder) -> Running:
        """Prepare for a left-padded batch of prompts (`attnscope.capture.generate.collate`), perhaps of one.

        Raises:
            RequestError: If the correction needs something that a scene or the model does not have.
        """

    def params(self) -> dict[str, Any]:
        """The parameters, as stored in a capture."""
        return asdict(self)

    def record(self, active: Mapping[int, Sequence[int]], notes: Sequence[str]) -> dict[str, Any]:
        """What was done to a prompt, as `Running.records` says it.

        Args:
            active: Heads in which it acted, by layer.
            notes: What a user should know, a sentence each.
        """
        heads = [[layer, list(found)] for layer, found in sorted(active.items())]
        return {"method": self.method, "params": self.params(), "active": heads, "notes": list(notes)}


_METHODS: dict[str, type[Correction]] = {}


def counted(n: int, thing: str) -> str:
    """A number of things in a note: "1 head", "8 heads"."""
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


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
    return build(method, {name: value for name, value in params.items() if value is not None})


def build(method: str, params: Mapping[str, Any]) -> Correction:
    """Make a correction from its name and parameters, of which None is a value like others.

    Raises:
        RequestError: As `make`.
    """
    cls = method_class(method)
    make_it: Callable[..., Correction] = cls
    return make_it(**parameters.check(method, cls, params))


def method_class(method: str) -> type[Correction]:
    """The correction of a name.

    Raises:
        RequestError: If there is none.
    """
    if method not in _METHODS:
        raise RequestError(f'--method "{method}" is not a correction; choose from {", ".join(sorted(_METHODS))}')
    return _METHODS[method]


def about(method: str) -> dict[str, Any]:
    """Source mark, summary and default parameters of a method, and whether it changes what the model is shown."""
    if method not in _METHODS:
        return {}
    cls = _METHODS[method]
    defaults = {field.name: None if field.default is MISSING else field.default for field in fields(cls)}
    shows = cls.show is not Correction.show
    return {"source": cls.source, "summary": cls.summary, "defaults": defaults, "shows": shows}


def catalogue() -> list[dict[str, str]]:
    """What each correction is: method, summary, source mark and parameters with their defaults."""
    return [
        {
            "method": method,
            "summary": cls.summary,
            "source": cls.source,
            "parameters": ", ".join(f"{f.name}={written(f.default)}" for f in fields(cls)),
        }
        for method, cls in sorted(_METHODS.items())
    ]

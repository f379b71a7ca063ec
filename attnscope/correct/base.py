"""What a correction is: a small serialisable object that binds to a prompt and then edits attention calls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from attnscope.correct import params as parameters
from attnscope.correct.notes import Caution
from attnscope.correct.placing import Placing
from attnscope.errors import RequestError
from attnscope.layers import check_layers

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
        weights: Returns the hash of its weights, rounded to bfloat16, None if it is not known; asked for when needed.
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
    weights: Callable[[], str | None] = lambda: None

    @property
    def weights_sha256(self) -> str | None:
        """Hash of the model's weights, rounded to bfloat16."""
        return self.weights()

    def look(self, method: str, edits: Sequence[Edit]) -> Tensor:
        """Scout, for a correction that cannot do without.

        Raises:
            RequestError: If there is no model to run.
        """
        if self.scout is None:
            raise RequestError(f"{method}: has to run the model once before it acts, which a capture alone cannot do")
        return self.scout(edits)


class Running(ABC):
    """A correction at work on a batch of prompts: an edit of the seam (`attnscope.attention.Edit`).

    Attributes:
        warnings: Cautions of each prompt that are about the request rather than about what the correction did, such as
            heads that were chosen on the very clip; none where nothing was noticed.
    """

    warnings: Sequence[Sequence[str]] = ()

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
        """What was done, one a prompt, as `Correction.record` writes it."""

    def documents(self) -> list[dict[str, Any]]:
        """`records` as a capture keeps them: with what its readers, who need no torch, should know of the method."""
        from attnscope.correct.registry import about

        found = [record | about(str(record["method"])) for record in self.records()]
        for record, own in zip(found, self.warnings or [[]] * len(found), strict=True):
            for kind in ("notes", "cautions"):
                record[kind] = [*own, *record.get(kind, [])]
        return found

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

    def __post_init__(self) -> None:
        """Check types and sizes, and layers; a correction that checks more calls this first.

        Raises:
            RequestError: "METHOD.NAME=VALUE: " and what is wrong.
        """
        for field in fields(self):
            value = parameters.typed(self.method, type(self), field.name, getattr(self, field.name))
            object.__setattr__(self, field.name, value)
        if "layers" in parameters.names(type(self)):
            layers = str(vars(self)["layers"])
            try:
                check_layers(layers)
            except RequestError as error:
                raise self.wrong("layers", error.reason) from None

    def wrong(self, name: str, why: str) -> RequestError:
        """What is wrong with a parameter: "METHOD.NAME=VALUE: WHY"."""
        return parameters.wrong(self.method, name, getattr(self, name), why)

    def check_choices(self, choices: Mapping[str, Sequence[str]]) -> None:
        """Refuse a word that is none of its parameter's.

        Raises:
            RequestError: Naming them.
        """
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise self.wrong(name, f"choose from {', '.join(known)}")

    def check_least(self, least: float, *names: str, above: bool = False) -> None:
        """Refuse numbers that are less than `least`, or not above it.

        Raises:
            RequestError: Naming the first one.
        """
        for name in names:
            value = getattr(self, name)
            if value < least or (above and value == least):
                raise self.wrong(name, f"must be a number {'above' if above else 'of at least'} {least:g}")

    def show(self, scene: Scene, frames: Frames) -> tuple[Scene, Frames]:
        """What the model is shown in place of a scene and its frames; most corrections change nothing here.

        Raises:
            RequestError: If the scene lacks something that the correction needs.
        """
        return scene, frames

    @abstractmethod
    def bind(self, prompts: Sequence[Prompt], decoder: Decoder) -> Running:
        """Prepare for a left-padded batch of prompts (`attnscope.capture.record.generate.collate`), perhaps of one.

        Raises:
            RequestError: If the correction needs something that a scene or the model does not have.
        """

    def params(self) -> dict[str, Any]:
        """The parameters, as stored in a capture."""
        return asdict(self)

    def unused(self) -> list[str]:
        """Parameters that play no role beside the others' values, for a report to grey."""
        return []

    def record(self, active: Mapping[int, Sequence[int]], notes: Sequence[str]) -> dict[str, Any]:
        """What was done to a prompt.

        Args:
            active: Heads in which it acted, by layer.
            notes: What a user should know, a sentence each.

        Returns:
            `method`, `params`, `active` [[layer, [head, ...]], ...], `notes`, those of them that are `cautions`, and
            the names of parameters that are `unused`.
        """
        return {
            "method": self.method,
            "params": self.params(),
            "active": [[layer, list(heads)] for layer, heads in sorted(active.items())],
            "notes": [str(note) for note in notes],
            "cautions": [str(note) for note in notes if isinstance(note, Caution)],
            "unused": self.unused(),
        }

"""What a correction is: a small serialisable object that binds to a prompt and then edits attention calls."""

from __future__ import annotations

from abc import ABC, ABCMeta, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from attnscope.correct import params as parameters
from attnscope.correct.look import ANSWER, RUN, EnoughError, Known, Look, Until
from attnscope.correct.notes import Caution
from attnscope.correct.params import Parameter, parameter
from attnscope.correct.placing import Placing
from attnscope.errors import RequestError
from attnscope.layers import check_layers
from attnscope.metrics.choosing.headlist import HeadList

if TYPE_CHECKING:
    from torch import Tensor

    from attnscope.attention import AttentionCall, Edit
    from attnscope.correct.controls.wrapper import Controlled
    from attnscope.model import Prompt
    from attnscope.scene import Frames, Scene

# What a correction changes: what the model is shown, queries and keys, rows of logits, what heads write.
Changed = Literal["prompt", "keys", "rows", "outputs"]


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
        known: What a capture knows of a plain run of the prompt; asked before the plain model is run. None as a rule.
        source: What the scout looks at, in words.
        control: The control that a correction is bound under: other cells, worse boxes or other heads take the place
            of its own, where it asks `find_cells` and `choose`. None as a rule.

    Example:
        >>> decoder = attnscope.correct.Decoder(tuple(range(6)), 6, 8, model.id, model.config_sha256)
        >>> attnscope.correct.Pai(layers="0.0-0.4").bind([prompt], decoder).record()["active"][0]
        [0, [0, 1, 2, 3, 4, 5, 6, 7]]
    """

    layers: tuple[int, ...]
    depth: int
    heads: int
    id: str
    config_sha256: str
    scout: Callable[[Sequence[Edit]], Tensor] | None = None
    weights: Callable[[], str | None] = lambda: None
    known: Known | None = None
    source: str = RUN
    control: Controlled | None = None

    @property
    def weights_sha256(self) -> str | None:
        """Hash of the model's weights, rounded to bfloat16."""
        return self.weights()

    def look(self, method: str, edits: Sequence[Edit], layers: Sequence[int] | None = None) -> Look:
        """Look at the plain model, for a correction that cannot do without.

        Args:
            method: Whose look, for messages.
            edits: They return their call.
            layers: All that the edits look at, where the logits are not wanted: the run ends after the last of them,
                and there is none if a capture holds them. None for all layers and the logits.

        Raises:
            RequestError: If there is no model to run.
        """
        if layers is None:
            return Look(self.source, self._scout(method)(edits))
        if self.known is not None and (source := self.known.show(edits, layers)):
            return Look(source)
        with suppress(EnoughError):
            self._scout(method)([*edits, Until(layers)])
        return Look(self.source)

    def confidence(self, method: str) -> tuple[list[float], str]:
        """Probability of the plain model's likeliest first token of each answer, and where it comes from, in words.

        Raises:
            RequestError: If there is no model to run.
        """
        if self.known is not None and self.known.confidence is not None:
            return [self.known.confidence], ANSWER
        logits = self._scout(method)([])
        return logits.softmax(-1).amax(-1).tolist(), self.source

    def _scout(self, method: str) -> Callable[[Sequence[Edit]], Tensor]:
        if self.scout is None:
            raise RequestError(f"{method}: has to run the model once before it acts, which a capture alone cannot do")
        return self.scout


class Running(ABC):
    """A correction at work on a batch of prompts: an edit of attention calls.

    Attributes:
        settings: The correction, as records name it.
        warnings: Cautions of each prompt that are about the request rather than about what the correction did, such as
            heads that were chosen on the very clip; none where nothing was noticed.

    Example:
        >>> [running] = attnscope.correct.bind(model, prompt, [attnscope.correct.Pai(layers="0.0-0.4")])
        >>> running.record()["active"][0]  # of the first layer, the heads
        [0, [0, 1, 2, 3, 4, 5, 6, 7]]
    """

    settings: Correction
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
            for part in value if isinstance(value, (list, tuple)) else [value]:
                if isinstance(part, Placing):
                    part.padded = length
                elif isinstance(part, Running):
                    part.padded_to(length)

    @abstractmethod
    def records(self) -> list[dict[str, Any]]:
        """What was done, one a prompt, as `Correction.record` writes it."""

    def documents(self) -> list[dict[str, Any]]:
        """`records` as a capture keeps them: with what its readers, who need no torch, should know of the method."""
        about = type(self.settings).about()
        documents = [record | about for record in self.records()]
        for document, warnings in zip(documents, self.warnings or [[]] * len(documents), strict=True):
            for kind in ("notes", "cautions"):
                document[kind] = [*warnings, *document.get(kind, [])]
        return documents

    def record(self) -> dict[str, Any]:
        """What was done to the only prompt.

        Raises:
            RequestError: If the correction was bound to several prompts.
        """
        records = self.records()
        if len(records) != 1:
            raise RequestError(f"the correction was bound to {len(records)} prompts; ask for records(), one a prompt")
        return records[0]


class _WithControls(ABCMeta):
    """Lets names of controls stand among the parameters of a correction that has controls, as in correction.json."""

    def __call__(cls, *args: Any, **params: Any) -> Any:
        wrapper: Any = getattr(cls, "control", None)
        if wrapper is None:
            return super().__call__(*args, **params)
        own = parameters.declared(cls)
        control = {name: params.pop(name) for name in parameters.declared(wrapper) if name in params.keys() - own}
        correction = super().__call__(*args, **params)
        return wrapper.around(correction, control) if control else correction


@dataclass(frozen=True)
class Correction(metaclass=_WithControls):
    """Base of all corrections; fields, declared with `attnscope.correct.parameter`, are its parameters.

    Attributes:
        method: The name, for the command line and files.
        source: Of the method: `paper`, `code`, `2nd` (a secondary summary) or `ours`.
        summary: One sentence.
        changes: What it changes. Queries and keys (`qk`) are left out of a capture under a change of rows, which they
            do not hold.
        control: What wraps it for controls; None if it draws to no cells and chooses no heads.

    Example:
        >>> isinstance(social, attnscope.correct.Correction), social.method, social.params()["alpha"]
        (True, 'social-bias', 8.0)
    """

    method: ClassVar[str]
    source: ClassVar[str]
    summary: ClassVar[str]
    changes: ClassVar[tuple[Changed, ...]] = ("keys",)
    control: ClassVar[type[Correction] | None] = None

    def __init_subclass__(cls) -> None:
        """A correction that has its own `show` changes what the model is shown, whether it says so or not."""
        super().__init_subclass__()
        if "show" in vars(cls) and "prompt" not in cls.changes:
            cls.changes = (*cls.changes, "prompt")

    def __post_init__(self) -> None:
        """Check every parameter by its declaration; a correction that checks more calls this first.

        Raises:
            RequestError: "METHOD.NAME=VALUE: " and what is wrong.
        """
        parameters.check(self)

    @classmethod
    def parameters(cls) -> dict[str, Parameter]:
        """The declared parameters by name, those of its controls last."""
        return parameters.declared(cls) | (parameters.declared(cls.control) if cls.control else {})

    @classmethod
    def about(cls) -> dict[str, Any]:
        """Source mark, summary and default parameters, and whether it changes what the model is shown."""
        known = cls.parameters()
        defaults = {name: None if own.default is parameters.REQUIRED else own.default for name, own in known.items()}
        return {"source": cls.source, "summary": cls.summary, "defaults": defaults, "shows": "prompt" in cls.changes}

    def wrong(self, name: str, why: str) -> RequestError:
        """What is wrong with a parameter: "METHOD.NAME=VALUE: WHY"."""
        return parameters.wrong(self.method, name, getattr(self, name), why)

    def refuse_control(self, control: Controlled) -> None:
        """Refuse a control that contradicts the parameters; most contradict none.

        Raises:
            RequestError: Naming the parameter of the control.
        """

    def show(self, scene: Scene, frames: Frames) -> tuple[Scene, Frames]:
        """What the model is shown in place of a scene and its frames; most corrections change nothing here.

        Raises:
            RequestError: If the scene lacks something that the correction needs.
        """
        return scene, frames

    @abstractmethod
    def bind(self, prompts: Sequence[Prompt], decoder: Decoder) -> Running:
        """Prepare for a left-padded batch of prompts, perhaps of one.

        Raises:
            RequestError: If the correction needs something that a scene or the model does not have.
        """

    def params(self) -> dict[str, Any]:
        """The parameters, as stored in a capture; of a heads file, the heads."""
        return {name: v.text if isinstance(v, HeadList) else v for name, v in self.values().items()}

    def values(self) -> dict[str, Any]:
        """The parameters as they were given."""
        return {name: getattr(self, name) for name in parameters.declared(type(self))}

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


def _layers(spec: str, method: str) -> str:
    try:
        check_layers(spec)
    except RequestError as error:
        raise parameters.wrong(method, "layers", spec, error.reason) from None
    return spec


def layers_parameter(default: str = "0.0-1.0", meaning: str = "Layers where it acts.", source: str = "ours") -> Any:
    """Declare the parameter `layers`: numbers, or a range of depth."""
    return parameter(default, meaning, source, read=_layers)

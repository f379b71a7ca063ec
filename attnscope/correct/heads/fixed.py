"""Fixed heads of a correction: "2.3,4.0" (layer.head), or a heads file, checked against the model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol

from attnscope.correct.params import parameter, wrong
from attnscope.errors import RequestError
from attnscope.metrics.choosing.headlist import SUFFIX, HeadList, read
from attnscope.scene.problems import show
from attnscope.weights import ModelId, same_model

if TYPE_CHECKING:
    from attnscope.correct.base import Decoder


class ModelLike(Protocol):
    """What tells models apart; a `LoadedModel` and a `Decoder` have it."""

    @property
    def id(self) -> str:
        """The name or folder."""

    @property
    def config_sha256(self) -> str:
        """Hash of the configuration."""

    @property
    def weights_sha256(self) -> str | None:
        """Of the weights, rounded to bfloat16; None if they are not known."""


class OwnHeads(str):
    """Heads written as layer.head, and the model whose they are, as correction.json keeps both.

    To every correction they are the text that they are.

    Attributes:
        model: Name or folder, the hash of the configuration and, if known, that of the weights.
    """

    model: ModelId

    @classmethod
    def of(cls, heads: str, model: tuple[str, str] | ModelId) -> OwnHeads:
        """The heads of a model."""
        own = cls(heads)
        own.model = ModelId(*model)
        return own


def foreign(heads: str | HeadList, model: ModelLike) -> str:
    """What to say where heads of one model are applied to another; empty where it is the same, or nobody knows."""
    if not isinstance(heads, OwnHeads):
        return ""
    here = ModelId(model.id, model.config_sha256, model.weights_sha256 if heads.model.weights_sha256 else None)
    if same_model(here, heads.model):
        return ""
    return f"the fixed heads were given for {heads.model}; in {here} they may be other heads"


def opened(heads: str | HeadList, method: str) -> str | HeadList:
    """The heads file that a text names, or what was given to a method.

    Raises:
        RequestError: If there is no such file, a field of it is wrong, or the text is not layer.head.
    """
    heads = read(heads) if isinstance(heads, str) and heads.endswith(SUFFIX) else heads
    parse(heads, method)
    return heads


def heads_parameter(meaning: str) -> Any:
    """Declare the parameter `heads`: layer.head, or a heads file."""
    return parameter("", meaning, read=opened)


def text(heads: str | HeadList) -> str:
    """The heads as they are stored in a capture; of a heads file, those in it."""
    return heads if isinstance(heads, str) else heads.text


def parse(heads: str | HeadList, method: str = "") -> dict[int, list[int]]:
    """Heads by layer, both increasing; empty for an empty text. Messages name the parameter of `method`.

    Raises:
        RequestError: If they are not written as layer.head.
    """
    found: dict[int, set[int]] = {}
    written = text(heads)
    for part in written.split(",") if written else []:
        match = re.fullmatch(r"([0-9]{1,9})\.([0-9]{1,9})", part.strip())
        if match is None:
            why = f"{show(part.strip())} is not a layer and a head, like 12.3"
            raise wrong(method, "heads", written, why)
        found.setdefault(int(match[1]), set()).add(int(match[2]))
    return {layer: sorted(found[layer]) for layer in sorted(found)}


def heads_of(heads: str | HeadList, decoder: Decoder) -> dict[int, list[int]]:
    """As `parse`, for a model.

    Raises:
        RequestError: If the model has no such layer or head, or is not that of the heads file.
    """
    if isinstance(heads, HeadList):
        known = decoder.weights_sha256 if heads.model.weights_sha256 else None
        heads.check_model(decoder.id, decoder.config_sha256, known)
    chosen = parse(heads)
    for layer, several in chosen.items():
        if layer not in decoder.layers:
            known = f"{min(decoder.layers)}-{max(decoder.layers)}"
            raise RequestError.of(
                "heads", f"{layer}.{several[0]}", f"layer {layer} is not one of the layers with attention, {known}"
            )
        if several[-1] >= decoder.heads:
            raise RequestError.of(
                "heads", f"{layer}.{several[-1]}", f"the model has heads 0-{decoder.heads - 1} in each layer"
            )
    return chosen

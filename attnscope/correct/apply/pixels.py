"""The pixels that a model is shown: they distinguish prompts of the same tokens, also under `generate`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from attnscope.transformers_names import is_pixels

if TYPE_CHECKING:
    from attnscope.model import Prompt

# Normalised pixels of one picture, resized by other code, differ by less on average; those of other frames by more
# (ours). Where several prompts have the same tokens, pixels must be equal.
CLOSE = 0.02
PART = 2**20  # pixels that are compared at once


@dataclass(frozen=True)
class Shown:
    """Pixels of a batch.

    Attributes:
        pixels: Inputs of pixels by name, those of the rows one after the other.
        rows: Rows of how many rows they are: fewer than the batch has where beams share them; None if of each.
    """

    pixels: dict[str, Tensor] = field(default_factory=dict)
    rows: int | None = None

    @classmethod
    def of(cls, inputs: Mapping[str, Any], rows: int | None = None) -> Shown:
        """What a model's or a processor's inputs show."""
        return cls({k: v for k, v in inputs.items() if is_pixels(k) and isinstance(v, Tensor)}, rows)

    def fits(self, prompt: Prompt, before: Mapping[str, int], *, exactly: bool) -> bool:
        """Whether the pixels that come next may be those of a prompt; where none are given they may.

        Args:
            prompt: With its own pixels.
            before: How much of each input is of rows before this one.
            exactly: Whether they must be equal, or only close.
        """
        for name, own in Shown.of(prompt.inputs).pixels.items():
            given = self.pixels.get(name)
            if given is None:
                continue
            part = given[before.get(name, 0) :][: len(own)]
            if part.shape != own.shape:
                if exactly:
                    return False
            elif not _alike(part, own, exactly=exactly):
                return False
        return True


class Generating:
    """What `generate` is given: it encodes pixels first, and the model that it then calls gets none."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._given: Mapping[str, Any] = {}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Stand in for the `generate` of the model."""
        generate, own = self._model.generate, self._model.__dict__.get("generate")

        def watched(*args: Any, **kwargs: Any) -> Any:
            before, self._given = self._given, kwargs
            try:
                return generate(*args, **kwargs)
            finally:
                self._given = before

        self._model.__dict__["generate"] = watched
        try:
            yield
        finally:
            del self._model.__dict__["generate"]
            if own is not None:
                self._model.__dict__["generate"] = own

    def shown(self, inputs: Mapping[str, Any]) -> Shown:
        """The pixels of a call of the model: its own, or those that `generate` was given for it."""
        own, given = Shown.of(inputs), self._given.get("input_ids")
        return own if own.pixels else Shown.of(self._given, None if given is None else len(given))


def _alike(given: Tensor, own: Tensor, *, exactly: bool) -> bool:
    """Whether pixels are the same to the model: a processor gives float32, a prompt holds the model's own type.

    Part by part: pixels of a long clip are as large as a layer's keys, and a float32 copy of them would show in the
    memory that a correction takes.
    """
    low = min(given.dtype, own.dtype, key=lambda dtype: dtype.itemsize)
    apart = 0.0
    for one, two in zip(given.flatten().split(PART), own.flatten().split(PART), strict=True):
        one, two = one.to(own.device, low), two.to(low)
        if torch.equal(one, two):
            continue
        if exactly:
            return False
        apart += float((one.float() - two.float()).abs().sum())
    return apart <= CLOSE * max(own.numel(), 1)

"""A plain capture of the very prompt that corrections are bound to: what they look at need not be run once more."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnscope.attention import Edit
from attnscope.capture.read.capture import open as open_capture
from attnscope.capture.record.metadata import jpeg
from attnscope.correct.apply.source import Recorded
from attnscope.correct.heads.scores import HeadScores
from attnscope.correct.look import MAPS, STORED
from attnscope.correct.what_if.stored import stored_call
from attnscope.errors import RequestError
from attnscope.weights import Match, match

if TYPE_CHECKING:
    from attnscope.capture.read.capture import Capture
    from attnscope.model import LoadedModel, Prompt

logger = logging.getLogger("attnscope")

# What may differ between a capture's `/model` and the model as it is now: names, and what is compared apart.
_NAMES = ("id", "revision", "origin", "weights", "versions")


@dataclass(frozen=True)
class Captured:
    """What a plain capture knows of its prompt (`attnscope.correct.look.Known`).

    Attributes:
        path: Path of the capture.
        confidence: Probability of the likeliest first token, None in a capture that keeps no such list.
    """

    path: Path
    confidence: float | None

    @classmethod
    def of(cls, recorded: Recorded, model: LoadedModel, prompt: Prompt) -> Captured | None:
        """What a capture knows, if this model on this prompt would give its numbers once more.

        Args:
            recorded: The capture, whose model and prompt have been compared with these (`Recorded.check`).
            model: The model.
            prompt: The prompt.

        Returns:
            None, and a line in the log, where weights, precision, backend, device, versions or frames are not those of
            the capture to the last digit: then the plain model has to be run.
        """
        other = _differs(recorded.model, model.describe())
        if not other and [jpeg(image) for image in prompt.frames.images] != recorded.images:
            other = "frames"
        if other:
            logger.info("%s: its scores are not taken, because its %s may be another", recorded.path, other)
            return None
        first = recorded.answer.get("first", [])
        return cls(recorded.path, math.exp(first[0]["logprob"]) if first else None)

    @classmethod
    def read(cls, path: str | Path, model: LoadedModel, prompts: Sequence[Prompt]) -> tuple[int, Captured | None]:
        """Which of some prompts a plain capture is of, and what it knows of it; None as of `of`.

        Raises:
            RequestError: If the capture is not plain, or of another model or of none of the prompts.
        """
        recorded = Recorded.read(path, to="take scores from")
        recorded.load(model)
        for number, prompt in enumerate(prompts):
            try:
                recorded.check(prompt)
            except RequestError:
                if number == len(prompts) - 1:
                    raise
                continue
            return number, cls.of(recorded, model, prompt)
        raise RequestError(f"{path}: there is no prompt that it could be of")

    def show(self, edits: Sequence[Edit], layers: Sequence[int]) -> str:
        """Show layers to edits that only look, from queries and keys, or else from maps if these are all they need."""
        with open_capture(self.path) as cap:
            if not set(layers).issubset(int(layer) for layer in cap.layers):
                return ""
            if cap.has("qk"):
                for layer in sorted(layers):
                    call = stored_call(cap, layer)
                    for edit in edits:
                        edit(call)
                return STORED
            return MAPS if _from_maps(cap, edits) else ""


def _from_maps(cap: Capture, edits: Sequence[Edit]) -> bool:
    if cap.run["plan"]["maps_dtype"] != "float32":  # rounded, they may put heads in another order
        return False
    return all(isinstance(edit, HeadScores) and edit.from_maps(cap) for edit in edits)


def _differs(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What is not certain to be the same of two models, as a field of `/model`; "" if nothing."""
    if match(before, now) is not Match.SAME:
        return "weights"
    for name in [name for name in now if name not in _NAMES]:
        if before.get(name) != now[name]:
            return name
    versions = [{name: one["versions"].get(name) for name in ("torch", "transformers")} for one in (before, now)]
    return "" if versions[0] == versions[1] else "versions"

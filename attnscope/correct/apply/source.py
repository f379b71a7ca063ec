"""What a capture was made from, to run its model on its prompt once more."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from attnscope.attention import tapped
from attnscope.capture.read.capture import open as open_capture
from attnscope.capture.record.generate import bare, collate, logit_tolerance
from attnscope.capture.run import prepare
from attnscope.correct.apply.prompts import prompted
from attnscope.correct.base import Correction
from attnscope.errors import Argument, ModelError, RequestError
from attnscope.scene import Sampling, Scene
from attnscope.weights import Match, match, where

if TYPE_CHECKING:
    from attnscope.model import LoadedModel, Prompt

logger = logging.getLogger("attnscope")

# Mean difference of 8-bit values between a frame and its JPEG of quality 90: noise stays below, another film does not.
_JPEG_NOISE = 12.0


@dataclass(frozen=True)
class Recorded:
    """A capture's model, scene, frames and prompt, as they are written in it.

    Attributes:
        path: Path of the capture.
        model, run, answer: Its `/model`, `/run` and `/answer`.
        scene: Its scene.
        ids: Token ids of its prompt.
        layers: Numbers of its layers.
        shown: [F, height, width, 3] its frames, as JPEGs have left them.
        images: The JPEGs.
    """

    path: Path
    model: dict[str, Any]
    run: dict[str, Any]
    answer: dict[str, Any]
    scene: Scene
    ids: list[int]
    layers: list[int]
    shown: npt.NDArray[np.uint8]
    images: list[bytes]

    @classmethod
    def read(cls, path: str | Path, *, to: str) -> Recorded:
        """Read a plain capture whose video is still there.

        Args:
            path: The capture.
            to: What is to be done with a plain capture, as a command, for a message.

        Raises:
            RequestError: If it was itself made under a correction, or its video is gone.
        """
        with open_capture(path) as cap:
            if cap.correction:
                raise RequestError(f"{path}: was itself made under {cap.correction[0]['method']}; {to} a plain capture")
            ids = cap.tokens["token_id"].to_numpy()[: cap.prompt_length].tolist()
            layers = [int(n) for n in cap.layers]
            frames = cap.frames
            images = [frames.jpeg(row) for row in range(len(frames))]
            found = cls(Path(path), cap.model, cap.run, cap.answer, cap.scene, ids, layers, frames.images, images)
        if not found.scene.video.exists():
            raise RequestError(f"{path}: its video is no longer at {found.scene.video}")
        return found

    def load(self, model: LoadedModel | str | Path | None) -> LoadedModel:
        """Load the model, from where the capture had it if `model` is None: of a hub, at the commit that it had.

        Raises:
            RequestError: If it is no longer there, or has another configuration or other weights.
        """
        from attnscope.model import load
        from attnscope.model.adapter import CONFIG as ADAPTER

        was = str(self.model["id"])
        if model is None and Path(was).is_absolute() and not Path(was).exists():
            raise ModelError(f"{self.path}: its model is no longer at {was}; say where it is with ", Argument("model"))
        if model is None or isinstance(model, (str, Path)):
            how = {k: v for k, v in self.run["load"].items() if k != "model"}
            if model is None and self.model["revision"]:
                how["revision"] = self.model["revision"]
            if model is not None and (Path(model) / ADAPTER).is_file():
                how.pop("adapter", None)  # the adapter is given itself
            model = load(str(model or was), **how)
        if model.config_sha256 != self.model["config_sha256"]:
            raise RequestError(f"{self.path}: was captured with another configuration of {was} than the one loaded")
        self._check_weights(model)
        return model

    def _check_weights(self, model: LoadedModel) -> None:
        """Refuse other weights than those of the capture.

        Raises:
            RequestError: Naming where they differ, and what to do.
        """
        now = model.describe()
        found = match(self.model, now)
        if found is Match.UNKNOWN:
            logger.warning("%s: whether the model has the weights of the capture could not be compared", self.path)
        if found is not Match.OTHER:
            return
        if self.model.get("origin") == "memory":
            remedy = "it was captured of a model in memory: repeat it from Python and give that model"
        else:
            remedy = "give the model that was captured, or capture again"
        raise RequestError(
            f"{self.path}: was captured with other weights of {self.model['id']} than those of {now['id']} now"
            f"{where(self.model, now)}; {remedy}"
        )

    @property
    def sampling(self) -> Sampling:
        """Which frames were shown."""
        return Sampling(**self.run["sampling"])

    def prompt(self, model: LoadedModel, *, logits: bool = True) -> Prompt:
        """Build the prompt again, and run the plain model on it once.

        Args:
            model: The model.
            logits: Whether to run it, and hold its logits against those stored.

        Raises:
            RequestError: If it is no longer the one captured, or the plain model answers otherwise.
        """
        prompt, _, _ = prepare(model, self.scene, self.sampling, self.run["template"])
        self.check(prompt)
        if logits:
            self._check_logits(model, prompt)
        return prompt

    def _check_logits(self, model: LoadedModel, prompt: Prompt) -> None:
        """Refuse a model that no longer begins the answer as it did.

        Raises:
            RequestError: With the token whose log-probability differs most, and why that may be.
        """
        inputs, _ = collate([prompt], model)
        with tapped(model.model):
            (now,) = bare(model, [prompt], inputs)
        before = dict(self._first())
        after = torch.log_softmax(now.first_logits, -1)
        apart = {token: abs(float(after[token]) - logprob) for token, logprob in before.items()}
        token = max(apart, key=lambda token: apart[token] if apart[token] == apart[token] else float("inf"))
        coarse = {self.model["dtype"], str(model.model.dtype).removeprefix("torch.")} != {"float32"}
        if apart[token] <= 2 * logit_tolerance(torch.bfloat16 if coarse else torch.float32, now.first_logits):
            return
        described = model.describe()
        fields = [(name, self.model[name], described[name]) for name in ("dtype", "attention", "device")]
        fields += [
            (name, self.model["versions"][name], described["versions"][name]) for name in ("torch", "transformers")
        ]
        changed = [f"{name} was {old} and is {new}" for name, old, new in fields if old != new]
        if match(self.model, described) is Match.UNKNOWN:
            changed.insert(0, "its weights may be others")
        why = f" ({'; '.join(changed)})" if changed else ""
        raise RequestError(
            f"{self.path}: the plain model no longer answers as it was captured: the log-probability of"
            f" {model.tokenizer.decode([token])!r} was {before[token]:.3f} and is {float(after[token]):.3f}{why};"
            " capture again"
        )

    def _first(self) -> Iterator[tuple[int, float]]:
        """Log-probabilities where the answer begins, by token; older captures have those of the answer and options."""
        first = self.answer["tokens"][0]
        yield int(first["id"]), float(first["logprob"])
        for option in self.answer["options"]:
            if len(option["tokens"]) == 1:
                yield int(option["tokens"][0]), float(option["logprob"])
        for other in self.answer.get("first", []):
            yield int(other["id"]), float(other["logprob"])

    def prompt_under(self, model: LoadedModel, corrections: Sequence[Correction], *, logits: bool = True) -> Prompt:
        """Build the prompt again, as corrections have the model see it.

        Raises:
            RequestError: If the plain prompt is no longer the one captured, or a correction does not apply.
        """
        plain = self.prompt(model, logits=logits)
        if not any("prompt" in one.changes for one in corrections):
            return plain
        return prompted(model, self.scene, corrections, self.sampling, self.run["template"], frames=plain.frames)

    def check(self, prompt: Prompt) -> None:
        """Refuse another prompt than that of the capture.

        Raises:
            RequestError: If its tokens or its frames are others.
        """
        if prompt.inputs["input_ids"][0].tolist() != self.ids:
            raise RequestError(
                f"{self.path}: the prompt is no longer the one captured; the video, scene or processor has changed"
            )
        if _differ(prompt.frames.images, self.shown):
            raise RequestError(f"{self.path}: {self.scene.video} no longer shows the frames that were captured")


def _differ(now: npt.NDArray[np.uint8], stored: npt.NDArray[np.uint8]) -> bool:
    """Whether frames are others than the JPEGs of a capture, which are lossy and may be smaller."""
    if len(now) != len(stored):
        return True
    height, width = stored.shape[1:3]
    small = [np.asarray(Image.fromarray(frame).resize((width, height)), dtype=np.float32) for frame in now]
    return bool(np.abs(np.stack(small) - stored).mean((1, 2, 3)).max() > _JPEG_NOISE)

"""What a capture was made from, to run its model on its prompt once more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from attnscope.capture.reader import open as open_capture
from attnscope.capture.run import prepare
from attnscope.correct.apply.prompted import prompted
from attnscope.correct.base import Correction
from attnscope.errors import ModelError, RequestError
from attnscope.scene import Sampling, Scene

if TYPE_CHECKING:
    from attnscope.model import LoadedModel, Prompt

# Mean difference of 8-bit values between a frame and its JPEG of quality 90: noise stays below, another film does not.
_JPEG_NOISE = 12.0


@dataclass(frozen=True)
class Recorded:
    """A capture's model, scene, frames and prompt, as they are written in it.

    Attributes:
        path: Of the capture.
        model, run: Its `/model` and `/run`.
        scene: Its scene.
        ids: Token ids of its prompt.
        layers: Numbers of its layers.
        shown: [F, height, width, 3] its frames, as JPEGs have left them.
    """

    path: Path
    model: dict[str, Any]
    run: dict[str, Any]
    scene: Scene
    ids: list[int]
    layers: list[int]
    shown: npt.NDArray[np.uint8]

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
            found = cls(Path(path), cap.model, cap.run, cap.scene, ids, layers, cap.frames.images)
        if not found.scene.video.exists():
            raise RequestError(f"{path}: its video is no longer at {found.scene.video}")
        return found

    def load(self, model: LoadedModel | str | Path | None) -> LoadedModel:
        """Load the model, from where the capture had it if `model` is None.

        Raises:
            RequestError: If it is no longer there, or has another configuration.
        """
        from attnscope.model import load

        was = str(self.model["id"])
        if model is None and Path(was).is_absolute() and not Path(was).exists():
            raise ModelError(f"{self.path}: its model is no longer at {was}; say where it is with --model")
        if model is None or isinstance(model, (str, Path)):
            model = load(str(model or was), **{k: v for k, v in self.run["load"].items() if k != "model"})
        if model.config_sha256 != self.model["config_sha256"]:
            raise RequestError(f"{self.path}: was captured with another configuration of {was} than the one loaded")
        return model

    @property
    def sampling(self) -> Sampling:
        """Which frames were shown."""
        return Sampling(**self.run["sampling"])

    def prompt(self, model: LoadedModel) -> Prompt:
        """Build the prompt again.

        Raises:
            RequestError: If it is no longer the one captured.
        """
        prompt, _, _ = prepare(model, self.scene, self.sampling, self.run["template"])
        self.check(prompt)
        return prompt

    def prompt_under(self, model: LoadedModel, corrections: Sequence[Correction]) -> Prompt:
        """Build the prompt again, as corrections have the model see it.

        Raises:
            RequestError: If the plain prompt is no longer the one captured, or a correction does not apply.
        """
        plain = self.prompt(model)
        if all(type(one).show is Correction.show for one in corrections):
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

"""Trials: frames of texture are shown to a model's tower, parts of them are repainted, and each token's answer is read.

What is shown does not matter for where a token looks, so made-up frames of the same size, number and times take the
place of the real ones. They are textures, all different, since some processors drop tokens of frames that stand still.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import ModelError
from attnscope.model.media import media_parts, model_inputs, process, visual_ids
from attnscope.model.probe.isolation import decoder_input, isolated
from attnscope.model.render import render

if TYPE_CHECKING:
    from torch import Tensor

    from attnscope.model.load import LoadedModel
    from attnscope.scene import Frames

_BLOCKS = (3, 11, 47)  # sides of the grids of noise that a texture is the sum of: it differs at every scale
_SILENT = 1e-4  # of the median answer: a token that changes less answers to no pixel


class Trial:
    """One model and frames of one geometry, to be shown in any painting.

    Args:
        loaded: The model.
        frames: Their size, number, times and kind count; their pixels do not.

    Attributes:
        frames: The made-up frames that are repainted.
        runs: How often the tower has run.
    """

    def __init__(self, loaded: LoadedModel, frames: Frames) -> None:
        from attnscope.scene import Scene

        self.loaded, self.runs = loaded, 0
        scene = Scene.model_validate({"video": Path("frames")})
        rng = np.random.default_rng(0)
        self.frames = replace(frames, images=_textures(rng, frames.images.shape, 16, 104))
        self._other = _textures(rng, frames.images.shape, 136, 240)
        self._text = render(loaded, scene, media_parts(loaded, frames)).text

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number, height and width of the frames."""
        count, height, width, _ = self.frames.images.shape
        return count, height, width

    @cached_property
    def processed(self) -> dict[str, Any]:
        """What the processor makes of the frames as they are."""
        return process(self.loaded, self._text, self.frames)

    @cached_property
    def answers(self) -> NDArray[np.bool_]:
        """Whether each visual token answers to any pixel at all; [V]."""
        return np.asarray(self._most > _SILENT * np.median(self._most))

    def __len__(self) -> int:
        """Number of visual tokens, V."""
        return len(self._before)

    def response(self, painted: NDArray[np.bool_]) -> NDArray[np.float64]:
        """How much each visual token changes where some pixels are repainted.

        Args:
            painted: The pixels; boolean [F, H, W], or what broadcasts to it.

        Returns:
            [V]: 0 for no change, 1 for that of repainting everything (larger values happen); 0 for a silent token.

        Raises:
            ModelError: If the processor makes other tokens of the repainted frames.
        """
        images = np.where(np.broadcast_to(painted, self.shape)[..., None], self._other, self.frames.images)
        change = (self._embeddings(images) - self._before).norm(dim=-1).double().numpy()
        return np.where(self.answers, change / np.maximum(self._most, 1e-300), 0.0)

    @cached_property
    def _before(self) -> Tensor:
        return self._embeddings(self.frames.images)

    @cached_property
    def _most(self) -> NDArray[np.float64]:
        most = (self._embeddings(self._other) - self._before).norm(dim=-1).double().numpy()
        if not most.size or np.median(most) == 0:
            raise ModelError(f"{self.loaded.id}: no visual token answers to the pixels of the frames")
        return np.asarray(most)

    def _embeddings(self, images: NDArray[np.uint8]) -> Tensor:
        """The decoder's input at the visual positions; [V, D]."""
        same = images is self.frames.images
        processed = self.processed if same else process(self.loaded, self._text, replace(self.frames, images=images))
        ids = processed["input_ids"][0]
        if not same and ids.tolist() != self.processed["input_ids"][0].tolist():
            raise ModelError(
                f"{self.loaded.id}: {type(self.loaded.processor).__name__} makes other tokens of frames of the same"
                " size with other pixels, so that tokens cannot be compared"
            )
        visual = np.isin(ids, list(visual_ids(self.loaded, processed)))
        self.runs += 1
        with isolated(self.loaded.model):
            embeddings = decoder_input(self.loaded.model, model_inputs(self.loaded, processed)[0])[visual]
        if not embeddings.isfinite().all():
            raise ModelError(
                f"{self.loaded.id}: the tower of {type(self.loaded.model).__name__} gives numbers that are not finite"
                " where every token keeps to itself"
            )
        return embeddings


def _textures(rng: np.random.Generator, shape: tuple[int, ...], low: int, high: int) -> NDArray[np.uint8]:
    """Coloured noise of several scales, another one in each frame; uint8 [F, H, W, 3] in low..high."""
    count, height, width, _ = shape
    textures = np.empty(shape, np.uint8)
    for frame in range(count):
        total = np.full((height, width, 3), low, np.float32)
        for blocks in _BLOCKS:
            noise = rng.random((blocks, blocks, 3), dtype=np.float32) * ((high - low) / len(_BLOCKS))
            rows, columns = (np.arange(side) * blocks // side for side in (height, width))
            total += noise[rows[:, None], columns]
        textures[frame] = total
    return textures

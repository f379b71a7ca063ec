"""Which patches of the model's input feed each visual token, found out without the layouts' arithmetic.

The order of patches is read off the pixel tensors that the processor returns; the step from patches to
tokens is the model's own pooling, run on features that are a different unit vector for every patch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

Patches = list[set[int]]


def patches_of_tokens(loaded: Any, inputs: dict[str, Any], kind: str) -> Patches:
    """The numbers of the patches that feed each visual token, in their order; empty for a newline."""
    if loaded.family.startswith("qwen"):
        # the patch merger joins groups of merge_size ** 2 neighbouring rows
        group = loaded.processor.image_processor.merge_size**2
        rows = len(pixels(inputs))
        return [set(range(i, i + group)) for i in range(0, rows, group)]
    views, side = _views_and_side(loaded, inputs)
    if kind == "image" and loaded.family.startswith("llava"):
        return _anyres(loaded, inputs, views, side)
    one_view = _POOLING[loaded.family](loaded.model.model, side)
    found = [{view * side**2 + patch for patch in token} for view in range(views) for token in one_view]
    return [*found, set()] if loaded.family == "llava_onevision" else found


def changed_patches(loaded: Any, before: dict[str, Any], after: dict[str, Any]) -> set[int]:
    """The numbers of the patches whose pixels differ."""
    difference = (pixels(before) - pixels(after)).abs()
    if loaded.family.startswith("qwen"):
        return set(torch.nonzero(difference.amax(dim=1) > 1e-6).flatten().tolist())
    views, side = _views_and_side(loaded, before)
    patch = difference.shape[-1] // side
    seen = difference.flatten(0, -4)[..., : side * patch, : side * patch]  # [views, 3, S, S] without the unseen edge
    blocks = seen.reshape(views, 3, side, patch, side, patch).amax(dim=(1, 3, 5))
    return set(torch.nonzero(blocks.flatten() > 1e-6).flatten().tolist())


def same_grid(loaded: Any, inputs: dict[str, Any], kind: str, patches: set[int]) -> set[int]:
    """All patches of the grid that some patches are in.

    A tiled image shows every pixel twice, in a tile and in the whole view: LLaVA's first, the others' last.
    """
    if loaded.family.startswith("qwen"):
        return set(range(len(pixels(inputs))))
    views, side = _views_and_side(loaded, inputs)
    everything = set(range(views * side**2))
    if kind != "image" or views == 1:
        return everything
    first = 0 if loaded.family.startswith("llava") else views - 1
    whole = set(range(first * side**2, (first + 1) * side**2))
    return whole if patches <= whole else everything - whole


def pixels(inputs: dict[str, Any]) -> torch.Tensor:
    """The pixel tensor, whatever its name."""
    return inputs["pixel_values_videos"] if "pixel_values_videos" in inputs else inputs["pixel_values"]


def _views_and_side(loaded: Any, inputs: dict[str, Any]) -> tuple[int, int]:
    vision = loaded.model.config.vision_config
    patch = vision.patch_size if isinstance(vision.patch_size, int) else vision.patch_size[0]
    values = pixels(inputs)
    return int(np.prod(values.shape[:-3])), values.shape[-1] // patch


def _unit(side: int) -> torch.Tensor:
    """A different unit vector for every patch of one view; [1, side * side, side * side]."""
    return torch.eye(side * side)[None]


def _sets(features: torch.Tensor) -> Patches:
    return [set(torch.nonzero(token).flatten().tolist()) for token in features.detach()]


def _shuffled(features: torch.Tensor, side: int) -> Patches:
    """A shuffled token holds the features of its patches one after another."""
    return _sets(features.reshape(-1, features.shape[-1] // side**2, side**2).sum(1))


def _internvl(model: Any, side: int) -> Patches:
    return _shuffled(model.pixel_shuffle(_unit(side).reshape(1, side, side, -1), model.config.downsample_ratio), side)


def _smolvlm(model: Any, side: int) -> Patches:
    return _shuffled(model.connector.pixel_shuffle(_unit(side), model.config.scale_factor), side)


_POOLING: dict[str, Callable[[Any, int], Patches]] = {
    "llava_next_video": lambda model, side: _sets(model.vision_resampler(_unit(side))[0]),
    "llava_onevision": lambda model, side: _sets(model.apply_pooling(_unit(side))[0]),
    "internvl": _internvl,
    "smolvlm": _smolvlm,
}


def _anyres(loaded: Any, inputs: dict[str, Any], views: int, side: int) -> Patches:
    """The model's own packing of tiles, with newlines of zeros."""
    units = torch.eye(views * side**2).reshape(views, side**2, -1)
    kwargs: dict[str, Any] = {"image_newline": torch.zeros(units.shape[-1])}
    if loaded.family == "llava_onevision":
        kwargs["vision_aspect_ratio"] = loaded.model.config.vision_aspect_ratio
    else:
        kwargs["vision_feature_select_strategy"] = "default"
    packed, _ = loaded.model.model.pack_image_features([units], inputs["image_sizes"], **kwargs)
    return _sets(packed[0])

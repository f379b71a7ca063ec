"""Where the visual tokens of several videos and images in one prompt are: each is placed as if it were alone.

That is right only if the processor makes of all together what it makes of each, so this is checked: the same tokens in
the same order, the same pixels, the same sizes of grids. A processor that cuts an image into fewer tiles when there are
several is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attnscope.errors import ModelError
from attnscope.model.layouts import Places, layout_places
from attnscope.model.media import media_parts, process, visual_ids
from attnscope.model.render import render

if TYPE_CHECKING:
    import torch

    from attnscope.model.load import LoadedModel
    from attnscope.scene import Frames


def media_places(loaded: LoadedModel, processed: Mapping[str, Any], frames: Frames, count: int) -> Places:
    """Where a family's layout places the visual tokens of a prompt with any number of media.

    Args:
        loaded: A model whose family has a layout.
        processed: What its processor made of the prompt.
        frames: What was shown.
        count: How many visual tokens there are.

    Raises:
        ModelError: If the layout places another number, or the processor makes something else of several media than of
            each alone.
    """
    if not frames.media:
        return layout_places(loaded, processed, frames, count)
    alone, places = list[dict[str, Any]](), list[Places]()
    for medium, part in zip(frames.media, frames.parts(), strict=True):
        own = _alone(loaded, part)
        visual = len(_visual(loaded, own))
        placed = layout_places(loaded, own, part, visual)
        covered = np.where(placed.frames < 0, placed.frames, placed.frames + medium.first)
        alone.append(own)
        places.append(replace(placed, frames=covered.astype(np.int32)))
    _require_same(loaded, processed, alone)
    notes = [note for part in places for note in part.note or [""] * len(part)]
    joined = Places(
        frames=np.concatenate([part.frames for part in places]),
        grid=np.concatenate([part.grid for part in places]),
        box=np.concatenate([part.box for part in places]),
        note=notes if any(notes) else None,
    )
    if len(joined) != count:
        raise ModelError(f"{loaded.id}: {len(frames.media)} media have {len(joined)} visual tokens, the prompt {count}")
    return joined


def _alone(loaded: LoadedModel, part: Frames) -> dict[str, Any]:
    """What the processor makes of one medium in a prompt without words."""
    from attnscope.scene import Scene

    scene = Scene.model_validate({"video": Path("frames")})
    return process(loaded, render(loaded, scene, media_parts(loaded, part)).text, part)


def _visual(loaded: LoadedModel, processed: Mapping[str, Any]) -> list[int]:
    """The visual tokens of a prompt, in their order."""
    ids = visual_ids(loaded, processed)
    return [token for token in processed["input_ids"][0].tolist() if token in ids]


def _require_same(loaded: LoadedModel, together: Mapping[str, Any], alone: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a processor that makes something else of several media than of each of them.

    Raises:
        ModelError: Naming the input that differs.
    """
    problem = ""
    if _visual(loaded, together) != [token for own in alone for token in _visual(loaded, own)]:
        problem = "input_ids"
    for name, value in together.items():
        if problem or not _of_media(together, name):
            continue
        parts = [own[name].flatten() for own in alone if name in own]
        same = sum(len(part) for part in parts) == value.numel()
        if not same or not bool((_joined(parts) == value.flatten()).all()):
            problem = name
    if problem:
        raise ModelError(
            f"{loaded.id}: {type(loaded.processor).__name__} makes something else of several videos or images than of"
            f" each of them ({problem}), so the places of their tokens are not known; show them one at a time"
        )


def _of_media(processed: Mapping[str, Any], name: str) -> bool:
    """Whether a tensor is about the media, not about the tokens of the prompt."""
    value = processed[name]
    return hasattr(value, "numel") and tuple(value.shape[:2]) != tuple(processed["input_ids"].shape)


def _joined(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    import torch

    return torch.cat(list(parts))

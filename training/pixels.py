"""From clips to what the vision tower takes, and to what each of its tokens shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from attnscope.demo.cast import CUPS, FRAMES, NAMES, SEATS, SLOT, THINGS, UNITS, Person
from attnscope.demo.draw import draw
from attnscope.demo.script import Clip
from training.build import CELL, GRID, MERGE, PATCH

SLOTS = FRAMES // SLOT
TOKENS = GRID * GRID  # of one slot
# What a token can show, each with so many values; value 0 is "nothing of the kind here".
LABELS = {
    "name": 1 + len(NAMES),
    "seat": 1 + SEATS,
    "points": 1 + SEATS,  # seat pointed at; the name of whoever sits there is never a label
    "mouth": 3,  # 1 silent, 2 speaking
    "cup": 1 + len(CUPS),
    "thing": 1 + len(THINGS),
    "colour": 1 + len(CUPS),
}
SPEAKING = 2  # of "mouth"
_LEAST = 0.35  # of a token's cell that a person's box must cover


def draw_slots(clip: Clip, slots: Sequence[int]) -> npt.NDArray[np.uint8]:
    """Frames of some slots, [S, SLOT, 96, 96, 3]."""
    frames = [[draw(clip.picture, slot * SLOT + k) for k in range(SLOT)] for slot in slots]
    return np.asarray(frames, dtype=np.uint8)


def patches(frames: Tensor, processor: Any) -> Tensor:
    """What the video processor makes of frames that already have the model's size.

    Args:
        frames: uint8 [S, SLOT, 96, 96, 3].
        processor: For its mean and standard deviation.

    Returns:
        float32 [S * patches, channels * SLOT * PATCH * PATCH], patches of one token together.
    """
    video = processor.video_processor
    mean, std = (torch.tensor(v, device=frames.device) for v in (video.image_mean, video.image_std))
    x = (frames.float() / 255 - mean) / std  # [S, T, H, W, C]
    s = x.shape[0]
    x = x.reshape(s, SLOT, GRID, MERGE, PATCH, GRID, MERGE, PATCH, 3)
    x = x.permute(0, 2, 5, 3, 6, 8, 1, 4, 7)  # [S, row, column, y, x, C, T, PATCH, PATCH]
    return x.reshape(s * TOKENS * MERGE * MERGE, -1)


def grid(slots: int) -> Tensor:
    """`grid_thw` of so many slots seen as one video."""
    return torch.tensor([[slots, UNITS // PATCH, UNITS // PATCH]])


def labels(clip: Clip, slot: int) -> npt.NDArray[np.int64]:
    """What each token of a slot shows, [TOKENS, len(LABELS)]."""
    picture, frame = clip.picture, slot * SLOT
    out = np.zeros((TOKENS, len(LABELS)), dtype=np.int64)
    covered = np.stack([_cover(person.box) for person in picture.people]) if picture.people else np.zeros((1, TOKENS))
    owner = np.where(covered.max(0) >= _LEAST, covered.argmax(0), -1)
    speaking = {turn.speaker for turn in clip.turns if turn.start <= frame < turn.end}
    for number, person in enumerate(picture.people):
        out[owner == number, :5] = _of_person(person, frame, number in speaking)
    for thing in picture.things:
        out[_cover(thing.box) >= _LEAST, 5:] = thing.kind + 1, thing.colour + 1
    return out


def _of_person(person: Person, frame: int, speaking: bool) -> tuple[int, ...]:
    return person.who + 1, person.seat + 1, person.points_at[frame] + 1, 1 + speaking, person.cup + 1


def _cover(box: tuple[float, float, float, float]) -> npt.NDArray[np.float64]:
    """Share of each token's cell that a box covers, [TOKENS]."""
    edges = np.arange(GRID) * CELL
    across = np.clip(np.minimum(edges + CELL, box[2]) - np.maximum(edges, box[0]), 0, None)
    down = np.clip(np.minimum(edges + CELL, box[3]) - np.maximum(edges, box[1]), 0, None)
    return np.outer(down, across).reshape(-1) / CELL**2

"""The clips that the decoder is trained on, as the frozen tower sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attnscope.demo.cast import SLOT
from attnscope.demo.script import Clip, ClipSampler
from training.build import HIDDEN
from training.pixels import LABELS, SLOTS, SPEAKING, TOKENS, draw_slots, labels, patches
from training.tower import features, half, noisy

_CHUNK, _POOL = 16, 1  # clips seen at once; marks the seeds of the pool
SCALE = 0.25  # of the features and of the embeddings at the start


@dataclass(frozen=True)
class Seen:
    """A clip and its visual tokens.

    Attributes:
        clip: The clip.
        tokens: [SLOTS * TOKENS, HIDDEN] in float16.
        turns: Number (from 1) of the turn whose speaker a token shows at the time, 0 for all others, [SLOTS * TOKENS].
    """

    clip: Clip
    tokens: Tensor
    turns: Tensor


def turns_of(clip: Clip) -> Tensor:
    """Which turn each visual token shows, as in `Seen`."""
    out = np.zeros((SLOTS, TOKENS), dtype=np.int64)
    mouth = list(LABELS).index("mouth")
    for number, turn in enumerate(clip.turns, 1):
        for slot in range(turn.start // SLOT, turn.end // SLOT):
            out[slot, labels(clip, slot)[:, mouth] == SPEAKING] = number
    return torch.from_numpy(out.reshape(-1))


@torch.no_grad()
def see(model: Any, processor: Any, clips: Sequence[Clip], generator: torch.Generator) -> list[Seen]:
    """Run the tower over clips."""
    frames = torch.from_numpy(np.concatenate([draw_slots(clip, range(SLOTS)) for clip in clips]))
    pixels = patches(noisy(frames, generator).to(model.device), processor)
    with half(model.device):
        tokens = features(model, pixels, len(frames))
    tokens = tokens.reshape(len(clips), -1, HIDDEN).half().cpu()
    return [Seen(clip, seen, turns_of(clip)) for clip, seen in zip(clips, tokens, strict=True)]


@torch.no_grad()
def whiten(model: Any, tokens: Tensor) -> None:
    """Fold a linear map into the merger's last layer: features of mean 0, equal variance in all directions.

    Args:
        model: Changed in place.
        tokens: [n, HIDDEN] features as they come.
    """
    x = tokens.double()
    mean = x.mean(0)
    values, vectors = torch.linalg.eigh((x - mean).T @ (x - mean) / len(x))
    kept = values.clamp(min=1e-3 * float(values.max())).rsqrt()  # faint directions are noise: not blown up
    change = SCALE * (vectors * kept) @ vectors.T
    last = model.model.visual.merger.mlp[2]
    last.weight.copy_((change @ last.weight.double()).to(last.weight))
    last.bias.copy_((change @ (last.bias.double() - mean.to(last.bias.device))).to(last.bias))


def fill_pool(model: Any, processor: Any, people: Sequence[int], seed: int, size: int) -> list[Seen]:
    """Clips of the training split as the frozen tower sees them, the tower's features whitened first."""
    # what is kept is made before the work begins: strewn among the work's temporaries it would hold on to gigabytes
    clips: list[Clip] = []
    for part in range(-(-size // _CHUNK)):
        stage = ClipSampler("train", seed, _POOL, part)
        clips += [stage.clip(int(stage.rng.choice(people))) for _ in range(_CHUNK)]
    del clips[size:]
    tokens = torch.empty(size, SLOTS * TOKENS, HIDDEN, dtype=torch.float16)
    turns = torch.empty(size, SLOTS * TOKENS, dtype=torch.int64)
    for part, start in enumerate(range(0, size, _CHUNK)):
        some, generator = clips[start : start + _CHUNK], torch.Generator().manual_seed(seed * 10**6 + part)
        if part == 0:
            whiten(model, torch.cat([seen.tokens for seen in see(model, processor, some, generator)]))
        for at, seen in enumerate(see(model, processor, some, generator), start):
            tokens[at], turns[at] = seen.tokens, seen.turns
    return [Seen(*each) for each in zip(clips, tokens, turns, strict=True)]

"""Second stage: with the tower frozen, the decoder learns to answer; several questions about each clip."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from attnscope.demo.questions import Question, questions, shown_options
from attnscope.demo.script import Clip, Stage
from attnscope.demo.train.build import HIDDEN
from attnscope.demo.train.packing import IGNORED, Packed, Packer
from attnscope.demo.train.pixels import SLOTS, draw_slots, patches
from attnscope.demo.train.state import Optimisation
from attnscope.demo.train.tower import REPORT, SAVE, features, half, noisy

RATE = 2e-3
_CHUNK, _POOL = 16, 1  # clips seen at once; marks the seeds of the pool
SCALE = 0.25  # of the features and of the embeddings at the start
PER_CLIP = 6  # questions
# How often a task is chosen among those that a clip allows.
_WEIGHTS = {"cup": 0.4, "count": 0.3, "colour": 0.5, "thing": 0.5, "pointing": 1.0}
_TURN_WEIGHT = 2.0
_SHOWN = 0.6  # share of batches whose questions come with options; without them a batch is half as long


@dataclass(frozen=True)
class Seen:
    """A clip and its visual tokens [SLOTS * TOKENS, HIDDEN] in float16."""

    clip: Clip
    tokens: Tensor


@torch.no_grad()
def see(model: Any, processor: Any, clips: Sequence[Clip], generator: torch.Generator) -> list[Seen]:
    """Run the tower over clips."""
    frames = torch.from_numpy(np.concatenate([draw_slots(clip, range(SLOTS)) for clip in clips]))
    pixels = patches(noisy(frames, generator).to(model.device), processor)
    with half(model.device):
        tokens = features(model, pixels, len(frames))
    tokens = tokens.reshape(len(clips), -1, HIDDEN).half().cpu()
    return [Seen(clip, seen) for clip, seen in zip(clips, tokens, strict=True)]


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


def logits_of(model: Any, packed: Packed, tokens: Tensor, video: int) -> tuple[Tensor, Tensor]:
    """Predictions where something is to be predicted.

    Args:
        model: The model.
        packed: The batch.
        tokens: [B, SLOTS * TOKENS, HIDDEN] visual tokens.
        video: Id of the placeholder that they replace.

    Returns:
        Logits [M, vocabulary] and targets [M].
    """
    x = model.model.language_model.embed_tokens(packed.ids)
    x = x.masked_scatter((packed.ids == video)[..., None], tokens.to(x.dtype))
    out = model.model.language_model(
        inputs_embeds=x,
        attention_mask={"full_attention": packed.layout},
        position_ids=packed.positions,
        use_cache=False,
    ).last_hidden_state
    wanted = packed.targets != IGNORED
    return model.lm_head(out[wanted]), packed.targets[wanted]


def choose(clip: Clip, rng: np.random.Generator, most: int, *, options: bool) -> list[tuple[Question, Sequence[str]]]:
    """Some questions about a clip, with their options shuffled or not shown."""
    every = questions(clip)
    weights = np.array([_WEIGHTS.get(question.task, _TURN_WEIGHT) for question in every])
    count = min(most, len(every))
    picked = rng.choice(len(every), size=count, replace=False, p=weights / weights.sum())
    return [(every[i], shown_options(every[i], rng) if options else ()) for i in picked]


def fill_pool(model: Any, processor: Any, people: Sequence[int], seed: int, size: int) -> list[Seen]:
    """Clips of the training split as the frozen tower sees them, the tower's features whitened first."""
    pool: list[Seen] = []
    for part in range(-(-size // _CHUNK)):
        stage, generator = Stage("train", seed, _POOL, part), torch.Generator().manual_seed(seed * 10**6 + part)
        clips = [stage.clip(int(stage.rng.choice(people))) for _ in range(_CHUNK)]
        if part == 0:
            whiten(model, torch.cat([seen.tokens for seen in see(model, processor, clips, generator)]))
        pool += see(model, processor, clips, generator)
    return pool


def train_language(
    model: Any, packer: Packer, pool: Sequence[Seen], seed: int, steps: int, saved: Path, batch: int = 24
) -> Iterator[tuple[int, float, dict[str, float]]]:
    """Train the decoder on a pool of seen clips.

    Args:
        model: Trained in place; its vision tower does not change.
        packer: Of the model.
        pool: From `fill_pool`.
        seed: Of the choice of clips and questions.
        steps: Optimiser steps.
        saved: File of the state; training goes on from it if it is there.
        batch: Clips a step.

    Yields:
        (step, mean loss, {"answers": share right while training}) every REPORT steps and at the end.
    """
    parts = {"decoder": model.model.language_model, "lm_head": model.lm_head}
    work = Optimisation(parts, RATE, steps)
    work.restore(saved)
    losses, right = [], []
    while work.step < steps:
        rng = np.random.default_rng([seed, work.step])
        chosen = [pool[i] for i in rng.integers(len(pool), size=batch)]
        shown = bool(rng.random() < _SHOWN)
        asked = [choose(seen.clip, rng, PER_CLIP, options=shown) for seen in chosen]
        packed = packer.pack([seen.clip for seen in chosen], asked).to(model.device)
        tokens = torch.stack([seen.tokens for seen in chosen]).to(model.device).float()
        with half(model.device):
            logits, targets = logits_of(model, packed, tokens, packer.video)
        loss = cross_entropy(logits.float(), targets)
        work.update(loss)
        losses.append(float(loss.detach()))
        right.append(float((logits.argmax(-1) == targets)[targets != packer.end].float().mean()))
        if work.step % REPORT == 0 or work.step == steps:
            yield work.step, float(np.mean(losses)), {"answers": float(np.mean(right))}
            losses.clear()
            right.clear()
        if work.step % SAVE == 0 or work.step == steps:
            work.save(saved)


@torch.no_grad()
def examine(
    model: Any, processor: Any, packer: Packer, people: Sequence[int], seed: int, clips: int, split: Any = "calibration"
) -> dict[tuple[str, int], tuple[int, int]]:
    """Right answers and questions by (task, people) on new clips of a split, options shown."""
    stage, generator = Stage(split, seed), torch.Generator().manual_seed(seed)
    counts: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
    for number in people:
        for _ in range(0, clips, 16):
            seen = see(model, processor, [stage.clip(number) for _ in range(16)], generator)
            asked = [[(q, shown_options(q, stage.rng)) for q in questions(s.clip)] for s in seen]
            packed = packer.pack([s.clip for s in seen], asked).to(model.device)
            tokens = torch.stack([s.tokens for s in seen]).to(model.device).float()
            logits, targets = logits_of(model, packed, tokens, packer.video)
            answers = targets != packer.end
            right = (logits.argmax(-1) == targets)[answers].tolist()
            for (question, _), hit in zip([pair for some in asked for pair in some], right, strict=True):
                counts[question.task, number][0] += hit
                counts[question.task, number][1] += 1
    return {key: (hit, total) for key, (hit, total) in sorted(counts.items())}

"""First stage: the vision tower learns what each of its tokens shows, with linear heads that are thrown away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from attnscope.demo.cast import FRAMES, SEATS
from attnscope.demo.script import Clip, ClipSampler
from training.build import HIDDEN
from training.pixels import LABELS, SLOTS, TOKENS, draw_slots, grid, labels, patches
from training.state import Optimisation

RATE = 2e-3
REPORT, SAVE = 50, 200  # steps
_FREE = 2  # marks the seeds of clips with free arms


@dataclass(frozen=True)
class Sight:
    """A stage of the tower's training.

    Attributes:
        name: Name of its state and its rows in the curve.
        steps: Optimiser steps.
        free_arms: Whether people point at any seat, taken or empty, so that nothing but the arm tells where.
    """

    name: str
    steps: int
    free_arms: bool = False


def features(model: Any, pixels: Tensor, slots: int) -> Tensor:
    """Visual tokens of slots, [S, TOKENS, HIDDEN]."""
    out = model.model.visual(pixels, grid_thw=grid(slots).to(pixels.device)).pooler_output
    merged = torch.cat(out) if isinstance(out, (list, tuple)) else out
    return merged.reshape(slots, TOKENS, HIDDEN)


def with_free_arms(clip: Clip, rng: np.random.Generator) -> Clip:
    """The clip with everybody pointing at any seat but their own, or at none, from beginning to end.

    With the arms of the script, a tower that has seen few people learns who sits where in place of the arm's direction:
    between two people there is only one to point at.
    """
    people = []
    for person in clip.people:
        seat = (person.seat + int(rng.integers(1, SEATS))) % SEATS if rng.random() < 0.8 else -1
        people.append(replace(person, points_at=(seat,) * FRAMES))
    return replace(clip, picture=replace(clip.picture, people=tuple(people)))


def draw_batch(stage: ClipSampler, people: Sequence[int], size: int, free_arms: bool = False) -> tuple[Tensor, Tensor]:
    """One slot of each of `size` new clips: frames [S, SLOT, 96, 96, 3] and labels [S, TOKENS, labels]."""
    frames, wanted = [], []
    for _ in range(size):
        clip = stage.clip(int(stage.rng.choice(people)))
        clip = with_free_arms(clip, stage.rng) if free_arms else clip
        slot = int(stage.rng.integers(SLOTS))
        frames.append(draw_slots(clip, [slot])[0])
        wanted.append(labels(clip, slot))
    return torch.from_numpy(np.stack(frames)), torch.from_numpy(np.stack(wanted))


def noisy(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Frames as a codec might have left them: a little brighter or darker, a little grain."""
    size = (len(frames), 1, 1, 1, 1)
    gain = 1 + 0.06 * torch.randn(size, generator=generator)
    grain = torch.randn(frames.shape, generator=generator) * 4 * torch.rand(size, generator=generator)
    return (frames.float() * gain + grain).clamp(0, 255)


def half(device: torch.device) -> torch.autocast:
    """bfloat16 where it counts: matrix products; several times faster on CPUs that have it."""
    return torch.autocast(device.type, torch.bfloat16)


class Heads(nn.Module):
    """A linear reading of each label from a visual token."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(HIDDEN)
        self.read = nn.Linear(HIDDEN, sum(LABELS.values()))

    def forward(self, tokens: Tensor) -> tuple[Tensor, ...]:
        """Logits of each label, [..., values]."""
        read: Tensor = self.read(self.norm(tokens))
        return tuple(read.split(list(LABELS.values()), -1))


def loss_of(logits: Sequence[Tensor], wanted: Tensor) -> Tensor:
    """Mean cross entropy over labels; tokens that show something weigh as much as all others together."""
    total = torch.zeros((), device=wanted.device)
    for column, scores in enumerate(logits):
        target = wanted[..., column].reshape(-1)
        each = cross_entropy(scores.reshape(len(target), -1), target, reduction="none")
        present = target > 0
        if present.any():
            total = total + each[present].mean() + 0.5 * each[~present].mean()
        else:
            total = total + 0.5 * each.mean()
    return total / len(logits)


def accuracy_of(logits: Sequence[Tensor], wanted: Tensor) -> dict[str, float]:
    """Share of right labels among the tokens that show something."""
    accuracies = {}
    for column, (name, scores) in enumerate(zip(LABELS, logits, strict=True)):
        target = wanted[..., column]
        right = (scores.argmax(-1) == target)[target > 0]
        accuracies[name] = float(right.float().mean())
    return accuracies


def train_tower(
    model: Any,
    processor: Any,
    heads: Heads,
    people: Sequence[int],
    seed: int,
    sight: Sight,
    saved: Path,
    batch: int = 64,
) -> Iterator[tuple[int, float, dict[str, float]]]:
    """Train the tower and its heads on endless new slots.

    Args:
        model: Trained in place; only its vision tower changes.
        processor: Processor of the model.
        heads: Trained in place, too.
        people: Numbers of people, drawn evenly.
        seed: Seed of the clips and of the noise.
        sight: What is shown and for how long.
        saved: File of the state; training goes on from it if it is there.
        batch: Slots a step.

    Yields:
        (step, mean loss, accuracy by label) every REPORT steps and at the end.
    """
    work = Optimisation({"tower": model.model.visual, "heads": heads}, RATE, sight.steps)
    work.restore(saved)
    losses: list[float] = []
    while work.step < sight.steps:
        numbers = (seed, _FREE, work.step) if sight.free_arms else (seed, work.step)
        stage, generator = ClipSampler("train", *numbers), torch.Generator().manual_seed(seed * 10**6 + work.step)
        frames, wanted = draw_batch(stage, people, batch, sight.free_arms)
        wanted = wanted.to(model.device)
        pixels = patches(noisy(frames, generator).to(model.device), processor)
        with half(model.device):
            logits = tuple(scores.float() for scores in heads(features(model, pixels, batch)))
        loss = loss_of(logits, wanted)
        work.update(loss)
        losses.append(float(loss.detach()))
        if work.step % REPORT == 0 or work.step == sight.steps:
            yield work.step, float(np.mean(losses)), accuracy_of(logits, wanted)
            losses.clear()
        if work.step % SAVE == 0 or work.step == sight.steps:
            work.save(saved)

"""Second and third stage: with the tower frozen, the decoder learns to answer; several questions about each clip.

It learns where to look from single slots first, which are short and so a few times faster, then from whole clips.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from attnscope.demo.questions import Question, questions, shown_options
from attnscope.demo.script import Clip, ClipSampler, Split
from training.packing import IGNORED, Packed, Packer
from training.pixels import SLOTS, TOKENS
from training.pool import Seen, see
from training.state import Optimisation
from training.tower import REPORT, SAVE, half
from training.waypoints import Waypoints

PER_CLIP = 6  # questions
DECAY = 0.1  # of the weights
TURNS_AT, PLACES_AT = 1, 2  # layers: "the second speaker" is looked up by whose turn a token shows, so that comes first
# How often a task is chosen among those that a clip allows.
_WEIGHTS = {"cup": 0.4, "count": 0.3, "colour": 0.5, "thing": 0.5, "pointing": 1.0}
_TURN_WEIGHT = 2.0


def states_of(model: Any, packed: Packed, tokens: Tensor, video: int) -> tuple[Tensor, Tensor, Tensor]:
    """The decoder's states at its end and on the way.

    Args:
        model: The model.
        packed: The batch.
        tokens: [B, SLOTS * TOKENS, HIDDEN] visual tokens.
        video: Id of the placeholder that they replace.

    Returns:
        The normalised last states, and those after the layers TURNS_AT and PLACES_AT, each [B, L, HIDDEN].
    """
    decoder = model.model.language_model
    x = decoder.embed_tokens(packed.ids)
    x = x.masked_scatter((packed.ids == video)[..., None], tokens.to(x.dtype))
    on_the_way: list[Tensor] = []
    with ExitStack() as hooks:
        for layer in (TURNS_AT, PLACES_AT):
            hook = decoder.layers[layer].register_forward_hook(lambda _module, _args, out: on_the_way.append(out))
            hooks.callback(hook.remove)
        last = decoder(
            inputs_embeds=x,
            attention_mask={"full_attention": packed.layout},
            position_ids=packed.positions,
            use_cache=False,
        ).last_hidden_state
    return last, on_the_way[0], on_the_way[1]


def logits_of(model: Any, packed: Packed, tokens: Tensor, video: int) -> tuple[Tensor, Tensor]:
    """Predictions where something is to be predicted; arguments as in `states_of`.

    Returns:
        Logits [M, vocabulary] and targets [M].
    """
    last, _, _ = states_of(model, packed, tokens, video)
    wanted = packed.targets != IGNORED
    return model.lm_head(last[wanted]), packed.targets[wanted]


def choose(clip: Clip, rng: np.random.Generator, most: int, *, options: bool) -> list[tuple[Question, Sequence[str]]]:
    """Some questions about a clip, with their options shuffled or not shown."""
    every = questions(clip)
    weights = np.array([_WEIGHTS.get(question.task, _TURN_WEIGHT) for question in every])
    count = min(most, len(every))
    picked = rng.choice(len(every), size=count, replace=False, p=weights / weights.sum())
    return [(every[i], shown_options(every[i], rng) if options else ()) for i in picked]


def for_glances(clip: Clip) -> float:
    """Weight of a clip of which one slot is shown: one person or two say next to nothing about where to look."""
    return {0: 2.0, 1: 0.5, 2: 0.5}.get(len(clip.people), 1.0)


def for_whole_clips(clip: Clip) -> float:
    """Weight of a clip that is shown whole: "who is the second speaker?" takes several turns and no names.

    Things alone are forgotten without a weight of their own; where one lies alone there is nothing to choose from.
    """
    if not clip.people:
        return {1: 0.5, 2: 2.0}.get(len(clip.picture.things), 3.0)
    if len(clip.people) == 1:
        return 0.5
    return 4.0 if len(clip.turns) > 1 and not clip.named else 1.0


@dataclass(frozen=True)
class Lesson:
    """A stage of the decoder's training.

    Attributes:
        name: Name of its state and its rows in the curve.
        slots: How many slots of a clip are shown: one, drawn by lot, or all.
        steps: Optimiser steps.
        batch: Clips a step.
        rate: Largest learning rate.
        shown: Share of batches whose questions come with options; without them a batch is half as long.
        weigh: How often a clip is drawn.
    """

    name: str
    slots: int
    steps: int
    batch: int
    rate: float
    shown: float
    weigh: Callable[[Clip], float]

    def view(self, seen: Seen, rng: np.random.Generator) -> Seen:
        """What the lesson shows of a clip: itself, or what happens in one slot."""
        if self.slots == SLOTS:
            return seen
        slot = int(rng.integers(SLOTS))
        here = slice(slot * TOKENS, (slot + 1) * TOKENS)
        return Seen(seen.clip.at_slot(slot), seen.tokens[here], seen.turns[here].clamp(max=1))

    def chances(self, pool: Sequence[Seen]) -> NDArray[np.float64]:
        """Of each clip to be drawn."""
        weights = np.array([self.weigh(seen.clip) for seen in pool], dtype=np.float64)
        return np.asarray(weights / weights.sum())


def train_language(
    model: Any, processor: Any, pool: Sequence[Seen], lesson: Lesson, seed: int, saved: Path
) -> Iterator[tuple[int, float, dict[str, float]]]:
    """Train the decoder on a pool of seen clips.

    Args:
        model: Trained in place; its vision tower does not change.
        processor: Processor of the model.
        pool: From `fill_pool`.
        lesson: What is shown, how often and how fast.
        seed: Seed of the choice of clips and questions.
        saved: File of the state; training goes on from it if it is there.

    Yields:
        (step, mean loss, {"answers": share right while training}) every REPORT steps and at the end.
    """
    packer = Packer(model, processor, lesson.slots)
    waypoints = Waypoints().to(model.device)
    parts = {"decoder": model.model.language_model, "lm_head": model.lm_head, "waypoints": waypoints}
    work = Optimisation(parts, lesson.rate, lesson.steps, DECAY)
    work.restore(saved)
    chances = lesson.chances(pool)
    losses, right = [], []
    while work.step < lesson.steps:
        rng = np.random.default_rng([seed, lesson.slots, work.step])
        views = [lesson.view(pool[i], rng) for i in rng.choice(len(pool), size=lesson.batch, p=chances)]
        with_options = bool(rng.random() < lesson.shown)
        asked = [choose(view.clip, rng, PER_CLIP, options=with_options) for view in views]
        packed = packer.pack([view.clip for view in views], asked).to(model.device)
        tokens = torch.stack([view.tokens for view in views]).to(model.device).float()
        turns = torch.stack([view.turns for view in views]).to(model.device)
        with half(model.device):
            last, at_turns, at_places = states_of(model, packed, tokens, packer.video)
            wanted = packed.targets != IGNORED
            logits, targets = model.lm_head(last[wanted]), packed.targets[wanted]
        loss = cross_entropy(logits.float(), targets)
        seen = waypoints.turn_loss(at_turns[packed.ids == packer.video], turns)
        work.update(loss + seen + waypoints.place_loss(at_places, packed.places))
        losses.append(float(loss.detach()))
        right.append(float((logits.argmax(-1) == targets)[targets != packer.end].float().mean()))
        if work.step % REPORT == 0 or work.step == lesson.steps:
            yield work.step, float(np.mean(losses)), {"answers": float(np.mean(right))}
            losses.clear()
            right.clear()
        if work.step % SAVE == 0 or work.step == lesson.steps:
            work.save(saved)


@torch.no_grad()
def examine(
    model: Any, processor: Any, people: Sequence[int], seed: int, clips: int, split: Split
) -> dict[tuple[str, int], tuple[int, int]]:
    """Right answers and questions by (task, people) on new clips of a split, options shown."""
    packer = Packer(model, processor)
    stage, generator = ClipSampler(split, seed), torch.Generator().manual_seed(seed)
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

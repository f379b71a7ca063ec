"""One run of a recipe, from seed to checkpoint folder."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from attnscope.errors import RequestError
from training.attention import training_attention
from training.build import build, save
from training.card import write_card
from training.language import Lesson, examine, for_glances, for_whole_clips, train_language
from training.pixels import SLOTS
from training.pool import fill_pool
from training.recipes import Recipe
from training.state import Curve
from training.tower import Heads, Sight, train_tower

logger = logging.getLogger("attnscope")


def train(recipe: Recipe, work: Path, device: str) -> Path:
    """Train one model; an interrupted run goes on where it was last saved.

    Args:
        recipe: What to do.
        work: Folder for states, the curve and the checkpoint.
        device: "cpu" or "cuda".

    Returns:
        The checkpoint folder, with its model card.

    Raises:
        RequestError: The folder holds the work of another recipe.
    """
    work.mkdir(parents=True, exist_ok=True)
    _same_recipe(recipe, work / "recipe.json")
    curve = Curve(work / "curve.csv")
    model, processor = build(recipe.seed)
    model.to(device)
    with training_attention(model):
        heads = Heads().to(model.device)
        for sight in (Sight("tower", recipe.tower_steps), Sight("arms", recipe.arms_steps, free_arms=True)):
            saved = work / f"{sight.name}.pt"
            for step, loss, accuracy in train_tower(model, processor, heads, recipe.people, recipe.seed, sight, saved):
                _tell(recipe, curve.add(sight.name, step, loss, accuracy))
        logger.info("%s: %d clips for the decoder", recipe.name, recipe.pool)
        pool = fill_pool(model, processor, recipe.people, recipe.seed, recipe.pool)
        for lesson in (
            Lesson("glance", 1, recipe.glance_steps, batch=48, rate=2e-3, shown=0.3, weigh=for_glances),
            Lesson("language", SLOTS, recipe.language_steps, batch=24, rate=1e-3, shown=0.6, weigh=for_whole_clips),
        ):
            saved = work / f"{lesson.name}.pt"
            for step, loss, accuracy in train_language(model, processor, pool, lesson, recipe.seed, saved):
                _tell(recipe, curve.add(lesson.name, step, loss, accuracy))
        marks = examine(model.eval(), processor, range(7), recipe.seed, recipe.exam, "test")
    out = work / recipe.name
    save(model.cpu(), processor, out)
    write_card(out, recipe, marks, curve.rows())
    return out


def _tell(recipe: Recipe, row: dict[str, Any]) -> None:
    logger.info("%s %s %s: loss %s, %s (%s s)", recipe.name, *(row[k] for k in _TOLD))


_TOLD = ("stage", "step", "loss", "accuracy", "seconds")


def _same_recipe(recipe: Recipe, path: Path) -> None:
    text = json.dumps(asdict(recipe) | {"torch": torch.__version__}, indent=2)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise RequestError(f"{path}: is of another recipe or version of torch; train in another folder")
    path.write_text(text, encoding="utf-8")

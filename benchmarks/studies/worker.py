"""One process of the benchmark: answers the questions of a part under many conditions, and reads attention.

A prompt is built once and used by both models and under all conditions. The vision tower sees no correction, so its
output for a batch is kept while the batch is answered again.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from attnscope.attention import tapped
from attnscope.correct import Correction, check_applies, prompted
from attnscope.errors import NotApplicableError, RequestError
from attnscope.evaluate import score
from attnscope.model import LoadedModel, Prompt, load
from attnscope.scene import Frames, Sampling, Scene, read_scene_frames
from benchmarks.studies.conditions import PLAIN, Condition
from benchmarks.studies.jitter import jittered
from benchmarks.studies.looks import Looks
from benchmarks.studies.scenes import Item
from benchmarks.studies.settings import BATCH, Model

_PROCESSOR = ("tokenizer.json", "processor_config.json", "chat_template.jinja")
_models: dict[str, LoadedModel] = {}
Shown = tuple[int, tuple[Correction, ...]]


@dataclass(frozen=True)
class Job:
    """Work on one part.

    Attributes:
        items: Questions.
        conditions: Under which they are answered.
        read: Whether attention is read while the plain models answer.
        result: File to write; complete or absent.
    """

    items: Sequence[Item]
    conditions: Sequence[Condition]
    read: bool
    result: Path


@dataclass
class Asked:
    """A question with its prompts, and for each condition that does not apply, why.

    Attributes:
        item: The question.
        scene: As it is.
        prompts: By what decides them (`Condition.shown`).
        reasons: By the condition's name.
    """

    item: Item
    scene: Scene
    prompts: dict[Shown, Prompt]
    reasons: dict[str, str]


def start(models: Sequence[Model]) -> None:
    """Load the models into this process.

    Raises:
        RequestError: Their processors differ, so that they could not share prompts.
    """
    torch.set_num_threads(1)
    for name in _PROCESSOR:
        if len({(model.folder / name).read_bytes() for model in models}) > 1:
            raise RequestError(f"--models: {' and '.join(str(m.folder) for m in models)} differ in {name}")
    for model in models:
        _models[model.role] = load(model.folder, device="cpu")
        _remember_tower(_models[model.role])


def run(job: Job) -> Path:
    """Do a job and write its result: {"scores": [...], "looks": [...], "seconds": ...}."""
    begun = time.monotonic()
    asked = list(_asked(job))
    results: dict[str, Any] = {"scores": [], "looks": []}
    for batch, conditions in _batches(asked, job.conditions):
        for condition in conditions:
            results["looks"] += _answer(batch, condition, job.read and condition.name == PLAIN, results["scores"])
    results["scores"] += [
        _row(question.item, condition, None, reason=question.reasons[condition.name])
        for question in asked
        for condition in job.conditions
        if condition.wants(question.item) and condition.name in question.reasons
    ]
    results["seconds"] = time.monotonic() - begun
    job.result.parent.mkdir(parents=True, exist_ok=True)
    draft = job.result.with_suffix(".part")
    draft.write_text(json.dumps(results), encoding="utf-8")
    draft.replace(job.result)
    return job.result


def _asked(job: Job) -> Iterator[Asked]:
    frames: dict[Path, Frames] = {}
    for item in job.items:
        scene = Scene.read(item.scene)
        if scene.video not in frames:
            frames[scene.video] = read_scene_frames(scene, Sampling())
        question = Asked(item, scene, {}, {})
        known: dict[Any, str | None] = {}
        for condition in job.conditions:
            if condition.wants(item):
                kind = condition.jitter, tuple(map(_kind, condition.corrections))
                if kind not in known:
                    known[kind] = _fit(question, condition, frames[scene.video])
                reason = known[kind]
                if reason is not None:
                    question.reasons[condition.name] = reason
        yield question


def _fit(question: Asked, condition: Condition, frames: Frames) -> str | None:
    """Build the prompt that a condition needs; why the condition does not apply to the question."""
    far, _ = condition.shown
    scene = question.scene
    if far:
        scene = jittered(scene, str(scene.fields["about"]), far, zlib.crc32(f"{question.item.id} {far}".encode()))
    try:
        if condition.shown not in question.prompts:
            question.prompts[condition.shown] = prompted(_any_model(), scene, condition.corrections, frames=frames)
        check_applies(_any_model(), question.prompts[condition.shown], condition.corrections)
    except NotApplicableError as error:
        return str(error).removeprefix(f"{scene.video}: ")
    return None


def _kind(correction: Correction) -> tuple[Any, ...]:
    """What decides whether a correction applies to a question: all but how strongly, and on which heads."""
    parameters = correction.params().items()
    decides = (item for item in parameters if item[0].startswith("box") or not isinstance(item[1], float))
    return correction.method, *(item for item in decides if item[0] != "heads")


def _any_model() -> LoadedModel:
    return next(iter(_models.values()))


def _batches(asked: Sequence[Asked], conditions: Sequence[Condition]) -> Iterator[tuple[list[Asked], list[Condition]]]:
    """Questions that are answered under the same conditions, so that every batch is the same under all of them."""
    groups: dict[tuple[int, ...], list[Asked]] = {}
    for question in asked:
        wanted = (c.wants(question.item) and c.name not in question.reasons for c in conditions)
        groups.setdefault(tuple(n for n, want in enumerate(wanted) if want), []).append(question)
    for numbers, group in groups.items():
        # conditions of one model that show the same stand together: its tower then runs once a batch
        same = sorted((conditions[n] for n in numbers), key=lambda c: (c.role, c.jitter, str(c.shown)))
        for start in range(0, len(group), BATCH):
            yield group[start : start + BATCH], same


def _answer(
    batch: Sequence[Asked], condition: Condition, read: bool, rows: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Answer a batch, add the rows of its scores, and hand back where the model looked if that was to be read."""
    model = _models[condition.role]
    prompts = [question.prompts[condition.shown] for question in batch]
    with ExitStack() as stack:
        looks = Looks(model, prompts) if read else None
        if looks is not None:
            stack.enter_context(tapped(model.model, readers=[looks]))
        scores = score(model, prompts, condition.corrections, batch=BATCH)
    for question, scored in zip(batch, scores, strict=True):
        rows.append(_row(question.item, condition, scored.prediction, question.scene))
    if looks is None:
        return []
    return [
        {"id": question.item.id, "role": condition.role, **numbers}
        for question, numbers in zip(batch, looks.readings(), strict=True)
        if numbers is not None
    ]


def _row(
    item: Item, condition: Condition, prediction: str | None, scene: Scene | None = None, reason: str | None = None
) -> dict[str, Any]:
    row = {"id": item.id, "role": condition.role, "condition": condition.name, "reason": reason}
    return row | {"prediction": prediction, "correct": scene is not None and prediction == scene.answer}


def _remember_tower(loaded: LoadedModel) -> None:
    """Keep the vision tower's last output, and give it out again for equal pixels."""
    tower = loaded.model.model.visual
    plain = tower.forward
    kept: dict[str, Any] = {}

    def forward(pixels: torch.Tensor, grid_thw: torch.Tensor, **kwargs: Any) -> Any:
        same = kept and kept["pixels"].shape == pixels.shape and torch.equal(kept["pixels"], pixels)
        if not (same and torch.equal(kept["grid"], grid_thw)):
            kept.update(pixels=pixels, grid=grid_thw, out=plain(pixels, grid_thw=grid_thw, **kwargs))
        return type(kept["out"])(**kept["out"])  # a new object each time: the model edits it

    tower.forward = forward

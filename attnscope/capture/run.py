"""A capture from beginning to end: scene, prompt, model under channels, file."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from attnscope.attention import decoder_layers, gated, has_gates, streamed, tapped
from attnscope.capture.file.writer import CaptureWriter, check_target
from attnscope.capture.plan import Plan, Shape, format_bytes
from attnscope.capture.read.capture import Capture
from attnscope.capture.read.capture import open as open_capture
from attnscope.capture.record.arrays import Datasets
from attnscope.capture.record.cost import first_tokens
from attnscope.capture.record.finish import Job, RunningCorrection, finish, score_options
from attnscope.capture.record.finite import why_not_finite
from attnscope.capture.record.gates import GateRecorder
from attnscope.capture.record.generate import Answer, check_wrapper, collate, generate
from attnscope.capture.record.groups import KeyGroups, QueryGroups, key_groups, query_groups
from attnscope.capture.record.hidden import HiddenRecorder
from attnscope.capture.record.recorder import Recorder, SampleRecorder
from attnscope.errors import RequestError, RunError
from attnscope.files import check_space
from attnscope.layers import select_layers
from attnscope.scene import Sampling, Scene, read_scene_frames
from attnscope.scene.media import scene_sampling
from attnscope.transformers_names import head_width
from attnscope.vocabulary import NOWHERE, has_cell, hidden_groups, is_visual

if TYPE_CHECKING:
    from attnscope.model import LoadedModel, Prompt

logger = logging.getLogger("attnscope")
Progress = Callable[[str, int, int], None]
DEFAULT_TEMPLATE = "{speaker}: {text}"


def capture(
    model: LoadedModel | str | Path | Callable[[], LoadedModel],
    scene: Scene | str | Path,
    out: str | Path,
    *,
    plan: Plan | None = None,
    sampling: Sampling | None = None,
    max_new_tokens: int = 16,
    template: str = DEFAULT_TEMPLATE,
    verify: bool = True,
    progress: Progress | None = None,
) -> Capture:
    """Record how a model attends while it is shown a scene.

    Args:
        model: A loaded model, or what `attnscope.load` takes, or a function that loads it: then what is wrong with
            the request or the video is said before that.
        scene: A scene, or the path of a scene.json.
        out: The capture to write.
        plan: What to record; masses, maps and stats by default.
        sampling: Which frames to show; 8 uniform frames by default, of the scene's `window` if it has one.
        max_new_tokens: Most tokens of the greedy answer.
        template: How a turn is written, with {speaker} and {text}.
        verify: Run the model again without recording, at least once, and store the comparison and what that run cost.
        progress: Called with (what, done, total).

    Returns:
        The opened capture.

    Raises:
        RequestError: If the scene, the model, the plan or its size is wrong.
        RunError: If the file cannot be written.

    Example:
        >>> with attnscope.capture(model, "scene.json", "new.h5", plan=attnscope.Plan(qk=True)) as cap:
        ...     cap.answer["text"], cap.readings
        ('Ben', ['masses', 'maps', 'stats', 'qk'])
    """
    check_target(Path(out))
    check_new_tokens(max_new_tokens)
    prompt, loaded, sampling = prepare(model, scene, sampling, template)
    captures = capture_prompts(
        loaded,
        [prompt],
        [out],
        plan=plan,
        sampling=sampling,
        max_new_tokens=max_new_tokens,
        template=template,
        verify=verify,
        progress=progress,
    )
    return captures[0]


def check_new_tokens(most: int) -> None:
    """Refuse an answer of no token: what the model predicts at the answer position is always recorded.

    Raises:
        RequestError: If `most` is below 1.
    """
    if most < 1:
        raise RequestError.of("max_new_tokens", most, "must be at least 1")


def prepare(
    model: LoadedModel | str | Path | Callable[[], LoadedModel],
    scene: Scene | str | Path,
    sampling: Sampling | None,
    template: str,
) -> tuple[Prompt, LoadedModel, Sampling]:
    """Read the scene and its frames, load the model if need be, and build the prompt.

    Raises:
        RequestError: If the scene, its video or the model is wrong, or the model's attention cannot be reached.
    """
    from attnscope.model import build_prompt, load
    from attnscope.model.prompt import verify_places
    from attnscope.model.render import check_template

    check_template(template)
    scene = (scene if isinstance(scene, Scene) else Scene.read(Path(scene))).asking()
    sampling = scene_sampling(scene, sampling)
    frames = read_scene_frames(scene, sampling)
    if isinstance(model, (str, Path)):
        model = load(str(model))
    loaded = model() if callable(model) else model
    decoder_layers(loaded.model)
    prompt = build_prompt(loaded, scene, frames, template=template)
    return verify_places(loaded, prompt), loaded, sampling


def capture_prompts(
    model: LoadedModel,
    prompts: Sequence[Prompt],
    outs: Sequence[str | Path],
    *,
    plan: Plan | None = None,
    sampling: Sampling | None = None,
    max_new_tokens: int = 16,
    template: str = DEFAULT_TEMPLATE,
    verify: bool = True,
    corrections: Sequence[RunningCorrection] = (),
    progress: Progress | None = None,
) -> list[Capture]:
    """Record several prompts in one left-padded batch, one file each. Arguments as in `capture`.

    `corrections` are bound to the prompts in this order (`attnscope.correct.bind`).

    Raises:
        RequestError: If the plan does not fit its budget or the disk, or an argument is out of range.
        RunError: If a file cannot be written.
    """
    check_new_tokens(max_new_tokens)
    plan = plan or Plan()
    layers = list(decoder_layers(model.model))
    plan = plan.with_layers(select_layers(plan.layers, layers, layer_count(model)))
    groups = [(key_groups(prompt.tokens, plan.coverage), query_groups(prompt.tokens)) for prompt in prompts]
    total = 0
    for prompt, out, (keys, queries) in zip(prompts, outs, groups, strict=True):
        sizes = plan.check_size(plan_shape(model, plan, keys, queries, max_new_tokens))
        total += sum(sizes.values())
        _tell(prompt, model.family, plan, sizes)
        check_space(out, total, "the capture" if len(outs) == 1 else "the captures together", "before compression")
    inputs, places = collate(prompts, model)
    with ExitStack() as stack:
        jobs = []
        for row, (prompt, out, index, (keys, queries)) in enumerate(zip(prompts, outs, places, groups, strict=True)):
            writer = stack.enter_context(CaptureWriter(out))
            heads = int(model.text_config.num_attention_heads)
            datasets = Datasets(writer, plan.layer_numbers, heads, len(index), max_new_tokens - 1, plan.maps_dtype)
            sample = SampleRecorder(row, index, keys, queries, plan, datasets)
            jobs.append(Job(prompt, Path(out), plan, sample, writer))
        recorder = Recorder([job.recorder for job in jobs], inputs["input_ids"].shape[1], _counter(progress, plan))
        hidden, gates = HiddenRecorder(recorder.samples, recorder.padded), GateRecorder(recorder.samples)
        with (
            tapped(model.model, edits=corrections),
            tapped(model.model, readers=[recorder], layers=plan.layer_numbers),
            streamed(model.model, hidden, plan.layer_numbers) if plan.hidden else nullcontext(),
            gated(model.model, gates, plan.layer_numbers) if plan.stats else nullcontext(),
        ):
            answers = generate(model, inputs, max_new_tokens)
        _require_numbers(model, prompts, inputs, answers, corrections)
        _require_all(model, jobs, plan, max(len(answer.ids) for answer in answers) - 1, hidden.seen)
        unknown = gates.warnings()
        for warning in unknown:
            logger.warning("%s", warning)
        run = {
            "sampling": sampling.model_dump() if sampling else None,
            "max_new_tokens": max_new_tokens,
            "load": model.load_args,
            "template": template,
        }
        with tapped(model.model, edits=corrections):
            plain, cost = first_tokens(model, prompts, inputs) if verify else ([None] * len(jobs), None)
            if verify:
                check_wrapper(model, prompts, inputs)
            options = score_options(model, prompts, answers)
        described = model.describe()
        for job, answer, scored, other in zip(jobs, answers, options, plain, strict=True):
            finish(model, job, answer, scored, other, run | {"cost": cost}, described, corrections, unknown)
    return [open_capture(job.out) for job in jobs]


def plan_shape(model: LoadedModel, plan: Plan, keys: KeyGroups, queries: QueryGroups, max_new_tokens: int) -> Shape:
    """The numbers that decide how large a capture with these groups will be."""
    config = model.text_config
    heads = int(config.num_attention_heads)
    spare = max_new_tokens - 1
    return Shape(
        layers=len(plan.layer_numbers),
        heads=heads,
        kv_heads=int(getattr(config, "num_key_value_heads", None) or heads),
        width=head_width(config),
        positions=keys.member.shape[1] + spare,
        probes=len(keys.probes) + spare,
        key_groups=len(keys.names),
        query_groups=len(queries.names) + spare,
        itemsize=torch.finfo(model.model.dtype).bits // 8,
        prompt=keys.member.shape[1],
        hidden=int(getattr(config, "hidden_size", 0)),
        hidden_groups=len(hidden_groups(keys.modalities)),
        gated=has_gates(model.model, plan.layer_numbers),
    )


def layer_count(model: LoadedModel) -> int:
    """Number of layers of the decoder, those without softmax attention included: the denominator of depth."""
    return int(model.text_config.num_hidden_layers)


def _require_numbers(
    model: LoadedModel,
    prompts: Sequence[Prompt],
    inputs: dict[str, torch.Tensor],
    answers: Sequence[Answer],
    corrections: Sequence[RunningCorrection],
) -> None:
    """Refuse what a model has computed from damaged weights, or beyond the range of its type.

    Raises:
        RunError: If the logits of a first answer token are not finite.
    """
    for prompt, answer in zip(prompts, answers, strict=True):
        if not math.isfinite(answer.logprobs[0]):
            why = why_not_finite(model, prompts, inputs, corrected=bool(corrections))
            raise RunError(f"{prompt.scene.video}: the model's logits are not finite{why}")


def _tell(prompt: Prompt, family: str, plan: Plan, sizes: dict[str, int]) -> None:
    """Say what will be recorded and how large it is, before the run."""
    visual = int(is_visual(prompt.tokens).sum())
    logger.info(
        "prompt: %d tokens, %d of them visual, from %d frames",
        len(prompt.tokens),
        visual,
        len(prompt.frames.times),
    )
    if prompt.placing.how != NOWHERE:
        logger.info("placed: %s", prompt.placing.words(family, int(has_cell(prompt.tokens).sum())))
    parts = ", ".join(f"{name} {format_bytes(size)}" for name, size in sizes.items())
    logger.info(
        "capture of %d layers: %s before compression (%s)",
        len(plan.layer_numbers),
        format_bytes(sum(sizes.values())),
        parts,
    )
    for warning in prompt.warnings:
        logger.warning("%s", warning)


def _counter(progress: Progress | None, plan: Plan) -> Callable[[int], None] | None:
    if progress is None:
        return None
    done = iter(range(1, 10**9))
    total = len(plan.layer_numbers)
    return lambda _layer: progress("layers", next(done), total)


def _require_all(model: LoadedModel, jobs: Sequence[Job], plan: Plan, steps: int, states: set[int]) -> None:
    """No silent empty result: every planned layer must have passed through the seam, once for each token.

    Raises:
        RunError: Naming the class and the first layer that did not.
    """
    recorder = jobs[0].recorder
    for layer in plan.layer_numbers:
        if layer not in recorder.calls or recorder.generated.steps[layer] < steps:
            raise RunError(
                f"{type(model.model).__name__}: layer {layer} did not pass through the transformers attention registry"
                " while the model ran; its attention cannot be recorded"
            )
    for state in [*plan.layer_numbers, layer_count(model)] if plan.hidden else []:
        if state not in states:
            raise RunError(
                f"{type(model.model).__name__}: the hidden states at layer {state} were not seen while the model ran;"
                " capture without 'hidden'"
            )


def summary(cap: Capture) -> dict[str, Any]:
    """What a person wants to know right after a capture."""
    return {
        "capture": str(cap.path),
        "model": cap.model["id"],
        "positions": len(cap.tokens),
        "layers": len(cap.layers),
        "heads": cap.heads,
        "readings": cap.run["plan"]["readings"],
        "answer": cap.answer["text"],
        "options": cap.answer["options"],
        "check": cap.check,
    }

"""A capture from beginning to end: scene, prompt, model under channels, file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import h5py
import numpy as np
import torch
from torch import Tensor

from attnscope.attention import decoder_layers, tapped
from attnscope.capture import describe_run
from attnscope.capture.generate import Answer, collate, generate, option_logprob
from attnscope.capture.groups import key_groups, query_groups
from attnscope.capture.plan import Plan, Shape, format_bytes
from attnscope.capture.reader import Capture
from attnscope.capture.reader import open as open_capture
from attnscope.capture.record import Recorder, SampleRecorder
from attnscope.capture.schema import write_array
from attnscope.capture.stage import Stage, finish_qk
from attnscope.capture.writer import CaptureWriter, check_target
from attnscope.errors import RequestError, RunError
from attnscope.layers import select_layers
from attnscope.scene import Sampling, Scene, read_scene_frames

if TYPE_CHECKING:
    from attnscope.model import LoadedModel, Prompt

logger = logging.getLogger("attnscope")
Progress = Callable[[str, int, int], None]
DEFAULT_TEMPLATE = "{speaker}: {text}"


class RunningCorrection(Protocol):
    """A correction bound to one prompt: the seam's edit, and what it did once the model has run."""

    def __call__(self, call: Any) -> Any:
        """Edit one attention call (see `attnscope.attention.Edit`)."""
        ...

    def record(self) -> dict[str, Any]:
        """`method`, `params`, `active` heads and `notes`, as stored in `/correction`."""
        ...


@dataclass(frozen=True)
class Job:
    """One prompt on its way into one file."""

    prompt: Prompt
    out: Path
    plan: Plan
    recorder: SampleRecorder
    writer: CaptureWriter


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
    correct: Callable[[Prompt], Sequence[RunningCorrection]] | None = None,
    progress: Progress | None = None,
) -> Capture:
    """Record how a model attends while it is shown a scene.

    Args:
        model: A loaded model, or what `attnscope.load` takes, or a function that loads it: then what is wrong with the request
            or the video is said before that.
        scene: A scene, or the path of a scene.json.
        out: The capture to write.
        plan: What to record; masses, maps and stats by default.
        sampling: Which frames to show; 8 uniform frames by default.
        max_new_tokens: Most tokens of the greedy answer.
        template: How a turn is written, with {speaker} and {text}.
        verify: Run the model once more without recording and store the comparison.
        correct: Given the prompt, the corrections to run under.
        progress: Called with (what, done, total).

    Returns:
        The opened capture.

    Raises:
        RequestError: If the scene, the model, the plan or its size is wrong.
        RunError: If the file cannot be written.
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
        corrections=correct(prompt) if correct is not None else (),
        progress=progress,
    )
    return captures[0]


def check_new_tokens(most: int) -> None:
    """Refuse an answer of no token: what the model predicts at the answer position is always recorded.

    Raises:
        RequestError: If `most` is below 1.
    """
    if most < 1:
        raise RequestError(f"--max-new-tokens {most}: must be at least 1")


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

    scene = scene if isinstance(scene, Scene) else Scene.read(Path(scene))
    sampling = sampling or Sampling()
    frames = read_scene_frames(scene, sampling)
    if isinstance(model, (str, Path)):
        model = load(str(model))
    loaded = model() if callable(model) else model
    decoder_layers(loaded.model)
    return build_prompt(loaded, scene, frames, template=template), loaded, sampling


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

    Raises:
        RequestError: If the plan does not fit its budget, or an argument is out of range.
        RunError: If a file cannot be written.
    """
    check_new_tokens(max_new_tokens)
    found = decoder_layers(model.model)
    plan = plan or Plan()
    plan = plan.with_layers(select_layers(plan.layers, list(found), max(found) + 1))
    for prompt in prompts:
        _tell(model, prompt, plan, max_new_tokens)
    inputs, places = collate(prompts, model)
    with ExitStack() as stack:
        jobs = [
            _job(stack, model, prompt, Path(out), plan, row, index, max_new_tokens)
            for row, (prompt, out, index) in enumerate(zip(prompts, outs, places, strict=True))
        ]
        recorder = Recorder([job.recorder for job in jobs], inputs["input_ids"].shape[1], _counter(progress, plan))
        with tapped(model.model, edits=corrections), tapped(model.model, readers=[recorder], layers=plan.layers):
            answers = generate(model, inputs, max_new_tokens)
        _require_all(model, jobs, plan)
        run = {
            "sampling": sampling.model_dump() if sampling else None,
            "max_new_tokens": max_new_tokens,
            "load": model.load_args,
            "template": template,
        }
        with tapped(model.model, edits=corrections):
            plain = generate(model, inputs, 1) if verify else [None] * len(jobs)
            options = [_options(model, job.prompt, answer) for job, answer in zip(jobs, answers, strict=True)]
        for job, answer, scored, other in zip(jobs, answers, options, plain, strict=True):
            _finish(model, job, answer, scored, other, run, corrections)
    return [open_capture(job.out) for job in jobs]


def _job(
    stack: ExitStack,
    model: LoadedModel,
    prompt: Prompt,
    out: Path,
    plan: Plan,
    row: int,
    index: Tensor,
    max_new_tokens: int,
) -> Job:
    keys, queries = key_groups(prompt.tokens, plan.coverage), query_groups(prompt.tokens)
    shape = plan_shape(model, prompt, plan, max_new_tokens)
    writer = stack.enter_context(CaptureWriter(out))
    layers = list(plan.layers or ())
    stage = Stage(writer, [int(n) for n in layers], shape.heads, len(index), max_new_tokens - 1, plan.maps_dtype)
    return Job(prompt, out, plan, SampleRecorder(row, index, keys, queries, plan, stage), writer)


def plan_shape(model: LoadedModel, prompt: Prompt, plan: Plan, max_new_tokens: int) -> Shape:
    """The numbers that decide how large a capture of this prompt will be."""
    config: Any = model.model.config.get_text_config()
    keys, queries = key_groups(prompt.tokens, plan.coverage), query_groups(prompt.tokens)
    heads = int(config.num_attention_heads)
    spare = max_new_tokens - 1
    return Shape(
        layers=len(plan.layers or ()),
        heads=heads,
        kv_heads=int(getattr(config, "num_key_value_heads", None) or heads),
        width=int(getattr(config, "head_dim", None) or config.hidden_size // heads),
        positions=len(prompt.tokens) + spare,
        probes=int((~keys.member[0]).sum()) + spare,
        key_groups=len(keys.names),
        query_groups=len(queries.names) + spare,
        itemsize=torch.finfo(model.model.dtype).bits // 8,
    )


def _tell(model: LoadedModel, prompt: Prompt, plan: Plan, max_new_tokens: int) -> None:
    """Say what will be recorded and how large it is, before the run; refuse it if it is too large."""
    sizes = plan.check_size(plan_shape(model, prompt, plan, max_new_tokens))
    visual = int((prompt.tokens["modality"] == "visual").sum())
    logger.info(
        "prompt: %d tokens, %d of them visual, from %d frames", len(prompt.tokens), visual, len(prompt.frames.times)
    )
    parts = ", ".join(f"{name} {format_bytes(size)}" for name, size in sizes.items())
    logger.info("capture of %d layers: %s before compression (%s)", len(plan.layers or ()), format_bytes(sum(sizes.values())), parts)
    for warning in prompt.warnings:
        logger.warning("%s", warning)


def _counter(progress: Progress | None, plan: Plan) -> Callable[[int], None] | None:
    if progress is None:
        return None
    done = iter(range(1, 10**9))
    total = len(plan.layers or ())
    return lambda _layer: progress("layers", next(done), total)


def _require_all(model: LoadedModel, jobs: Sequence[Job], plan: Plan) -> None:
    """No silent empty result: every planned layer must have passed through the seam."""
    missing = [n for n in plan.layers or () if n not in jobs[0].recorder.calls]
    if missing:
        raise RunError(
            f"{type(model.model).__name__}: layer {missing[0]} did not pass through the transformers attention registry"
            " while the model ran; its attention cannot be recorded"
        )


def _options(model: LoadedModel, prompt: Prompt, answer: Answer) -> list[dict[str, Any]]:
    from attnscope.model import option_ids

    scored = []
    for option in prompt.scene.options:
        ids = option_ids(model, prompt, option)
        scored.append(
            {"text": option, "tokens": list(ids), "logprob": option_logprob(model, prompt, ids, answer.first_logits)}
        )
    return scored


def _finish(
    model: LoadedModel,
    job: Job,
    answer: Answer,
    options: list[dict[str, Any]],
    plain: Answer | None,
    run: dict[str, Any],
    corrections: Sequence[RunningCorrection],
) -> None:
    recorder, plan = job.recorder, job.plan
    recorder.flush_tail()
    layers = [int(n) for n in plan.layers or ()]
    positions = recorder.length + len(answer.ids) - 1
    pieces = [model.tokenizer.decode([i]) for i in answer.ids]
    documents = {
        "model": model.describe(),
        "scene": job.prompt.scene.to_dict(),
        "run": run | {"plan": plan.to_dict()},
        "prompt": {"text": job.prompt.text, "length": recorder.length, "warnings": job.prompt.warnings},
        "answer": {
            "text": model.tokenizer.decode(answer.ids, skip_special_tokens=True),
            "tokens": [
                {"id": i, "text": text, "logprob": lp}
                for i, text, lp in zip(answer.ids, pieces, answer.logprobs, strict=True)
            ],
            "options": options,
        },
        "check": self_check(model, recorder, answer, plain),
    }
    if corrections:
        documents["correction"] = [correction.record() for correction in corrections]

    def describe(file: h5py.File) -> None:
        recorder.stage.trim(file, len(recorder.probes), positions)
        write_array(file, "layers", np.array(layers, dtype=np.int32), ["layer"])
        describe_run.write_documents(file, documents)
        describe_run.write_tokens(file, job.prompt.tokens, answer.ids[:-1], pieces[:-1])
        describe_run.write_frames(file, job.prompt.frames)
        describe_run.write_groups(file, recorder, layers, positions)
        describe_run.write_sink_logits(file, recorder, layers)
        if plan.qk:
            for layer in layers:
                call = recorder.calls[layer]
                finish_qk(file, layer, call.scaling, call.softcap, model.model.dtype)

    job.writer.finish(describe)


def self_check(model: LoadedModel, recorder: SampleRecorder, answer: Answer, plain: Answer | None) -> dict[str, Any]:
    """Does looking not touch, and does the kernel's mass add up? Stored in every capture.

    Args:
        model: The loaded model.
        recorder: What recorded the sample.
        answer: The answer with recording on.
        plain: The first answer token with recording off, or None if not asked.

    Returns:
        `verified`, `passed` and the checks with value and tolerance.
    """
    exact = model.model.dtype == torch.float32
    checks: list[dict[str, Any]] = []

    def add(name: str, value: float, tolerance: float) -> None:
        checks.append({"name": name, "value": value, "tolerance": tolerance, "passed": bool(value <= tolerance)})

    if plain is not None:
        scale = max(1.0, float(plain.first_logits.abs().max()))
        difference = float((plain.first_logits - answer.first_logits).abs().max())
        add("logits unchanged by recording", difference, (1e-4 if exact else 3e-2) * scale)
        add("first token unchanged by recording", float(plain.ids[0] != answer.ids[0]), 0.0)
    if recorder.wants_channels:
        add("conservation", recorder.checks.conservation, 1e-5 if exact else 2e-2)
        add("kernel masses equal dense rows", recorder.checks.kernel_mass, 1e-4 if exact else 2e-2)
        add("kernel log-sum-exp equals dense rows", recorder.checks.kernel_lse, 1e-3 if exact else 5e-2)
    return {
        "verified": plain is not None,
        "passed": all(c["passed"] for c in checks) if checks else None,
        "checks": checks,
    }


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

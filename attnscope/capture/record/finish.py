"""The end of a capture: score the options, check that looking did not touch, and write what is not a reading."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import h5py
import torch

from attnscope.capture.file import encode
from attnscope.capture.file.writer import CaptureWriter
from attnscope.capture.plan import Plan
from attnscope.capture.record import metadata
from attnscope.capture.record.arrays import finish_hidden, finish_qk
from attnscope.capture.record.generate import Answer, logit_tolerance, option_logprobs
from attnscope.capture.record.recorder import SampleRecorder

if TYPE_CHECKING:
    from attnscope.model import LoadedModel, Prompt

logger = logging.getLogger("attnscope")


class RunningCorrection(Protocol):
    """A correction bound to a batch of prompts: the seam's edit, and what it did once the model has run."""

    def __call__(self, call: Any) -> Any:
        """Edit one attention call (see `attnscope.attention.Edit`)."""
        ...

    def documents(self) -> list[dict[str, Any]]:
        """One a prompt: what was done, as stored in `/correction`."""
        ...


@dataclass(frozen=True)
class Job:
    """One prompt on its way into one file."""

    prompt: Prompt
    out: Path
    plan: Plan
    recorder: SampleRecorder
    writer: CaptureWriter


def score_options(
    model: LoadedModel, prompts: Sequence[Prompt], answers: Sequence[Answer]
) -> list[list[dict[str, Any]]]:
    """Log-probability of each option of each scene as the continuation of its prompt.

    All prompts run at every turn, since corrections are bound to all of them: one that has no option left repeats its
    last, or scores the first token of its answer.
    """
    from attnscope.model import option_ids

    ids = [
        [list(option_ids(model, prompt, option)) for option in prompt.scene.options] or [answer.ids[:1]]
        for prompt, answer in zip(prompts, answers, strict=True)
    ]
    scored: list[list[dict[str, Any]]] = [[] for _ in prompts]
    for turn in range(max(len(prompt.scene.options) for prompt in prompts)):
        asked = [own[min(turn, len(own) - 1)] for own in ids]
        values = option_logprobs(model, prompts, asked, [answer.first_logits for answer in answers])
        for scores, prompt, tokens, value in zip(scored, prompts, asked, values, strict=True):
            if turn < len(prompt.scene.options):
                scores.append({"text": prompt.scene.options[turn], "tokens": tokens, "logprob": value})
    return scored


def finish(
    model: LoadedModel,
    job: Job,
    answer: Answer,
    options: list[dict[str, Any]],
    plain: Answer | None,
    run: dict[str, Any],
    described: dict[str, Any],
    corrections: Sequence[RunningCorrection],
    warnings: Sequence[str] = (),
) -> None:
    """Complete the file of one prompt.

    Args:
        model: The loaded model.
        job: The prompt, its recorder and its file.
        answer: What was generated with recording on.
        options: Scored options.
        plain: The first answer token of the bare model, or None.
        run: The resolved configuration, without the plan.
        described: What `/model` says.
        corrections: What was in force.
        warnings: What the run has shown that a user should know, beside the warnings of the prompt.
    """
    recorder, layers = job.recorder, list(job.plan.layer_numbers)
    recorder.datasets.flush()
    positions = recorder.length + len(answer.ids) - 1
    pieces = [model.tokenizer.decode([i]) for i in answer.ids]
    tokens = [
        {"id": i, "text": text, "logprob": lp} for i, text, lp in zip(answer.ids, pieces, answer.logprobs, strict=True)
    ]
    text = model.tokenizer.decode(answer.ids, skip_special_tokens=True)
    documents: dict[str, Any] = {
        "model": described,
        "scene": job.prompt.scene.to_dict(),
        "run": run | {"plan": job.plan.to_dict()},
        "prompt": {
            "text": job.prompt.text,
            "length": recorder.length,
            "warnings": [*job.prompt.warnings, *warnings],
            "placing": job.prompt.placing.to_dict(),
        },
        "answer": {"text": text, "tokens": tokens, "options": options, "first": likeliest(answer)},
        "check": self_check(model, recorder, answer, plain),
    }
    if corrections:
        documents["correction"] = [correction.documents()[recorder.sample] for correction in corrections]
    for failed in (c for c in documents["check"]["checks"] if not c["passed"]):
        logger.warning("self-check: %s: %.3g is over %.3g", failed["name"], failed["value"], failed["tolerance"])

    def describe(file: h5py.File) -> None:
        recorder.datasets.trim(file, len(recorder.probes), positions)
        encode.write(file, "/layers", layers)
        metadata.write_documents(file, documents)
        metadata.write_tokens(file, job.prompt.tokens, answer.ids[:-1], pieces[:-1])
        metadata.write_frames(file, job.prompt.frames)
        metadata.write_groups(file, recorder, layers, positions)
        metadata.write_sink_logits(file, recorder, layers)
        if job.plan.qk:
            for layer in layers:
                call = recorder.calls[layer]
                finish_qk(file, layer, call.scaling, call.softcap, call.query.dtype)
        if job.plan.hidden:
            finish_hidden(file, recorder.keys, recorder.width)

    job.writer.finish(describe)
    for done in documents.get("correction", []):
        logger.info("%s: %s", done["method"], "; ".join(done["notes"]))
    logger.info("answer: %s", one_line(text) or "(empty)")
    if documents["check"]["passed"]:
        logger.info(
            "self-check passed: %s", ", ".join(f"{c['name']} {c['value']:.2g}" for c in documents["check"]["checks"])
        )


def likeliest(answer: Answer, most: int = 32) -> list[dict[str, Any]]:
    """The likeliest tokens where the answer begins, so that a repetition can be held against them."""
    values, ids = torch.log_softmax(answer.first_logits, -1).topk(min(most, len(answer.first_logits)))
    return [{"id": i, "logprob": value} for i, value in zip(ids.tolist(), values.tolist(), strict=True)]


def one_line(text: str, most: int = 200) -> str:
    """A model's words as one line of a log: shortened, and with nothing in them that a terminal obeys."""
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))
    return line if len(line) <= most else line[: most - 4] + " ..."


def self_check(model: LoadedModel, recorder: SampleRecorder, answer: Answer, plain: Answer | None) -> dict[str, Any]:
    """Does looking not touch, and does the kernel's mass add up? Stored in every capture.

    Args:
        model: The loaded model.
        recorder: What recorded the sample.
        answer: The answer with recording on.
        plain: The first answer token of the bare model on the processor's full inputs, or None if not asked.

    Returns:
        `verified`, `passed` and the checks with value and tolerance.
    """
    exact = model.model.dtype == torch.float32
    checks: list[dict[str, Any]] = []

    def add(name: str, value: float | None, tolerance: float) -> None:
        if value is None:  # there was nothing to compare
            return
        checks.append({"name": name, "value": value, "tolerance": tolerance, "passed": bool(value <= tolerance)})

    if plain is not None:
        difference = float((plain.first_logits - answer.first_logits).abs().max())
        add("logits unchanged by recording", difference, logit_tolerance(model.model.dtype, plain.first_logits))
        add("first token unchanged by recording", float(plain.ids[0] != answer.ids[0]), 0.0)
    if recorder.wants_queries:
        add("conservation", recorder.checks.conservation, 1e-5 if exact else 2e-2)
        add("masses of visual queries equal dense rows", recorder.checks.masses, 1e-4 if exact else 2e-2)
        add("kernel log-sum-exp equals dense rows", recorder.checks.kernel_lse, 1e-3 if exact else 5e-2)
        add("kernel output equals dense rows", recorder.checks.kernel_output, 1e-4 if exact else 2e-2)
    if recorder.plan.hidden:
        add("singular values keep the norm of the hidden states", recorder.checks.norm, 1e-6)
    return {
        "verified": plain is not None,
        "passed": all(c["passed"] for c in checks) if checks else None,
        "checks": checks,
    }

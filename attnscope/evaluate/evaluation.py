"""An evaluation from beginning to end: questions, batches of prompts, scores, tables; it goes on where it stopped."""

from __future__ import annotations

import hashlib
import logging
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnscope.capture.run import DEFAULT_TEMPLATE, Progress
from attnscope.correct import Correction
from attnscope.correct import controls as make_controls
from attnscope.correct.apply.binding import double_dipping
from attnscope.correct.heads.fixed import foreign
from attnscope.correct.registry import listed
from attnscope.errors import Argument, RequestError
from attnscope.evaluate.folder import Folder, check_same, read_run
from attnscope.evaluate.lines import CONTROL, CORRECTED, PLAIN, Scorer
from attnscope.evaluate.manifest import Question, clips, read_manifest, select_questions
from attnscope.evaluate.result import Evaluation, check_groups, to_frame
from attnscope.evaluate.score import check
from attnscope.files import check_space, exists, is_folder
from attnscope.files.folders import claimed
from attnscope.model import load
from attnscope.model.render import check_template
from attnscope.scene import Sampling

if TYPE_CHECKING:
    from attnscope.model import LoadedModel
    from attnscope.scene import Scene

logger = logging.getLogger("attnscope")
_LINE = 1024  # bytes of a question under one condition in samples.jsonl, about
_LONG = 60  # seconds that are left, from which on they are said
_SAME_MODEL = ("config_sha256", "dtype", "weights_sha256", "processor_sha256")


def evaluate(
    model: LoadedModel | str | Path | Callable[[], LoadedModel],
    manifest: str | Path,
    out: str | Path,
    corrections: Correction | Sequence[Correction] = (),
    *,
    controls: Mapping[str, Sequence[Correction]] | bool = False,
    videos: str | Path | None = None,
    batch: int = 16,
    by: Sequence[str] | None = None,
    sampling: Sampling | None = None,
    rule: str = "logprob",
    max_new_tokens: int = 16,
    template: str = DEFAULT_TEMPLATE,
    tasks: Sequence[str] | None = None,
    per_task: int | None = None,
    limit: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Score a manifest of questions, plain and under corrections.

    Called again with the same arguments, it goes on after the last question in `out`.

    Args:
        model: A loaded model, what `attnscope.load` takes, or a function that loads it: then what is wrong with the
            questions is said before that.
        manifest: The questions (docs/eval.md).
        out: Folder for the results.
        corrections: One or several, applied together, in order; every question is then scored twice.
        controls: True for the controls of the corrections (`attnscope.correct.controls`), or other corrections by
            name, to compare with; every question is also scored under each of them.
        videos: Folder in which videos are found by the names that scenes give, as in `read_manifest`.
        batch: Most prompts that run together.
        by: Fields that group the tables in `out`; None for task and people where there are such.
        sampling: Which frames to show; 8 uniform frames by default, of the `window` of each scene if it has one.
        rule: "logprob" or "generate", as in `score`.
        max_new_tokens: Most tokens of a generated answer.
        template: How a turn is written, with {speaker} and {text}.
        tasks: Only questions of these tasks (the field `task` of their scenes); None for all.
        per_task: Exactly this number of questions of each task, the first of the manifest; None for all.
        limit: Only the first of the questions that these leave.
        force: Start over in a folder that holds another evaluation.
        progress: Called with (what, done, total).

    Raises:
        BusyError: If another process is writing an evaluation into `out`.
        RequestError: If an argument, the manifest, a scene, its video or the model is wrong, if the corrections apply
            to none of the questions, or if `out` holds an evaluation of something else.
        RunError: If a file cannot be written, or the model's logits are not finite.

    Example:
        >>> result = attnscope.evaluate.evaluate(model, "manifest.jsonl", "scored", [social])
        >>> result.table(by=[])[["condition", "n", "accuracy"]].values.tolist()
        [['plain', 2, 0.0], ['corrected', 2, 1.0]]
    """
    corrections = listed(corrections)
    check(rule, batch, max_new_tokens)
    check_template(template)
    if limit is not None and limit < 1:
        raise RequestError.of("limit", limit, "must be at least 1")
    out, sampling = Path(out), sampling or Sampling()
    if exists(out) and not is_folder(out):
        raise RequestError(f"{out}: is a file; give a folder")
    if controls and not corrections:
        raise RequestError(Argument("controls"), " need at least one correction")
    made = make_controls.controls(corrections) if controls is True else controls or {}
    conditions: dict[str, Sequence[Correction]] = {CORRECTED: corrections} if corrections else {}
    conditions |= {CONTROL + name: others for name, others in made.items()}
    asked = read_manifest(manifest, videos)
    chosen = select_questions(asked.questions, tasks, per_task)
    questions = chosen[:limit]
    by = check_groups(by, list(dict.fromkeys(name for question in questions for name in question.scene.fields)))
    settings: dict[str, Any] = {
        "manifest": {"sha256": asked.sha256, "scenes_sha256": asked.scenes_sha256},
        "sampling": sampling.model_dump(),
        "template": template,
        "score": {"rule": rule} | ({"max_new_tokens": max_new_tokens} if rule == "generate" else {}),
        "correction": _documents(corrections),
        "controls": {name: _documents(others) for name, others in made.items()},
        "conditions": [PLAIN, *conditions],  # also that there are no others
        "tasks": None if tasks is None else list(dict.fromkeys(tasks)),
        "per_task": per_task,
    }
    with claimed(out):
        if not force:
            check_same(out, settings)
        if isinstance(model, (str, Path)):
            model = load(str(model))
        loaded = model() if callable(model) else model
        described = loaded.describe()
        described |= {
            "weights_sha256": described["weights"]["sha256"],
            "processor_sha256": processor_sha256(loaded),
        }
        settings["model"] = {name: described[name] for name in _SAME_MODEL}
        if not force:
            check_same(out, settings)
        run = settings | {
            "model": described,
            "load": loaded.load_args,
            "manifest": {"path": str(asked.path), "questions": len(chosen), "clips": clips(chosen)}
            | settings["manifest"],
            "controls_left_out": make_controls.left_out(corrections) if controls is True else {},
            "batch": batch,
        }
        for warning in dict.fromkeys(foreign(getattr(correction, "heads", ""), loaded) for correction in corrections):
            if warning:
                logger.warning("%s", warning)
        run["cautions"] = double_dipped(corrections, [(question.clip, question.scene) for question in questions])
        for note in run["cautions"]:
            logger.warning("%s", note)
        check_space(out, _LINE * len(questions) * (1 + len(conditions)), "the evaluation")
        folder = Folder(out, run, force=force)
        scorer = Scorer(loaded, asked, conditions, sampling, template, rule, max_new_tokens)
        _answer(scorer, folder, questions, batch, progress)
        scorer.tell_warnings()
        folder.begin()  # nothing was left to score: the folder is still as it was found
        results = Evaluation(out, read_run(out), to_frame(folder.done[:limit]), by)
        _check_applied(results, corrections)
        folder.write_tables(results.to_dict())
        return results


def double_dipped(corrections: Sequence[Correction], asked: Sequence[tuple[str, Scene]]) -> list[str]:
    """Cautions where questions are about clips that the heads of a correction were chosen on.

    Args:
        corrections: With heads from heads files, or without.
        asked: Clip and scene of each question.
    """
    notes = []
    for correction in corrections:
        by_clip = dict[str, str]()
        for (clip, _), warnings in zip(asked, double_dipping(correction, [scene for _, scene in asked]), strict=True):
            for warning in warnings:
                by_clip.setdefault(clip, warning)
        if by_clip:
            clips, first = len(dict.fromkeys(clip for clip, _ in asked)), next(iter(by_clip))
            notes.append(f"{correction.method}: {len(by_clip)} of {clips} clips, first {first}: {by_clip[first]}")
    return notes


def _check_applied(results: Evaluation, corrections: Sequence[Correction]) -> None:
    """Refuse to compare the plain model with itself; what was scored is kept.

    Raises:
        RequestError: With the commonest reason, if the corrections applied to no question.
    """
    n = len(results.samples)
    if results.not_applied == n:
        methods = " and ".join(correction.method for correction in corrections)
        (reason, times), *others = results.reasons()
        more = f" ({times} of {n}; the others have {len(others)} other reasons)" if others else ""
        raise RequestError(f"{methods} applied to none of {n} questions: {reason}{more}")


def _documents(corrections: Sequence[Correction]) -> list[dict[str, Any]]:
    return [{"method": correction.method, "params": correction.params()} for correction in corrections]


def _answer(
    scorer: Scorer, folder: Folder, questions: Sequence[Question], batch: int, progress: Progress | None
) -> None:
    """Score what is not done yet.

    Batches begin at multiples of their size, whatever is done: a question meets the same neighbours, and so the same
    rounding, in a run that was stopped and in one that was not.
    """
    if folder.done:
        logger.info("%s: %d of %d questions are scored already", folder.path, len(folder.done), len(questions))
    first = len(folder.done) // batch * batch if len(folder.done) < len(questions) else len(questions)
    begin = time.monotonic()
    for start in range(first, len(questions), batch):
        if progress is not None:
            progress("questions", start, len(questions))
        lines = scorer.score(questions[start : start + batch], start)
        folder.append(lines[len(folder.done) - start :])
        if start == first:
            _tell_time(time.monotonic() - begin, len(lines), len(questions) - start - len(lines))
    if progress is not None:
        progress("questions", len(questions), len(questions))


def _tell_time(seconds: float, scored: int, left: int) -> None:
    """Say how long the rest takes, from the time of the first batch, where that is long."""
    rest = seconds / scored * left
    if rest >= _LONG:
        duration = f"{rest / 60:.0f} minutes" if rest < 2 * 3600 else f"{rest / 3600:.1f} hours"
        logger.info(
            "the first %d questions took %.1f s; the other %s take about %s", scored, seconds, f"{left:,}", duration
        )


def processor_sha256(model: LoadedModel) -> str:
    """A hash of what makes a prompt of a question: tokenizer, chat template and processing of frames, as saved."""
    digest = hashlib.sha256()
    with tempfile.TemporaryDirectory() as folder:
        model.processor.save_pretrained(folder)
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()

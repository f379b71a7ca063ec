"""A capture repeated under corrections."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from attnscope.capture.file.writer import check_target
from attnscope.capture.plan import EXHAUSTIVE, Plan
from attnscope.capture.read.capture import Capture
from attnscope.capture.run import Progress, capture_prompts
from attnscope.correct.apply.binding import bind, double_dipping
from attnscope.correct.apply.block import corrected
from attnscope.correct.apply.known import Captured
from attnscope.correct.apply.refusals import refuse_early
from attnscope.correct.apply.source import Recorded
from attnscope.correct.base import Correction
from attnscope.correct.recipe import write
from attnscope.errors import Argument, RequestError
from attnscope.files import real_path
from attnscope.files.folders import made

if TYPE_CHECKING:
    from attnscope.model import LoadedModel

logger = logging.getLogger("attnscope")

__all__ = ["bind", "corrected", "correction_file", "rerun", "rerun_each"]

RECIPE = "correction.json"


def rerun(
    before: str | Path,
    corrections: Sequence[Correction],
    out: str | Path,
    *,
    model: LoadedModel | str | Path | None = None,
    verify: bool = True,
    progress: Progress | None = None,
) -> Capture:
    """Repeat a capture under corrections: same model, scene, frames, prompt and plan.

    Corrections that look at the plain model first (heads by rank, `adaptvis`) look at the capture, if it holds what
    they need and was made with this model, precision, backend and versions; else the plain model is run once more.
    Their notes say which.

    Queries and keys (`qk`) are left out of the plan where a correction changes rows of logits, which they do not hold.
    The prompt is first built plain and compared with the captured one; corrections that change what the model is shown
    come after that. Beside the capture its corrections are written as `correction_file` names it.

    Args:
        before: The plain capture.
        corrections: Applied in order.
        out: The capture to write.
        model: The model, if it is not to be loaded again from where the capture had it.
        verify: As in `attnscope.capture`; and run the plain model once, to hold its logits against those captured.
        progress: As in `attnscope.capture`.

    Returns:
        The opened capture.

    Raises:
        RequestError: If the model, its weights, its answer or the scene is no longer what was captured, or a correction
            does not apply.

    Example:
        >>> with attnscope.correct.rerun("run.h5", [social], "corrected/after.h5", model=model) as after:
        ...     after.answer["text"], after.correction[0]["method"]
        ('Eva', 'social-bias')
    """
    (cap,) = rerun_each(before, {Path(out): corrections}, model=model, verify=verify, progress=progress)
    return cap


def rerun_each(
    before: str | Path,
    runs: Mapping[Path, Sequence[Correction]],
    *,
    model: LoadedModel | str | Path | None = None,
    verify: bool = True,
    progress: Progress | None = None,
) -> list[Capture]:
    """Repeat a capture several times, as `rerun`, with the model loaded once: under corrections and their control, say.

    Args:
        before: The plain capture.
        runs: What is applied in each run, by the capture to write. What does not apply is refused before any run.
        model: As of `rerun`.
        verify: Likewise.
        progress: Likewise.

    Returns:
        The opened captures.

    Raises:
        RequestError: As `rerun`.
    """
    recorded = Recorded.read(before, to="correct")
    for out in runs:
        if real_path(out) == real_path(before):
            raise RequestError(f"{out}: is the capture to be corrected; choose another folder")
    refuse_early(recorded.path, runs.values())
    with ExitStack() as stack:
        for out in runs:
            stack.enter_context(made(out.parent))
            check_target(out)
        opened = stack.enter_context(ExitStack())
        loaded, caps = recorded.load(model), list[Capture]()
        for out, corrections in runs.items():
            first = not caps  # the plain model is held against the capture once
            cap = _run(recorded, loaded, corrections, out, verify, first, progress)
            caps.append(opened.enter_context(cap))
        opened.pop_all()
        return caps


def _run(
    recorded: Recorded,
    loaded: LoadedModel,
    corrections: Sequence[Correction],
    out: Path,
    verify: bool,
    first: bool,
    progress: Progress | None,
) -> Capture:
    """One run, and its corrections beside it."""
    run = recorded.run
    prompt = recorded.prompt_under(loaded, corrections, logits=verify and first)
    shown = any("prompt" in one.changes for one in corrections)
    running = bind(loaded, prompt, corrections, plain=None if shown else Captured.of(recorded, loaded, prompt))
    for bound, correction in zip(running, corrections, strict=True):
        bound.warnings = double_dipping(correction, [recorded.scene], recorded.path)
    (cap,) = capture_prompts(
        loaded,
        [prompt],
        [out],
        plan=_plan(recorded, corrections),
        sampling=recorded.sampling,
        max_new_tokens=run["max_new_tokens"],
        template=run["template"],
        verify=verify,
        corrections=running,
        progress=progress,
    )
    if corrections:
        write(correction_file(out), corrections, loaded)
    return cap


def correction_file(out: str | Path) -> Path:
    """Where `rerun` writes the corrections of a capture: correction.json beside after.h5, x.correction.json by x.h5."""
    out = Path(out)
    return out.with_name(RECIPE if out.stem == "after" else f"{out.stem}.{RECIPE}")


def _plan(recorded: Recorded, corrections: Sequence[Correction]) -> Plan:
    """The plan of a capture, as far as it can be recorded under corrections.

    Raises:
        RequestError: If nothing of it can.
    """
    fields = {k: v for k, v in recorded.run["plan"].items() if k not in ("readings", "layers")}
    if "exhaustive" not in fields:  # an older capture, which read every query
        fields["exhaustive"] = tuple(name for name in EXHAUSTIVE if fields[name])
    rows = [correction.method for correction in corrections if "rows" in correction.changes]
    if rows and fields["qk"]:
        reason = f"{rows[0]} changes rows of logits, which queries and keys do not hold"
        if recorded.run["plan"]["readings"] == ["qk"]:
            raise RequestError(
                f"{recorded.path}: {reason}, and it has nothing else; capture with ", Argument("plan", "masses,maps,qk")
            )
        logger.warning("%s: the corrected capture is without qk", reason)
        fields["qk"] = False
    return Plan(**fields, layers=tuple(recorded.layers))

"""The report of a sweep: one table, one figure of dose and response, one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnscope.capture.reader import open as open_capture
from attnscope.correct.base import Correction
from attnscope.correct.dose.grid import Step
from attnscope.correct.dose.sweep import PLAIN, Progress, Sweep, run_sweep
from attnscope.correct.registry import about
from attnscope.report import provenance
from attnscope.report.capture_page import capture_page
from attnscope.report.figures.dose import dose_response
from attnscope.report.html import render
from attnscope.report.inputs import check_options
from attnscope.report.lettering import learn_scenes
from attnscope.report.staged import Stage, staged
from attnscope.report.style import styled
from attnscope.report.summary import Summary, records
from attnscope.report.sweep_table import columns_of, panels_of, verdict, wide
from attnscope.scene.problems import written

if TYPE_CHECKING:
    from attnscope.capture.reader import Capture
    from attnscope.model import LoadedModel

KIND, PAGE, DOCUMENT = "sweep", "report.html", "summary.json"
ONE_PROMPT = (
    "One prompt, so n = 1: a curve says what this correction does here, not whether it helps. Accuracy over many "
    "questions is what attnscope eval measures."
)


def sweep(
    before: str | Path,
    steps: Sequence[Step | Correction],
    sweeps: Sequence[str],
    out: str | Path,
    *,
    model: LoadedModel | str | Path | None = None,
    threshold: float = 0.5,
    denominator: str = "max",
    progress: Progress | None = None,
) -> Summary:
    """Run a sweep and write its tables (tidy and wide, CSV and parquet), figure, `report.html` and `summary.json`.

    Everything is written at the end: an interrupted sweep leaves nothing. A sweep's page that is there is replaced,
    with its tables and figures.

    Args:
        before: a plain capture.
        steps: method and given parameters of each correction, applied in order; or corrections.
        sweeps: swept parameters, "alpha=0.5,1,2".
        out: folder to write into; made if it does not exist.
        model: the model, if it is not to be loaded again from where the capture had it.
        threshold: covered fraction from which a cell counts as a speaker's.
        denominator: of the gap between self and cross attention.
        progress: called with (what, done, total).

    Raises:
        RequestError: as `attnscope.correct.dose.sweep.run_sweep`, or if the folder cannot be used.
        RunError: if the output cannot be written.
    """
    check_options(threshold, denominator)
    with staged(Path(out), PAGE, DOCUMENT) as stage, styled():
        options: dict[str, Any] = {"model": model, "threshold": threshold, "denominator": denominator}
        return _write(run_sweep(before, steps, sweeps, progress=progress, **options), before, stage)


def _write(found: Sweep, before: str | Path, stage: Stage) -> Summary:
    output, names = stage.output, [axis.name for axis in found.axes]
    table, panels = wide(found), panels_of(found)
    output.table("sweep", found.table)
    output.table("sweep_wide", table)
    with open_capture(before) as cap:
        learn_scenes([cap.scene])
    figure = dose_response(found.table, names, panels)
    picture = output.figure("dose_response", figure, "Dose and response", _caption(found))
    notes = _notes(found)
    rows = [row | {"verdict": verdict(row["answer"], found.target, right=found.right)} for row in records(table)]
    with open_capture(before) as cap:
        page = render(
            "sweep.html.j2",
            title=f"Dose and response: {' + '.join(method for method, _ in found.steps)}",
            model=provenance.model_name(cap),
            question=cap.scene.question,
            target=found.target,
            right=found.right,
            corrections=_corrections(found, cap),
            names=names,
            columns=columns_of(found),
            rows=rows,
            notes=notes,
            runs=[{"setting": s.text, "notes": r["notes"]} for s, r in zip(found.settings, found.runs, strict=True)],
            pictures=[picture],
            capture=capture_page(cap, "plain"),
        )
    output.text(stage.page, page)
    summary = stage.summary(
        numbers={
            "kind": KIND,
            "before": str(before),
            "corrections": [{"method": method, "params": _plain(given)} for method, given in found.steps],
            "sweep": {axis.name: list(axis.values) for axis in found.axes},
            "answer": {"text": found.target, "right": found.right},
            "settings": [_setting(found, number) for number in range(len(found.settings))],
        },
        notes=notes,
    )
    output.json(DOCUMENT, summary.to_dict())
    return summary


def _setting(found: Sweep, number: int) -> dict[str, Any]:
    """One setting for JSON: its values, the answer, the options, every number with its change, what was done."""
    run, rows = found.runs[number], found.table[found.table["setting"] == number]
    of_options = rows["number"].str.endswith("of an option")
    return {
        "setting": number,
        "values": found.settings[number].values,
        "answer": run["answer"],
        "options": run["options"],
        "numbers": records(rows.loc[~of_options, ["number", "metric", "unit", "value", "change", "n", "counts"]]),
        "corrections": run["records"],
        "notes": run["notes"],
    }


def _caption(found: Sweep) -> str:
    others = ", ".join(axis.name for axis in found.axes[1:])
    lines = f" Lines: {others}." if others else ""
    whose = "the scene's right answer" if found.right else "the plain run's own answer"
    share = " Its probability is among the options." if found.runs[PLAIN]["options"] else ""
    return f"The answer that is followed is {whose}, “{found.target}”.{share}{lines} Dotted: the plain run."


def _notes(found: Sweep) -> list[str]:
    """What a reader must know: first that it is one prompt, then what the corrections themselves say most often."""
    notes = [ONE_PROMPT]
    if not found.right:
        notes.append("The scene has no right answer: the plain run's own answer is followed.")
    still = [
        setting.text
        for setting, run in zip(found.settings[1:], found.runs[1:], strict=True)
        if not any(heads for record in run["records"] for _, heads in record["active"])
    ]
    if still:
        some = "; ".join(still[:4]) + ("; ..." if len(still) > 4 else "")
        notes.append(f"In {len(still)} of {len(found.settings) - 1} settings no head was active: {some}.")
    return notes


def _corrections(found: Sweep, cap: Capture) -> list[dict[str, Any]]:
    """The corrections with all their parameters, as a before/after report has them; of a swept one, all its values."""
    records = []
    for step, one in enumerate(found.settings[PLAIN + 1].corrections):
        own = (axis for axis in found.axes if axis.step == step)
        values = {axis.key: f"swept: {', '.join(map(written, axis.values))}" for axis in own}
        records.append({"method": one.method, "params": one.params() | values, **about(one.method)})
    return [one | {"where": ""} for one in provenance.described(records, cap)]  # active heads: those of each setting


def _plain(given: Any) -> dict[str, Any]:
    """Given parameters in JSON's own types."""
    simple = (str, int, float, bool)
    return {k: v if isinstance(v, simple) else str(v) for k, v in given.items() if v is not None}

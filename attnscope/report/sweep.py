"""What a sweep's page and the terminal show: which numbers, in which table, under which titles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from attnscope.capture.read.capture import open as open_capture
from attnscope.correct.base import Correction
from attnscope.correct.dose.grid import Step
from attnscope.correct.dose.grid import said as said_of
from attnscope.correct.dose.sweep import ANSWER, HEADS, PLAIN, Progress, Sweep, run_sweep
from attnscope.correct.registry import about
from attnscope.report.figures.dose import Panel, dose_response
from attnscope.report.figures.labels import learn_scenes
from attnscope.report.figures.style import styled
from attnscope.report.inputs import check_options
from attnscope.report.page import provenance
from attnscope.report.page.captures import capture_page
from attnscope.report.page.numbers import number, ranked
from attnscope.report.page.render import render
from attnscope.report.page.staging import Stage, staged
from attnscope.report.page.summary import Summary, records
from attnscope.scene.names import equal_but_for_case
from attnscope.scene.problems import written

if TYPE_CHECKING:
    from attnscope.capture.read.capture import Capture
    from attnscope.model import LoadedModel

LIFT, SHARE = "Answer's lift on the asked speaker", "Mass share text \N{RIGHTWARDS ARROW} visual"
CONSISTENCY = ("Speaker consistency over chance, live frames", "Speaker consistency over chance, all frames")
MOST_PANELS = 4
_LABELS = {
    ANSWER[0]: "nats",
    ANSWER[1]: "share of the options",
    LIFT: "× uniform attention",
    SHARE: "share of mass",
} | dict.fromkeys(CONSISTENCY, "lift over chance")


def wide(found: Sweep) -> pd.DataFrame:
    """A row a setting, a column a number: `setting`, the swept parameters, `answer`, then every number."""
    rows = found.table.assign(
        column=[_column(*pair) for pair in zip(found.table["number"], found.table["of"], strict=True)]
    )
    first = ["setting", *(axis.name for axis in found.axes)]
    numbers = rows.pivot_table(index="setting", columns="column", values="value", sort=False, dropna=False)
    table = rows.drop_duplicates("setting")[first].set_index("setting")
    table["answer"] = [run["answer"].strip() for run in found.runs]
    log = _column(ANSWER[0], "")
    table["change"] = numbers[log] - numbers[log].iloc[PLAIN]
    return table.join(numbers).reset_index()


def panels_of(found: Sweep) -> list[Panel]:
    """What is drawn: the answer first, then where attention went; only what is defined."""
    defined = set(found.table.loc[found.table["value"].notna(), "number"])
    consistency = next((name for name in CONSISTENCY if name in defined), "")
    wanted = [ANSWER[0], ANSWER[1] if found.runs[PLAIN]["options"] else "", LIFT, consistency, SHARE]
    titles = titles_of(found.target)
    chosen = [name for name in wanted if name in defined][:MOST_PANELS]
    within = {ANSWER[1]: (0.0, 1.0)}
    return [Panel(name, titles.get(name, name), _LABELS[name], within.get(name)) for name in chosen]


def titles_of(target: str) -> dict[str, str]:
    """What the numbers of the followed answer are called where readers see them."""
    return {ANSWER[0]: f"Log-probability of “{target}”", ANSWER[1]: f"Probability of “{target}”"}


def columns_of(found: Sweep) -> dict[str, str]:
    """Numbers of the page's table and their titles: the active heads, then what is drawn."""
    return {HEADS: HEADS} | {panel.number: panel.title for panel in panels_of(found)}


def verdict(said: str, target: str, *, right: bool) -> str:
    """Whether an answer is the followed one, as `page.captures.verdict`; "" if that is not the scene's."""
    if not (said.strip() and right):
        return ""
    return "right" if equal_but_for_case(said, target) else "wrong"


def brief(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """The small table for a terminal: columns and rows, of the plain run first."""
    document = summary.numbers
    names, answer = list(document["sweep"]), document["answer"]
    titles = titles_of(answer["text"])
    chosen = [name for name in (*ANSWER, LIFT) if any(_value(one, name) is not None for one in document["settings"])]
    rows = []
    for one in document["settings"]:
        said = f"{one['answer'].strip()} {verdict(one['answer'], answer['text'], right=answer['right'])}".strip()
        doses = [_dose(one["values"][name]) for name in names] if one["values"] else ["plain", *[""] * (len(names) - 1)]
        rows.append([*doses, said or "—"])
    texts = [ranked([_value(one, name) for one in document["settings"]], 4) for name in (HEADS, *chosen)]
    rows = [[*row, *of_row] for row, *of_row in zip(rows, *texts, strict=True)]
    return [*names, "answer", "heads", *(titles.get(name, name) for name in chosen)], rows


def _value(setting: Mapping[str, Any], name: str) -> float | None:
    """A number of a setting of the JSON."""
    return next((row["value"] for row in setting["numbers"] if row["number"] == name), None)


def _dose(value: Any) -> str:
    return number(value, 6) if isinstance(value, float) else "none" if value is None else said_of(value)


def _column(number: str, of: str) -> str:
    """Name of a number's column; options have their text behind it."""
    return f"{number}: {of}" if of and number not in ANSWER else number


# The report of a sweep: one table, one figure of dose and response, one page.


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

"""The report of a sweep: tables, a figure of dose and response, a page, and what the terminal shows of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from attnscope.capture.read.capture import open as open_capture
from attnscope.correct.base import Correction
from attnscope.correct.dose.grid import Step
from attnscope.correct.dose.grid import said as dose_in_words
from attnscope.correct.dose.sweep import ANSWER, HEADS, PLAIN, Progress, Sweep, run_sweep
from attnscope.correct.registry import about
from attnscope.report.figures.dose import Panel, dose_response
from attnscope.report.figures.labels import learn_scenes
from attnscope.report.figures.style import styled
from attnscope.report.inputs import check_options
from attnscope.report.page import provenance
from attnscope.report.page.captures import capture_page
from attnscope.report.page.numbers import number, ranked
from attnscope.report.page.page import Page
from attnscope.report.page.section import Section
from attnscope.report.page.staging import Draft, draft
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
KIND = "sweep"
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
    csv: bool = False,
    progress: Progress | None = None,
) -> Summary:
    """Run a sweep and write its tables (tidy and wide), figure, `report.html` and `report.json`.

    Everything is written at the end: an interrupted sweep leaves nothing. A sweep's page that is there is replaced,
    with its tables and figures.

    Args:
        before: A plain capture.
        steps: Method and given parameters of each correction, applied in order; or corrections.
        sweeps: Swept parameters, "alpha=0.5,1,2".
        out: Folder to write into; made if it does not exist.
        model: The model, if it is not to be loaded again from where the capture had it.
        threshold: Covered fraction from which a cell counts as a speaker's.
        denominator: Denominator of the gap between self and cross attention.
        csv: Also write tables of more than 30,000 rows (`attnscope.metrics.export.CSV_ROWS`) as CSV.
        progress: Called with (what, done, total).

    Raises:
        RequestError: As `attnscope.correct.dose.sweep.run_sweep`, or if the folder cannot be used.
        RunError: If the output cannot be written.
    """
    check_options(threshold, denominator)
    with draft(Path(out)) as report, styled():
        report.output.csv = csv
        options: dict[str, Any] = {"model": model, "threshold": threshold, "denominator": denominator}
        return _write(run_sweep(before, steps, sweeps, progress=progress, **options), before, report)


def _write(result: Sweep, before: str | Path, report: Draft) -> Summary:
    output, names = report.output, [axis.name for axis in result.axes]
    table, panels = wide(result), panels_of(result)
    output.table("sweep", result.table)
    output.table("sweep_wide", table)
    rows = [row | {"verdict": verdict(row["answer"], result.target, right=result.right)} for row in records(table)]
    with open_capture(before) as cap:
        learn_scenes([cap.scene])
        section = Section("Dose and response", output=output, table="sweep_wide")
        figure = dose_response(result.table, names, panels)
        section.draw("dose_response", figure, "Dose and response", _caption(result))
        page = Page(
            "sweep.html.j2",
            title=f"Dose and response: {' + '.join(method for method, _ in result.steps)}",
            notes=_notes(result),
            sections=[section],
            captures=[capture_page(cap, "plain")],
            parts={
                "model": provenance.model_name(cap),
                "question": cap.scene.question,
                "target": result.target,
                "right": result.right,
                "corrections": _corrections(result, cap),
                "names": names,
                "columns": columns_of(result),
                "rows": rows,
                "runs": [
                    {"setting": setting.text, "notes": run["notes"]}
                    for setting, run in zip(result.settings, result.runs, strict=True)
                ],
            },
        )
    document = {
        "kind": KIND,
        "before": str(before),
        "corrections": [{"method": method, "params": _plain(given)} for method, given in result.steps],
        "sweep": {axis.name: list(axis.values) for axis in result.axes},
        "answer": {"text": result.target, "right": result.right},
        "settings": [_setting(result, number) for number in range(len(result.settings))],
    }
    return page.write(report, document)


def _setting(result: Sweep, number: int) -> dict[str, Any]:
    """One setting for JSON: its values, the answer, the options, every number with its change, what was done."""
    run, rows = result.runs[number], result.table[result.table["setting"] == number]
    of_options = rows["number"].str.endswith("of an option")
    return {
        "setting": number,
        "values": result.settings[number].values,
        "answer": run["answer"],
        "options": run["options"],
        "numbers": records(rows.loc[~of_options, ["number", "metric", "unit", "value", "change", "n", "counts"]]),
        "corrections": run["records"],
        "notes": run["notes"],
    }


def _caption(result: Sweep) -> str:
    others = ", ".join(axis.name for axis in result.axes[1:])
    lines = f" Lines: {others}." if others else ""
    whose = "the scene's right answer" if result.right else "the plain run's own answer"
    share = " Its probability is among the options." if result.runs[PLAIN]["options"] else ""
    return f"The answer that is followed is {whose}, “{result.target}”.{share}{lines} Dotted: the plain run."


def _notes(result: Sweep) -> list[str]:
    """What a reader must know: first that it is one prompt, then what the corrections themselves say most often."""
    notes = [ONE_PROMPT]
    if not result.right:
        notes.append("The scene has no right answer: the plain run's own answer is followed.")
    still = [
        setting.text
        for setting, run in zip(result.settings[1:], result.runs[1:], strict=True)
        if not any(heads for record in run["records"] for _, heads in record["active"])
    ]
    if still:
        some = "; ".join(still[:4]) + ("; ..." if len(still) > 4 else "")
        notes.append(f"In {len(still)} of {len(result.settings) - 1} settings no head was active: {some}.")
    return notes


def _corrections(result: Sweep, cap: Capture) -> list[dict[str, Any]]:
    """The corrections with all their parameters, as a before/after report has them; of a swept one, all its values."""
    records = []
    for step, correction in enumerate(result.settings[PLAIN + 1].corrections):
        own = (axis for axis in result.axes if axis.step == step)
        values = {axis.key: f"swept: {', '.join(map(written, axis.values))}" for axis in own}
        records.append(
            {"method": correction.method, "params": correction.params() | values, **about(correction.method)}
        )
    return [item | {"where": ""} for item in provenance.described(records, cap)]  # active heads: those of each setting


def _plain(given: Any) -> dict[str, Any]:
    """Given parameters in JSON's own types."""
    simple = (str, int, float, bool)
    return {k: v if isinstance(v, simple) else str(v) for k, v in given.items() if v is not None}


def wide(result: Sweep) -> pd.DataFrame:
    """A row a setting, a column a number: `setting`, the swept parameters, `answer`, then every number."""
    rows = result.table.assign(
        column=[_column(*pair) for pair in zip(result.table["number"], result.table["of"], strict=True)]
    )
    first = ["setting", *(axis.name for axis in result.axes)]
    numbers = rows.pivot_table(index="setting", columns="column", values="value", sort=False, dropna=False)
    table = rows.drop_duplicates("setting")[first].set_index("setting")
    table["answer"] = [run["answer"].strip() for run in result.runs]
    log = _column(ANSWER[0], "")
    table["change"] = numbers[log] - numbers[log].iloc[PLAIN]
    return table.join(numbers).reset_index()


def panels_of(result: Sweep) -> list[Panel]:
    """What is drawn: the answer first, then where attention went; only what is defined."""
    defined = set(result.table.loc[result.table["value"].notna(), "number"])
    consistency = next((name for name in CONSISTENCY if name in defined), "")
    wanted = [ANSWER[0], ANSWER[1] if result.runs[PLAIN]["options"] else "", LIFT, consistency, SHARE]
    titles = titles_of(result.target)
    chosen = [name for name in wanted if name in defined][:MOST_PANELS]
    within = {ANSWER[1]: (0.0, 1.0)}
    return [Panel(name, titles.get(name, name), _LABELS[name], within.get(name)) for name in chosen]


def titles_of(target: str) -> dict[str, str]:
    """What the numbers of the followed answer are called where readers see them."""
    return {ANSWER[0]: f"Log-probability of “{target}”", ANSWER[1]: f"Probability of “{target}”"}


def columns_of(result: Sweep) -> dict[str, str]:
    """Numbers of the page's table and their titles: the active heads, then what is drawn."""
    return {HEADS: HEADS} | {panel.number: panel.title for panel in panels_of(result)}


def verdict(text: str, target: str, *, right: bool) -> str:
    """Whether an answer is the followed one, as `page.captures.verdict`; "" if that is not the scene's."""
    if not (text.strip() and right):
        return ""
    return "right" if equal_but_for_case(text, target) else "wrong"


def brief(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """The small table for a terminal: columns and rows, of the plain run first."""
    document = summary.numbers
    names, answer = list(document["sweep"]), document["answer"]
    titles = titles_of(answer["text"])
    settings = document["settings"]
    chosen = [name for name in (*ANSWER, LIFT) if any(_value(own, name) is not None for own in settings)]
    rows = []
    for own in settings:
        text = f"{own['answer'].strip()} {verdict(own['answer'], answer['text'], right=answer['right'])}".strip()
        doses = [_dose(own["values"][name]) for name in names] if own["values"] else ["plain", *[""] * (len(names) - 1)]
        rows.append([*doses, text or "—"])
    texts = [ranked([_value(own, name) for own in settings], 4) for name in (HEADS, *chosen)]
    rows = [[*row, *of_row] for row, *of_row in zip(rows, *texts, strict=True)]
    return [*names, "answer", "heads", *(titles.get(name, name) for name in chosen)], rows


def _value(setting: Mapping[str, Any], name: str) -> float | None:
    """A number of a setting of the JSON."""
    return next((row["value"] for row in setting["numbers"] if row["number"] == name), None)


def _dose(value: Any) -> str:
    return number(value, 6) if isinstance(value, float) else "none" if value is None else dose_in_words(value)


def _column(number: str, of: str) -> str:
    """Name of a number's column; options have their text behind it."""
    return f"{number}: {of}" if of and number not in ANSWER else number

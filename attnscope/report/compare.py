"""Two captures of one scene side by side: what a correction, or anything else, has changed."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd

from attnscope import metrics
from attnscope.capture.reader import Capture
from attnscope.errors import RequestError
from attnscope.metrics.headline import change, headline
from attnscope.report import change_panels, provenance
from attnscope.report.answers import answer_text, options_change, verdict
from attnscope.report.capture_page import capture_page
from attnscope.report.html import render
from attnscope.report.inputs import Tables, check_options, compute_tables, open_all, subject
from attnscope.report.output import Output
from attnscope.report.style import styled
from attnscope.report.summary import Summary, records

NAMES = ("before", "after")


def compare(
    before: str | Path,
    after: str | Path,
    out: str | Path,
    speaker: str | None = None,
    threshold: float = 0.5,
    denominator: str = "max",
    caption: str = "",
) -> Summary:
    """Report what changed between two captures of one scene.

    Args:
        before: the capture to compare with.
        after: the capture of the changed run.
        out: folder to write into; made if it does not exist.
        speaker: whose attention is drawn over the frames; by default the first with words and a box.
        threshold: covered fraction from which a visual token counts as a speaker's.
        denominator: of the gap between self and cross attention.
        caption: a sentence that readers must see first, under the title.

    Returns:
        Where everything is, the change of the headline numbers, of the answer and of the options, and notes.

    Raises:
        RequestError: if the prompts differ, layers or heads differ, or an option is out of range.
        FormatError: if a file is not a complete capture.
        RunError: if the output cannot be written.
    """
    check_options(threshold, denominator)
    with ExitStack() as stack:
        one, two = caps = open_all([before, after], stack, one_model=False)
        require_same_prompt(one, two)
        subject(one, speaker)
        tables = [compute_tables([cap], [name], threshold) for cap, name in zip(caps, NAMES, strict=True)]
        numbers = headline_change(tables[0], tables[1], denominator)
        answers = options_change(one, two)
        output = Output(Path(out))
        for family in tables[0]:
            if family in tables[1]:
                output.table(f"{family}_change", change(tables[0][family], tables[1][family]))
        output.table("headline_change", numbers)
        output.table("options_change", answers)
        output.table("definitions", metrics.definitions())
        with styled():
            sections = change_panels.sections(output, one, two, tables[0], tables[1], speaker, denominator)
        notes = _notes(one, two, tables, threshold)
        said, verdicts = [answer_text(cap) for cap in caps], [verdict(cap) for cap in caps]
        pages = [capture_page(cap, name) for cap, name in zip(caps, NAMES, strict=True)]
        page = render(
            "compare.html.j2",
            title=f"Before and after: {provenance.model_name(one)}",
            files=[one.path.name, two.path.name],
            question=one.scene.question,
            expected=one.scene.answer,
            answers=said,
            verdicts=verdicts,
            options=records(answers),
            numbers=records(numbers),
            notes=notes,
            caption=caption,
            sections=sections,
            captures=pages,
        )
        report = output.text("report.html", page)
        summary = Summary(
            report=report,
            tables=output.tables,
            figures=output.figures,
            numbers={
                "before": str(one.path),
                "after": str(two.path),
                "settings": {"speaker": speaker, "threshold": threshold, "denominator": denominator},
                "headline": records(numbers),
                "answer": {
                    "before": said[0],
                    "after": said[1],
                    "changed": said[0] != said[1],
                    "verdict_before": verdicts[0] or None,
                    "verdict_after": verdicts[1] or None,
                },
                "options": records(answers),
                "active_heads": [list(head) for head in provenance.active_heads(two)],
            },
            notes=notes,
        )
        output.json("summary.json", summary.to_dict())
        return summary


def require_same_prompt(one: Capture, two: Capture) -> None:
    """Refuse captures whose prompts are not the same tokens: their positions would not mean the same.

    Raises:
        RequestError: naming the first difference.
    """
    if one.prompt_length != two.prompt_length:
        raise RequestError(
            f"{two.path}: the prompt has {two.prompt_length} tokens, that of {one.path} has "
            f"{one.prompt_length}; only captures of one scene can be compared"
        )
    n = one.prompt_length
    ids = [cap.tokens["token_id"].to_numpy()[:n] for cap in (one, two)]
    differ = np.flatnonzero(ids[0] != ids[1])
    if len(differ):
        at = int(differ[0])
        raise RequestError(
            f"{two.path}: token {at} of the prompt is {int(ids[1][at])}, in {one.path} it is "
            f"{int(ids[0][at])}; only captures of one scene can be compared"
        )


def headline_change(before: Tables, after: Tables, denominator: str) -> pd.DataFrame:
    """The headline numbers: `group`, `number`, `before`, `after`, `change`, `chance`, `p_before`, `p_after`."""
    one, two = headline(before, denominator), headline(after, denominator)
    joined = one.merge(two[["number", "value", "p"]], on="number", how="left", suffixes=("_before", "_after"))
    joined = joined.rename(columns={"value_before": "before", "value_after": "after"})
    joined["change"] = joined["after"] - joined["before"]
    return joined[["group", "number", "metric", "before", "after", "change", "chance", "p_before", "p_after"]]


def _notes(one: Capture, two: Capture, tables: list[Tables], threshold: float) -> list[str]:
    """What a reader must know before believing the difference."""
    notes: list[str] = []
    if not two.correction:
        notes.append("No correction is recorded in the second capture: the difference has another cause.")
    elif not provenance.active_heads(two):
        notes.append("No head was active: the correction changed nothing.")
    if one.correction:
        notes.append("The first capture was itself made with a correction in force.")
    if one.model.get("id") != two.model.get("id"):
        same = one.model.get("config_sha256") == two.model.get("config_sha256")
        why = "one configuration, loaded from two places" if same else "the difference is between models"
        notes.append(f"Before is {one.model.get('id')}, after is {two.model.get('id')}: {why}.")
    for field in ("dtype", "attention", "device"):
        a, b = one.model.get(field), two.model.get(field)
        if a != b:
            notes.append(f"The runs differ in {field} ({a} before, {b} after), which changes numbers by itself.")
    if _sinks_differ(one, two):
        notes.append("Other keys are sinks after than before; numbers without sinks are over other keys.")
    missing = set(tables[0]) ^ set(tables[1])
    notes += [
        f"Only one capture has the numbers of {family}; their change is not defined." for family in sorted(missing)
    ]
    notes += [f"{c.path.name}: the self-check FAILED." for c in (one, two) if c.check.get("passed") is False]
    return notes + metrics.explain(two, threshold=threshold)


def _sinks_differ(one: Capture, two: Capture) -> bool:
    n = one.prompt_length
    both = one.has("masses") and two.has("masses")
    return both and not np.array_equal(one.sinks[:, :n], two.sinks[:, :n])

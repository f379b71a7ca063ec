"""Two captures of one scene side by side: what a correction, or anything else, has changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from attnscope import metrics
from attnscope.capture.reader import Capture
from attnscope.metrics.headline import change, headline
from attnscope.report import change_panels, provenance
from attnscope.report.answers import answer_text, options_change, verdict
from attnscope.report.capture_page import capture_page
from attnscope.report.change import Change
from attnscope.report.cost import cost
from attnscope.report.html import render
from attnscope.report.inputs import Tables, check_options, compute_tables, open_all, subject
from attnscope.report.pairing import Pairing, pair, shown_by
from attnscope.report.panels import RISE
from attnscope.report.staged import Stage, staged
from attnscope.report.style import styled
from attnscope.report.summary import Summary, records

PAGE = "report.html"
NAMES = ("before", "after")


def compare(
    before: str | Path,
    after: str | Path,
    out: str | Path,
    speaker: str | None = None,
    threshold: float = 0.5,
    denominator: str = "max",
    jitter: Mapping[str, Any] | None = None,
    caption: str = "",
) -> Summary:
    """Report what changed between two captures of one scene.

    Everything is put there at the end: what is interrupted leaves the folder as it was.

    Args:
        before: the capture to compare with.
        after: the capture of the changed run.
        out: folder to write into; made if it does not exist.
        speaker: whose attention is drawn over the frames; by default the first with words and a box.
        threshold: covered fraction from which a visual token counts as a speaker's.
        denominator: of the gap between self and cross attention.
        jitter: options of `attnscope.metrics.jitter`: numbers that depend on boxes get a band from disturbed boxes, the
            same before and after.
        caption: a sentence that readers must see first, under the title.

    Returns:
        Where everything is, the change of the headline numbers, of the answer and of the options, and notes.

    Raises:
        RequestError: if the prompts differ in more than what a correction told the model, layers or heads differ, or
            an option is out of range.
        FormatError: if a file is not a complete capture.
        RunError: if the output cannot be written.
    """
    check_options(threshold, denominator)
    with ExitStack() as stack:
        one, two = caps = open_all([before, after], stack, one_model=False)
        paired = pair(one, two)
        subject(one, speaker)
        settings: dict[str, Any] = {"speaker": speaker, "threshold": threshold, "denominator": denominator}
        settings["jitter"] = None if jitter is None else dict(jitter)
        with staged(Path(out), PAGE) as stage, styled():
            return _write(stage, caps, paired, settings, caption)


def _write(
    stage: Stage, caps: Sequence[Capture], paired: Pairing, settings: Mapping[str, Any], caption: str
) -> Summary:
    """Compute everything and write it."""
    (one, two), output = caps, stage.output
    threshold, denominator, jitter = (settings[name] for name in ("threshold", "denominator", "jitter"))
    tables = [compute_tables([cap], [name], threshold, jitter) for cap, name in zip(caps, NAMES, strict=True)]
    numbers = headline_change(tables[0], tables[1], denominator)
    answers, spent = options_change(one, two), cost(one, two)
    said, verdicts = [answer_text(cap) for cap in caps], [verdict(cap) for cap in caps]
    changed = {f: change(tables[0][f], tables[1][f]) for f in tables[0] if f in tables[1]}
    for family, table in changed.items():
        output.table(f"{family}_change", table)
    output.table("headline_change", numbers)
    output.table("options_change", answers)
    output.table("definitions", metrics.definitions())
    touched = change_panels.touched_panels(output, one, two)
    found = Change(one, two, paired, tables[0], tables[1], settings["speaker"], denominator)
    sections = change_panels.sections(output, found)
    nothing = said[0] == said[1] and _unchanged([*changed.values(), answers])
    notes = [paired.note] * (not paired.same) + _notes(one, two, paired, nothing=nothing)
    notes += _left_out(caps, tables, threshold)
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
        heads=provenance.heads_said(provenance.active_heads(two), two.heads),
        touched=touched,
        cost=spent,
        numbers=records(numbers),
        interval=_interval(jitter),
        notes=notes,
        caption=caption,
        sections=sections,
        captures=pages,
    )
    output.text(stage.page, page)
    summary = stage.summary(
        numbers={
            "before": str(one.path),
            "after": str(two.path),
            "settings": dict(settings),
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
            "corrections": pages[1]["corrections"],
            "same_prompt": paired.same,
            "nothing_changed": nothing,
            "cost": spent.to_dict(),
        },
        notes=notes,
    )
    output.json("summary.json", summary.to_dict())
    return summary


def headline_change(before: Tables, after: Tables, denominator: str) -> pd.DataFrame:
    """The headline numbers: `group`, `number`, `metric`, then `before`, `after`, `change`, `chance`, `p` and band ends.

    `p`, `low` and `high` come twice, with `_before` and `_after`; without jitter there is no band.
    """
    one, two = headline(before, denominator), headline(after, denominator)
    own = ["value", "p", "low", "high"]
    joined = one.merge(two[["number", *own]], on="number", how="left", suffixes=("_before", "_after"))
    joined = joined.rename(columns={"value_before": "before", "value_after": "after"})
    joined["change"] = joined["after"] - joined["before"]
    ends = [f"{name}_{when}" for name in own[1:] for when in NAMES]
    return joined[["group", "number", "metric", "before", "after", "change", "chance", *ends]]


def _notes(one: Capture, two: Capture, paired: Pairing, *, nothing: bool) -> list[str]:
    """What a reader must know before believing the difference."""
    notes: list[str] = []
    shows = shown_by(two.correction)
    if not two.correction:
        notes.append("No correction is recorded in the second capture: the difference has another cause.")
    elif not provenance.active_heads(two) and not shows:
        notes.append("No head was active: the correction changed nothing.")
    elif nothing:
        notes.append("The correction changed nothing: the answer, the options and every number are the same.")
    if shows and not np.array_equal(one.frames.images, two.frames.images):
        notes.append(f"{' and '.join(shows)} changed the frames: those after are drawn as the model was shown them.")
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
    if _sinks_differ(one, two, paired):
        notes.append("Other keys are sinks after than before; numbers without sinks are over other keys.")
    notes += [f"{c.path.name}: the self-check FAILED." for c in (one, two) if c.check.get("passed") is False]
    earlier = provenance.warnings(one)
    return notes + [f"{two.path.name}: {said}" for said in provenance.warnings(two) if said not in earlier]


def _left_out(caps: Sequence[Capture], tables: Sequence[Tables], threshold: float) -> list[str]:
    """Numbers that one capture has and the other has not, and those that the second lacks."""
    missing = set(tables[0]) ^ set(tables[1])
    notes = [f"Only one capture has the numbers of {name}; their change is not defined." for name in sorted(missing)]
    return notes + metrics.explain(caps[1], threshold=threshold)


def _unchanged(tables: Sequence[pd.DataFrame]) -> bool:
    """Whether no number changed by more than rounding."""
    changes = [table["change"].to_numpy(np.float64) for table in tables]
    return all(np.nanmax(np.abs(some), initial=0.0) <= RISE for some in changes)


def _interval(jitter: Mapping[str, Any] | None) -> str:
    """What the bands beside the numbers are; "" if there are none."""
    return "" if jitter is None else f"{100 * float(jitter.get('level', 0.95)):g} % of disturbed boxes"


def _sinks_differ(one: Capture, two: Capture, paired: Pairing) -> bool:
    if not (one.has("masses") and two.has("masses")):
        return False
    own = np.flatnonzero(paired.partner >= 0)
    return not np.array_equal(one.sinks[:, own], two.sinks[:, paired.partner[own]])

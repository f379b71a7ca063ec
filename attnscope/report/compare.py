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
from attnscope.progress import Progress, part_of
from attnscope.report import change_panels, compare_notes, provenance
from attnscope.report.answers import answer_text, options_change, verdict
from attnscope.report.capture_page import capture_page
from attnscope.report.change import Change
from attnscope.report.cost import cost
from attnscope.report.html import render
from attnscope.report.inputs import Tables, check_options, compute_tables, open_all, subject
from attnscope.report.lettering import learn_scenes
from attnscope.report.pairing import Pairing, pair
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
    progress: Progress | None = None,
) -> Summary:
    """Report what changed between two captures of one scene.

    Everything is put there at the end: what is interrupted leaves the folder as it was. A report that is there is
    replaced, with its tables and figures.

    Args:
        before: the capture to compare with.
        after: the capture of the changed run.
        out: folder to write into; made if it does not exist.
        speaker: whose attention is drawn over the frames; by default the first with words and a box.
        threshold: covered fraction from which a visual token counts as a speaker's.
        denominator: of the gap between self and cross attention.
        jitter: options of `attnscope.metrics.jitter`: numbers that depend on boxes, and their changes, get a band from
            disturbed boxes, the same before and after.
        caption: a sentence that readers must see first, under the title.
        progress: called with (what, done, total); a total of 0 is not known.

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
        compare_notes.check_weights(one, two)
        paired = pair(one, two)
        subject(one, speaker)
        settings: dict[str, Any] = {"speaker": speaker, "threshold": threshold, "denominator": denominator}
        settings["jitter"] = None if jitter is None else dict(jitter)
        with staged(Path(out), PAGE) as stage, styled():
            stage.output.progress = progress
            learn_scenes([cap.scene for cap in caps])
            return _write(stage, caps, paired, settings, caption)


def _write(
    stage: Stage, caps: Sequence[Capture], paired: Pairing, settings: Mapping[str, Any], caption: str
) -> Summary:
    """Compute everything and write it."""
    (one, two), output = caps, stage.output
    threshold, denominator, jitter = (settings[name] for name in ("threshold", "denominator", "jitter"))
    tables = [
        compute_tables([cap], [name], threshold, progress=part_of(output.progress, number, len(caps)))
        for number, (cap, name) in enumerate(zip(caps, NAMES, strict=True))
    ]
    banded: Tables = {}
    if jitter is not None and all(cap.has("maps") and cap.scene.speakers for cap in caps):
        if output.progress is not None:
            output.progress("bands from disturbed boxes", 0, 0)
        *bands, banded = metrics.jitter_change(caps, tables, threshold=threshold, **jitter)
        tables = [found | own for found, own in zip(tables, bands, strict=True)]
    numbers = headline_change(tables[0], tables[1], denominator, banded)
    answers, spent = options_change(one, two), cost(one, two)
    said, verdicts = [answer_text(cap) for cap in caps], [verdict(cap) for cap in caps]
    both = [family for family in tables[0] if family in tables[1]]
    changed = {f: banded[f] if f in banded else change(tables[0][f], tables[1][f]) for f in both}
    for family, table in changed.items():
        output.table(f"{family}_change", table)
    output.table("headline_change", numbers)
    output.table("options_change", answers)
    output.table("definitions", metrics.definitions())
    touched = change_panels.touched_panels(output, one, two)
    found = Change(one, two, paired, tables[0], tables[1], settings["speaker"], denominator)
    sections = change_panels.sections(output, found)
    nothing = said[0] == said[1] and _unchanged([*changed.values(), answers])
    ends = [] if banded else [c for c in map(str, numbers) if c.startswith(("low_", "high_"))]
    headline_rows = records(numbers.drop(columns=ends))
    shown, no_sinks = compare_notes.worth_showing(headline_rows)
    if sections and sections[-1].get("said"):  # what is missing from the page stands at its end
        sections[-1]["said"] = [*sections[-1]["said"], *no_sinks]
    notes = [paired.note] * (not paired.same) + compare_notes.notes(one, two, paired, nothing=nothing)
    notes += compare_notes.gaps(two, headline_rows)
    notes += [compare_notes.NO_BAND] * (jitter is not None and not banded)
    notes += [*no_sinks, *compare_notes.left_out(caps, tables, threshold)]
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
        numbers=shown,
        interval=_interval(jitter) if banded else "",
        notes=notes,
        caption=caption,
        sections=sections,
        captures=pages,
    )
    output.text(stage.page, page)
    summary = stage.summary(
        numbers={
            "kind": "before-after",
            "before": str(one.path),
            "after": str(two.path),
            "settings": dict(settings),
            "headline": headline_rows,
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


def headline_change(before: Tables, after: Tables, denominator: str, banded: Tables | None = None) -> pd.DataFrame:
    """The headline numbers: `group`, `number`, `metric`, then `before`, `after`, `change`, `chance`, `p` and band ends.

    `p`, `low` and `high` come with `_before` and `_after`, the last two also with `_change`: those of `banded`, the
    tables of the change of `attnscope.metrics.jitter_change`. Without jitter there is no band.
    """
    one, two = headline(before, denominator), headline(after, denominator)
    own = ["value", "p", "low", "high"]
    joined = one.merge(two[["number", *own]], on="number", how="left", suffixes=("_before", "_after"))
    joined = joined.rename(columns={"value_before": "before", "value_after": "after"})
    joined["change"] = joined["after"] - joined["before"]
    as_values = {f: t.rename(columns={"change": "value"}).assign(capture="", n=0) for f, t in (banded or {}).items()}
    moved = headline(as_values, denominator).set_index("number")
    for end in ("low", "high"):
        joined[f"{end}_change"] = joined["number"].map(moved[end].to_dict()).astype(np.float64)
    ends = [*(f"{name}_{when}" for name in own[1:] for when in NAMES), "low_change", "high_change"]
    return joined[["group", "number", "metric", "before", "after", "change", "chance", *ends]]


def _unchanged(tables: Sequence[pd.DataFrame]) -> bool:
    """Whether no number changed by more than rounding."""
    changes = [table["change"].to_numpy(np.float64) for table in tables]
    return all(np.nanmax(np.abs(some), initial=0.0) <= RISE for some in changes)


def _interval(jitter: Mapping[str, Any]) -> str:
    """What the bands beside the numbers are."""
    how: dict[str, Any] = {"level": 0.95, "draws": 50, "amount": 0.1, "unit": "box", "drop": 0.0, "grow": 0.0, **jitter}
    moved = f"{100 * how['amount']:g} % of their size" if how["unit"] == "box" else f"{how['amount']:g} px"
    more = [f"made larger by {100 * how['grow']:g} %"] * bool(how["grow"])
    more += [f"missing in {100 * how['drop']:g} % of frames"] * bool(how["drop"])
    boxes = ", ".join([f"boxes moved by {moved}", *more, f"{how['draws']} draws, the same before and after"])
    return f"{100 * how['level']:g} % of disturbed boxes ({boxes})"

"""What a reader of a before/after report must know before believing the difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from attnscope import metrics
from attnscope.capture.read.capture import Capture
from attnscope.errors import RequestError
from attnscope.files import real_path
from attnscope.metrics.headline import NO_SINKS, change, headline
from attnscope.progress import Progress, part_of
from attnscope.report.change import Change
from attnscope.report.cost import cost
from attnscope.report.figures.labels import learn_scenes
from attnscope.report.figures.style import styled
from attnscope.report.inputs import Tables, check_options, compute_tables, open_all, subject
from attnscope.report.page import provenance
from attnscope.report.page.captures import answer_text, capture_page, options_change, verdict
from attnscope.report.page.numbers import number
from attnscope.report.page.render import render
from attnscope.report.page.staging import Stage, staged
from attnscope.report.page.summary import Summary, records
from attnscope.report.pairing import Pairing, pair, shown_by
from attnscope.report.sections import changes
from attnscope.report.sections.panels import RISE
from attnscope.weights import Match, match, where

NO_SINK = (
    "No key is a sink in either capture: numbers without sinks are those with them, and are left out of the page (the "
    "tables have them)."
)

NO_BAND = "No box was disturbed: a capture has no speakers' boxes, or no maps of attention, so no number has a band."


def cautions(one: Capture, two: Capture, paired: Pairing, *, nothing: bool) -> list[str]:
    """Sentences on both captures; `nothing`: no number changed."""
    found = _on_corrections(one, two, nothing=nothing)
    shows = shown_by(two.correction)
    if shows and not np.array_equal(one.frames.images, two.frames.images):
        found.append(f"{' and '.join(shows)} changed the frames: those after are drawn as the model was shown them.")
    found += _on_models(one, two)
    for field in ("dtype", "attention", "device"):
        a, b = one.model.get(field), two.model.get(field)
        if a != b:
            found.append(f"The runs differ in {field} ({a} before, {b} after), which changes numbers by itself.")
    if _sinks_differ(one, two, paired):
        found.append("Other keys are sinks after than before; numbers without sinks are over other keys.")
    found += [f"{c.path.name}: the self-check FAILED." for c in (one, two) if c.check.get("passed") is False]
    earlier = provenance.warnings(one)
    return found + [f"{two.path.name}: {said}" for said in provenance.warnings(two) if said not in earlier]


def gaps(two: Capture, numbers: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a MODA method did to the gap that it is meant to lower: one sentence, none without such a method.

    Args:
        two: the capture after.
        numbers: headline rows of the change.
    """
    methods = [str(record["method"]) for record in two.correction if str(record["method"]).startswith("moda-")]
    rows = [row for row in numbers if row["metric"] == "gap" and not row["number"].endswith(NO_SINKS)]
    rows = [row for row in rows if row["before"] is not None and row["after"] is not None]
    if not methods or not rows:
        return []
    parts = [f"{row['number']}: {number(row['before'])} before, {number(row['after'])} after" for row in rows]
    raised = [row for row in rows if row["after"] - row["before"] > RISE * max(abs(row["before"]), abs(row["after"]))]
    done = "and it does not rise"
    if raised:
        done = f"and it raises that of {' and '.join(row['number'].split()[2] for row in raised)} queries"
    said = f"{' + '.join(methods)} is meant to lower the gap between self and cross attention, {done}."
    return [f"{said} {'; '.join(parts)}."]


def left_out(caps: Sequence[Capture], tables: Sequence[Tables], threshold: float) -> list[str]:
    """Numbers that one capture has and the other has not, and those that the second lacks."""
    missing = set(tables[0]) ^ set(tables[1])
    found = [f"Only one capture has the numbers of {name}; their change is not defined." for name in sorted(missing)]
    return found + metrics.explain(caps[1], threshold=threshold)


def worth_showing(numbers: Sequence[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], list[str]]:
    """Headline rows for the page, and a note: those without sinks only where one of them says something of its own."""
    named = {row["number"]: row for row in numbers}
    without = [row for row in numbers if row["number"].endswith(NO_SINKS)]
    pairs = [(row, named.get(row["number"].removesuffix(NO_SINKS))) for row in without]
    if not any(row["before"] is not None or row["after"] is not None for row in without):
        return list(numbers), []
    if any(other is None or any(row[when] != other[when] for when in ("before", "after")) for row, other in pairs):
        return list(numbers), []
    return [row for row in numbers if row not in without], [NO_SINK]


def check_weights(one: Capture, two: Capture) -> None:
    """Refuse a correction whose effect cannot be told from that of other weights.

    Raises:
        RequestError: If a capture was made under a correction, and the weights are not those of the other.
    """
    if (one.correction or two.correction) and match(one.model, two.model) is Match.OTHER:
        raise RequestError(
            f"{two.path}: its weights are not those of {one.path}{where(one.model, two.model)}, so that the difference"
            " would be between models, not the effect of the correction; capture both with one model"
        )


def _on_models(one: Capture, two: Capture) -> list[str]:
    """Whether the two captures are of one model."""
    names = [one.model.get("id"), two.model.get("id")]
    found = match(one.model, two.model)
    if found is Match.OTHER or one.model.get("config_sha256") != two.model.get("config_sha256"):
        who = f"Before is {names[0]}, after is {names[1]}" if names[0] != names[1] else "The weights differ"
        place = where(one.model, two.model)
        return [f"{who}: the difference is between models{f' ({place.strip()})' if place else ''}."]
    if names[0] == names[1]:
        return []
    what = "one configuration" if found is Match.UNKNOWN else "the same weights"
    return [f"Before is {names[0]}, after is {names[1]}: {what}, loaded from two places."]


def _on_corrections(one: Capture, two: Capture, *, nothing: bool) -> list[str]:
    """What was corrected in which of the two."""
    if real_path(one.path) == real_path(two.path):
        return [f"These are the same capture, {two.path.name}: nothing can differ."]
    if one.correction and not two.correction:
        methods = " + ".join(str(record["method"]) for record in one.correction)
        return [
            f"The order looks reversed: the first capture, {one.path.name}, is the corrected one ({methods}), and no "
            "correction is recorded in the second."
        ]
    found = []
    if not two.correction:
        why = "nothing differs" if nothing else "the difference has another cause"
        found.append(f"No correction is recorded in the second capture: {why}.")
    elif not provenance.active_heads(two) and not shown_by(two.correction):
        found.append("No head was active: the correction changed nothing.")
    elif nothing:
        found.append("The correction changed nothing: the answer, the options and every number are the same.")
    if one.correction:
        found.append("The first capture was itself made with a correction in force.")
    return found


def _sinks_differ(one: Capture, two: Capture, paired: Pairing) -> bool:
    if not (one.has("masses") and two.has("masses")):
        return False
    own = np.flatnonzero(paired.partner >= 0)
    return not np.array_equal(one.sinks[:, own], two.sinks[:, paired.partner[own]])


# Two captures of one scene side by side: what a correction, or anything else, has changed.


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
        check_weights(one, two)
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
    touched = changes.touched_panels(output, one, two)
    found = Change(one, two, paired, tables[0], tables[1], settings["speaker"], denominator)
    sections = changes.sections(output, found)
    nothing = said[0] == said[1] and _unchanged([*changed.values(), answers])
    ends = [] if banded else [c for c in map(str, numbers) if c.startswith(("low_", "high_"))]
    headline_rows = records(numbers.drop(columns=ends))
    shown, no_sinks = worth_showing(headline_rows)
    if sections and sections[-1].get("said"):  # what is missing from the page stands at its end
        sections[-1]["said"] = [*sections[-1]["said"], *no_sinks]
    notes = [paired.note] * (not paired.same) + cautions(one, two, paired, nothing=nothing)
    notes += gaps(two, headline_rows)
    notes += [NO_BAND] * (jitter is not None and not banded)
    notes += [*no_sinks, *left_out(caps, tables, threshold)]
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

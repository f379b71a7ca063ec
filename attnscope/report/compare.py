"""Two captures of one scene side by side: what a correction, or anything else, has changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from attnscope import metrics
from attnscope.capture.read.capture import Capture
from attnscope.errors import RequestError
from attnscope.files import real_path
from attnscope.metrics.headline import NO_SINKS, headline
from attnscope.metrics.headline import change as tidy_change
from attnscope.progress import Progress, part_of
from attnscope.report.change import Change
from attnscope.report.control import Difference, check_control, uneven
from attnscope.report.cost import cost
from attnscope.report.figures.labels import learn_scenes
from attnscope.report.figures.style import styled
from attnscope.report.inputs import Tables, check_options, compute_tables, open_all, subject
from attnscope.report.page import provenance
from attnscope.report.page.captures import answer_text, capture_page, options_change, verdict
from attnscope.report.page.numbers import RISE, number
from attnscope.report.page.page import Page
from attnscope.report.page.section import Section
from attnscope.report.page.staging import Draft, draft
from attnscope.report.page.summary import Summary, records
from attnscope.report.page.words import stage_page
from attnscope.report.pairing import Pairing, pair, shown_by
from attnscope.report.sections import changes, correction
from attnscope.report.verdict import of_change
from attnscope.report.viewer.document import view_document
from attnscope.report.viewer.embedding import embed, room
from attnscope.vocabulary import MASSES, STATS
from attnscope.weights import Match, match, where

NO_SINK = (
    "No key is a sink in either capture: numbers without sinks are those with them, and are left out of the page (the "
    "tables have them)."
)

NO_BAND = "No box was disturbed: a capture has no speakers' boxes, or no maps of attention, so no number has a band."
NAMES = ("before", "after", "control")


def compare(
    before: str | Path,
    after: str | Path,
    out: str | Path,
    speaker: str | None = None,
    threshold: float = 0.5,
    denominator: str = "max",
    jitter: Mapping[str, Any] | None = None,
    csv: bool = False,
    caption: str = "",
    progress: Progress | None = None,
    control: str | Path | None = None,
) -> Summary:
    """Report what changed between two captures of one scene, and beside a correction what its control changed.

    Everything is put there at the end: what is interrupted leaves the folder as it was. A report that is there is
    replaced, with its tables and figures.

    Args:
        before: The capture to compare with.
        after: The capture of the changed run.
        out: Folder to write into; made if it does not exist.
        speaker: Whose attention is drawn over the frames; by default the first with words and a box.
        threshold: Covered fraction from which a visual token counts as a speaker's.
        denominator: Denominator of the gap between self and cross attention.
        jitter: Options of `attnscope.metrics.jitter`: numbers that depend on boxes, and their changes, get a band from
            disturbed boxes, the same before and after.
        csv: Also write tables of more than 30,000 rows (`attnscope.metrics.export.CSV_ROWS`) as CSV.
        caption: A sentence that readers must see first, under the title.
        progress: Called with (what, done, total); a total of 0 is not known.
        control: The capture of the same correction, as strong, on other cells or heads: what it does too is no effect
            of where the correction draws to.

    Returns:
        Where everything is, the change of the headline numbers, of the answer and of the options, and notes.

    Raises:
        RequestError: If the prompts differ in more than what a correction told the model, layers or heads differ, an
            option is out of range, or `control` is no control of the correction (`attnscope.report.control`).
        FormatError: If a file is not a complete capture.
        RunError: If the output cannot be written.

    Example:
        >>> summary = attnscope.report.compare("run.h5", "after.h5", "out")
        >>> summary.report.name, summary.report.exists()
        ('report.html', True)
    """
    check_options(threshold, denominator)
    with ExitStack() as stack:
        beside = [] if control is None else [control]
        caps = open_all([before, after, *beside], stack, one_model=False)
        first, second, *others = caps
        for cap in (second, *others):
            check_weights(first, cap)
        paired, *_ = [pair(first, cap) for cap in (second, *others)]
        for cap in others:
            check_control(second, cap)
        subject(first, speaker)
        settings: dict[str, Any] = {"speaker": speaker, "threshold": threshold, "denominator": denominator}
        settings["jitter"] = None if jitter is None else dict(jitter)
        with draft(Path(out)) as report, styled():
            report.output.progress, report.output.csv = progress, csv
            learn_scenes([cap.scene for cap in caps])
            return _write(report, caps, paired, settings, caption)


def _write(
    report: Draft, caps: Sequence[Capture], paired: Pairing, settings: Mapping[str, Any], caption: str
) -> Summary:
    """Compute everything and write it."""
    (first, second, *others), output = caps, report.output
    names = NAMES[: len(caps)]
    threshold, denominator, jitter = (settings[name] for name in ("threshold", "denominator", "jitter"))
    (before, after, *control), banded = _tables(caps, threshold, jitter, output.progress)
    numbers = headline_change(before, after, denominator, banded, control[0] if control else None)
    answers, spent = options_change(first, second, *others), cost(first, second)
    texts, verdicts = [answer_text(cap) for cap in caps], [verdict(cap) for cap in caps]
    changed = {f: banded[f] if f in banded else tidy_change(before[f], after[f]) for f in before if f in after}
    for family, table in changed.items():
        output.table(f"{family}_change", table)
    for own in control:
        for family in changed.keys() & own.keys():
            output.table(f"{family}_change_control", tidy_change(before[family], own[family]))
    output.table("headline_change", numbers)
    output.table("options_change", answers)
    output.table("definitions", metrics.definitions())
    touched = correction.of_change(output, first, second, *others)
    change = Change(output, first, second, paired, before, after, settings["speaker"], denominator)
    sections = changes.sections(change)
    is_unchanged = texts[0] == texts[1] and _unchanged([*changed.values(), answers])
    beside = [check_control(second, cap) for cap in others]
    ends = [] if banded else [c for c in map(str, numbers) if c.startswith(("low_", "high_"))]
    headline_rows = records(numbers.drop(columns=ends))
    rows, no_sinks = worth_showing(headline_rows)
    missing = metrics.explain(second, threshold=threshold)
    if missing:  # no matter of the correction, and so at the end
        missing = [*missing, *no_sinks]
        sections.append(Section("Not computed, and why", remarks=missing))
    notes = [] if paired.same else [paired.note]
    notes += [*cautions(first, second, paired, nothing=is_unchanged), *gaps(second, headline_rows)]
    notes += [text for cap in others for text in of_control(first, second, cap)]
    if jitter is not None and not banded:
        notes.append(NO_BAND)
    notes += [*no_sinks, *left_out(caps, [before, after], threshold)]
    pages = [capture_page(cap, name) for cap, name in zip(caps, names, strict=True)]
    judged = of_change(first, second, *others, threshold=threshold)
    figures = [picture for section in sections for picture in section.pictures]
    page = Page(
        "compare.html.j2",
        title=f"Before and after: {provenance.model_name(first)}",
        notes=notes,
        sections=sections,
        captures=pages,
        caption=caption,
        viewer=embed(view_document(caps, [before, after, *control], names, budget=room(figures), facts=judged.facts)),
        parts={
            "verdict": judged,
            "missing": missing,
            "stages": [{"name": NAMES[0], **stage_page(first)}],
            "files": [cap.path.name for cap in caps],
            "question": first.scene.question,
            "expected": first.scene.answer,
            "answers": texts,
            "verdicts": verdicts,
            "options": records(answers),
            "heads": provenance.heads_in_words(provenance.active_heads(second), second.heads),
            "touched": touched,
            "control": beside[0] if beside else [],
            "cost": spent,
            "numbers": rows,
            "interval": _interval(jitter) if banded else "",
        },
    )
    document = {
        "kind": "before-after",
        "verdict": judged.to_dict(),
        "before": str(first.path),
        "after": str(second.path),
        "settings": dict(settings),
        "headline": headline_rows,
        "answer": {
            "before": texts[0],
            "after": texts[1],
            "changed": texts[0] != texts[1],
            "verdict_before": verdicts[0] or None,
            "verdict_after": verdicts[1] or None,
            **({"control": texts[2], "verdict_control": verdicts[2] or None} if others else {}),
        },
        "control": _control_document(others[0], beside[0], pages[2]) if others else None,
        "options": records(answers),
        "active_heads": [list(head) for head in provenance.active_heads(second)],
        "corrections": pages[1]["corrections"],
        "same_prompt": paired.same,
        "nothing_changed": is_unchanged,
        "cost": spent.to_dict(),
    }
    return page.write(report, document)


def _tables(
    caps: Sequence[Capture], threshold: float, jitter: Mapping[str, Any] | None, progress: Progress | None
) -> tuple[list[Tables], Tables]:
    """The tables of each capture, and those of the change that have a band of disturbed boxes."""
    tables = [
        compute_tables([cap], [name], threshold, progress=part_of(progress, number, len(caps)))
        for number, (cap, name) in enumerate(zip(caps, NAMES, strict=False))
    ]
    if jitter is None or not all(cap.has("maps") and cap.scene.speakers for cap in caps[:2]):
        return tables, {}
    if progress is not None:
        progress("bands from disturbed boxes", 0, 0)
    *bands, banded = metrics.jitter_change(caps[:2], tables[:2], threshold=threshold, **jitter)
    return [*(own | with_bands for own, with_bands in zip(tables[:2], bands, strict=True)), *tables[2:]], banded


def _control_document(cap: Capture, differences: Sequence[Difference], page: Mapping[str, Any]) -> dict[str, Any]:
    """What the JSON says of a control."""
    return {
        "capture": str(cap.path),
        "differs_in": [asdict(one) for one in differences],
        "active_heads": [list(head) for head in provenance.active_heads(cap)],
        "corrections": page["corrections"],
    }


def headline_change(
    before: Tables, after: Tables, denominator: str, banded: Tables | None = None, control: Tables | None = None
) -> pd.DataFrame:
    """The headline numbers: `group`, `number`, `metric`, then `before`, `after`, `change`, `chance`, `p` and band ends.

    `p`, `low` and `high` come with `_before` and `_after`, the last two also with `_change`: those of `banded`, the
    tables of the change of `attnscope.metrics.jitter_change`. Without jitter there is no band. With the tables of a
    control there is also `control`, and `change_control`: it less before.
    """
    own = ["value", "p", "low", "high"]
    numbers = headline(after, denominator)[["number", *own]]
    joined = headline(before, denominator).merge(numbers, on="number", how="left", suffixes=("_before", "_after"))
    joined = joined.rename(columns={"value_before": "before", "value_after": "after"})
    joined["change"] = joined["after"] - joined["before"]
    as_values = {f: t.rename(columns={"change": "value"}).assign(capture="", n=0) for f, t in (banded or {}).items()}
    moved = headline(as_values, denominator).set_index("number")
    for end in ("low", "high"):
        joined[f"{end}_change"] = joined["number"].map(moved[end].to_dict()).astype(np.float64)
    ends = [*(f"{name}_{when}" for name in own[1:] for when in NAMES[:2]), "low_change", "high_change"]
    beside = []
    if control is not None:
        values = headline(control, denominator).set_index("number")["value"].to_dict()
        joined["control"] = joined["number"].map(values).astype(np.float64)
        joined["change_control"] = joined["control"] - joined["before"]
        beside = ["control", "change_control"]
    return joined[["group", "number", "metric", "before", "after", "change", *beside, "chance", *ends]]


def _unchanged(tables: Sequence[pd.DataFrame]) -> bool:
    """Whether no number changed by more than rounding."""
    columns = [table["change"].to_numpy(np.float64) for table in tables]
    return all(np.nanmax(np.abs(column), initial=0.0) <= RISE for column in columns)


def _interval(jitter: Mapping[str, Any]) -> str:
    """What the bands beside the numbers are."""
    how: dict[str, Any] = {"level": 0.95, "draws": 50, "amount": 0.1, "unit": "box", "drop": 0.0, "grow": 0.0, **jitter}
    moved = f"{100 * how['amount']:g} % of their size" if how["unit"] == "box" else f"{how['amount']:g} px"
    boxes = [f"boxes moved by {moved}"]
    if how["grow"]:
        boxes.append(f"made larger by {100 * how['grow']:g} %")
    if how["drop"]:
        boxes.append(f"missing in {100 * how['drop']:g} % of frames")
    text = ", ".join([*boxes, f"{how['draws']} draws, the same before and after"])
    return f"{100 * how['level']:g} % of disturbed boxes ({text})"


# What a reader must know before believing the difference.

_SAMPLED = {  # by reading, what is known of a sample of the visual queries by default
    STATS: "the entropy of visual queries",
    MASSES: "what visual queries give to single frames and speakers' cells",
}


def cautions(first: Capture, second: Capture, paired: Pairing, *, nothing: bool) -> list[str]:
    """Sentences on both captures; `nothing`: no number changed."""
    sentences = _on_corrections(first, second, nothing=nothing)
    shows = shown_by(second.correction)
    if shows and not np.array_equal(first.frames.images, second.frames.images):
        sentences.append(
            f"{' and '.join(shows)} changed the frames: those after are drawn as the model was shown them."
        )
    sentences += _on_models(first, second)
    for field in ("dtype", "attention", "device"):
        a, b = first.model.get(field), second.model.get(field)
        if a != b:
            sentences.append(f"The runs differ in {field} ({a} before, {b} after), which changes numbers by itself.")
    if first.placing.how != second.placing.how:
        how = f"{first.placed} before, {second.placed} after"
        sentences.append(f"Visual tokens were placed in two ways ({how}), which changes numbers of speakers by itself.")
    for reading, numbers in _SAMPLED.items():
        read = [cap.has(reading) and bool(cap.was_read(reading).all()) for cap in (first, second)]
        if first.has(reading) and second.has(reading) and read[0] != read[1]:
            kinds = ["all of them" if every else "a sample" for every in read]
            sentences.append(
                f"Visual queries were read in two ways ({kinds[0]} before, {kinds[1]} after): a change of"
                f" {numbers} includes the error of the sample."
            )
    if _sinks_differ(first, second, paired):
        sentences.append("Other keys are sinks after than before; numbers without sinks are over other keys.")
    sentences += [f"{c.path.name}: the self-check FAILED." for c in (first, second) if c.check.get("passed") is False]
    earlier = provenance.warnings(first)
    return sentences + [f"{second.path.name}: {text}" for text in provenance.warnings(second) if text not in earlier]


def of_control(first: Capture, second: Capture, control: Capture) -> list[str]:
    """Sentences on a control that readers must know: other runs, another number of heads, a failed self-check."""
    sentences = [f"Control: {text[0].lower()}{text[1:]}" for text in _on_models(first, control)]
    for field in ("dtype", "attention", "device"):
        a, b = second.model.get(field), control.model.get(field)
        if a != b:
            sentences.append(f"The control differs from the correction in {field} ({b}, not {a}).")
    if uneven_heads := uneven(second, control):
        sentences.append(uneven_heads)
    if control.check.get("passed") is False:
        sentences.append(f"{control.path.name}: the self-check FAILED.")
    return sentences


def gaps(second: Capture, numbers: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a MODA method did to the gap that it is meant to lower: one sentence, none without such a method.

    Args:
        second: The capture after.
        numbers: Headline rows of the change.
    """
    methods = [str(record["method"]) for record in second.correction if str(record["method"]).startswith("moda-")]
    rows = [row for row in numbers if row["metric"] == "gap" and not row["number"].endswith(NO_SINKS)]
    rows = [row for row in rows if row["before"] is not None and row["after"] is not None]
    if not methods or not rows:
        return []
    parts = [f"{row['number']}: {number(row['before'])} before, {number(row['after'])} after" for row in rows]
    raised = [row for row in rows if row["after"] - row["before"] > RISE * max(abs(row["before"]), abs(row["after"]))]
    done = "and it does not rise"
    if raised:
        done = f"and it raises that of {' and '.join(row['number'].split()[2] for row in raised)} queries"
    sentence = f"{' + '.join(methods)} is meant to lower the gap between self and cross attention, {done}."
    return [f"{sentence} {'; '.join(parts)}."]


def left_out(caps: Sequence[Capture], tables: Sequence[Tables], threshold: float) -> list[str]:
    """Numbers that one capture has and the other has not, and those that the second lacks."""
    missing = set(tables[0]) ^ set(tables[1])
    sentences = [
        f"Only one capture has the numbers of {name}; their change is not defined." for name in sorted(missing)
    ]
    return sentences + metrics.explain(caps[1], threshold=threshold)


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


def check_weights(first: Capture, second: Capture) -> None:
    """Refuse a correction whose effect cannot be told from that of other weights.

    Raises:
        RequestError: If a capture was made under a correction, and the weights are not those of the other.
    """
    if (first.correction or second.correction) and match(first.model, second.model) is Match.OTHER:
        raise RequestError(
            f"{second.path}: its weights are not those of {first.path}{where(first.model, second.model)}, so that the"
            " difference would be between models, not the effect of the correction; capture both with one model"
        )


def _on_models(first: Capture, second: Capture) -> list[str]:
    """Whether the two captures are of one model."""
    names = [first.model.get("id"), second.model.get("id")]
    weights = match(first.model, second.model)
    if weights is Match.OTHER or first.model.get("config_sha256") != second.model.get("config_sha256"):
        who = f"Before is {names[0]}, after is {names[1]}" if names[0] != names[1] else "The weights differ"
        place = where(first.model, second.model)
        return [f"{who}: the difference is between models{f' ({place.strip()})' if place else ''}."]
    if names[0] == names[1]:
        return []
    what = "one configuration" if weights is Match.UNKNOWN else "the same weights"
    return [f"Before is {names[0]}, after is {names[1]}: {what}, loaded from two places."]


def _on_corrections(first: Capture, second: Capture, *, nothing: bool) -> list[str]:
    """What was corrected in which of the two."""
    if real_path(first.path) == real_path(second.path):
        return [f"These are the same capture, {second.path.name}: nothing can differ."]
    if first.correction and not second.correction:
        methods = " + ".join(str(record["method"]) for record in first.correction)
        return [
            f"The order looks reversed: the first capture, {first.path.name}, is the corrected one ({methods}), and no "
            "correction is recorded in the second."
        ]
    sentences = []
    if not second.correction:
        why = "nothing differs" if nothing else "the difference has another cause"
        sentences.append(f"No correction is recorded in the second capture: {why}.")
    elif not provenance.active_heads(second) and not shown_by(second.correction):
        sentences.append("No head was active: the correction changed nothing.")
    elif nothing:
        sentences.append("The correction changed nothing: the answer, the options and every number are the same.")
    if first.correction:
        sentences.append("The first capture was itself made with a correction in force.")
    return sentences


def _sinks_differ(first: Capture, second: Capture, paired: Pairing) -> bool:
    if not (first.has("masses") and second.has("masses")):
        return False
    own = np.flatnonzero(paired.partner >= 0)
    return not np.array_equal(first.sinks[:, own], second.sinks[:, paired.partner[own]])

"""What a reader of a before/after report must know before believing the difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from attnscope import metrics
from attnscope.capture.reader import Capture
from attnscope.errors import RequestError
from attnscope.files import real_path
from attnscope.metrics.headline_lines import NO_SINKS
from attnscope.report import provenance
from attnscope.report.inputs import Tables
from attnscope.report.numbers import number
from attnscope.report.pairing import Pairing, shown_by
from attnscope.report.panels import RISE
from attnscope.weights import Match, match, where

NO_SINK = (
    "No key is a sink in either capture: numbers without sinks are those with them, and are left out of the page (the "
    "tables have them)."
)

NO_BAND = "No box was disturbed: a capture has no speakers' boxes, or no maps of attention, so no number has a band."


def notes(one: Capture, two: Capture, paired: Pairing, *, nothing: bool) -> list[str]:
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

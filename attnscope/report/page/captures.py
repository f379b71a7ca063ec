"""What a page says of a capture: the answer and its options, where it comes from, and why numbers are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from attnscope import metrics
from attnscope.report.page import provenance
from attnscope.report.page.summary import records
from attnscope.report.sections.panels import MOST_OVERLAYS
from attnscope.scene.names import equal_but_for_case
from attnscope.vocabulary import has_cell

if TYPE_CHECKING:
    from attnscope.capture import Capture


COLUMNS = ("option", "expected", "tokens", "logprob", "share")
UNLIKELY = 0.01  # probability of all options together, below which their shares say little of what the model says


def capture_page(cap: Capture, name: str) -> dict[str, Any]:
    """What the page says about one capture: answer, options, provenance, self-check, warnings."""
    word, checks = provenance.checks(cap)
    return {
        "name": name,
        "question": cap.scene.question,
        "expected": cap.scene.answer,
        "answer": answer_text(cap),
        "options": records(options(cap)),
        "provenance": provenance.provenance(cap),
        "check": word,
        "checks": checks,
        "corrections": provenance.corrections(cap),
        "warnings": provenance.warnings(cap),
    }


def notes(caps: Sequence[Capture], names: Sequence[str], threshold: float) -> list[str]:
    """Why numbers are missing, each sentence once."""
    names_by_note: dict[str, list[str]] = {}
    for name, cap in zip(names, caps, strict=True):
        failed = ["The self-check FAILED: do not trust these numbers."] if cap.check.get("passed") is False else []
        for note in [*failed, *metrics.explain(cap, threshold=threshold)]:
            names_by_note.setdefault(note, []).append(name)
    if len(caps) == 1:
        return list(names_by_note)
    out = [note if len(who) == len(caps) else f"{', '.join(who)}: {note}" for note, who in names_by_note.items()]
    if len(caps) > MOST_OVERLAYS:
        out.append(f"Frames are shown for the first {MOST_OVERLAYS} of {len(caps)} captures.")
    return out


def options(cap: Capture) -> pd.DataFrame:
    """The options: `option`, `expected` (the scene's answer), `tokens`, `logprob`, `share`."""
    scored = cap.answer.get("options") or []
    lp = np.array([np.nan if o.get("logprob") is None else float(o["logprob"]) for o in scored], dtype=np.float64)
    finite = np.isfinite(lp)
    top = lp[finite].max() if finite.any() else 0.0
    weight = np.where(finite, np.exp(np.where(finite, lp, top) - top), 0.0)
    rows = [
        {
            "option": o["text"],
            "expected": cap.scene.answer is not None and o["text"] == cap.scene.answer,
            "tokens": len(o.get("tokens") or []),
            "logprob": lp[i],
            "share": weight[i] / weight.sum() if weight.sum() > 0 else np.nan,
        }
        for i, o in enumerate(scored)
    ]
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS))


def placing(cap: Capture, name: str) -> dict[str, Any]:
    """How the visual tokens got their places: `capture`, `placed`, `family`, `cells`, `verified`, `reason`."""
    how = cap.placing
    return {
        "capture": name,
        "placed": how.how,
        "family": str(cap.model.get("family")),
        "cells": int(has_cell(cap.tokens).sum()),
        "verified": np.nan if how.verified is None else how.verified,
        "reason": how.reason,
    }


def options_change(before: Capture, after: Capture, control: Capture | None = None) -> pd.DataFrame:
    """The options of two captures of one scene: log-probability (`change`) and share (`share_change`).

    With a control there are also `logprob_control` and `share_control`.
    """
    first, second = options(before), options(after)
    own = ["option", "logprob", "share"]
    joined = first.merge(second[own], on="option", how="left", suffixes=("_before", "_after"))
    joined["change"] = joined["logprob_after"] - joined["logprob_before"]
    joined["share_change"] = joined["share_after"] - joined["share_before"]
    if control is not None:
        names = {"logprob": "logprob_control", "share": "share_control"}
        joined = joined.merge(options(control)[own].rename(columns=names), on="option", how="left")
    return joined


def together(options: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Logarithm of the probability of all options together, `before` and `after`; None where no option has one.

    Args:
        options: Rows of `options_change`, as dicts with None where a number is not defined.
    """
    out: dict[str, float | None] = {}
    for when in ("before", "after"):
        known = [o[f"logprob_{when}"] for o in options if o[f"logprob_{when}"] is not None]
        out[when] = float(np.logaddexp.reduce(known)) if known else None
    return out


def unlikely(options: Sequence[Mapping[str, Any]]) -> list[str]:
    """When ("before", "after") the options together are too improbable for their shares to mean much."""
    return [when for when, log in together(options).items() if log is not None and log < np.log(UNLIKELY)]


def answer_text(cap: Capture) -> str:
    """What the model said; a dash if it was asked for nothing."""
    return str(cap.answer.get("text") or "").strip() or "—"


def verdict(cap: Capture) -> str:
    """Whether the answer is the scene's: `right` or `wrong`, or "" where the scene has none or nothing was said.

    Surrounding white space and case do not count (ours, as in `attnscope eval`).
    """
    text, expected = str(cap.answer.get("text") or "").strip(), cap.scene.answer
    if not text or expected is None:
        return ""
    return "right" if equal_but_for_case(text, expected) else "wrong"

"""What a page says of each capture, and why numbers of captures are missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attnscope import metrics
from attnscope.report import provenance
from attnscope.report.answers import answer_text, options
from attnscope.report.panels import MOST_OVERLAYS
from attnscope.report.summary import records

if TYPE_CHECKING:
    from attnscope.capture import Capture


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
    found: dict[str, list[str]] = {}
    for name, cap in zip(names, caps, strict=True):
        failed = ["The self-check FAILED: do not trust these numbers."] if cap.check.get("passed") is False else []
        for note in [*failed, *metrics.explain(cap, threshold=threshold)]:
            found.setdefault(note, []).append(name)
    if len(caps) == 1:
        return list(found)
    out = [note if len(who) == len(caps) else f"{', '.join(who)}: {note}" for note, who in found.items()]
    if len(caps) > MOST_OVERLAYS:
        out.append(f"Frames are shown for the first {MOST_OVERLAYS} of {len(caps)} captures.")
    return out

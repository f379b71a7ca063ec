"""The sections of a before/after report, in their order."""

from __future__ import annotations

from attnscope.report.change import Change
from attnscope.report.page.provenance import acted_on_answer
from attnscope.report.page.section import Section
from attnscope.report.sections import answer, frames, layers, modality, speakers


def sections(change: Change) -> list[Section]:
    """Where the answer looks comes first if the correction acted on the answer, else who attends to whom."""
    first, second = (answer, speakers) if acted_on_answer(change.second) else (speakers, answer)
    return [part.of_change(change) for part in (first, second, frames, layers, modality)]

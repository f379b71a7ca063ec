"""The sections of a before/after report, in their order."""

from __future__ import annotations

from functools import partial

from attnscope.report.change import Change
from attnscope.report.page.drawing import Maker, draw_sections
from attnscope.report.page.provenance import acted_on_answer
from attnscope.report.page.section import Section
from attnscope.report.sections import answer, frames, layers, modality, speakers


def sections(change: Change) -> list[Section]:
    """Where the answer looks comes first if the correction acted on the answer, else who attends to whom."""
    first, second = (answer, speakers) if acted_on_answer(change.second) else (speakers, answer)
    parts = (first, second, frames, layers, modality)
    makers = [Maker(partial(part.of_change, change), part in (speakers, modality)) for part in parts]
    return draw_sections(change.output, makers)

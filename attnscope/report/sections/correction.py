"""The section on what was changed: what the model was shown, and which heads the corrections touched."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from attnscope.report.control import same_heads
from attnscope.report.figures import heads
from attnscope.report.figures.frames.backdrop import backdrop
from attnscope.report.figures.frames.overlay import frames_change
from attnscope.report.page.output import Output
from attnscope.report.page.provenance import touched
from attnscope.report.page.section import Section
from attnscope.report.pairing import shown_by

if TYPE_CHECKING:
    from attnscope.capture import Capture


def of_change(output: Output, first: Capture, second: Capture, control: Capture | None = None) -> Section:
    """The frames before and after, if a correction changed them, and the heads that corrections touched, if any.

    Of a control its heads are drawn if they are others.
    """
    section = Section("What was changed", output=output)
    if shown_by(second.correction) and not np.array_equal(first.frames.images, second.frames.images):
        figure = frames_change(backdrop(first, None), first.frames.images, second.frames.images)
        caption = "The frames as the model was shown them; the correction changed them, not the attention."
        section.draw("frames_shown", figure, "Frames before and after", caption)
    runs = [(second, "heads_touched", "Heads touched")]
    if control is not None and not same_heads(second, control):
        runs.append((control, "heads_touched_control", "Heads that the control touched"))
    for cap, name, title in runs:
        _draw_heads(section, cap, name, title)
    return section


def _draw_heads(section: Section, cap: Capture, name: str, title: str) -> None:
    """The heads in which the corrections of a capture acted, if there are any."""
    heads_by_correction = touched(cap)
    if heads_by_correction:
        caption = "In colour: the heads in which a correction acted."
        if any(own & other for own, other in combinations(heads_by_correction.values(), 2)):
            caption += " The cell of a head in which several acted is divided among them."
        layers = [int(n) for n in cap.layers]
        figure = [heads.heads_touched(layers, cap.heads, heads_by_correction)]
        section.draw(name, figure, f"{title}, by layer", caption)

"""The captures of a document, and where each has the cells that it is drawn on: captures of one prompt share them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import RequestError
from attnscope.report.pairing import Pairing, pair, shown_by
from attnscope.vocabulary import has_cell

if TYPE_CHECKING:
    from attnscope.capture import Capture

PLACE = ["frame_first", "frame_last", "x0", "y0", "x1", "y1"]


@dataclass(frozen=True)
class Shown:
    """One capture of a document.

    Attributes:
        cap: The capture, open.
        label: What it is among the others: `before`, `after`, `control`, a name, or "".
        stage: Number of the stage that it is drawn on.
        first: The capture whose stage it is: itself, or an earlier one.
        cells: Position in this capture of each cell of the stage, [T].
        leads: Whether the stage is its own.
        note: How its prompt differs from that of `first`, a sentence; "" where it does not.
    """

    cap: Capture
    label: str
    stage: int
    first: Capture
    cells: NDArray[np.int64]
    leads: bool
    note: str = ""

    @cached_property
    def other_frames(self) -> bool:
        """Whether the model was shown other pictures than those of the stage: a correction drew on them."""
        return not self.leads and not _same_pictures(self.first, self.cap)


def arrange(caps: Sequence[Capture], labels: Sequence[str]) -> list[Shown]:
    """Give every capture a stage: that of an earlier capture which was shown the same, else one of its own.

    Args:
        caps: Open captures.
        labels: What each of them is called beside the others, "" for a single one.

    Returns:
        One entry a capture. The cells of a stage are those of its first capture, in the order of their positions.
    """
    out: list[Shown] = []
    for cap, label in zip(caps, labels, strict=True):
        for own in [one for one in out if one.leads]:
            paired = _paired(own.cap, cap)
            if paired is not None:
                out.append(
                    Shown(cap, label, own.stage, own.cap, paired.partner[own.cells], leads=False, note=paired.note)
                )
                break
        else:
            stages = len({one.stage for one in out})
            out.append(Shown(cap, label, stages, cap, cells_of(cap), leads=True))
    return out


def cells_of(cap: Capture) -> NDArray[np.int64]:
    """Positions of the visual tokens that have a place in the frames, [T]."""
    placed = has_cell(cap.tokens) & (cap.tokens["frame_first"].to_numpy(np.int64) >= 0)
    return np.flatnonzero(placed).astype(np.int64)


def _paired(first: Capture, second: Capture) -> Pairing | None:
    """How two captures that were shown the same scene are paired; None where they were not, or cells differ."""
    try:
        paired = pair(first, second)
    except RequestError:
        return None
    cells = cells_of(first)
    others = paired.partner[cells]
    if (others < 0).any() or not np.array_equal(np.sort(others), cells_of(second)) or not _same_scene(first, second):
        return None
    own, other = (c.tokens[PLACE].to_numpy(np.float64)[at] for c, at in ((first, cells), (second, others)))
    return paired if np.array_equal(own, other) else None


def _same_scene(first: Capture, second: Capture) -> bool:
    """Whether frames, people and turns are the same; pictures may differ where a correction drew on them."""
    a, b = first.frames, second.frames
    if (a.kind, a.width, a.height) != (b.kind, b.width, b.height) or not np.array_equal(a.times, b.times):
        return False
    one, other = first.scene, second.scene
    if (one.speakers, one.question, one.box_units) != (other.speakers, other.question, other.box_units):
        return False
    if shown_by([*first.correction, *second.correction]):  # it may have drawn on the frames, and added words
        return True
    return one.transcript == other.transcript and _same_pictures(first, second)


def _same_pictures(first: Capture, second: Capture) -> bool:
    frames = range(len(first.frames))
    return all(first.frames.jpeg(row) == second.frames.jpeg(row) for row in frames)

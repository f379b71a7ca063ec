"""Does the attention of words find the box of the one who says them?

The map of a turn, or of all words of a speaker, is taken as a detector of "inside the speaker's box" among the visual
tokens: at the frames live for the turn (for a speaker: live for any of his or her turns) and over all sampled frames.
Rows with head -1 are of the mean attention over heads, those with layer -1 of the mean over layers and heads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.metrics.people.density import FRAME_CHOICES, speaker_cells, turn_maps, units_of
from attnscope.metrics.people.detectors import METRICS, detect_units, detectors
from attnscope.metrics.people.parts import Part, places_of, rows_of_layer, to_table, with_mean
from attnscope.metrics.registry import OVER, metric

if TYPE_CHECKING:
    from attnscope.capture import Capture

COLUMNS = ["metric", "layer", "head", "frames", "threshold", "speaker", "turn", "time", "value", "n"]
FILL = {"turn": OVER}
_UNIT = (
    "all words of a speaker, mean over heads, among the visual tokens of a single temporal unit (frames that share "
    "visual tokens; frames = live: only units live for a turn of the speaker)."
)


@metric(
    name="grounding_auc",
    title="Grounding AUC",
    definition="Area under the ROC curve of the attention of a turn, or of a speaker's words, as a detector of the "
    "cells of the speaker's box among the visual tokens at those frames: how often a cell inside has more attention "
    "than one outside, a tie counting half. The row without a speaker is the mean over speakers.",
    source="ours",
    unit="1",
    range=(0, 1),
    chance="0.5",
    needs=("maps",),
)
@metric(
    name="pointing_hit",
    title="Pointing game",
    definition="1 if the visual token with most attention lies in the speaker's box, 0 if not; of several equal ones "
    "the share inside. The row without a speaker is the mean over speakers.",
    source="ours",
    unit="1",
    range=(0, 1),
    chance="the box's share of the visual tokens (see box_area)",
    needs=("maps",),
)
@metric(
    name="box_iou",
    title="Box IoU at half the visual mass",
    definition="Intersection over union of the speaker's cells with the smallest set of visual tokens that holds 50 % "
    "of the mass on the visual tokens at those frames; of equal tokens at the set's edge each counts in part.",
    source="ours",
    unit="1",
    range=(0, 1),
    chance="a / (1 + a), a = box_area, for even attention",
    needs=("maps",),
)
@metric(
    name="box_area",
    title="Box area",
    definition="The speaker's share of the visual tokens at those frames; the same in all layers and heads.",
    source="ours",
    unit="1",
    range=(0, 1),
    needs=("maps",),
)
@metric(
    name="grounding_auc_time",
    title="Grounding AUC over the clip",
    definition=f"Grounding AUC of {_UNIT}",
    source="ours",
    unit="1",
    range=(0, 1),
    chance="0.5",
    needs=("maps",),
)
@metric(
    name="pointing_hit_time",
    title="Pointing game over the clip",
    definition=f"Pointing game of {_UNIT}",
    source="ours",
    unit="1",
    range=(0, 1),
    chance="the box's share of the visual tokens (see box_area_time)",
    needs=("maps",),
)
@metric(
    name="box_iou_time",
    title="Box IoU at half the visual mass over the clip",
    definition=f"Box IoU at half the visual mass of {_UNIT}",
    source="ours",
    unit="1",
    range=(0, 1),
    chance="a / (1 + a), a = box_area_time, for even attention",
    needs=("maps",),
)
@metric(
    name="box_area_time",
    title="Box area over the clip",
    definition="The speaker's share of the visual tokens of a single temporal unit; the same in all layers.",
    source="ours",
    unit="1",
    range=(0, 1),
    needs=("maps",),
)
def grounding(cap: Capture, *, threshold: float = 0.5) -> pd.DataFrame:
    """Attention as a detector of the speaker's box (ours): AUC, pointing game, IoU at half the mass.

    Args:
        cap: an open capture with the `maps` reading.
        threshold: covered fraction from which a cell counts as a speaker's.

    Returns:
        Columns `speaker` and `turn`: a turn has both (`turn` is its number in the transcript), all words of a speaker
        have turn -1, the mean over speakers has speaker "" and turn -1; `time` (seconds, NaN: not of one unit).
        n = cells of the box, for the mean speakers. NaN where the box is not seen, or no attention falls on the visual
        tokens; the AUC also where the box fills the picture.

    Raises:
        FormatError: if the capture has no `maps` reading.
    """
    parts = next(measure(cap, speaker_cells(cap, threshold)[None], threshold))
    return to_table(parts, COLUMNS, FILL).assign(threshold=threshold)


def measure(cap: Capture, cells: NDArray[np.bool_], threshold: float) -> Iterator[list[Part]]:
    """Every number of this family for each of D ways [D, S, P] in which the speakers' cells may lie."""
    places, units = places_of(cap.layers, cap.heads), units_of(cap)
    choices = [detectors(cap, cells, threshold, frames) for frames in FRAME_CHOICES]
    names, whole = choices[0].groups, choices[0].whole
    found = [np.full((len(METRICS), len(cells), len(places), len(names)), np.nan) for _ in choices]
    means = np.zeros((len(cap.layers) + 1, len(names), len(cap.tokens)))
    for row, maps in turn_maps(cap, names):
        everything = with_mean(maps)
        means[row] = everything[-1]
        for choice, values in zip(choices, found, strict=True):
            choice.fill(values, rows_of_layer(row, len(cap.layers), cap.heads), everything)
    means[-1] = np.nan_to_num(means[:-1]).sum(0)  # what is measured is the same of a mean as of a sum
    for choice, values in zip(choices, found, strict=True):
        choice.fill(values, np.array([len(places) - 1]), means[-1:])
    by_unit = detect_units(means[:, whole], cells[:, choices[0].labels[whole]], units)
    layers = places[(places["head"] == OVER).to_numpy()]
    for way in range(len(cells)):
        yield [
            part
            for choice, values in zip(choices, found, strict=True)
            for part in [*choice.parts(values[:, way], way, places), *choice.over_time(*by_unit, way, units, layers)]
        ]

"""Does the attention of words find the box of the one who says them?

The map of a turn, or of all words of a speaker, is taken as a detector of "inside the speaker's box" among the visual
tokens: at the frames live for the turn (for a speaker: live for any of his or her turns) and over all sampled frames.
Rows with head -1 are of the mean attention over heads, those with layer -1 of the mean over layers and heads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attnscope.metrics.families import family
from attnscope.metrics.people.density import FRAME_CHOICES, speaker_cells, units_of
from attnscope.metrics.people.detectors import METRICS, detect_units, detectors
from attnscope.metrics.people.sets import Ways
from attnscope.metrics.registry import Metric
from attnscope.metrics.scan import Scan
from attnscope.metrics.tables import Part, Places, with_head_mean

if TYPE_CHECKING:
    from attnscope.capture import Capture

_UNIT = (
    "all words of a speaker, mean over heads, among the visual tokens of a single temporal unit (frames that share "
    "visual tokens; frames = live: only units live for a turn of the speaker)."
)


@family(
    Metric(
        "grounding_auc",
        "Grounding AUC",
        "Area under the ROC curve of the attention of a turn, or of a speaker's words, as a detector of the "
        "cells of the speaker's box among the visual tokens at those frames: how often a cell inside has more "
        "attention than one outside, a tie counting half. The row without a speaker is the mean over speakers.",
        chance="0.5",
    ),
    Metric(
        "pointing_hit",
        "Pointing game",
        "1 if the visual token with most attention lies in the speaker's box, 0 if not; of several equal ones "
        "the share inside. The row without a speaker is the mean over speakers.",
        chance="the box's share of the visual tokens (see box_area)",
    ),
    Metric(
        "box_iou",
        "Box IoU at half the visual mass",
        "Intersection over union of the speaker's cells with the smallest set of visual tokens that holds 50 % "
        "of the mass on the visual tokens at those frames; of equal tokens at the set's edge each counts in part.",
        chance="a / (1 + a), a = box_area, for even attention",
    ),
    Metric(
        "box_area",
        "Box area",
        "The speaker's share of the visual tokens at those frames; the same in all layers and heads.",
    ),
    Metric(
        "grounding_auc_time",
        "Grounding AUC over the clip",
        f"Grounding AUC of {_UNIT}",
        chance="0.5",
    ),
    Metric(
        "pointing_hit_time",
        "Pointing game over the clip",
        f"Pointing game of {_UNIT}",
        chance="the box's share of the visual tokens (see box_area_time)",
    ),
    Metric(
        "box_iou_time",
        "Box IoU at half the visual mass over the clip",
        f"Box IoU at half the visual mass of {_UNIT}",
        chance="a / (1 + a), a = box_area_time, for even attention",
    ),
    Metric(
        "box_area_time",
        "Box area over the clip",
        "The speaker's share of the visual tokens of a single temporal unit; the same in all layers.",
    ),
    keys=("frames", "threshold", "speaker", "turn", "time"),
    needs=("maps",),
)
def grounding(cap: Capture, *, threshold: float = 0.5) -> Scan[list[Part]]:
    """Attention as a detector of the speaker's box (ours): AUC, pointing game, IoU at half the mass.

    Args:
        cap: An open capture with the `maps` reading.
        threshold: Covered fraction from which a cell counts as a speaker's.

    Returns:
        Columns `speaker` and `turn`: a turn has both (`turn` is its number in the transcript), all words of a speaker
        have turn -1, the mean over speakers has speaker "" and turn -1; `time` (seconds, NaN: not of one unit).
        n = cells of the box, for the mean speakers. NaN where the box is not seen, or no attention falls on the visual
        tokens; the AUC also where the box fills the picture.

    Raises:
        FormatError: If the capture has no `maps` reading.
    """
    scan = measure(cap, Ways(units_of(cap), speaker_cells(cap, threshold)[None]), threshold)
    return Scan(scan.groups, scan.take, lambda: next(scan.result()))


def measure(cap: Capture, ways: Ways, threshold: float) -> Scan[Iterator[list[Part]]]:
    """Every number of this family for each of D ways in which the speakers' cells may lie."""
    places, units = Places.of(cap), ways.units
    choices = [detectors(cap, ways.cells, threshold, frames) for frames in FRAME_CHOICES]
    names, whole = choices[0].groups, choices[0].whole
    scores = [np.full((len(METRICS), len(ways), len(places), len(names)), np.nan) for _ in choices]
    total = np.zeros((1, len(names), len(cap.tokens)))  # what is measured is the same of a mean as of a sum
    by_layer = np.full((len(cap.layers) + 1, len(whole), len(cap.tokens)), np.nan)

    def take(row: int, maps: NDArray[np.float32]) -> None:
        with_mean = with_head_mean(maps, 0)
        by_layer[row] = with_mean[-1, whole]
        np.add(total[0], np.nan_to_num(with_mean[-1].astype(np.float64)), out=total[0])
        for choice, values in zip(choices, scores, strict=True):
            choice.fill(values, places.of_layer(row), with_mean)

    def result() -> Iterator[list[Part]]:
        by_layer[-1] = total[0, whole]
        for choice, values in zip(choices, scores, strict=True):
            choice.fill(values, np.array([len(places) - 1]), total)
        by_unit = detect_units(by_layer, ways.cells[:, choices[0].labels[whole]], units)
        for way in range(len(ways)):
            yield [
                part
                for choice, values in zip(choices, scores, strict=True)
                for part in [
                    *choice.parts(values[:, way], way, places.table),
                    *choice.over_time(*by_unit, way, units, places.head_means),
                ]
            ]

    return Scan(names, take, result)

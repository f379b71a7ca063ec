"""Do the words of a speaker attend to the pixels of that speaker?

U_s are the tokens of the turns of speaker s (the whole line, name included), V_s the cells that the box of s
covers. Everything is reported twice: at the frames live for each turn, and (`frames` = all) over all sampled
frames. Rows with head -1 are of the mean over heads, those with layer -1 of the mean over layers and heads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.metrics.people import nulls
from attnscope.metrics.people.density import speaker_cells
from attnscope.metrics.people.parts import Part, to_table
from attnscope.metrics.people.shares import Densities, densities
from attnscope.metrics.registry import OVER, metric

if TYPE_CHECKING:
    from attnscope.capture import Capture

FILL = {"speaker": "", "target": "", "turn": OVER}
COLUMNS = [
    "metric",
    "layer",
    "head",
    "frames",
    "threshold",
    "speaker",
    "target",
    "turn",
    "time",
    "value",
    "n",
    "p",
    "q",
]
LIFT = "speaker_consistency_lift"
TIMING, DRIFT, SEATS = "speaker_timing_lift", "speaker_drift_lift", "speaker_seats_lift"
_SHARE = "Not defined where the own speaker has no cell, or nobody else has one."


@metric(
    name="speaker_density",
    title="Speaker density",
    definition="M[s,s'] = mean over the tokens of speaker s of the attention mass on the cells of "
    "speaker s' at the frames live for the token's turn, divided by the number of those cells (turns at "
    "which s' is not visible do not count). Live: sampled frames inside the turn's times, else the "
    "nearest; all frames for an untimed turn.",
    source="ours",
    unit="attention per pair",
    range=(0, 1),
    chance="equal within a row",
    needs=("maps",),
)
@metric(
    name="speaker_consistency",
    title="Speaker consistency",
    definition="Mean over speakers s of M[s,s] / sum over s' of M[s,s'], M = speaker density. Rows s are the speakers "
    "who have both text and a visible box, columns s' all whose box is visible, also those who say nothing; a row "
    "where no second speaker is visible would be 1 whatever the model does, and is left out.",
    source="ours",
    unit="1",
    range=(0, 1),
    chance="1/S, S = visible speakers",
    needs=("maps",),
    version=2,
)
@metric(
    name="speaker_consistency_chance",
    title="Chance of speaker consistency",
    definition="Mean over the rows of the score of 1 / (number of columns of the row): the score of attention that is "
    "as dense on one speaker as on another.",
    source="ours",
    unit="1",
    range=(0, 1),
    needs=("maps",),
    version=2,
)
@metric(
    name=LIFT,
    title="Lift of speaker consistency",
    definition="Speaker consistency divided by its chance level. p: share of the rearrangements of speaker labels over "
    "turns (of those who speak) whose lift is at least as high, all of them when there are few (k/n), else a seeded "
    "sample ((k+1)/(n+1)); one-sided. q: p corrected for the number of layers and heads (Benjamini and Hochberg).",
    source="ours",
    unit="1",
    range=(0, None),
    chance="1",
    needs=("maps",),
    version=3,
)
@metric(
    name=TIMING,
    title="Lift over boxes of other times",
    definition="Lift of speaker consistency divided by its mean when the boxes are shifted in time: a token of "
    "temporal unit f is given the boxes of unit f + k, around the clip, for every k but 0. p: share of the shifts, 0 "
    "included, whose lift is at least as high (of many units a seeded sample, (k+1)/(n+1)); one-sided; q as for the "
    "lift. Speakers who keep their places give 1 and p = 1, whatever the model does.",
    source="ours",
    unit="1",
    range=(0, None),
    chance="1",
    needs=("maps",),
    version=2,
)
@metric(
    name=DRIFT,
    title="Lift of speaker consistency without drift",
    definition="Lift of speaker consistency after the straight line over the transcript is taken out of the logarithm "
    "of every density (by layer, head and speaker; the mean stays). p: as for the lift, labels permuted over what "
    "remains. It holds its level also where each person speaks in one run and attention drifts, where the p of the "
    "lift does not, but has less power there.",
    source="ours",
    unit="1",
    range=(0, None),
    chance="1",
    needs=("maps",),
)
@metric(
    name=SEATS,
    title="Lift over exchanged seats",
    definition="Lift of speaker consistency divided by its mean when every visible speaker is given the boxes of "
    "another, in all other ways to deal them. p: share of the ways, the true one included, whose lift is at least as "
    "high (of many people a seeded sample, (k+1)/(n+1)); one-sided. For people who keep their places. Three visible "
    "people have six ways, so that no p is below 1/6; four have 24.",
    source="ours",
    unit="1",
    range=(0, None),
    chance="1",
    needs=("maps",),
)
@metric(
    name="own_share_turn",
    title="Own speaker's share, by turn",
    definition="Density of a turn on its own speaker, divided by the sum of its densities on all speakers with a "
    f"cell at its frames. {_SHARE}",
    source="ours",
    unit="1",
    range=(0, 1),
    chance="1 / number of those speakers (see own_share_turn_chance)",
    needs=("maps",),
    version=2,
)
@metric(
    name="own_share_turn_chance",
    title="Chance of the own speaker's share, by turn",
    definition="1 / number of speakers that the share of the turn is a share of; the same for every layer and head.",
    source="ours",
    unit="1",
    range=(0, 1),
    needs=("maps",),
    version=2,
)
@metric(
    name="own_share_time",
    title="Own speaker's share over the clip",
    definition="The own speaker's share among the cells of a single temporal unit (frames that share visual tokens), "
    f"mean over the tokens of the turns that are live in it (frames = all: of all turns). {_SHARE}",
    source="ours",
    unit="1",
    range=(0, 1),
    chance="mean of 1 / number of those speakers (see own_share_time_chance)",
    needs=("maps",),
    version=2,
)
@metric(
    name="own_share_time_chance",
    title="Chance of the own speaker's share over the clip",
    definition="Mean over the same tokens of 1 / number of speakers that the share is a share of; the same for every "
    "layer and head.",
    source="ours",
    unit="1",
    range=(0, 1),
    needs=("maps",),
    version=2,
)
def speakers(
    cap: Capture, *, threshold: float = 0.5, limit: int = 5000, draws: int = 1999, shifts: int = 64, seed: int = 0
) -> pd.DataFrame:
    """Density matrix, consistency score with its chance level, lifts, p under four nulls, and share by turn and time.

    Args:
        cap: an open capture with the `maps` reading.
        threshold: covered fraction from which a cell counts as a speaker's.
        limit: up to so many arrangements of labels the test is exact.
        draws: random arrangements otherwise.
        shifts: up to so many temporal units every shift of the boxes is taken, else so many at random.
        seed: of the random numbers.

    Returns:
        Columns `speaker` and `target` (of the density, else ""), `turn` (number in the transcript, -1: not of one
        turn), `time` (seconds, NaN: not of one unit). n = tokens of the speaker that count for the density, shifts
        with a score for the timing lift, ways to deal the seats for the seats lift, speakers compared for the share of
        a turn, turns for the share of a unit, else speakers whose rows enter.
    """
    shifted, _, exact = nulls.shifted_cells(cap, threshold, shifts=shifts, seed=seed)
    cells = np.concatenate([speaker_cells(cap, threshold)[None], shifted])
    parts: list[Part] = []
    for found in densities(cap, cells, threshold, timed=1):
        p, _ = nulls.label_p(found.flat(0), found.turns[0], limit=limit, draws=draws, seed=seed)
        lift, shift_p, n = nulls.shift_p(found.lifts()[1:], exact)
        parts += [_tested(part, p) if part.metric == LIFT else part for part in found.parts(0)]
        keys = {"frames": [found.frames]}
        parts.append(_tested(Part(TIMING, lift[:, None], n[:, None], found.places, keys), shift_p))
        parts += _other_nulls(found, limit=limit, draws=draws, seed=seed)
    return to_table(parts, COLUMNS, FILL).assign(threshold=threshold)


def _other_nulls(found: Densities, *, limit: int, draws: int, seed: int) -> list[Part]:
    """The lift without drift, and that over exchanged seats, of the boxes as they are."""
    turns, flat, keys = found.turns[0], found.flat(0), {"frames": [found.frames]}
    rows = next(part.n for part in found.parts(0) if part.metric == LIFT)
    straight, p = nulls.drift_p(flat, turns, limit=limit, draws=draws, seed=seed)
    drift = Part(DRIFT, straight[:, None], rows, found.places, keys)
    dealt, exact = nulls.exchanged_seats(flat, turns, limit=limit, draws=draws, seed=seed)
    lift, seat_p, n = nulls.shift_p(dealt, exact)
    return [
        _tested(drift, p),
        _tested(Part(SEATS, lift[:, None], n[:, None], found.places, keys), seat_p),
    ]


def measure(cap: Capture, cells: NDArray[np.bool_], threshold: float) -> Iterator[list[Part]]:
    """Every number of this family that needs no other boxes, for each of D ways [D, S, P] in which cells may lie."""
    found = densities(cap, cells, threshold, timed=len(cells))
    for way in range(len(cells)):
        yield [part for choice in found for part in choice.parts(way)]


def _tested(part: Part, p: NDArray[np.float64]) -> Part:
    """A part with p [X] and q."""
    return replace(part, p=p, q=nulls.q_values(p, part.places))

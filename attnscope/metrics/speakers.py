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
from numpy.typing import NDArray

from attnscope.metrics.families import family
from attnscope.metrics.people import nulls
from attnscope.metrics.people.density import speaker_cells, units_of
from attnscope.metrics.people.sets import Ways
from attnscope.metrics.people.shares import Densities, densities
from attnscope.metrics.registry import Metric
from attnscope.metrics.scan import Scan
from attnscope.metrics.tables import Part

if TYPE_CHECKING:
    from attnscope.capture import Capture

LIFT = "speaker_consistency_lift"
TIMING, DRIFT, SEATS = "speaker_timing_lift", "speaker_drift_lift", "speaker_seats_lift"
_SHARE = "Not defined where the own speaker has no cell, or nobody else has one."


@family(
    Metric(
        "speaker_density",
        "Speaker density",
        "M[s,s'] = mean over the tokens of speaker s of the attention mass on the cells of "
        "speaker s' at the frames live for the token's turn, divided by the number of those cells (turns at "
        "which s' is not visible do not count). Live: sampled frames inside the turn's times, else the "
        "nearest; all frames for an untimed turn.",
        unit="attention per pair",
        chance="equal within a row",
    ),
    Metric(
        "speaker_consistency",
        "Speaker consistency",
        "Mean over speakers s of M[s,s] / sum over s' of M[s,s'], M = speaker density. Rows s are the speakers "
        "who have both text and a visible box, columns s' all whose box is visible, also those who say nothing; a row "
        "where no second speaker is visible would be 1 whatever the model does, and is left out.",
        chance="1/S, S = visible speakers",
        version=2,
    ),
    Metric(
        "speaker_consistency_chance",
        "Chance of speaker consistency",
        "Mean over the rows of the score of 1 / (number of columns of the row): the score of attention that is "
        "as dense on one speaker as on another.",
        version=2,
    ),
    Metric(
        LIFT,
        "Lift of speaker consistency",
        "Speaker consistency divided by its chance level. p: share of the rearrangements of speaker labels over "
        "turns (of those who speak) whose lift is at least as high, all of them when there are few (k/n), else a "
        "seeded sample ((k+1)/(n+1)); one-sided. q: p corrected for the number of layers and heads (Benjamini and "
        "Hochberg).",
        range=(0, None),
        chance="1",
        version=3,
    ),
    Metric(
        TIMING,
        "Lift over boxes of other times",
        "Lift of speaker consistency divided by its mean when the boxes are shifted in time: a token of "
        "temporal unit f is given the boxes of unit f + k, around the clip, for every k but 0. p: share of the shifts, "
        "0 included, whose lift is at least as high (of many units a seeded sample, (k+1)/(n+1)); one-sided; q as for "
        "the lift. Speakers who keep their places give 1 and p = 1, whatever the model does.",
        range=(0, None),
        chance="1",
        version=2,
    ),
    Metric(
        DRIFT,
        "Lift of speaker consistency without drift",
        "Lift of speaker consistency after the straight line over the transcript is taken out of the logarithm "
        "of every density (by layer, head and speaker; the mean stays). p: as for the lift, labels permuted over what "
        "remains. It holds its level also where each person speaks in one run and attention drifts, where the p of the "
        "lift does not, but has less power there.",
        range=(0, None),
        chance="1",
    ),
    Metric(
        SEATS,
        "Lift over exchanged seats",
        "Lift of speaker consistency divided by its mean when every visible speaker is given the boxes of "
        "another, in all other ways to deal them. p: share of the ways, the true one included, whose lift is at least "
        "as high (of many people a seeded sample, (k+1)/(n+1)); one-sided. For people who keep their places. Three "
        "visible people have six ways, so that no p is below 1/6; four have 24.",
        range=(0, None),
        chance="1",
    ),
    Metric(
        "own_share_turn",
        "Own speaker's share, by turn",
        "Density of a turn on its own speaker, divided by the sum of its densities on all speakers with a "
        f"cell at its frames. {_SHARE}",
        chance="1 / number of those speakers (see own_share_turn_chance)",
        version=2,
    ),
    Metric(
        "own_share_turn_chance",
        "Chance of the own speaker's share, by turn",
        "1 / number of speakers that the share of the turn is a share of; the same for every layer and head.",
        version=2,
    ),
    Metric(
        "own_share_time",
        "Own speaker's share over the clip",
        "The own speaker's share among the cells of a single temporal unit (frames that share visual tokens), "
        f"mean over the tokens of the turns that are live in it (frames = all: of all turns). {_SHARE}",
        chance="mean of 1 / number of those speakers (see own_share_time_chance)",
        version=2,
    ),
    Metric(
        "own_share_time_chance",
        "Chance of the own speaker's share over the clip",
        "Mean over the same tokens of 1 / number of speakers that the share is a share of; the same for every "
        "layer and head.",
        version=2,
    ),
    keys=("frames", "threshold", "speaker", "target", "turn", "time"),
    needs=("maps",),
)
def speakers(
    cap: Capture, *, threshold: float = 0.5, limit: int = 5000, draws: int = 1999, shifts: int = 64, seed: int = 0
) -> Scan[list[Part]]:
    """Density matrix, consistency score with its chance level, lifts, p under four nulls, and share by turn and time.

    Args:
        cap: An open capture with the `maps` reading.
        threshold: Covered fraction from which a cell counts as a speaker's.
        limit: The test is exact up to this number of arrangements of labels.
        draws: Random arrangements otherwise.
        shifts: Every shift of the boxes is taken up to this number of temporal units, else this number at random.
        seed: Seed of the random numbers.

    Returns:
        Columns `speaker` and `target` (of the density, else ""), `turn` (number in the transcript, -1: not of one
        turn), `time` (seconds, NaN: not of one unit). n = tokens of the speaker that count for the density, shifts
        with a score for the timing lift, ways to deal the seats for the seats lift, speakers compared for the share of
        a turn, turns for the share of a unit, else speakers whose rows enter.
    """
    shifted, _, exact = nulls.shifted_cells(cap, threshold, shifts=shifts, seed=seed)
    ways = Ways(units_of(cap), np.concatenate([speaker_cells(cap, threshold)[None], shifted]))
    scan = densities(cap, ways, threshold, timed=1)

    def result() -> list[Part]:
        parts: list[Part] = []
        for choice in scan.result():
            p, _ = nulls.label_p(choice.flat(0), choice.turns[0], limit=limit, draws=draws, seed=seed)
            own = choice.parts(0)
            parts += [_tested(part, p, choice) if part.metric == LIFT else part for part in own]
            lift, shift_p, n = nulls.shift_p(choice.lifts()[1:], exact)
            parts.append(_tested(choice.part(TIMING, lift, n), shift_p, choice))
            rows = next(part.n for part in own if part.metric == LIFT)
            parts += _other_nulls(choice, np.asarray(rows), limit=limit, draws=draws, seed=seed)
        return parts

    return Scan(scan.groups, scan.take, result)


def _other_nulls(choice: Densities, rows: NDArray[np.int64], *, limit: int, draws: int, seed: int) -> list[Part]:
    """The lift without drift (n = `rows`), and that over exchanged seats, of the boxes as they are."""
    turns, flat = choice.turns[0], choice.flat(0)
    straight, drift_p = nulls.drift_p(flat, turns, limit=limit, draws=draws, seed=seed)
    dealt, exact = nulls.exchanged_seats(flat, turns, limit=limit, draws=draws, seed=seed)
    lift, seat_p, n = nulls.shift_p(dealt, exact)
    return [
        _tested(choice.part(DRIFT, straight, rows), drift_p, choice),
        _tested(choice.part(SEATS, lift, n), seat_p, choice),
    ]


def measure(cap: Capture, ways: Ways, threshold: float) -> Scan[Iterator[list[Part]]]:
    """Every number of this family that needs no other boxes, for each of D ways in which cells may lie."""
    scan = densities(cap, ways, threshold, timed=len(ways))

    def result() -> Iterator[list[Part]]:
        choices = scan.result()
        for way in range(len(ways)):
            yield [part for choice in choices for part in choice.parts(way)]

    return Scan(scan.groups, scan.take, result)


def _tested(part: Part, p: NDArray[np.float64], choice: Densities) -> Part:
    """A part with p [X] and q."""
    return replace(part, p=p, q=nulls.q_values(p, choice.places.table))

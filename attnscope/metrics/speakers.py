"""Do the words of a speaker attend to the pixels of that speaker?

U_s are the tokens of the turns of speaker s (the whole line, name included), V_s the cells that the box of s
covers. Everything is reported twice: at the frames live for each turn, and (`frames` = all) over all sampled
frames. Rows with head -1 are of the mean over heads, those with layer -1 of the mean over layers and heads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.metrics.density import FRAME_CHOICES, Turns, densities, seen_cells
from attnscope.metrics.matrix import matrices, onehot, scores
from attnscope.metrics.permute import arrangements, p_value
from attnscope.metrics.registry import metric
from attnscope.metrics.tidy import divide, over, tidy

if TYPE_CHECKING:
    from attnscope.capture import Capture

BLOCK = 1 << 22  # numbers held at once in a permutation test


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
    definition="Mean over speakers s of M[s,s] / sum over s' of M[s,s'], M = speaker density. Speakers "
    "enter who have both text and a visible box; a row where no second speaker is visible would be 1 "
    "whatever the model does, and is left out.",
    source="ours",
    unit="1",
    range=(0, 1),
    chance="1/S, S = speakers that enter",
    needs=("maps",),
)
@metric(
    name="speaker_consistency_chance",
    title="Chance of speaker consistency",
    definition="Mean over the speakers that enter of 1 / (number of speakers in the row): the score of "
    "attention that is as dense on one speaker as on another.",
    source="ours",
    unit="1",
    range=(0, 1),
    needs=("maps",),
)
@metric(
    name="speaker_consistency_lift",
    title="Lift of speaker consistency",
    definition="Speaker consistency divided by its chance level.",
    source="ours",
    unit="1",
    range=(0, None),
    chance="1",
    needs=("maps",),
)
@metric(
    name="speaker_consistency_p",
    title="Permutation p",
    definition="Share of the rearrangements of speaker labels over turns whose lift is at least the "
    "observed one: all of them when there are few (p = k/n), else a seeded sample (p = (k+1)/(n+1)). "
    "One-sided, and not corrected for the number of heads.",
    source="ours",
    unit="1",
    range=(0, 1),
    needs=("maps",),
)
def speakers(
    cap: Capture, *, threshold: float = 0.5, limit: int = 5000, draws: int = 1999, seed: int = 0
) -> pd.DataFrame:
    """Density matrix, consistency score, its chance level, lift and permutation p.

    Args:
        cap: an open capture with the `maps` reading.
        threshold: covered fraction from which a cell counts as a speaker's.
        limit: up to so many arrangements of labels the test is exact.
        draws: random arrangements otherwise.
        seed: of the random numbers.

    Returns:
        Columns `speaker` and `target` are "" but for the density. n = tokens of the speaker that count for
        the density, arrangements for p, else speakers that enter.
    """
    seen = [seen_cells(cap, threshold, frames) for frames in FRAME_CHOICES]
    parts = []
    for frames, turns, value in zip(FRAME_CHOICES, seen, densities(cap, seen), strict=True):
        flat, places = over(value, cap.layers)
        m = matrices(flat, turns, turns.labels[None])[0]  # [X, S, S]
        score, chance, rows = scores(m, turns.entering)
        lift = divide(score, chance)
        p, counted = permutation_p(flat, turns, lift, limit=limit, draws=draws, seed=seed)
        parts.append(_density_rows(m, turns, places).assign(frames=frames))
        for name, numbers, n in (
            ("speaker_consistency", score, rows),
            ("speaker_consistency_chance", chance, rows),
            ("speaker_consistency_lift", lift, rows),
            ("speaker_consistency_p", p, counted),
        ):
            own: dict[str, Any] = {"metric": name, "speaker": "", "target": "", "value": numbers, "n": n}
            parts.append(places.assign(frames=frames, **own))
    columns = ["metric", "layer", "head", "frames", "threshold", "speaker", "target", "value", "n"]
    return pd.concat(parts, ignore_index=True).assign(threshold=threshold)[columns]


def _density_rows(m: NDArray[np.float64], turns: Turns, places: pd.DataFrame) -> pd.DataFrame:
    """Density matrices [X, S, S] as rows."""
    said = onehot(turns, turns.labels[None])[0]  # [S, T]
    axes = {"place": range(len(places)), "speaker": turns.speakers, "target": turns.speakers}
    table = tidy("speaker_density", m, said @ (turns.cells > 0), axes)
    where = places.iloc[table.pop("place").to_numpy(np.int64)].reset_index(drop=True)
    return pd.concat([where, table], axis=1)


def permutation_p(
    flat: NDArray[np.float64],
    turns: Turns,
    lift: NDArray[np.float64],
    *,
    limit: int,
    draws: int,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Permutation p of the lift and arrangements counted, each [X]; NaN and 0 where there is no lift."""
    enter = turns.entering
    if not np.isfinite(lift).any():
        return np.full(lift.shape, np.nan), np.zeros(lift.shape, dtype=np.int64)
    free = enter[turns.labels]  # a speaker without a box takes no part: his or her turns keep their label
    orders, exact = arrangements(turns.labels[free], limit=limit, draws=draws, seed=seed)
    labels = np.repeat(turns.labels[None], len(orders), axis=0)
    labels[:, free] = orders
    block = max(1, BLOCK // (len(flat) * len(enter) ** 2))
    null = []
    for start in range(0, len(labels), block):
        score, chance, _ = scores(matrices(flat, turns, labels[start : start + block]), enter)
        null.append(divide(score, chance))
    return p_value(lift, np.concatenate(null), exact)

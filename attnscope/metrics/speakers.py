"""Do the words of a speaker attend to the pixels of that speaker?

U_s are the tokens of the turns of speaker s (the whole line, name included), V_s the cells that the box of s covers.
Everything is reported twice: at the frames live for each turn, and (`frames` = all) over all sampled frames. Rows
with head -1 are of the mean over heads, those with layer -1 of the mean over layers and heads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.metrics.density import FRAME_CHOICES, Densities, FrameChoice, densities
from attnscope.metrics.permute import arrangements, p_value
from attnscope.metrics.registry import OVER, metric
from attnscope.metrics.tidy import divide, tidy

if TYPE_CHECKING:
    from attnscope.capture import Capture

BLOCK = 1 << 22  # numbers held at once in a permutation test


@metric(
    name="speaker_density",
    title="Speaker density",
    definition="M[s,s'] = mean over the tokens of speaker s of the attention mass on the cells of speaker s' at the frames live for "
    "the token's turn, divided by the number of those cells (turns at which s' is not visible do not count). Live: sampled "
    "frames inside the turn's times, else the nearest; all frames for an untimed turn.",
    source="ours",
    unit="attention per pair",
    range=(0, 1),
    chance="equal within a row",
    needs=("maps",),
)
def density(cap: Capture, *, threshold: float = 0.5) -> pd.DataFrame:
    """Density matrix M[speaker, target] for every layer and head; n = tokens of the speaker that count.

    Args:
        cap: an open capture with the `maps` reading.
        threshold: covered fraction from which a cell counts as a speaker's.
    """
    parts = []
    for frames in FRAME_CHOICES:
        found = densities(cap, threshold, frames)
        flat, axes = _over(found.value, cap)
        m = matrices(flat, found, found.labels[None])[0]  # [X, S, S]
        said = _onehot(found, found.labels[None])[0]  # [S, T]
        names = {"row": range(len(axes)), "speaker": found.speakers, "target": found.speakers}
        table = tidy(
            "speaker_density", m, said @ (found.cells > 0), names, frames=frames, threshold=threshold
        )
        places = axes.iloc[table.pop("row").to_numpy(np.int64)].reset_index(drop=True)
        parts.append(pd.concat([table[["metric"]], places, table.drop(columns="metric")], axis=1))
    return pd.concat(parts, ignore_index=True)


@metric(
    name="speaker_consistency",
    title="Speaker consistency",
    definition="Mean over speakers s of M[s,s] / sum over s' of M[s,s'], M = speaker density. Speakers enter who have both text and "
    "a visible box; a row where no second speaker is visible would be 1 whatever the model does, and is left out.",
    source="ours",
    unit="1",
    range=(0, 1),
    chance="1/S, S = speakers that enter",
    needs=("maps",),
)
@metric(
    name="speaker_consistency_chance",
    title="Chance of speaker consistency",
    definition="Mean over the speakers that enter of 1 / (number of speakers in the row): the score of attention that is as dense "
    "on one speaker as on another.",
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
    definition="Share of the rearrangements of speaker labels over turns whose lift is at least the observed one: all of them when "
    "there are few (p = k/n), else a seeded sample (p = (k+1)/(n+1)). One-sided, and not corrected for the number of heads.",
    source="ours",
    unit="1",
    range=(0, 1),
    needs=("maps",),
)
def consistency(
    cap: Capture, *, threshold: float = 0.5, limit: int = 5000, draws: int = 1999, seed: int = 0
) -> pd.DataFrame:
    """Speaker-consistency score, its chance level, lift and permutation p.

    Args:
        cap: an open capture with the `maps` reading.
        threshold: covered fraction from which a cell counts as a speaker's.
        limit: up to so many arrangements of labels the test is exact.
        draws: random arrangements otherwise.
        seed: of the random numbers.

    Returns:
        n = speakers that enter; for p, arrangements that were counted.
    """
    parts = []
    for frames in FRAME_CHOICES:
        found = densities(cap, threshold, frames)
        flat, axes = _over(found.value, cap)
        score, chance, rows = scores(matrices(flat, found, found.labels[None])[0], entering(found))
        lift = divide(score, chance)
        p, counted = permutation_p(flat, found, lift, limit=limit, draws=draws, seed=seed)
        for name, value, n in (
            ("speaker_consistency", score, rows),
            ("speaker_consistency_chance", chance, rows),
            ("speaker_consistency_lift", lift, rows),
            ("speaker_consistency_p", p, counted),
        ):
            table = axes.assign(frames=frames, threshold=threshold, value=value, n=n)
            table.insert(0, "metric", name)
            parts.append(table)
    return pd.concat(parts, ignore_index=True)


def matrices(flat: NDArray[np.float64], found: Densities, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Density matrices for several ways to label the turns.

    Args:
        flat: densities of turns on speakers, [X, T, S].
        found: what they are of.
        labels: speaker of each turn, [A, T].

    Returns:
        M [A, X, S, S]: means over the tokens of each row's turns; NaN where no turn counts.
    """
    weight = _onehot(found, labels)  # [A, S, T]
    seen = (found.cells > 0).astype(np.float64)  # [T, S]
    total = np.einsum("ast,xtr->axsr", weight, np.nan_to_num(flat), optimize=True)
    return divide(total, (weight @ seen)[:, None])


def entering(found: Densities) -> NDArray[np.bool_]:
    """Speakers who have both text and a visible cell at the frames of some turn, [S]."""
    has_text = np.isin(np.arange(len(found.speakers)), found.labels)
    return np.asarray(has_text & (found.cells > 0).any(0))


def scores(
    m: NDArray[np.float64], enter: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Consistency score of density matrices.

    Args:
        m: [..., S, S].
        enter: speakers that enter, [S].

    Returns:
        Score, chance level and number of rows that entered, each [...]; score and chance are NaN where no row enters.
    """
    inner = m[..., enter, :][..., enter]
    columns = np.isfinite(inner).sum(-1)  # [..., s]
    share = divide(np.einsum("...ss->...s", inner), np.nansum(inner, axis=-1))
    good = np.isfinite(share) & (columns >= 2)
    rows = good.sum(-1)
    score = divide(np.where(good, share, 0.0).sum(-1), rows)
    chance = divide(np.where(good, 1 / np.maximum(columns, 1), 0.0).sum(-1), rows)
    return score, chance, rows


def permutation_p(
    flat: NDArray[np.float64],
    found: Densities,
    lift: NDArray[np.float64],
    *,
    limit: int,
    draws: int,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """P of the lift under rearranged labels of the turns by speakers who enter; NaN and 0 where there is no lift."""
    enter = entering(found)
    if not np.isfinite(lift).any():
        return np.full(lift.shape, np.nan), np.zeros(lift.shape, dtype=np.int64)
    free = enter[found.labels]  # a speaker without a box takes no part: his or her turns keep their label
    orders, exact = arrangements(found.labels[free], limit=limit, draws=draws, seed=seed)
    labels = np.repeat(found.labels[None], len(orders), axis=0)
    labels[:, free] = orders
    block = max(1, BLOCK // (len(flat) * len(enter) ** 2))
    null = []
    for start in range(0, len(labels), block):
        score, chance, _ = scores(matrices(flat, found, labels[start : start + block]), enter)
        null.append(divide(score, chance))
    return p_value(lift, np.concatenate(null), exact)


def _onehot(found: Densities, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Tokens that each speaker has in each turn, [A, S, T], for labels [A, T]."""
    speakers = np.arange(len(found.speakers))
    return (labels[:, None] == speakers[:, None]) * found.tokens.astype(np.float64)


def _over(value: NDArray[np.float64], cap: Capture) -> tuple[NDArray[np.float64], pd.DataFrame]:
    """All layers and heads, then the means over heads, then that over both, as [X, T, S] with a table of X places."""
    layers, heads, *rest = value.shape
    flat = value.reshape(layers * heads, *rest)
    by_layer = value.mean(1)
    every = [(int(layer), head) for layer in cap.layers for head in range(heads)]
    every += [(int(layer), OVER) for layer in cap.layers] + [(OVER, OVER)]
    axes = pd.DataFrame(every, columns=pd.Index(["layer", "head"]))
    return np.concatenate([flat, by_layer, by_layer.mean(0, keepdims=True)]), axes


__all__ = ["FrameChoice", "consistency", "density", "entering", "matrices", "permutation_p", "scores"]

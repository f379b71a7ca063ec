"""By which numbers heads are ordered, and what captures say about them.

The value of a head is its mean over clips (`attnscope.metrics.clips.pool`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.errors import RequestError
from attnscope.metrics.answer import ASKED
from attnscope.metrics.clips.keys import by_clip
from attnscope.metrics.clips.resample import means
from attnscope.metrics.registry import OVER, all_metrics
from attnscope.vocabulary import ANSWER_POSITION, TEXT, VISUAL

Floats = NDArray[np.float64]
Tables = Mapping[str, pd.DataFrame]
GATE = "output_gate"
FRAMES = ("live", "all")  # the first that a capture defines


@dataclass(frozen=True)
class Criterion:
    """A number by which heads are ordered.

    Attributes:
        name: As it is asked for.
        metric: The metric; averaged over its keys that `where` leaves open (speakers, mostly).
        where: Rows of its table that count.
        lowest: The lowest value is the best.
        gate: Rows of `mass_share` above whose elbow a head must be, if there is a second condition.
    """

    name: str
    metric: str
    where: Mapping[str, object] = field(default_factory=dict)
    lowest: bool = False
    gate: Mapping[str, object] | None = None

    @property
    def metrics(self) -> list[str]:
        """All the metrics that it reads."""
        return [self.metric] if self.gate is None else [self.metric, "mass_share"]


_LOOK = {"query": ANSWER_POSITION, "key": VISUAL, "sinks": "without"}
_CRITERIA = (
    Criterion("speaker-lift", "speaker_consistency_lift"),
    Criterion("grounding-auc", "grounding_auc", {"speaker": "", "turn": OVER}),
    Criterion("cross-mass", "mass_share", {"query": TEXT, "key": VISUAL, "sinks": "with"}),
    Criterion("answer-lift", "answer_lift", ASKED),
    # 2nd: P1's active heads
    Criterion("active", "cross_attention"),
    # code: localization heads. Ours: sinks do not count, in place of its rule about the bottom row; and its rule to
    # leave out layers 0 and 1 is the caller's choice of layers
    Criterion("localization", "spatial_entropy", {"sinks": "without"}, lowest=True, gate=_LOOK),
)


def criteria() -> dict[str, Criterion]:
    """The criteria by name."""
    known = {entry.name for entry in all_metrics()}
    return {c.name: c for c in _CRITERIA if known.issuperset(c.metrics)}


def criterion(name: str) -> Criterion:
    """The criterion of that name.

    Raises:
        RequestError: If there is none, with the names that exist.
    """
    known = criteria()
    if name not in known:
        raise RequestError.of("by", name, f"is no criterion; choose from {', '.join(known)}")
    return known[name]


@dataclass(frozen=True)
class Scores:
    """One number of X heads in C clips.

    Attributes:
        criterion: Which number.
        frames: The choice of frames that it is of; "" if it has none.
        places: Columns `layer` and `head`, [X].
        values: [X, C]; NaN where a clip does not define it, and everywhere for a head below the gate.
        mass: The mean over clips of the gate's mass, [X]; NaN without a gate.
        gate: What `mass` must exceed; NaN without a gate.
    """

    criterion: Criterion
    frames: str
    places: pd.DataFrame
    values: Floats
    mass: Floats
    gate: float

    @property
    def oriented(self) -> Floats:
        """Mean over clips, [X], with its sign such that more is better."""
        return means(self.values)[0] * (-1 if self.criterion.lowest else 1)


def scores(
    tables: Tables,
    about: pd.DataFrame,
    chosen: Criterion,
    *,
    layers: Sequence[int] | None = None,
    least_mass: float | None = None,
) -> Scores | None:
    """Take a criterion's numbers out of tables.

    Args:
        tables: By family, of one or more captures, with a column `capture`.
        about: `labels` of the captures.
        chosen: The criterion.
        layers: The layers whose heads take part; all by default.
        least_mass: In place of the gate's elbow.

    Returns:
        The numbers; None if no head has one.
    """
    own = _heads(tables, about, chosen.metric, chosen.where, layers)
    if own is None:
        return None
    frames, places, values = own
    mass, gate = np.full(len(places), np.nan), np.nan
    if chosen.gate is not None:
        looks = _heads(tables, about, "mass_share", chosen.gate, layers)
        if looks is None:
            return None
        mass = means(looks[2])[0]
        gate = elbow(mass) if least_mass is None else least_mass
        values = np.where((mass > gate)[:, None], values, np.nan)
    return Scores(chosen, frames, places, values, mass, gate) if np.isfinite(values).any() else None


def gates(tables: Tables, about: pd.DataFrame) -> pd.DataFrame:
    """How much of each head's output passes at the answer position, in the mean over clips.

    Args:
        tables: By family, of one or more captures, with a column `capture`.
        about: `labels` of the captures.

    Returns:
        Columns `layer`, `head` and `output_gate`; no rows if the model has no gates.
    """
    read = _heads(tables, about, GATE, {}, None)
    if read is None:
        return pd.DataFrame({"layer": [], "head": [], GATE: []})
    return read[1].assign(**{GATE: means(read[2])[0]})


def _heads(
    tables: Tables, about: pd.DataFrame, metric: str, where: Mapping[str, object], layers: Sequence[int] | None
) -> tuple[str, pd.DataFrame, Floats] | None:
    """Choice of frames, places [X] by layer and head, and values by clip [X, C]; None if nothing is defined."""
    table = next((t[t["metric"] == metric] for t in tables.values() if (t["metric"] == metric).any()), None)
    if table is None:
        return None
    keep = (table["layer"] != OVER) & (table["head"] != OVER)
    for column, value in where.items():
        keep &= table[column] == value
    if layers is not None:
        keep &= table["layer"].isin(list(layers))
    table = table[keep]
    for frames in FRAMES if "frames" in table else ("",):
        part = table if not frames else table[table["frames"] == frames]
        if part["value"].notna().any():
            mean = part.groupby(["capture", "layer", "head"])["value"].mean().reset_index().assign(metric=metric)
            keys, (values,) = by_clip(mean.sort_values(["layer", "head"]), about, [about["capture"].tolist()])
            return frames, keys[["layer", "head"]], values
    return None


def elbow(values: Floats) -> float:
    """Where sorted values bend: the one farthest from the line between the least and the largest (code).

    Args:
        values: [X]; NaN are left out.
    """
    ordered = np.sort(values[np.isfinite(values)])
    if len(ordered) < 3:
        return float(ordered[0]) if len(ordered) else np.nan
    line = np.linspace(ordered[0], ordered[-1], len(ordered))
    return float(ordered[np.abs(ordered - line).argmax()])

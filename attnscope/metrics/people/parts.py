"""Numbers of layers, heads and groups on their way into a table.

A family whose numbers depend on the speakers' boxes hands out `Part`s, one list for each way the boxes may lie. The
metric makes a table of the list for the boxes as they are; `jitter` needs the bare numbers of all the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from attnscope.metrics.registry import OVER
from attnscope.metrics.tables import Number, over, with_head_mean

ALL = pd.DataFrame({"layer": [OVER], "head": [OVER]})  # the place of a number that is the same for every head


@dataclass(frozen=True)
class Part:
    """One metric at X places and for M groups.

    Attributes:
        metric: its name.
        values: [X, M].
        n: how many things each number is over; broadcast to [X, M].
        places: columns `layer` and `head`, X rows.
        keys: the family's key columns, M entries each.
        p: p-values [X], where the metric is tested.
        q: the same, corrected.
    """

    metric: str
    values: NDArray[np.float64]
    n: ArrayLike
    places: pd.DataFrame
    keys: Mapping[str, Any]
    p: NDArray[np.float64] | None = None
    q: NDArray[np.float64] | None = None

    def columns(self) -> dict[str, NDArray[Any]]:
        """Columns of the table, place after place, and the groups in order within each."""
        places, groups = self.values.shape
        out: dict[str, NDArray[Any]] = {"metric": np.full(self.values.size, self.metric, dtype=object)}
        out |= {name: np.repeat(self.places[name].to_numpy(), groups) for name in ("layer", "head")}
        for name, entries in self.keys.items():
            array = np.asarray(entries)
            out[name] = np.tile(array.astype(object) if array.dtype.kind == "U" else array, places)
        out["value"] = self.values.reshape(-1)
        out["n"] = np.broadcast_to(np.asarray(self.n, dtype=np.int64), self.values.shape).reshape(-1)
        for name, tested in (("p", self.p), ("q", self.q)):
            if tested is not None:
                out[name] = np.repeat(tested, groups)
        return out


def places_of(layers: NDArray[np.int64], heads: int) -> pd.DataFrame:
    """The X places of a capture, as rows of a table: every layer and head, the mean of each layer, the mean of all."""
    return over(np.zeros((len(layers), heads)), layers)[1]


def rows_of_layer(row: int, layers: int, heads: int) -> NDArray[np.int64]:
    """Which of the X places are a layer's heads and their mean, [H + 1]."""
    return np.append(np.arange(row * heads, (row + 1) * heads), layers * heads + row)


def with_mean(values: NDArray[Number]) -> NDArray[Number]:
    """Heads [H, ...] and their mean, [H + 1, ...]."""
    return with_head_mean(values, 0)


def to_table(parts: Sequence[Part], columns: Sequence[str], fill: Mapping[str, Any]) -> pd.DataFrame:
    """One table of several parts.

    Args:
        parts: at least one.
        columns: of the table, in order.
        fill: what stands in a key column of parts that do not have that key; all other gaps are NaN.
    """
    found = [part.columns() for part in parts]
    whole = {}
    for name in columns:
        gaps = (np.full(len(part["value"]), fill.get(name, np.nan)) for part in found)
        known = [part.get(name, gap) for part, gap in zip(found, gaps, strict=True)]
        strings = any(array.dtype.kind in "OU" for array in known)
        whole[name] = np.concatenate([array.astype(object) for array in known] if strings else known)
    return pd.DataFrame(whole)


def numbers(parts: Sequence[Part]) -> NDArray[np.float64]:
    """The values alone, in the order of the table's rows."""
    return np.concatenate([part.values.reshape(-1) for part in parts])

"""Flow between modalities as plain arrays: the attention's own, that of uniform attention, and the pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from attnscope.capture import Capture

MODALITIES = ("text", "visual", "special")
Number = TypeVar("Number", np.float64, np.int64)
CHUNK = 256  # queries whose mask is held at once


@dataclass(frozen=True)
class Flow:
    """Flow among the K modalities that a capture has, from the prompt's queries, by layer and head.

    Attributes:
        names: the modalities, [K].
        queries: how many positions of the prompt each has, [K].
        mass: mean over the queries of one of the sum of A over the keys of another, [L, H, K, K].
        pairs: allowed pairs, [L, K, K].
        sink_mass: the part of the mass on the key group's sinks, same shape.
        sink_pairs: the part of the pairs, same shape.
    """

    names: list[str]
    queries: NDArray[np.int64]
    mass: NDArray[np.float64]
    pairs: NDArray[np.int64]
    sink_mass: NDArray[np.float64]
    sink_pairs: NDArray[np.int64]

    def without_sinks(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Mass and pairs less those on the sinks of the key group (rounding below zero is cut)."""
        return np.maximum(self.mass - self.sink_mass, 0.0), self.pairs - self.sink_pairs


def group_index(groups: pd.DataFrame, family: str, name: str) -> int | None:
    """Row of a key group in /key_groups (names are unique within a family); None if there is none."""
    found = np.flatnonzero((groups["family"] == family).to_numpy() & (groups["name"] == name).to_numpy())
    return int(found[0]) if len(found) else None


def modality_flow(cap: Capture) -> Flow:
    """Read the flow among modalities, and onto their sinks.

    Raises:
        FormatError: if the capture has no `masses` reading.
    """
    groups = cap.key_groups
    names = [m for m in MODALITIES if group_index(groups, "modality", m) is not None]
    keys = [_index(groups, "modality", m) for m in names]
    as_query = np.cumsum((groups["family"] != "sink").to_numpy()) - 1  # groups of family sink are never queries
    rows = as_query[keys]
    mass = np.asarray(cap.flow().values, dtype=np.float64)  # [L, H, Gq, G]
    pairs = np.asarray(cap.flow_pairs().values, dtype=np.int64)  # [L, Gq, G]
    sinks = [group_index(groups, "sink", f"sink:{m}") for m in names]
    return Flow(
        names=names,
        queries=cap.key_member[keys, : cap.prompt_length].sum(1).astype(np.int64),
        mass=mass[:, :, rows][..., keys],
        pairs=pairs[:, rows][..., keys],
        sink_mass=_columns(mass[:, :, rows], sinks),
        sink_pairs=_columns(pairs[:, rows], sinks),
    )


def uniform_flow(cap: Capture) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The flow that attention spread evenly over each query's allowed keys would give.

    Returns:
        Mass among the modalities of `modality_flow` and the part of it on their sinks, both [L, K, K].
    """
    groups = cap.key_groups
    keys = [i for m in MODALITIES if (i := group_index(groups, "modality", m)) is not None]
    member = np.asarray(cap.key_member)[keys].astype(np.float32)  # [K, P]
    sinks = np.asarray(cap.sinks).astype(np.float32)  # [L, P]
    total = np.zeros((2, len(cap.layers), len(keys), len(keys)))
    alike: dict[object, list[int]] = {}  # most models have one mask in all layers: it is unfolded once
    for row, layer in enumerate(cap.layers):
        alike.setdefault(cap.mask(int(layer)), []).append(row)
    for rows in alike.values():
        for start in range(0, cap.prompt_length, CHUNK):
            queries = np.arange(start, min(start + CHUNK, cap.prompt_length))
            allowed = cap.allowed(int(cap.layers[rows[0]]), queries)  # [Q, P]
            share = allowed / np.maximum(allowed.sum(1, keepdims=True), 1)
            weight = member[:, queries] @ share  # [K, P]: uniform mass from each group to each key
            total[0, rows] += weight @ member.T
            for row in rows:
                total[1, row] += weight @ (member * sinks[row]).T
    count = member[:, : cap.prompt_length].sum(1)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        return total[0] / count, total[1] / count


def _index(groups: pd.DataFrame, family: str, name: str) -> int:
    found = group_index(groups, family, name)
    assert found is not None
    return found


def _columns(values: NDArray[Number], columns: list[int | None]) -> NDArray[Number]:
    """Columns of the last axis; zeros where there is none (a modality without sinks)."""
    out = np.zeros((*values.shape[:-1], len(columns)), dtype=values.dtype)
    for i, column in enumerate(columns):
        if column is not None:
            out[..., i] = values[..., column]
    return out

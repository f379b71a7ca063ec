"""Flow from sets of queries to modalities of keys as plain arrays: the attention's own, that of uniform attention."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.metrics.registry import OVER
from attnscope.metrics.tables import divide, with_head_mean
from attnscope.vocabulary import ANSWER, ANSWER_POSITION, GENERATED, MODALITY, ROLE, ROLES, SINK, group_name

if TYPE_CHECKING:
    from attnscope.capture import Capture

SINKS = ("with", "without")
CHUNK = 256  # queries whose mask is held at once

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Result = TypeVar("Result")


def once(function: Callable[[Capture], Result]) -> Callable[[Capture], Result]:
    """Remember what a function of a capture returned while the capture lives: a capture never changes."""
    known: WeakKeyDictionary[Capture, Result] = WeakKeyDictionary()

    @wraps(function)
    def remembered(cap: Capture) -> Result:
        if cap not in known:
            known[cap] = function(cap)
        return known[cap]

    return remembered


@dataclass(frozen=True)
class Flow:
    """Flow from Q sets of queries to the K modalities that a capture has, by layer and head.

    Attributes:
        names: The modalities, [K].
        sets: The sets of queries, [Q]; in `modality_flow` the first K are the modalities.
        heads: The heads, [X]; the last one is OVER, the mean over heads.
        queries: How many positions each set has, [Q].
        mass: Mean over the queries of a set of the sum of A over the keys of a modality, [2, L, X, Q, K]: with and
            without the sinks among the keys.
        counts: Allowed pairs, likewise [2, L, Q, K].
    """

    names: list[str]
    sets: list[str]
    heads: list[int]
    queries: Ints
    mass: Floats
    counts: Ints

    @property
    def pairs(self) -> Ints:
        """Allowed pairs, sinks included, [L, Q, K]."""
        with_sinks: Ints = self.counts[0]
        return with_sinks

    def without_sinks(self) -> tuple[Floats, Ints]:
        """Mass [L, X, Q, K] and pairs [L, Q, K] less those on the sinks among the keys."""
        return self.mass[1], self.counts[1]

    def over_heads(self) -> Flow:
        """Only the mean over heads."""
        return replace(self, heads=[OVER], mass=self.mass[:, :, -1:])

    def take(self, some: slice) -> Flow:
        """Some of the sets."""
        mass, counts = self.mass[:, :, :, some], self.counts[:, :, some]
        return replace(self, sets=self.sets[some], queries=self.queries[some], mass=mass, counts=counts)

    def pooled(self, name: str) -> Flow:
        """All sets, which are of one query each, as one set; NaN if there is none."""
        mass = divide(self.mass.sum(3, keepdims=True), len(self.sets))
        counts, queries = self.counts.sum(2, keepdims=True), self.queries.sum(keepdims=True)
        return replace(self, sets=[name], queries=queries, mass=mass, counts=counts)


def joined(flows: Sequence[Flow]) -> Flow:
    """The sets of several flows of one capture, one after another."""
    return replace(
        flows[0],
        sets=[name for flow in flows for name in flow.sets],
        queries=np.concatenate([flow.queries for flow in flows]),
        mass=np.concatenate([flow.mass for flow in flows], 3),
        counts=np.concatenate([flow.counts for flow in flows], 2),
    )


def group_index(groups: pd.DataFrame, family: str, name: str) -> int | None:
    """Row of a key group in /key_groups (names are unique within a family); None if there is none."""
    rows = np.flatnonzero((groups["family"] == family).to_numpy() & (groups["name"] == name).to_numpy())
    return int(rows[0]) if len(rows) else None


@once
def query_sets(cap: Capture) -> dict[str, Bools]:
    """The sets of queries that tables are about, each as bool [P].

    The modalities and `role:<role>` hold queries of the prompt (`role:answer` the generated tokens that were fed back),
    `answer_position` its last position. Roles without a token are left out.
    """
    groups, member = cap.key_groups, np.asarray(cap.key_member)
    position = np.arange(member.shape[1])
    asked = position < cap.prompt_length
    sets: dict[str, Bools] = {m: member[row] & asked for m, row in _modalities(cap).items()}
    for role in ROLES:
        row = group_index(groups, ROLE, role)
        queries = ~asked if role == ANSWER else asked & (row is not None and member[row])
        if queries.any():
            sets[group_name(ROLE, role)] = queries
    return sets | {ANSWER_POSITION: position == cap.prompt_length - 1}


@once
def modality_flow(cap: Capture) -> Flow:
    """The flow from every set of queries (see `query_sets`) to the modalities.

    The answer position is left out if it was not probed (a prompt that ends with a visual token).

    Raises:
        FormatError: If the capture has no `masses` reading.
    """
    groups = cap.key_groups
    as_query = np.cumsum((groups["family"] != SINK).to_numpy()) - 1  # groups of family sink are never queries
    sets = {
        name: queries
        for name, queries in query_sets(cap).items()
        if name not in (ANSWER_POSITION, group_name(ROLE, ANSWER))
    }
    where = [(ROLE, n.removeprefix(f"{ROLE}:")) if n.startswith(f"{ROLE}:") else (MODALITY, n) for n in sets]
    rows = as_query[[row for family, name in where if (row := group_index(groups, family, name)) is not None]]
    count = np.array([queries.sum() for queries in sets.values()], np.int64)
    stored = _flow(cap, list(sets), count, lambda n: (cap.flow(n).values[:, rows], cap.flow_pairs(n).values[rows]))
    tokens, fed = answer_flow(cap), generated_flow(cap)
    answer = [fed.pooled(group_name(ROLE, ANSWER))] if fed.sets else []
    return joined([stored, *answer, tokens.take(slice(tokens.sets.count(ANSWER_POSITION)))])


@once
def answer_flow(cap: Capture) -> Flow:
    """The flow from each query of the answer: the answer position, and each generated token (`generated:<k>`).

    Raises:
        FormatError: If the capture has no `masses` reading.
    """
    last = cap.prompt_length - 1
    probes = cap.masses_allowed(int(cap.layers[0])).coords["query"].to_numpy()
    rows = np.flatnonzero(probes >= last)
    names = [ANSWER_POSITION if p == last else group_name(GENERATED, p - last - 1) for p in probes[rows]]
    count = np.ones(len(rows), np.int64)
    return _flow(cap, names, count, lambda n: (cap.masses(n).values[:, rows], cap.masses_allowed(n).values[rows]))


def generated_flow(cap: Capture) -> Flow:
    """The flow from each generated token."""
    tokens = answer_flow(cap)
    return tokens.take(slice(tokens.sets.count(ANSWER_POSITION), None))


def uniform_flow(cap: Capture) -> Flow:
    """What attention spread evenly over each query's allowed keys would give, for the sets of `modality_flow`."""
    flow = modality_flow(cap)
    return replace(flow, heads=[OVER], mass=_uniform(cap)[:, :, None, : len(flow.sets)])


def alike(cap: Capture) -> list[list[int]]:
    """Rows of the layers that share a mask: most models have one mask in all layers, which is unfolded once."""
    rows_by_mask: dict[object, list[int]] = {}
    for row, layer in enumerate(cap.layers):
        rows_by_mask.setdefault(cap.mask(int(layer)), []).append(row)
    return list(rows_by_mask.values())


def uniform_tokens(flow: Flow) -> Flow:
    """What attention spread evenly over the allowed keys would give, for sets of one query each."""
    every = flow.pairs.sum(-1, keepdims=True)  # the modalities are a partition of the keys
    return replace(flow, heads=[OVER], mass=divide(flow.counts, every)[:, :, None])


@once
def _uniform(cap: Capture) -> Floats:
    """Uniform mass from each of `query_sets` to each modality, with and without sinks, [2, L, Q, K]."""
    member = np.asarray(cap.key_member)[list(_modalities(cap).values())].astype(np.float32)  # [K, P]
    queries = np.stack(list(query_sets(cap).values())).astype(np.float32)  # [Q, P]
    columns = np.flatnonzero(np.asarray(cap.sinks).any(0))
    sinks = np.asarray(cap.sinks)[:, columns, None] * member.T[columns]  # [L, sinks, K]
    total = np.zeros((2, len(cap.layers), len(queries), len(member)))
    for rows in alike(cap):
        for start in range(0, member.shape[1], CHUNK):
            some = np.arange(start, min(start + CHUNK, member.shape[1]))
            allowed = cap.allowed(int(cap.layers[rows[0]]), some).astype(np.float32)  # [C, P]
            weight = queries[:, some] / np.maximum(allowed.sum(1), 1)  # [Q, C]
            total[0, rows] += weight @ (allowed @ member.T)
            total[1, rows] += weight @ allowed[:, columns] @ sinks[rows]
    total[1] = np.maximum(total[0] - total[1], 0.0)
    return divide(total, queries.sum(1)[:, None])


def _flow(
    cap: Capture, sets: list[str], queries: Ints, read: Callable[[int], tuple[NDArray[Any], NDArray[Any]]]
) -> Flow:
    """A flow from what is read of each layer: masses [H, Q, G] and pairs [Q, G] on all key groups."""
    groups = cap.key_groups
    keys = _modalities(cap)
    sinks = [
        (k, row) for k, m in enumerate(keys) if (row := group_index(groups, SINK, group_name(SINK, m))) is not None
    ]
    mass = np.empty((2, len(cap.layers), cap.heads, len(sets), len(keys)))
    counts = np.empty((2, len(cap.layers), len(sets), len(keys)), np.int64)
    for at, layer in enumerate(cap.layers.tolist()):
        for into, layer_values in zip((mass, counts), read(layer), strict=True):
            into[:, at] = layer_values[..., list(keys.values())]
            for k, row in sinks:  # (a modality without sinks has no such group)
                into[1, at, ..., k] -= layer_values[..., row]
    mass[1] = np.maximum(mass[1], 0.0)  # rounding below zero is cut
    return Flow(list(keys), sets, [*range(cap.heads), OVER], queries, with_head_mean(mass, 2), counts)


def _modalities(cap: Capture) -> dict[str, int]:
    """The modalities of a capture, and the row of each in /key_groups."""
    rows = {name: group_index(cap.key_groups, MODALITY, name) for name in cap.modalities}
    return {name: row for name, row in rows.items() if row is not None}

"""The counts of a capture, compared with its masks: keys that a query may see, pairs of two groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from attnscope.capture.check.problems import Problem
from attnscope.capture.file.nodes import Store
from attnscope.capture.read.capture import Capture
from attnscope.capture.read.dense import LayerMask, LayerQK
from attnscope.capture.read.labels import Indices
from attnscope.vocabulary import SINK

STEP = 256  # queries whose mask is held at once

Ints = npt.NDArray[np.int64]


class Facts(Protocol):
    """A capture, and the file that it is in."""

    cap: Capture
    store: Store


def check_masses(facts: Facts) -> Iterator[Problem]:
    """`rows_allowed` and `flow_pairs` of every layer."""
    cap, store = facts.cap, facts.store
    probes = store.read("/masses/probes")
    sink = (cap.key_groups["family"] == SINK).to_numpy()
    known: dict[LayerMask, Ints] = {}
    for layer, number in enumerate(cap.layers.tolist()):
        counts = _counts_of(cap, layer, number, sink, known)  # [P, G]
        for node, found, wanted in (
            ("/masses/rows_allowed", store.read("/masses/rows_allowed", layer), counts[probes]),
            ("/masses/flow_pairs", store.read("/masses/flow_pairs", layer), _pairs(cap, sink, counts)),
        ):
            yield from _same(node, number, found, wanted)


def check_stats(facts: Facts) -> Iterator[Problem]:
    """`allowed` of every layer."""
    known = allowed_keys(facts.cap)
    for layer, number in enumerate(facts.cap.layers.tolist()):
        found = facts.store.read("/stats/allowed", layer)
        yield from _same("/stats/allowed", number, found, known[facts.cap.mask(number)])


def allowed_keys(cap: Capture) -> dict[LayerMask, Ints]:
    """How many keys every query may see, [P], under each of the capture's masks."""
    every = np.ones((1, len(cap.tokens)), bool)
    layers = {cap.mask(number): number for number in cap.layers.tolist()}
    return {mask: _seen(cap, number, every)[:, 0] for mask, number in layers.items()}


def _counts_of(
    cap: Capture, layer: int, number: int, sink: npt.NDArray[np.bool_], known: dict[LayerMask, Ints]
) -> Ints:
    """Keys of each group that every query may see, [P, G]: layers with one mask share all but the sinks."""
    mask = cap.mask(number)
    if mask not in known:
        known[mask] = _seen(cap, number, cap.key_member[~sink])
    counts = np.empty((len(cap.tokens), len(sink)), np.int64)
    counts[:, ~sink] = known[mask]
    counts[:, sink] = _seen(cap, number, cap.key_member[sink] & cap.sinks[layer])
    return counts


def _seen(cap: Capture, number: int, member: npt.NDArray[np.bool_]) -> Ints:
    """How many keys of each group [G, P] every query may see, [P, G]."""
    weight = member.T.astype(np.float32)  # counts up to 2^24 are exact in float32, and the product is fast
    parts = []
    for start in range(0, member.shape[1], STEP):
        queries = slice(start, start + STEP)
        parts.append((cap.allowed(number, queries).astype(np.float32) @ weight).astype(np.int64))
    return np.concatenate(parts)


def _pairs(cap: Capture, sink: npt.NDArray[np.bool_], counts: Ints) -> Ints:
    queries = cap.key_member[~sink].astype(np.int64)
    queries[:, cap.prompt_length :] = 0  # flow is of the prompt's queries
    pairs: Ints = queries @ counts
    return pairs


def _same(node: str, number: int, found: npt.NDArray[np.int64], wanted: Ints) -> Iterator[Problem]:
    if found.shape != wanted.shape:
        yield Problem(node, f"layer {number}: {found.shape} numbers, not {wanted.shape}")
        return
    for at in np.argwhere(found != wanted)[:1]:
        what = f"{found[tuple(at)]} at {at.tolist()}, the mask allows {wanted[tuple(at)]}"
        yield Problem(node, f"layer {number}: {what}")


# Readings computed once more from the stored queries and keys (or whole maps), and compared with what is stored.


SEED = 20261128  # of the rows that are chosen where not all are computed
PROBED, OTHERS, GROUP = 4, 2, 16  # rows a layer: of those read densely, of all, and of one query group at most
BLOCK = 256  # rows at once

Floats = npt.NDArray[np.float64]

# How far a stored number may be from the one computed here (ours): absolute, and as a part of it. Rows of text and of
# generated tokens are read densely in float32; the others come from the model's own kernel, in its precision.
DENSE = {"lse": (1e-3, 1e-4), "entropy": (2e-3, 1e-4), "mass": (1e-5, 2e-3), "map": (1e-6, 2e-3), "max": (1e-5, 2e-3)}
KERNEL = {
    True: {"lse": (2e-3, 1e-4), "entropy": (5e-3, 1e-3), "mass": (1e-4, 2e-3)},  # float32
    False: {"lse": (0.15, 1e-2), "entropy": (0.3, 3e-2), "mass": (2e-2, 0.0)},  # eager rounds logits too
}


def check_recomputed(facts: Facts, deep: bool) -> Iterator[Problem]:
    """Every reading against attention from `qk`, or from `full` where there is no `qk`.

    Args:
        facts: the capture and its file.
        deep: all rows; otherwise a few a layer, chosen by `SEED`.

    Yields:
        The first difference of each reading in each layer.
    """
    cap = facts.cap
    if not (cap.has("qk") or cap.has("full")):
        return
    for row, number in enumerate(cap.layers.tolist()):
        layer = _Layer(facts, row, number, deep)
        said: set[str] = set()
        for problem in layer.problems():
            if problem.node not in said:
                said.add(problem.node)
                yield problem


@dataclass
class _Layer:
    """One layer, what is stored of it, and the rows that are computed."""

    facts: Facts
    row: int
    number: int
    deep: bool

    @cached_property
    def queries(self) -> Indices:
        """The rows to compute, increasing."""
        cap = self.facts.cap
        count = len(cap.tokens)
        if self.deep:
            return np.arange(count)
        rng = np.random.default_rng([SEED, self.number])
        probes = np.flatnonzero(self.dense) if self.dense.any() else np.arange(count)
        sizes = cap.query_member.sum(1)
        cheap = np.flatnonzero((sizes > 1) & (sizes <= GROUP))
        group = np.flatnonzero(cap.query_member[rng.choice(cheap)]) if len(cheap) else np.zeros(0, np.intp)
        chosen = [
            np.array([cap.prompt_length - 1, count - 1]),
            rng.choice(probes, min(PROBED, len(probes)), replace=False),
            rng.choice(count, min(OTHERS, count), replace=False),
            group,
        ]
        return np.unique(np.concatenate(chosen)).astype(np.intp)

    @cached_property
    def dense(self) -> npt.NDArray[np.bool_]:
        """Which rows were read densely, [P]."""
        cap = self.facts.cap
        dense = np.zeros(len(cap.tokens), bool)
        for reading in ("masses", "stats"):
            if cap.has(reading):
                dense[self.facts.store.read(f"/{reading}/probes")] = True
        return dense

    @cached_property
    def exact(self) -> bool:
        """Whether the model's kernel computed in float32."""
        return str(self.facts.cap.model["dtype"]) in ("float32", "float64")

    @cached_property
    def members(self) -> Floats:
        """Members of the key groups in this layer, [G, P]: of the sinks, those of the layer."""
        cap = self.facts.cap
        members = cap.key_member.astype(np.float64)
        if cap.has("masses"):
            members[(cap.key_groups["family"] == SINK).to_numpy()] *= cap.sinks[self.row]
        return members

    def problems(self) -> Iterator[Problem]:
        """Head by head."""
        cap, store = self.facts.cap, self.facts.store
        qk = LayerQK(store, self.number) if cap.has("qk") else None
        heads = qk.q.shape[0] if qk else cap.heads
        whole = np.flatnonzero(~(cap.query_member & ~np.isin(np.arange(len(cap.tokens)), self.queries)).any(1))
        weights = cap.query_member[whole] / np.maximum(cap.query_member[whole].sum(1, keepdims=True), 1)  # [R, P]
        keys: Any = None
        for head in range(heads):
            if qk is not None and head % qk.group == 0:
                keys = qk.keys(head)
            maps = np.zeros((len(whole), len(cap.tokens)))
            flow = np.zeros((int((cap.key_groups["family"] != SINK).sum()), len(cap.key_groups)))
            for start in range(0, len(self.queries), BLOCK):
                at = self.queries[start : start + BLOCK]
                if qk is not None:
                    attention, lse = qk.rows(cap.mask(self.number), head, at, keys)
                    yield from self._stats(head, at, attention, lse)
                    if cap.has("full"):
                        stored = store.rows("/full/attention", (self.row, head), at)
                        yield from self._compare("/full/attention", "map", head, at, stored, attention, True)
                else:
                    attention = store.rows("/full/attention", (self.row, head), at).astype(np.float64)
                    yield from self._stats(head, at, attention, None)
                yield from self._masses(head, at, attention)
                maps += weights[:, at] @ attention
                flow += self._query_members[:, at] @ (attention @ self.members.T)
            if cap.has("maps"):
                stored = store.rows("/maps/rows", (self.row, head), whole)
                yield from self._compare("/maps/rows", "map", head, whole, stored, maps, True)
            if cap.has("masses") and self.deep:
                yield from self._flow(head, flow)

    @cached_property
    def _query_members(self) -> Floats:
        """Members of the key groups as queries of the prompt, [Gq, P], without those of the sinks."""
        cap = self.facts.cap
        members = cap.key_member[(cap.key_groups["family"] != SINK).to_numpy()].astype(np.float64)
        members[:, cap.prompt_length :] = 0
        return members

    def _flow(self, head: int, total: Floats) -> Iterator[Problem]:
        count = self._query_members.sum(1)
        some = np.flatnonzero(count)
        stored = self.facts.store.read("/masses/flow", (self.row, head))[some]
        yield from self._compare(
            "/masses/flow", "mass", head, some, stored, total[some] / count[some, None], self.exact, kernel=True
        )

    def _masses(self, head: int, at: Indices, attention: Floats) -> Iterator[Problem]:
        if not self.facts.cap.has("masses"):
            return
        probes = self.facts.store.read("/masses/probes")
        mine = np.flatnonzero(np.isin(at, probes))
        stored = self.facts.store.rows("/masses/rows", (self.row, head), np.searchsorted(probes, at[mine]))
        wanted = attention[mine] @ self.members.T
        # The masses on sinks of all rows come from log-sum-exps that the kernel gave.
        yield from self._compare("/masses/rows", "mass", head, at[mine], stored, wanted, True)

    def _stats(self, head: int, at: Indices, attention: Floats, lse: Floats | None) -> Iterator[Problem]:
        cap, store = self.facts.cap, self.facts.store
        if not cap.has("stats"):
            return
        dense = self.dense[at]
        logs = np.log(np.where(attention > 0, attention, 1))
        for name, kind, wanted in (
            ("lse", "lse", lse),
            ("entropy", "entropy", -(attention * logs).sum(1)),
            ("sink_mass", "mass", attention @ cap.sinks[self.row]),
        ):
            if wanted is None:
                continue
            stored = store.rows(f"/stats/{name}", (self.row, head), at)
            for some, kernel in ((dense, False), (~dense, True)):
                yield from self._compare(
                    f"/stats/{name}", kind, head, at[some], stored[some], wanted[some], self.exact, kernel=kernel
                )
        probes = store.read("/stats/probes")
        mine = np.flatnonzero(np.isin(at, probes))
        stored = store.rows("/stats/max", (self.row, head), np.searchsorted(probes, at[mine]))
        yield from self._compare("/stats/max", "max", head, at[mine], stored, attention[mine].max(1, initial=0), True)

    def _compare(
        self,
        node: str,
        kind: str,
        head: int,
        rows: Indices,
        stored: npt.NDArray[Any],
        wanted: Floats,
        exact: bool,
        kernel: bool = False,
    ) -> Iterator[Problem]:
        """The place where two arrays differ most, if that is too much; rows [n] name the first axis."""
        absolute, relative = (KERNEL[exact] if kernel else DENSE)[kind]
        if stored.dtype == np.float16:
            absolute, relative = absolute + 1e-7, relative + 1e-3
        apart = np.abs(stored.astype(np.float64) - wanted)
        over = ~(apart <= absolute + relative * np.abs(wanted))
        if over.any():
            where = np.unravel_index(int(np.argmax(np.where(over, np.nan_to_num(apart, nan=np.inf), -1))), over.shape)
            what = "query group" if node in ("/maps/rows", "/masses/flow") else "query"
            rest = f" at {[int(i) for i in where[1:]]}" if len(where) > 1 else ""
            source = "queries and keys give" if self.facts.cap.has("qk") else "/full gives"
            place = f"layer {self.number} head {head} {what} {rows[where[0]]}{rest}"
            yield Problem(node, f"{place}: {float(stored[where]):.6g}, {source} {wanted[where]:.6g}")

"""Readings computed once more from the stored queries and keys (or whole maps), and compared with what is stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from attnscope.capture.check.facts import Facts, Floats
from attnscope.capture.check.problems import Problem
from attnscope.capture.file.specification import FLOW_ERROR, PROBES, SAMPLED
from attnscope.capture.read.dense import LayerQK
from attnscope.capture.read.labels import Indices
from attnscope.estimate import means
from attnscope.vocabulary import media

SEED = 20261128  # of the rows that are chosen where not all are computed
PROBED, OTHERS, GROUP = 4, 2, 16  # rows a layer: of those read densely, of all, and of one query group at most
BLOCK = 256  # rows at once

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
        facts: The capture and its file.
        deep: All rows; otherwise a few a layer, chosen by `SEED`.

    Yields:
        The first difference of each reading in each layer.
    """
    cap = facts.cap
    if not (cap.has("qk") or cap.has("full")):
        return
    for row, number in enumerate(cap.layers.tolist()):
        layer = _Layer(facts, row, number, deep)
        nodes: set[str] = set()
        for problem in layer.problems():
            if problem.node not in nodes:
                nodes.add(problem.node)
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
        for path in (*PROBES, *SAMPLED):
            if self.facts.store.has(path):
                dense[self.facts.store.read(path)] = True
        return dense

    @cached_property
    def members(self) -> Floats:
        """Members of the key groups in this layer, [G, P]."""
        return self.facts.members(self.row)

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
            flow = np.zeros((len(self.facts.query_members), len(cap.key_groups)))
            sampled: list[Floats] = []
            for start in range(0, len(self.queries), BLOCK):
                at = self.queries[start : start + BLOCK]
                if qk is not None:
                    attention, lse = qk.rows(cap.mask(self.number), head, at, keys)
                    yield from self._stats(head, at, attention, lse)
                    if cap.has("full"):
                        stored = store.rows("/full/attention", (self.row, head), at)
                        yield from self._compare("/full/attention", "map", head, at, stored, attention)
                else:
                    attention = store.rows("/full/attention", (self.row, head), at).astype(np.float64)
                    yield from self._stats(head, at, attention, None)
                yield from self._masses(head, at, attention)
                maps += weights[:, at] @ attention
                masses = attention @ self.members.T
                flow += self.facts.query_members[:, at] @ masses
                if self.facts.sample is not None:
                    sampled.append(masses[np.isin(at, self.facts.sample)])
            if cap.has("maps"):
                stored = store.rows("/maps/rows", (self.row, head), whole)
                yield from self._compare("/maps/rows", "map", head, whole, stored, maps)
            if cap.has("masses") and self.deep:
                yield from self._flow(head, flow, np.concatenate(sampled) if sampled else None)

    def _flow(self, head: int, total: Floats, sampled: Floats | None) -> Iterator[Problem]:
        """Flow from the sums over all queries, [Gq, G]; from masses of the sample [n, G] where that stands for them."""
        facts = self.facts
        count = facts.query_members.sum(1)
        some = np.flatnonzero(count)
        stored = facts.store.read("/masses/flow", (self.row, head))[some].astype(np.float64)
        expected = total[some] / count[some, None]
        if sampled is not None:
            errors = facts.store.read(FLOW_ERROR, (self.row, head))[some].astype(np.float64)
            queries = facts.query_members[some] > 0
            seen = facts.cap.tokens["modality"].isin(media(facts.cap.modalities)).to_numpy()
            population = (queries & seen).sum(1)  # of a group that has any, all are: key groups do not mix them
            part, spread = means(sampled, queries[:, facts.sample], population)
            guessed = facts.guessed[some]
            unknown = guessed & np.isnan(part) & np.isnan(stored) & np.isnan(errors)
            expected = np.where(guessed, part, expected)
            spread = np.where(guessed, spread, 0.0)
            errors, spread, stored, expected = (np.where(unknown, 0.0, x) for x in (errors, spread, stored, expected))
            yield from self._compare(FLOW_ERROR, "mass", head, some, errors, spread, kernel=True)
        yield from self._compare("/masses/flow", "mass", head, some, stored, expected, kernel=True)

    def _masses(self, head: int, at: Indices, attention: Floats) -> Iterator[Problem]:
        if not self.facts.cap.has("masses"):
            return
        probes = self.facts.store.read("/masses/probes")
        mine = np.flatnonzero(np.isin(at, probes))
        stored = self.facts.store.rows("/masses/rows", (self.row, head), np.searchsorted(probes, at[mine]))
        expected = attention[mine] @ self.members.T
        # The masses on sinks of all rows come from log-sum-exps that the kernel gave.
        yield from self._compare("/masses/rows", "mass", head, at[mine], stored, expected)

    def _stats(self, head: int, at: Indices, attention: Floats, lse: Floats | None) -> Iterator[Problem]:
        cap, store = self.facts.cap, self.facts.store
        if not cap.has("stats"):
            return
        dense = self.dense[at]
        logs = np.log(np.where(attention > 0, attention, 1))
        for name, kind, expected in (
            ("lse", "lse", lse),
            ("entropy", "entropy", -(attention * logs).sum(1)),
            ("sink_mass", "mass", attention @ cap.sinks[self.row]),
        ):
            if expected is None:
                continue
            stored = store.rows(f"/stats/{name}", (self.row, head), at)
            known = self.facts.entropy_read[at] if name == "entropy" else np.ones(len(at), bool)
            for some, kernel in ((dense & known, False), (~dense & known, True)):
                yield from self._compare(
                    f"/stats/{name}", kind, head, at[some], stored[some], expected[some], kernel=kernel
                )
        probes = store.read("/stats/probes")
        mine = np.flatnonzero(np.isin(at, probes))
        stored = store.rows("/stats/max", (self.row, head), np.searchsorted(probes, at[mine]))
        yield from self._compare("/stats/max", "max", head, at[mine], stored, attention[mine].max(1, initial=0))

    def _compare(
        self,
        node: str,
        kind: str,
        head: int,
        rows: Indices,
        stored: npt.NDArray[Any],
        expected: Floats,
        kernel: bool = False,
    ) -> Iterator[Problem]:
        """The place where two arrays differ most, if that is too much; rows [n] name the first axis."""
        absolute, relative = (KERNEL[self.facts.exact] if kernel else DENSE)[kind]
        if stored.dtype == np.float16:
            absolute, relative = absolute + 1e-7, relative + 1e-3
        apart = np.abs(stored.astype(np.float64) - expected)
        over = ~(apart <= absolute + relative * np.abs(expected))
        if over.any():
            where = np.unravel_index(int(np.argmax(np.where(over, np.nan_to_num(apart, nan=np.inf), -1))), over.shape)
            what = "query group" if node in ("/maps/rows", "/masses/flow", FLOW_ERROR) else "query"
            rest = f" at {[int(i) for i in where[1:]]}" if len(where) > 1 else ""
            source = "queries and keys give" if self.facts.cap.has("qk") else "/full gives"
            place = f"layer {self.number} head {head} {what} {rows[where[0]]}{rest}"
            yield Problem(node, f"{place}: {float(stored[where]):.6g}, {source} {expected[where]:.6g}")

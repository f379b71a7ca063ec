"""The numbers of a capture: attention is neither lost nor made, and counts are those of the mask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from attnscope.capture.check.facts import Bools, Facts, Floats
from attnscope.capture.check.hidden import check_hidden
from attnscope.capture.check.problems import Problem, guarded
from attnscope.capture.check.recompute import check_recomputed
from attnscope.capture.check.relations import check_relations
from attnscope.capture.file.nodes import Store
from attnscope.capture.file.specification import FLOW_ERROR, GATE, STATS_SAMPLED
from attnscope.capture.read.capture import Capture
from attnscope.capture.read.dense import LayerMask
from attnscope.errors import FormatError
from attnscope.vocabulary import PARTITIONS

STORAGE = {"float16": 1e-3}  # what rounding to a smaller type adds to the sum of a row
BLOCK = 64 << 20  # bytes read at once
STEP = 256  # queries whose mask is held at once

Ints = npt.NDArray[np.int64]


def check(path: Path, store: Store, deep: bool = False) -> Iterator[Problem]:
    """Check what the readings must sum to, and that they agree with one another.

    Args:
        path: The file.
        store: The same file, open.
        deep: Compute all rows once more from queries and keys, not a few.

    Yields:
        The problems.
    """
    try:
        cap = Capture(path)
    except FormatError:
        return  # a node that every capture has is missing or broken: the structure has said which
    with cap:
        facts = Facts(cap, store)
        for reading, node, part in (
            ("masses", "/masses/rows", _masses),
            ("masses", "/masses/flow", _flow),
            ("masses", "/masses/rows_allowed", _mass_counts),
            ("maps", "/maps/rows", _maps),
            ("stats", "/stats", _stats),
            ("stats", "/stats/allowed", _stat_counts),
            ("full", "/full/attention", _full),
            ("hidden", "/hidden", check_hidden),
        ):
            yield from guarded(node, partial(_if_there, facts, reading, part))
        yield from guarded("/masses", partial(check_relations, facts))
        yield from guarded("/qk", partial(check_recomputed, facts, deep))


def _if_there(facts: Facts, reading: str, part: Callable[[Facts], Iterator[Problem]]) -> Iterator[Problem]:
    if facts.cap.has(reading):
        yield from part(facts)


def _off(total: Floats, low: Floats, high: Floats, tolerance: float) -> npt.NDArray[np.intp]:
    """Where a sum is not between two others, NaN included."""
    return np.argwhere(~((total >= low - tolerance) & (total <= high + tolerance)))


def _name(facts: Facts, layer: int, head: int) -> str:
    return f"layer {facts.cap.layers[layer]} head {head}"


def _masses(facts: Facts) -> Iterator[Problem]:
    cap, node = facts.cap, "/masses/rows"
    probes = facts.store.read("/masses/probes")
    families = cap.key_groups["family"].to_numpy()
    for layer in range(len(cap.layers)):
        rows = facts.store.read(node, layer).astype(np.float64)  # [H, R, G]
        low, high = (limit[:, probes] for limit in facts.expected(layer))
        for family in PARTITIONS:
            total = rows[:, :, families == family].sum(-1)
            for head, row in _off(total, low, high, facts.tolerance)[:1]:
                what = f"{_sum(total[head, row], low[head, row], high[head, row])} over family {family}"
                yield Problem(node, f"{_name(facts, layer, head)} query {probes[row]}: masses sum to {what}")
        yield from _range(facts, node, layer, rows, 0, 1, facts.tolerance)
        if cap.has("stats"):
            sinks = facts.store.read("/stats/sink_mass", layer)[:, probes].astype(np.float64)
            total = rows[:, :, facts.is_sink].sum(-1)
            for head, row in _off(total, sinks, sinks, facts.tolerance)[:1]:
                what = f"{total[head, row]:.6g} on sinks, {sinks[head, row]:.6g} in /stats/sink_mass"
                yield Problem(node, f"{_name(facts, layer, head)} query {probes[row]}: {what}")


def _flow(facts: Facts) -> Iterator[Problem]:
    cap, node = facts.cap, "/masses/flow"
    families = cap.key_groups["family"].to_numpy()
    members = facts.query_members  # [Gq, P]: flow is of the prompt's queries
    count = members.sum(1)
    for layer in range(len(cap.layers)):
        flow = facts.store.read(node, layer).astype(np.float64)  # [H, Gq, G]
        low, high = (limit @ members.T / np.maximum(count, 1) for limit in facts.expected(layer))
        for family in PARTITIONS:
            total = flow[:, :, families == family].sum(-1)
            for head, group in [at for at in _off(total, low, high, facts.tolerance) if count[at[1]]][:1]:
                what = f"{_sum(total[head, group], low[head, group], high[head, group])} over family {family}"
                yield Problem(node, f"{_name(facts, layer, head)} query group {group}: masses sum to {what}")
        if not np.isnan(flow[:, count == 0]).all():
            yield Problem(node, f"layer {cap.layers[layer]}: a group without queries is not NaN")
        error = facts.flow_error(layer)
        if (error[:, ~facts.guessed] > 0).any():
            yield Problem(FLOW_ERROR, f"layer {cap.layers[layer]}: an error is not 0 where every query was read")
        for head, group, key in np.argwhere((np.isnan(flow) != np.isnan(error)) & (count > 0)[:, None])[:1]:
            what = "one of flow and flow_error is NaN, the other is not"
            yield Problem(FLOW_ERROR, f"{_name(facts, layer, head)} query group {group} at {key}: {what}")
        if (error < 0).any():
            yield Problem(FLOW_ERROR, f"layer {cap.layers[layer]}: an error is negative")


def _maps(facts: Facts) -> Iterator[Problem]:
    cap, node = facts.cap, "/maps/rows"
    members = cap.query_member.astype(np.float64)  # [R, P]
    count = members.sum(1)
    tolerance = facts.tolerance + STORAGE.get(str(facts.store.array(node).dtype), 0.0)
    for layer in range(len(cap.layers)):
        maps = facts.store.read(node, layer).astype(np.float64)  # [H, R, P]
        low, high = (limit @ members.T / np.maximum(count, 1) for limit in facts.expected(layer))
        total = maps.sum(-1)
        for head, group in [at for at in _off(total, low, high, tolerance) if count[at[1]]][:1]:
            what = _sum(total[head, group], low[head, group], high[head, group])
            name = cap.query_groups["name"][int(group)]
            yield Problem(node, f"{_name(facts, layer, head)} query group '{name}': the row sums to {what}")
        yield from _range(facts, node, layer, maps[:, count > 0], 0, 1, tolerance)


def _stats(facts: Facts) -> Iterator[Problem]:
    cap = facts.cap
    allowed = _allowed_keys(cap)
    for layer, number in enumerate(cap.layers.tolist()):
        # A learned sink is one more place where attention goes: entropy is bounded as with one more key.
        logits = cap.sink_logits
        extra = 1 if logits is not None and np.isfinite(logits[layer]).any() else 0
        most = np.log(np.maximum(allowed[cap.mask(number)] + extra, 1))
        for name, high, tolerance in (
            ("entropy", most, facts.entropy_tolerance),
            ("sink_mass", 1, facts.tolerance),
            ("max", 1, facts.tolerance),
        ):
            values = facts.store.read(f"/stats/{name}", layer).astype(np.float64)
            if name == "entropy":
                unread = ~facts.entropy_read
                if not np.isnan(values[:, unread]).all():
                    what = f"layer {number}: a query that is not in {STATS_SAMPLED} is not NaN"
                    yield Problem("/stats/entropy", what)
                values[:, unread] = 0
            yield from _range(facts, f"/stats/{name}", layer, values, 0, high, tolerance)
        if cap.gated:
            gate = facts.store.read(GATE, layer).astype(np.float64)
            yield from _range(facts, GATE, layer, gate[~np.isnan(gate).all(-1)], 0, 1, 0.0)
        lse = facts.store.read("/stats/lse", layer)
        for head, query in np.argwhere(~np.isfinite(lse))[:1]:
            yield Problem("/stats/lse", f"{_name(facts, layer, head)} query {query}: {lse[head, query]}")
    missing = np.setdiff1d(np.flatnonzero(cap.query_member.any(0)), facts.store.read("/stats/probes"))
    if len(missing):
        yield Problem("/stats/probes", f"position {missing[0]} is in a query group, but not probed")


def _full(facts: Facts) -> Iterator[Problem]:
    cap, node = facts.cap, "/full/attention"
    count = len(cap.tokens)
    step = max(1, BLOCK // max(1, 8 * count))
    for layer, number in enumerate(cap.layers.tolist()):
        low, high = facts.expected(layer)
        for head in range(cap.heads):
            for start in range(0, count, step):
                part = slice(start, start + step)
                block = facts.store.read(node, (layer, head, part)).astype(np.float64)  # [Q, P]
                total = block.sum(-1)
                for (row,) in _off(total, low[head, part], high[head, part], facts.tolerance)[:1]:
                    what = _sum(total[row], low[head, start + row], high[head, start + row])
                    yield Problem(node, f"{_name(facts, layer, head)} query {start + row}: the row sums to {what}")
                queries = np.arange(start, start + len(block))
                if (block[~cap.allowed(number, queries)] != 0).any():
                    yield Problem(node, f"{_name(facts, layer, head)}: attention on a pair that is not allowed")


def _mass_counts(facts: Facts) -> Iterator[Problem]:
    """`rows_allowed` and `flow_pairs` of every layer."""
    cap, store = facts.cap, facts.store
    probes, queries = store.read("/masses/probes"), facts.query_members.astype(np.int64)
    known: dict[LayerMask, Ints] = {}
    for layer, number in enumerate(cap.layers.tolist()):
        counts = _counts_of(cap, layer, number, facts.is_sink, known)  # [P, G]
        for node, expected in (("/masses/rows_allowed", counts[probes]), ("/masses/flow_pairs", queries @ counts)):
            yield from _same(node, number, store.read(node, layer), expected)


def _stat_counts(facts: Facts) -> Iterator[Problem]:
    """`allowed` of every layer."""
    known = _allowed_keys(facts.cap)
    for layer, number in enumerate(facts.cap.layers.tolist()):
        stored = facts.store.read("/stats/allowed", layer)
        yield from _same("/stats/allowed", number, stored, known[facts.cap.mask(number)])


def _allowed_keys(cap: Capture) -> dict[LayerMask, Ints]:
    """How many keys every query may see, [P], under each of the capture's masks."""
    every = np.ones((1, len(cap.tokens)), bool)
    layers = {cap.mask(number): number for number in cap.layers.tolist()}
    return {mask: _seen(cap, number, every)[:, 0] for mask, number in layers.items()}


def _counts_of(cap: Capture, layer: int, number: int, is_sink: Bools, known: dict[LayerMask, Ints]) -> Ints:
    """Keys of each group that every query may see, [P, G]: layers with one mask share all but the sinks."""
    mask = cap.mask(number)
    if mask not in known:
        known[mask] = _seen(cap, number, cap.key_member[~is_sink])
    counts = np.empty((len(cap.tokens), len(is_sink)), np.int64)
    counts[:, ~is_sink] = known[mask]
    counts[:, is_sink] = _seen(cap, number, cap.key_member[is_sink] & cap.sinks[layer])
    return counts


def _seen(cap: Capture, number: int, member: Bools) -> Ints:
    """How many keys of each group [G, P] every query may see, [P, G]."""
    weight = member.T.astype(np.float32)  # counts up to 2^24 are exact in float32, and the product is fast
    parts = []
    for start in range(0, member.shape[1], STEP):
        queries = slice(start, start + STEP)
        parts.append((cap.allowed(number, queries).astype(np.float32) @ weight).astype(np.int64))
    return np.concatenate(parts)


def _same(node: str, number: int, stored: Ints, expected: Ints) -> Iterator[Problem]:
    if stored.shape != expected.shape:
        yield Problem(node, f"layer {number}: {stored.shape} numbers, not {expected.shape}")
        return
    for at in np.argwhere(stored != expected)[:1]:
        what = f"{stored[tuple(at)]} at {at.tolist()}, the mask allows {expected[tuple(at)]}"
        yield Problem(node, f"layer {number}: {what}")


def _sum(total: float, low: float, high: float) -> str:
    return f"{total:.6g}, not " + (f"{high:.6g}" if low == high else f"between {low:.6g} and {high:.6g}")


def _range(
    facts: Facts, node: str, layer: int, values: Floats, low: float, high: Any, tolerance: float
) -> Iterator[Problem]:
    """The first value of [H, ...] that is not from `low` to `high`."""
    for at in np.argwhere(~((values >= low - tolerance) & (values <= high + tolerance)))[:1]:
        most = np.broadcast_to(high, values.shape)[tuple(at)]
        what = f"{values[tuple(at)]:.6g} is not from {low} to {most:.6g}"
        yield Problem(node, f"{_name(facts, layer, at[0])} at {at[1:].tolist()}: {what}")

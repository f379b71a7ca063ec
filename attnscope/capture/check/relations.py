"""Readings that say the same in two ways, held against each other; no queries or keys are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import zip_longest

import numpy as np

from attnscope.capture.check.facts import Facts, Floats
from attnscope.capture.check.problems import Problem, guarded
from attnscope.capture.check.recompute import DENSE, KERNEL
from attnscope.vocabulary import PARTITIONS


def check_relations(facts: Facts) -> Iterator[Problem]:
    """Masses among themselves, and with maps and stats; maps with stats."""
    cap = facts.cap
    parts = [
        guarded(node, partial(_each_layer, facts, part))
        for node, readings, part in (
            ("/masses/rows", ("masses",), _groups),
            ("/masses/flow", ("masses",), _flow),
            ("/maps/rows", ("masses", "maps"), _maps_and_masses),
            ("/maps/rows", ("maps", "stats"), _maps_and_stats),
            ("/stats/entropy", ("masses", "stats"), _entropies),
        )
        if all(cap.has(reading) for reading in readings)
    ]
    # All parts look at a layer before any goes on to the next, so that its numbers are read once.
    layers = list(zip_longest(*parts))
    for problems in zip(*layers, strict=True):
        yield from (problem for problem in problems if problem is not None)


def _each_layer(facts: Facts, part: Callable[[Facts, int], Iterator[Problem]]) -> Iterator[Problem | None]:
    """The first problem of each layer, None if it has none."""
    for row, number in enumerate(facts.cap.layers.tolist()):
        problem = next(part(facts, row), None)
        yield None if problem is None else Problem(problem.node, f"layer {number} {problem.message}")


def _relations(vectors: Floats) -> Floats:
    """Every linear relation between the rows of a matrix, [n, rows], each of norm 1."""
    values, basis = np.linalg.eigh(vectors @ vectors.T)
    return np.asarray(basis[:, values <= 1e-9 * max(1.0, float(values[-1]))].T)


def _groups(facts: Facts, row: int) -> Iterator[Problem]:
    """What holds between sets of keys holds between their masses: equal sets, parts and wholes."""
    relations = _relations(facts.members(row))  # [n, G]
    masses = facts.read("/masses/rows", row).astype(np.float64)  # [H, R, G]
    left = np.abs(masses @ relations.T)  # [H, R, n]
    # The masses on sinks come from facts.exact logits and the kernel's log-sum-exp, the others from dense rows.
    tolerance = 1e-4 if facts.exact else 1e-3
    for head, probe, which in np.argwhere(~(left <= tolerance))[:1]:
        names = facts.cap.key_groups["name"].to_numpy()[np.argsort(-np.abs(relations[which]))[:3]]
        what = f"masses on {', '.join(names)} and others do not add up as their members do"
        yield Problem("/masses/rows", f"head {head} probe {probe}: {what} ({left[head, probe, which]:.3g} off)")


def _flow(facts: Facts, row: int) -> Iterator[Problem]:
    """Flow of a group whose queries are all probed is the mean of their rows; the others add up."""
    store = facts.store
    queries, probes = facts.query_members, store.read("/masses/probes")
    flow = facts.read("/masses/flow", row).astype(np.float64)  # [H, Gq, G]
    masses = facts.read("/masses/rows", row).astype(np.float64)  # [H, R, G]
    absolute, relative = KERNEL[facts.exact]["mass"]
    count = queries.sum(1)
    probed = np.flatnonzero((queries[:, probes].sum(1) == count) & (count > 0))
    mean = (queries[probed][:, probes] / count[probed, None]) @ masses
    over = np.abs(flow[:, probed] - mean) > absolute + relative * mean
    for head, group, key in np.argwhere(over)[:1]:
        what = f"{flow[head, probed[group], key]:.6g}, /masses/rows gives {mean[head, group, key]:.6g}"
        yield Problem("/masses/flow", f"head {head} query group {probed[group]} at {key}: {what}")
    some = np.flatnonzero(count)
    total = flow[:, some] * (count[some] / count[some].max())[None, :, None]
    total[..., facts.guessed.any(0)] = 0  # means over a sample do not add up as sums do
    left = np.abs(_relations(queries[some]) @ total)
    for head, _, key in np.argwhere(~(left <= (1e-4 if facts.exact else 2e-2)))[:1]:
        yield Problem("/masses/flow", f"head {head} at {key}: the query groups do not add up as their members do")


def _maps_and_masses(facts: Facts, row: int) -> Iterator[Problem]:
    """The mean row of a query group, summed over a key group, is the mean of the group's masses."""
    cap, store = facts.cap, facts.store
    probes = store.read("/masses/probes")
    queries = cap.query_member.astype(np.float64)
    count = queries.sum(1)
    whole = np.flatnonzero((queries[:, probes].sum(1) == count) & (count > 0))
    weights = queries[whole][:, probes] / count[whole, None]
    stored = facts.read("/maps/rows", row)[:, whole]
    maps = stored.astype(np.float64) @ facts.members(row).T  # [H, R, G]
    mean = weights @ facts.read("/masses/rows", row).astype(np.float64)
    absolute, relative = DENSE["mass"]
    over = ~(np.abs(maps - mean) <= absolute + (1e-3 if stored.dtype == np.float16 else 0) + relative * mean)
    if not facts.exact:  # masses on sinks come from the kernel's log-sum-exp
        over[..., facts.is_sink] = False
    for head, group, key in np.argwhere(over)[:1]:
        name = cap.query_groups["name"][int(whole[group])]
        on = cap.key_groups["name"][int(key)]
        what = f"{maps[head, group, key]:.6g} on '{on}', /masses/rows gives {mean[head, group, key]:.6g}"
        yield Problem("/maps/rows", f"head {head} query group '{name}': {what}")


def _maps_and_stats(facts: Facts, row: int) -> Iterator[Problem]:
    """A group of one query is that query's row: its largest value, its entropy, its mass on sinks."""
    cap, store = facts.cap, facts.store
    single = np.flatnonzero(cap.query_member.sum(1) == 1)
    at = cap.query_member[single].argmax(1)
    stored = facts.read("/maps/rows", row)[:, single]
    maps = stored.astype(np.float64)
    probes = store.read("/stats/probes")
    half = 1e-3 if stored.dtype == np.float16 else 0.0
    logs = np.log(np.where(maps > 0, maps, 1))
    for name, kind, place, expected in (
        ("max", "max", np.searchsorted(probes, at), maps.max(-1, initial=0)),
        ("entropy", "entropy", at, -(maps * logs).sum(-1)),
        ("sink_mass", "mass", at, maps @ cap.sinks[row]),
    ):
        stored_stat = facts.read(f"/stats/{name}", row)[:, place].astype(np.float64)
        absolute, relative = DENSE[kind] if kind != "mass" or facts.exact else KERNEL[facts.exact][kind]
        room = absolute + half * (10 if kind == "entropy" else 1) + relative * np.abs(expected)
        for head, group in np.argwhere(~(np.abs(stored_stat - expected) <= room))[:1]:
            what = f"{stored_stat[head, group]:.6g}, the row in /maps/rows gives {expected[head, group]:.6g}"
            yield Problem(f"/stats/{name}", f"head {head} query {at[group]}: {what}")
    unseen = ~cap.allowed(int(cap.layers[row]), at)
    for head, group, key in np.argwhere((maps != 0) & unseen)[:1]:
        what = f"attention on key {key}, which query {at[group]} may not see"
        yield Problem("/maps/rows", f"head {head} query group {single[group]}: {what}")


def _entropies(facts: Facts, row: int) -> Iterator[Problem]:
    """Entropy is at least that of the masses of a partition, and at most that of masses spread evenly."""
    cap, store = facts.cap, facts.store
    probes = store.read("/masses/probes")
    entropy = facts.read("/stats/entropy", row)[:, probes].astype(np.float64)  # [H, R]
    masses = np.clip(facts.read("/masses/rows", row).astype(np.float64), 0, None)
    count = np.maximum(facts.read("/masses/rows_allowed", row).astype(np.float64), 1)  # [R, G]
    room = DENSE["entropy"][0] + (0 if facts.exact else 1e-2)
    for family in PARTITIONS:
        some = (cap.key_groups["family"] == family).to_numpy()
        part = masses[..., some]
        least = -(part * np.log(np.where(part > 0, part, 1))).sum(-1)
        most = least + (part * np.log(count[None, :, some])).sum(-1)
        for head, probe in np.argwhere(~((entropy >= least - room) & (entropy <= most + room)))[:1]:
            between = f"from {least[head, probe]:.4g} to {most[head, probe]:.4g}"
            what = f"{entropy[head, probe]:.6g} is not {between}, as the masses of family {family} say"
            yield Problem("/stats/entropy", f"head {head} query {probes[probe]}: {what}")

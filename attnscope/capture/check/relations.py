"""Readings that say the same in two ways, held against each other; no queries or keys are needed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from attnscope.capture.check.problems import Problem, guarded
from attnscope.capture.check.recompute import DENSE, KERNEL, Facts
from attnscope.vocabulary import PARTITIONS, SINK, hidden_groups, of_modality

Floats = npt.NDArray[np.float64]


def check_relations(facts: Facts) -> Iterator[Problem]:
    """Masses among themselves, and with maps and stats; maps with stats."""
    cap = facts.cap
    exact = str(cap.model["dtype"]) in ("float32", "float64")
    for node, readings, part in (
        ("/masses/rows", ("masses",), _groups),
        ("/masses/flow", ("masses",), _flow),
        ("/maps/rows", ("masses", "maps"), _maps_and_masses),
        ("/maps/rows", ("maps", "stats"), _maps_and_stats),
        ("/stats/entropy", ("masses", "stats"), _entropies),
    ):
        if all(cap.has(reading) for reading in readings):
            yield from guarded(node, partial(_each_layer, facts, exact, part))


def _each_layer(facts: Facts, exact: bool, part: Any) -> Iterator[Problem]:
    for row, number in enumerate(facts.cap.layers.tolist()):
        for problem in part(facts, row, exact):
            yield Problem(problem.node, f"layer {number} {problem.message}")
            break


def _members(facts: Facts, row: int) -> Floats:
    """Members of the key groups in a layer, [G, P]: of the sinks, those of the layer."""
    cap = facts.cap
    members = cap.key_member.astype(np.float64)
    members[(cap.key_groups["family"] == SINK).to_numpy()] *= cap.sinks[row]
    return members


def _as_queries(facts: Facts) -> Floats:
    """The key groups without sinks as groups of the prompt's queries, [Gq, P]."""
    cap = facts.cap
    members = cap.key_member[(cap.key_groups["family"] != SINK).to_numpy()].astype(np.float64)
    members[:, cap.prompt_length :] = 0
    return members


def _relations(vectors: Floats) -> Floats:
    """Every linear relation between the rows of a matrix, [n, rows], each of norm 1."""
    values, basis = np.linalg.eigh(vectors @ vectors.T)
    return np.asarray(basis[:, values <= 1e-9 * max(1.0, float(values[-1]))].T)


def _groups(facts: Facts, row: int, exact: bool) -> Iterator[Problem]:
    """What holds between sets of keys holds between their masses: equal sets, parts and wholes."""
    relations = _relations(_members(facts, row))  # [n, G]
    masses = facts.store.read("/masses/rows", row).astype(np.float64)  # [H, R, G]
    left = np.abs(masses @ relations.T)  # [H, R, n]
    # The masses on sinks come from exact logits and the kernel's log-sum-exp, the others from dense rows.
    tolerance = 1e-4 if exact else 1e-3
    for head, probe, which in np.argwhere(~(left <= tolerance))[:1]:
        names = facts.cap.key_groups["name"].to_numpy()[np.argsort(-np.abs(relations[which]))[:3]]
        what = f"masses on {', '.join(names)} and others do not add up as their members do"
        yield Problem("/masses/rows", f"head {head} probe {probe}: {what} ({left[head, probe, which]:.3g} off)")


def _flow(facts: Facts, row: int, exact: bool) -> Iterator[Problem]:
    """Flow of a group whose queries are all probed is the mean of their rows; the others add up."""
    store = facts.store
    queries, probes = _as_queries(facts), store.read("/masses/probes")
    flow = store.read("/masses/flow", row).astype(np.float64)  # [H, Gq, G]
    masses = store.read("/masses/rows", row).astype(np.float64)  # [H, R, G]
    absolute, relative = KERNEL[exact]["mass"]
    count = queries.sum(1)
    probed = np.flatnonzero((queries[:, probes].sum(1) == count) & (count > 0))
    mean = np.einsum("gr,hrk->hgk", queries[probed][:, probes] / count[probed, None], masses)
    over = np.abs(flow[:, probed] - mean) > absolute + relative * mean
    for head, group, key in np.argwhere(over)[:1]:
        what = f"{flow[head, probed[group], key]:.6g}, /masses/rows gives {mean[head, group, key]:.6g}"
        yield Problem("/masses/flow", f"head {head} query group {probed[group]} at {key}: {what}")
    some = np.flatnonzero(count)
    total = flow[:, some] * (count[some] / count[some].max())[None, :, None]
    left = np.abs(np.einsum("ng,hgk->hnk", _relations(queries[some]), total))
    for head, _, key in np.argwhere(~(left <= (1e-4 if exact else 2e-2)))[:1]:
        yield Problem("/masses/flow", f"head {head} at {key}: the query groups do not add up as their members do")


def _maps_and_masses(facts: Facts, row: int, exact: bool) -> Iterator[Problem]:
    """The mean row of a query group, summed over a key group, is the mean of the group's masses."""
    cap, store = facts.cap, facts.store
    probes = store.read("/masses/probes")
    queries = cap.query_member.astype(np.float64)
    count = queries.sum(1)
    whole = np.flatnonzero((queries[:, probes].sum(1) == count) & (count > 0))
    weights = queries[whole][:, probes] / count[whole, None]
    stored = store.read("/maps/rows", row)[:, whole]
    maps = stored.astype(np.float64) @ _members(facts, row).T  # [H, R, G]
    mean = np.einsum("gr,hrk->hgk", weights, store.read("/masses/rows", row).astype(np.float64))
    absolute, relative = DENSE["mass"]
    over = ~(np.abs(maps - mean) <= absolute + (1e-3 if stored.dtype == np.float16 else 0) + relative * mean)
    if not exact:  # masses on sinks come from the kernel's log-sum-exp
        over[..., (cap.key_groups["family"] == SINK).to_numpy()] = False
    for head, group, key in np.argwhere(over)[:1]:
        name = cap.query_groups["name"][int(whole[group])]
        on = cap.key_groups["name"][int(key)]
        what = f"{maps[head, group, key]:.6g} on '{on}', /masses/rows gives {mean[head, group, key]:.6g}"
        yield Problem("/maps/rows", f"head {head} query group '{name}': {what}")


def _maps_and_stats(facts: Facts, row: int, exact: bool) -> Iterator[Problem]:
    """A group of one query is that query's row: its largest value, its entropy, its mass on sinks."""
    cap, store = facts.cap, facts.store
    single = np.flatnonzero(cap.query_member.sum(1) == 1)
    at = cap.query_member[single].argmax(1)
    stored = store.read("/maps/rows", row)[:, single]
    maps = stored.astype(np.float64)
    probes = store.read("/stats/probes")
    half = 1e-3 if stored.dtype == np.float16 else 0.0
    logs = np.log(np.where(maps > 0, maps, 1))
    for name, kind, place, wanted in (
        ("max", "max", np.searchsorted(probes, at), maps.max(-1, initial=0)),
        ("entropy", "entropy", at, -(maps * logs).sum(-1)),
        ("sink_mass", "mass", at, maps @ cap.sinks[row]),
    ):
        found = store.read(f"/stats/{name}", row)[:, place].astype(np.float64)
        absolute, relative = DENSE[kind] if kind != "mass" or exact else KERNEL[exact][kind]
        room = absolute + half * (10 if kind == "entropy" else 1) + relative * np.abs(wanted)
        for head, group in np.argwhere(~(np.abs(found - wanted) <= room))[:1]:
            what = f"{found[head, group]:.6g}, the row in /maps/rows gives {wanted[head, group]:.6g}"
            yield Problem(f"/stats/{name}", f"head {head} query {at[group]}: {what}")
    unseen = ~cap.allowed(int(cap.layers[row]), at)
    for head, group, key in np.argwhere((maps != 0) & unseen)[:1]:
        what = f"attention on key {key}, which query {at[group]} may not see"
        yield Problem("/maps/rows", f"head {head} query group {single[group]}: {what}")


def _entropies(facts: Facts, row: int, exact: bool) -> Iterator[Problem]:
    """Entropy is at least that of the masses of a partition, and at most that of masses spread evenly."""
    cap, store = facts.cap, facts.store
    probes = store.read("/masses/probes")
    entropy = store.read("/stats/entropy", row)[:, probes].astype(np.float64)  # [H, R]
    masses = np.clip(store.read("/masses/rows", row).astype(np.float64), 0, None)
    count = np.maximum(store.read("/masses/rows_allowed", row).astype(np.float64), 1)  # [R, G]
    room = DENSE["entropy"][0] + (0 if exact else 1e-2)
    for family in PARTITIONS:
        some = (cap.key_groups["family"] == family).to_numpy()
        part = masses[..., some]
        least = -(part * np.log(np.where(part > 0, part, 1))).sum(-1)
        most = least + (part * np.log(count[None, :, some])).sum(-1)
        for head, probe in np.argwhere(~((entropy >= least - room) & (entropy <= most + room)))[:1]:
            between = f"from {least[head, probe]:.4g} to {most[head, probe]:.4g}"
            what = f"{entropy[head, probe]:.6g} is not {between}, as the masses of family {family} say"
            yield Problem("/stats/entropy", f"head {head} query {probes[probe]}: {what}")


# The summed-up hidden states of a capture: what their definitions allow, and that they agree with one another.


TOLERANCE = 1e-5  # of parts of a squared norm: float32 rounding, ours


def check_hidden(facts: Facts) -> Iterator[Problem]:
    """Every layer's input, and the end of the stream."""
    cap, store = facts.cap, facts.store
    names = store.strings("/hidden/group")
    groups = list(hidden_groups(cap.modalities))
    if names != groups:
        yield Problem("/hidden/group", f"is {names}, not {groups}")
        return
    width = store.whole("/hidden", "width")
    prompt = cap.tokens[: cap.prompt_length]
    tokens = np.array([len(prompt), *(of_modality(prompt, name).sum() for name in names[1:])])
    for state, number in enumerate([*cap.layers.tolist(), int(cap.model["layers"])]):
        ratios = store.read("/hidden/massive", state).astype(np.float64)
        most = np.sqrt(width)
        for (at,) in np.argwhere((ratios < 1 - TOLERANCE) | (ratios > most * (1 + TOLERANCE)))[:1]:
            what = f"{ratios[at]:.6g} is not from 1 to the root of {width} channels"
            yield Problem("/hidden/massive", f"layer {number} position {at}: {what}")
        residual = store.read("/hidden/residual", state).astype(np.float64)  # [G]
        values = store.read("/hidden/singular_values", state).astype(np.float64)  # [G, K]
        for group in np.flatnonzero((residual < 0) | (residual > 1 + TOLERANCE))[:1]:
            what = f"{residual[group]:.6g} is not from 0 to 1"
            yield Problem("/hidden/residual", f"layer {number} group '{names[group]}': {what}")
        for node, what in _spectra(names, np.minimum(tokens, width), residual, values):
            yield Problem(f"/hidden/{node}", f"layer {number} {what}")


def _spectra(
    names: list[str], ranks: npt.NDArray[np.int64], residual: Floats, values: Floats
) -> Iterator[tuple[str, str]]:
    """What is wrong with the singular values of one layer: the node and what."""
    for name, rank, left, found in zip(names, ranks.tolist(), residual, values, strict=True):
        known = np.isfinite(found)
        if not np.array_equal(known, np.arange(len(found)) < rank) and known.any():
            yield "singular_values", f"group '{name}': {known.sum()} are there, not {rank}"
        elif (np.diff(found[:rank]) > 0).any() or (found[:rank] < 0).any():
            yield "singular_values", f"group '{name}': they are negative or increase"
        elif np.isnan(left) == (known.any() and found[0] > 0):
            yield "residual", f"group '{name}': {left:.6g}, where the largest singular value is {_first(found):.6g}"
        elif not np.isnan(left) and left**2 < 1 - found[0] ** 2 / np.square(found[:rank]).sum() - TOLERANCE:
            # Equal rows are of rank one, and nothing of rank one takes away more than the largest singular value.
            yield "residual", f"group '{name}': {left:.6g} is less than the singular values leave"
    for name, found in zip(names[1:], values[1:], strict=True):
        # Taking rows away makes no singular value larger (Cauchy's interlacing).
        over = np.flatnonzero(found > values[0] * (1 + TOLERANCE) + TOLERANCE * np.nan_to_num(values[0, :1]))
        if len(over) and np.isfinite(values[0]).any():
            yield "singular_values", f"group '{name}': number {over[0]} is larger than that of all tokens"
    whole, *parts = np.square(values)
    if np.isfinite(whole).any() and np.nansum(parts) > np.nansum(whole) * (1 + TOLERANCE):
        yield "singular_values", f"group '{names[0]}': its norm is smaller than that of its parts"


def _first(values: Floats) -> float:
    return float(values[0]) if len(values) else np.nan

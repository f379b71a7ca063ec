"""The counts of a capture, compared with its masks: keys that a query may see, pairs of two groups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from attnscope.capture._dense import LayerMask
from attnscope.capture._h5 import Store
from attnscope.capture._problems import Problem
from attnscope.capture.reader import Capture

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
    sink = (cap.key_groups["family"] == "sink").to_numpy()
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

"""The structure of a capture: nodes, types, sizes, checksums, and that its parts agree with one another."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np

from attnscope.capture.check.arrays import Sizes, check_array, check_strings, sizes_of
from attnscope.capture.check.documents import check_documents
from attnscope.capture.check.groups import check_frames, check_groups, check_mask
from attnscope.capture.check.problems import Problem, guarded
from attnscope.capture.check.tokens import check_tokens
from attnscope.capture.file.nodes import Store
from attnscope.capture.file.specification import (
    ALWAYS,
    FLOW_ERROR,
    MASSES_SAMPLED,
    MAY,
    PER_LAYER,
    PROBES,
    RULES,
    SAMPLED,
    Rule,
)
from attnscope.vocabulary import READINGS


def check(store: Store) -> Iterator[Problem]:
    """Every MUST of the specification that is not about the numbers themselves.

    Args:
        store: The file.

    Yields:
        The problems.
    """
    yield from guarded("/", partial(_root, store))
    sizes = sizes_of(store)
    broken = set()
    for rule in RULES:
        for problem in guarded(rule.path, partial(_node, store, rule, sizes)):
            broken.add(problem.node)
            yield problem
    yield from guarded("/qk", partial(_qk, store, sizes))
    for path in PROBES:
        yield from guarded(path, partial(_positions, store, path, "probe", sizes.get("query")))
    for path in SAMPLED:
        yield from guarded(path, partial(_positions, store, path, "sample", sizes.get("prompt")))
    yield from guarded(FLOW_ERROR, partial(_together, store))
    for node, part in (
        ("/model", check_documents),
        ("/tokens", check_tokens),
        ("/frames", check_frames),
        ("/key_groups", check_groups),
        ("/mask", check_mask),
    ):
        for problem in guarded(node, partial(part, store)):
            if problem.node not in broken:  # the rules have said it
                yield problem


def _root(store: Store) -> Iterator[Problem]:
    store.text("/", "attnscope-version")
    created = store.text("/", "created")
    try:
        datetime.fromisoformat(created)
    except ValueError:
        yield Problem("/", f"attribute 'created' is '{created}', not an ISO 8601 time")


def _node(store: Store, rule: Rule, sizes: Sizes) -> Iterator[Problem]:
    needed = rule.need == ALWAYS or any(store.has(f"/{r}") for r in rule.need.split() if rule.need != MAY)
    if rule.need in READINGS and rule.path == f"/{rule.need}":
        needed = bool(_plan(store).get(rule.need, False))
        if store.has(rule.path) and not needed:
            yield Problem(rule.path, f"is there, but /run says that the plan had no '{rule.need}'")
    if not needed and not store.has(rule.path):
        return
    store.node(rule.path, rule.encoding)
    if rule.encoding == "array":
        yield from check_array(store, rule, sizes)
    elif rule.encoding in ("strings", "json"):
        yield from check_strings(store, rule.path)


def _positions(store: Store, path: str, dim: str, end: int | None) -> Iterator[Problem]:
    """A list of queries: positions from 0 up to `end` that increase."""
    if not store.has(path):
        return
    listed = store.read(path, dims=[dim])
    if len(listed) and (listed.min() < 0 or listed.max() >= (end or len(listed))):
        yield Problem(path, f"position {listed.max() if listed.min() >= 0 else listed.min()} is out of range")
    if (np.diff(listed) <= 0).any():
        yield Problem(path, "positions do not increase")


def _together(store: Store) -> Iterator[Problem]:
    """A flow with errors names the queries that it rests on."""
    for path, other in ((FLOW_ERROR, MASSES_SAMPLED), (MASSES_SAMPLED, FLOW_ERROR)):
        if store.has(other) and not store.has(path):
            yield Problem(path, f"is missing, but {other} is there")


def _qk(store: Store, sizes: Sizes) -> Iterator[Problem]:
    """The groups of the layers in `/qk`."""
    if not store.has("/qk"):
        return
    for number in store.read("/layers", dims=["layer"]):
        yield from guarded(f"/qk/{number}", partial(_qk_layer, store, int(number), sizes))


def _qk_layer(store: Store, layer: int, sizes: Sizes) -> Iterator[Problem]:
    from attnscope.capture.read.dense import LayerQK

    LayerQK(store, layer)  # attributes, and that q, k and logical-dtype agree
    for rule in (rule.at(layer) for rule in PER_LAYER):
        yield from guarded(rule.path, partial(_node, store, rule, sizes))


def _plan(store: Store) -> dict[str, Any]:
    run = store.json("/run")
    if "plan" not in run:
        raise store.error("/run", "field 'plan' is missing")
    plan = run["plan"]
    if not isinstance(plan, dict):
        raise store.error("/run", "field 'plan' is not an object")
    return plan

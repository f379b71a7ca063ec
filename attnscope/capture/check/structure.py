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
from attnscope.capture.file.specification import ALWAYS, MAY, PER_LAYER, PROBES, RULES, Rule
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
        yield from guarded(path, partial(_probes, store, path, sizes))
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


def _probes(store: Store, path: str, sizes: Sizes) -> Iterator[Problem]:
    if not store.has(path):
        return
    probes = store.read(path, dims=["probe"])
    if len(probes) and (probes.min() < 0 or probes.max() >= sizes.get("query", len(probes))):
        yield Problem(path, f"position {probes.max() if probes.min() >= 0 else probes.min()} is out of range")
    if (np.diff(probes) <= 0).any():
        yield Problem(path, "positions do not increase")


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

"""The JSON documents of a capture: the fields that they need, and numbers that agree with the rest."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from attnscope.capture import schema
from attnscope.capture._answer import check_answer, check_self_check
from attnscope.capture._h5 import Store
from attnscope.capture._problems import Problem, guarded
from attnscope.capture._rules import DOCUMENT_FIELDS, document_fields
from attnscope.capture._types import wrong_types


def check_documents(store: Store) -> Iterator[Problem]:
    """Fields of the JSON documents, and what they say about the layers and the answer."""
    for path in DOCUMENT_FIELDS:
        yield from guarded(path, partial(_fields, store, path))
        yield from guarded(path, partial(_types, store, path))
    yield from guarded("/layers", partial(_layers, store))
    yield from guarded("/prompt", partial(_lengths, store))
    yield from guarded("/run", partial(_plan, store))
    yield from guarded("/check", partial(check_self_check, store))
    yield from guarded("/answer", partial(check_answer, store))
    if store.has("/correction"):
        yield from guarded("/correction", partial(_types, store, "/correction"))


def _fields(store: Store, path: str) -> Iterator[Problem]:
    document = store.json(path)
    for field in document_fields(path, store.version):
        inner: Any = document
        for name in field.split("."):
            if not isinstance(inner, dict) or name not in inner:
                yield Problem(path, f"field '{field}' is missing")
                break
            inner = inner[name]


def _types(store: Store, path: str) -> Iterator[Problem]:
    for what in wrong_types(path, store.json(path)):
        yield Problem(path, what)


def _layers(store: Store) -> Iterator[Problem]:
    layers = store.read("/layers", dims=["layer"])
    model = store.json("/model")
    if len(layers) == 0:
        yield Problem("/layers", "no layer is recorded")
    elif (np.diff(layers) <= 0).any():
        yield Problem("/layers", f"numbers do not increase: {layers.tolist()}")
    elif layers[0] < 0 or layers[-1] >= model["layers"]:
        yield Problem("/layers", f"layer {layers[-1]} in a model of {model['layers']}")
    if model["kv_heads"] < 1 or model["heads"] % model["kv_heads"]:
        yield Problem("/model", f"{model['kv_heads']} kv_heads do not divide {model['heads']} heads")


def _lengths(store: Store) -> Iterator[Problem]:
    positions = store.whole("/tokens", "length")
    prompt, answer = int(store.json("/prompt")["length"]), len(store.json("/answer")["tokens"])
    if positions != prompt + max(0, answer - 1):
        yield Problem(
            "/tokens",
            f"{positions} rows, not {prompt} of the prompt and {max(0, answer - 1)} generated ones fed back",
        )


def _plan(store: Store) -> Iterator[Problem]:
    plan = store.json("/run")["plan"]
    for name in schema.READINGS:
        if name in schema.LATER_READINGS and name not in plan:
            continue
        if not isinstance(plan.get(name), bool):
            yield Problem("/run", f"plan does not say whether there is '{name}'")

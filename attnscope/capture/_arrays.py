"""One dataset of a capture: its dimensions, type and size, and the checksum of every chunk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attnscope.capture import schema
from attnscope.capture._h5 import Store
from attnscope.capture._problems import Problem
from attnscope.capture._rules import Rule
from attnscope.capture._sizes import Sizes, array_sizes


def check_array(store: Store, rule: Rule, sizes: Sizes) -> Iterator[Problem]:
    """The dimensions, type, size and checksums of an array; it is read whole, a chunk at a time."""
    dataset = store.array(rule.path, rule.dims)
    store.text(rule.path, "unit")
    if str(dataset.dtype) not in rule.dtypes:
        yield Problem(rule.path, f"holds {dataset.dtype}, not {' or '.join(rule.dtypes)}")
    yield from array_sizes(rule, dataset.shape, sizes)
    yield from _check_chunks(dataset, rule.path)


def check_strings(store: Store, path: str) -> Iterator[Problem]:
    """That strings are of fixed length; their sha256, and the checksums of their chunks."""
    dataset = store.node(path, store.text(path, schema.ENCODING_TYPE))
    if dataset.dtype.kind != "S":
        yield Problem(path, f"holds {dataset.dtype}, not strings")
    yield from _check_chunks(dataset, path)
    _ = store.json(path) if dataset.ndim == 0 else store.strings(path)


def _check_chunks(dataset: Any, path: str) -> Iterator[Problem]:
    if dataset.chunks is None:
        return
    bad = []
    for chunk in dataset.iter_chunks():
        try:
            dataset[chunk]
        except (OSError, RuntimeError, ValueError) as error:
            bad.append((chunk, " ".join(str(error).split())))
    if bad:
        at = ", ".join(str(part.start) for part in bad[0][0])
        yield Problem(path, f"{len(bad)} damaged chunks, the first at [{at}] ({bad[0][1]})")

"""One dataset of a capture: its dimensions, type and size, and the checksum of every chunk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attnscope.capture._h5 import Store
from attnscope.capture._problems import Problem
from attnscope.capture._rules import Rule

Sizes = dict[str, int]  # of a dimension; of "/masses probe" where a group has its own


def check_array(store: Store, rule: Rule, sizes: Sizes) -> Iterator[Problem]:
    """The dimensions, type, size and checksums of an array; it is read whole, a chunk at a time."""
    dataset = store.array(rule.path, rule.dims)
    store.attribute(rule.path, "unit")
    if str(dataset.dtype) not in rule.dtypes:
        yield Problem(rule.path, f"holds {dataset.dtype}, not {' or '.join(rule.dtypes)}")
    group = "/" + rule.path.split("/")[1]
    for dim, size in zip(rule.dims, dataset.shape, strict=True):
        wanted = sizes.get(f"{group} {dim}", sizes.get(dim, size))
        if size != wanted:
            yield Problem(rule.path, f"has {size} along '{dim}', the capture has {wanted}")
    yield from _check_chunks(dataset, rule.path)


def check_strings(store: Store, path: str) -> Iterator[Problem]:
    """That strings are of fixed length; their sha256, and the checksums of their chunks."""
    dataset = store.node(path, str(store.attribute(path, "encoding-type")))
    if dataset.dtype.kind != "S":
        yield Problem(path, "strings are not of fixed length, so no checksum covers where they lie")
    yield from _check_chunks(dataset, path)
    _ = store.json(path) if dataset.ndim == 0 else store.strings(path)


def _check_chunks(dataset: Any, path: str) -> Iterator[Problem]:
    if dataset.chunks is None:
        return
    if not dataset.fletcher32:
        yield Problem(path, "is chunked without the Fletcher-32 filter")
    bad = []
    for chunk in dataset.iter_chunks():
        try:
            dataset[chunk]
        except (OSError, RuntimeError, ValueError) as error:
            bad.append((chunk, " ".join(str(error).split())))
    if bad:
        at = ", ".join(str(part.start) for part in bad[0][0])
        yield Problem(path, f"{len(bad)} damaged chunks, the first at [{at}] ({bad[0][1]})")

"""The arrays of a capture: sizes that agree before any is read, dimensions, types, and the checksum of every chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from attnscope.capture.check.problems import Problem
from attnscope.capture.file.nodes import NodeError, Store
from attnscope.capture.file.specification import ENCODING_TYPE, PER_LAYER, PROBES, RULES, Rule
from attnscope.vocabulary import SINK, hidden_groups

Sizes = dict[str, int]  # of a dimension; of "/masses probe" where a group has its own

MOST = 1 << 16  # layers or heads of a model


def sizes_of(store: Store) -> Sizes:
    """How long each dimension has to be, as far as the file can say."""
    sizes: Sizes = {}
    sources: list[tuple[tuple[str, ...], Callable[[], int]]] = [
        (("layer",), lambda: store.array("/layers", ["layer"]).shape[0]),
        (("query", "key"), lambda: store.whole("/tokens", "length")),
        (("head",), lambda: whole(store, "/model", "heads")),
        (("kv_head",), lambda: whole(store, "/model", "kv_heads")),
        (("/frames row",), lambda: store.array("/frames/time").shape[0]),
        (("key_group",), lambda: store.array_length("/key_groups/name")),
        (("query_group",), lambda: store.array_length("/query_groups/name")),
        (("/masses query_group",), lambda: sum(family != SINK for family in store.strings("/key_groups/family"))),
        *(((f"{path.rpartition('/')[0]} probe",), partial(_length, store, path)) for path in PROBES),
        (("state",), lambda: store.array("/layers", ["layer"]).shape[0] + 1),
        (("prompt",), lambda: whole(store, "/prompt", "length")),
        (("/hidden group",), lambda: len(hidden_groups(store.modalities))),
        (("component",), lambda: min(whole(store, "/prompt", "length"), store.whole("/hidden", "width"))),
    ]
    for dims, find in sources:
        try:
            sizes |= dict.fromkeys(dims, find())
        except NodeError:
            continue  # the node that gives this size is broken, which is reported where it is checked
    if "query" in sizes:
        sizes["/mask byte"] = (sizes["query"] + 7) // 8
    return sizes


def _length(store: Store, path: str) -> int:
    return int(store.array(path).shape[0])


def whole(store: Store, path: str, name: str) -> int:
    """A field of a JSON document that counts something.

    Raises:
        FormatError: If it is missing or no whole number from 0.
    """
    document = store.json(path)
    if not isinstance(document, dict):
        raise store.error(path, f"is a JSON {type(document).__name__}, not an object")
    if name not in document:
        raise store.error(path, f"field '{name}' is missing")
    value = document[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise store.error(path, f"field '{name}' is {str(value)[:40]!r}, not a whole number from 0")
    return value


def array_sizes(rule: Rule, shape: tuple[int, ...], sizes: Sizes) -> Iterator[Problem]:
    """Where an array's shape is not what the rest of the capture says."""
    group = "/" + rule.path.split("/")[1]
    for dim, size in zip(rule.dims, shape, strict=True):
        expected = sizes.get(f"{group} {dim}", sizes.get(dim, size))
        if size != expected:
            yield Problem(rule.path, f"has {size} along '{dim}', the capture has {expected}")


def check_sizes(store: Store) -> Iterator[Problem]:
    """Every array's shape, from headers alone; a node that is broken otherwise is passed over."""
    sizes = sizes_of(store)
    for name in ("head", "kv_head"):
        if sizes.get(name, 1) > MOST:
            yield Problem("/model", f"field '{name}s' is {sizes[name]}, more than any model has")
    if sizes.get("prompt", 0) > sizes.get("query", sizes.get("prompt", 0)):
        yield Problem("/prompt", f"field 'length' is {sizes['prompt']}, but /tokens has {sizes['query']} rows")
    rules = [rule for rule in RULES if rule.encoding == "array"]
    rules.append(Rule("/tokens/position", "array", dims=("row",)))
    if store.has("/qk"):
        for layer in store.read("/layers", dims=["layer"]).tolist():
            rules += [rule.at(layer) for rule in PER_LAYER if rule.dims]
    for rule in rules:
        try:
            shape = store.array(rule.path, rule.dims).shape
        except NodeError:
            continue
        own = sizes | ({"/tokens row": sizes["query"]} if "query" in sizes else {})
        yield from array_sizes(rule, shape, own)


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
    dataset = store.node(path, store.text(path, ENCODING_TYPE))
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

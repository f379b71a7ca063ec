"""One array of a capture: its dimensions, type and size, and the checksum of every chunk."""

from __future__ import annotations

from collections.abc import Iterator

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
    if dataset.chunks is None:
        return
    if not dataset.fletcher32:
        yield Problem(rule.path, "is chunked without the Fletcher-32 filter")
    bad = []
    for chunk in dataset.iter_chunks():
        try:
            dataset[chunk]
        except (OSError, RuntimeError, ValueError) as error:
            bad.append((chunk, " ".join(str(error).split())))
    if bad:
        at = ", ".join(str(part.start) for part in bad[0][0])
        yield Problem(rule.path, f"{len(bad)} damaged chunks, the first at [{at}] ({bad[0][1]})")

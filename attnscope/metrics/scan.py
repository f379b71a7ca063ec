"""One pass over the maps of a capture for all who read them: a layer's maps are read and unpacked once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from attnscope.threads import threads

if TYPE_CHECKING:
    from attnscope.capture import Capture

Result = TypeVar("Result")
Maps = NDArray[np.float32]


@dataclass(frozen=True)
class Scan(Generic[Result]):
    """Numbers that are made from the maps of some query groups, layer by layer.

    Attributes:
        groups: Names of the query groups, [G]; if there is none, no layer is read.
        take: Takes the row of a layer, and its maps of these groups [H, G, P], which it must not change; layers come in
            order.
        result: What has become of them, after the last layer.
    """

    groups: Sequence[str]
    take: Callable[[int, Maps], None]
    result: Callable[[], Result]


def scanned(cap: Capture, scan: Scan[Result]) -> Result:
    """The result of a scan that is run alone."""
    run(cap, [scan])
    return scan.result()


def run(cap: Capture, scans: Sequence[Scan[Any]]) -> None:
    """Give every layer's maps to all scans, in one pass.

    Raises:
        FormatError: If a scan names a group, and the capture has no `maps` reading.
    """
    wanted = {name for scan in scans for name in scan.groups}
    names = [name for name in cap.query_groups["name"].tolist() if name in wanted] if wanted else []
    places = [[names.index(name) for name in scan.groups] for scan in scans]
    for row, maps in enumerate(_layers(cap, names)):
        for scan, rows in zip(scans, places, strict=True):
            if rows:
                scan.take(row, _groups(maps, rows))
        del maps  # before the next layer but one is read


def _layers(cap: Capture, names: list[str]) -> Iterator[Maps]:
    """The maps of some groups, a layer [H, R, P] at a time; the next one is read while this one is used."""

    def read(layer: int) -> Maps:
        return np.asarray(cap.maps(layer=layer, group=names).values, dtype=np.float32)

    layers = cap.layers.tolist() if names else []
    if threads() == 1 or not layers:
        yield from map(read, layers)
        return
    with ThreadPoolExecutor(1) as pool:  # HDF5 unpacks without holding Python back
        coming = pool.submit(read, layers[0])
        for following in layers[1:]:
            maps, coming = coming.result(), pool.submit(read, following)
            yield maps
            del maps
        yield coming.result()


def _groups(maps: Maps, rows: list[int]) -> Maps:
    """Some groups of [H, R, P]; neighbours are not copied."""
    first = rows[0]
    return maps[:, first : first + len(rows)] if rows == [*range(first, first + len(rows))] else maps[:, rows]

"""What a file has to be before anything in it is read: whole in itself, and no larger than it can be.

HDF5 lets a file point at other files (external links, virtual datasets, external storage), declare arrays of any size
without storing them, and run filters from plugins. A capture does none of it. All of this is known from headers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import h5py

MAX_NODES = 20_000  # groups and datasets; 128 layers with queries and keys have about 600
MAX_DEPTH = 8  # groups within groups; a capture has 3
MAX_CHUNK = 64 << 20  # bytes of one chunk
FREE_BYTES = 64 << 20  # declared by all datasets together, whatever the size of the file
MAX_RATIO = 256  # bytes that may be declared beyond that for each byte of the file
FILTERS = {
    h5py.h5z.FILTER_DEFLATE: "gzip",
    h5py.h5z.FILTER_SHUFFLE: "shuffle",
    h5py.h5z.FILTER_FLETCHER32: "Fletcher-32",
    32001: "Blosc",
    32008: "Bitshuffle",
}

_LINKS = {h5py.h5l.TYPE_SOFT: "a soft link", h5py.h5l.TYPE_EXTERNAL: "an external link"}
_TYPES = (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.STRING, h5py.h5t.ENUM)


class RefusedError(ValueError):
    """Something that no capture has.

    Attributes:
        node: Its path.
        what: What it is, for a message that begins with the path.
    """

    def __init__(self, node: str, what: str) -> None:
        super().__init__(f"{node}: {what}")
        self.node, self.what = node, what


@dataclass
class _Tally:
    """What has been seen so far."""

    nodes: int = 0
    declared: int = 0  # bytes
    addresses: set[int] = field(default_factory=set)


def check_gate(file: h5py.File, size: int, enter: Callable[[str], object]) -> None:
    """Walk over a file's links and headers, following none and reading no data.

    Args:
        file: The open file.
        size: Its bytes.
        enter: Called with the path of each node before it is looked at, for messages about damaged headers.

    Raises:
        RefusedError: If the file reads outside itself, is larger than it can be, or has what no capture has.
    """
    tally = _Tally()
    groups = [("", h5py.h5g.open(file.id, b"/"), 1)]
    while groups:
        path, group, depth = groups.pop()
        if depth > MAX_DEPTH:
            raise RefusedError(path, f"lies under {depth - 1} groups; a capture has at most {MAX_DEPTH}")
        for name in _names(group, path):
            at = f"{path}/{text_of(name)}"
            enter(at)
            node = _node(group, name, at, tally)
            if isinstance(node, h5py.h5g.GroupID):
                groups.append((at, node, depth + 1))
            else:
                tally.declared += _check_dataset(node, at)
                if tally.declared > FREE_BYTES + MAX_RATIO * size:
                    raise RefusedError(at, f"the file declares {tally.declared} bytes of data in {size} bytes")


def text_of(name: bytes) -> str:
    """A node's name for a message: what is not printable is escaped."""
    text = name.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _names(group: h5py.h5g.GroupID, path: str) -> list[bytes]:
    names: list[bytes] = []

    def keep(name: bytes) -> bool | None:
        names.append(name)
        return True if len(names) > MAX_NODES else None

    group.links.iterate(keep)
    if len(names) > MAX_NODES:
        raise RefusedError(path or "/", f"holds more than {MAX_NODES} nodes")
    return names


def _node(group: h5py.h5g.GroupID, name: bytes, at: str, tally: _Tally) -> h5py.h5g.GroupID | h5py.h5d.DatasetID:
    """Open a group or dataset, once its link is known to be an ordinary one."""
    link = group.links.get_info(name)
    if link.type != h5py.h5l.TYPE_HARD:
        raise RefusedError(
            at, f"is {_LINKS.get(link.type, 'a link of a kind of its own')}; a capture holds its own data"
        )
    about = h5py.h5o.get_info(group, name)
    tally.nodes += 1
    if tally.nodes > MAX_NODES:
        raise RefusedError(at, f"is one of more than {MAX_NODES} nodes")
    if about.rc > 1 or about.addr in tally.addresses:
        raise RefusedError(at, "is a node with two names; in a capture each has one")
    tally.addresses.add(about.addr)
    if about.type == h5py.h5o.TYPE_GROUP:
        return h5py.h5g.open(group, name)
    if about.type == h5py.h5o.TYPE_DATASET:
        return h5py.h5d.open(group, name)
    raise RefusedError(at, "is neither a group nor a dataset")


def _check_dataset(dataset: h5py.h5d.DatasetID, at: str) -> int:
    """Refuse a dataset whose data lie elsewhere or have no checksum; the bytes that it declares."""
    for problem in _problems(dataset):
        raise RefusedError(at, problem)
    return math.prod(dataset.get_space().shape or ()) * int(dataset.get_type().get_size())


def _problems(dataset: h5py.h5d.DatasetID) -> Iterator[str]:
    made = dataset.get_create_plist()
    layout = made.get_layout()
    if layout == h5py.h5d.VIRTUAL:  # before its size is asked for: that would open the other files
        yield "is a virtual dataset; a capture holds its own data"
    if layout == h5py.h5d.CONTIGUOUS and made.get_external_count():
        yield "is stored in another file; a capture holds its own data"
    kind = dataset.get_type()
    if kind.committed() or kind.get_class() not in _TYPES:
        yield f"holds {_kind(kind)}; a capture has numbers and text"
    if kind.get_class() == h5py.h5t.STRING and kind.is_variable_str():
        yield "strings are not of fixed length, so no checksum covers where they lie"
    space = dataset.get_space()
    if space.get_simple_extent_type() == h5py.h5s.NULL:
        yield "is a dataset without a shape"
    filters = [made.get_filter(number)[0] for number in range(made.get_nfilters())]
    for number in filters:
        if number not in FILTERS:
            yield f"uses HDF5 filter {number}; a capture has {', '.join(FILTERS.values())}"
    if layout == h5py.h5d.CHUNKED:
        if h5py.h5z.FILTER_FLETCHER32 not in filters:
            yield "is chunked without the Fletcher-32 filter"
        chunk = math.prod(made.get_chunk()) * kind.get_size()
        if chunk > MAX_CHUNK:
            yield f"has chunks of {chunk} bytes; a capture's are at most {MAX_CHUNK}"
    elif layout == h5py.h5d.CONTIGUOUS and kind.get_class() != h5py.h5t.STRING and math.prod(space.shape):
        yield "is not chunked, so no checksum covers it"


def _kind(kind: h5py.h5t.TypeID) -> str:
    names = {h5py.h5t.COMPOUND: "records", h5py.h5t.REFERENCE: "references", h5py.h5t.VLEN: "lists"}
    return "a committed datatype" if kind.committed() else names.get(kind.get_class(), "data of a type of its own")

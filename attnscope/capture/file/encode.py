"""Writes into a capture: what docs/format.md calls encodings.

`write` takes a node's encoding, type, dimensions and unit from the specification; the functions behind it write any
node. So every node carries its encoding, dimension names, unit and checksum. The read twins, which check what they
read, are in `attnscope.capture.file.nodes`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import hdf5plugin
import numpy as np
import numpy.typing as npt

from attnscope.capture.file.specification import FORMAT, VERSION, rule_of
from attnscope.vocabulary import column_of, modalities_of

if TYPE_CHECKING:
    import pandas as pd

    from attnscope.capture.file.disk import Disk

MAX_CHUNK = 1 << 20  # bytes
# Several times as fast as zstd, and files of nearly the same size (decision 39).
# This filter always succeeds. Where another one cannot shrink a chunk that is written again, and the chunk had the same
# size before, HDF5 2.0 stores it as it is and does not say so: it cannot be read any more.
COMPRESSION: dict[str, Any] = {**hdf5plugin.Bitshuffle(cname="lz4"), "fletcher32": True}

_ALONE = ("layer", "head", "kv_head")  # dimensions that a reader picks one at a time: one index a chunk
_LEAST_CHUNK = 1 << 16  # bytes up to which a chunk holds several heads all the same: a chunk has a price of its own


def create_file(path: str | Path | Disk) -> h5py.File:
    """Create an HDF5 file for a capture, replacing what is there, and mark it incomplete.

    HDF5 1.10's own object headers are checksummed, older ones are not: hence the lower bound on the version.

    Args:
        path: Where (or the open file); by the specification the name ends in `.part` until the capture is complete.

    Returns:
        The open file, with `encoding-type`, `encoding-version` and `complete = False`. The writer sets the
        other root attributes, and `complete = True` last.
    """
    file = h5py.File(path, "w", libver=("v110", "latest"))
    stamp(file, FORMAT)
    file.attrs["complete"] = False
    return file


def write(file: h5py.Group, path: str, values: Any) -> None:
    """Write a node as the specification has it; groups that it lies in are made if they are missing.

    Args:
        file: The capture.
        path: Path of the node, such as "/key_groups/member".
        values: A document, strings, byte strings or numbers, which are stored in the node's usual type.

    Raises:
        KeyError: If the format has no such node.
    """
    rule, (above, _, name) = rule_of(path), path.rpartition("/")
    parent = require_group(file, above)
    if rule.encoding == "array":
        write_array(parent, name, np.asarray(values).astype(rule.dtypes[0]), rule.dims, rule.unit)
    else:
        writers: dict[str, Callable[[h5py.Group, str, Any], object]]
        writers = {"json": write_json, "strings": write_strings, "bytes": write_bytes}
        writers[rule.encoding](parent, name, values)


def write_tokens(file: h5py.Group, tokens: pd.DataFrame) -> None:
    """Write the token table, and the modalities that it has."""
    units = {str(name): column_of(str(name)).unit for name in tokens}
    write_table(file, "tokens", tokens, units)
    set_attributes(file["tokens"], modalities=list(modalities_of(tokens)))


def require_group(file: h5py.Group, path: str) -> h5py.Group:
    """The group at a path, made with its encoding if it is missing; "" is the file itself."""
    if not path:
        return file
    if path not in file:
        above, _, name = path.rpartition("/")
        create_group(require_group(file, above), name, rule_of(path).encoding)
    return file[path]


def set_attributes(node: h5py.HLObject, **values: Any) -> None:
    """Set attributes of a node; `_` in a name is written `-`, strings are of fixed length.

    Args:
        node: The file, group or dataset.
        **values: Strings, lists of strings, numbers.
    """
    for name, value in values.items():
        if isinstance(value, str):
            value = fixed(value)
        elif isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
            value = fixed_list(value)
        _set_attribute(node, name.replace("_", "-"), np.asarray(value))


def _set_attribute(node: h5py.HLObject, name: str, value: npt.NDArray[Any]) -> None:
    """As `node.attrs[name] = value`, in a fifth of the time where the node has no such attribute yet."""
    encoded = name.encode()
    if h5py.h5a.exists(node.id, encoded):
        node.attrs[name] = value
        return
    space = h5py.h5s.create_simple(value.shape) if value.shape else h5py.h5s.create(h5py.h5s.SCALAR)
    attribute = h5py.h5a.create(node.id, encoded, h5py.h5t.py_create(value.dtype, logical=True), space)
    attribute.write(value, mtype=h5py.h5t.py_create(value.dtype))


def fixed(text: str) -> npt.NDArray[np.bytes_]:
    """A string as HDF5 stores it in place.

    HDF5 puts strings of variable length on a heap that none of its checksums covers, and that crashes the
    library when it is damaged. So a capture has none.
    """
    data = _encoded(text)
    return np.array(data, dtype=h5py.string_dtype("utf-8", max(1, len(data))))


def fixed_list(texts: Iterable[str]) -> npt.NDArray[np.bytes_]:
    """Strings as HDF5 stores them in place, all as long as the longest."""
    texts = list(texts)
    known = {text: _encoded(text) for text in dict.fromkeys(texts)}  # a column of a table repeats a few
    data = [known[text] for text in texts]
    return np.array(data, dtype=h5py.string_dtype("utf-8", max([1, *map(len, data)])))


def _encoded(text: str) -> bytes:
    """UTF-8 without NUL, which pads strings of fixed length: U+2400, its visible picture, stands for it."""
    return str(text).replace("\0", "\u2400").encode()


def stamp(node: h5py.HLObject, encoding: str) -> None:
    """Set `encoding-type` and `encoding-version` on a group or dataset."""
    set_attributes(node, encoding_type=encoding, encoding_version=VERSION)


def create_group(parent: h5py.Group, name: str, encoding: str) -> h5py.Group:
    """Create a group that carries its encoding.

    Args:
        parent: The file or group that holds it.
        name: Its name.
        encoding: Its encoding-type, such as `masses`.
    """
    group = parent.create_group(name)
    stamp(group, encoding)
    return group


def dataset_name(column: str) -> str:
    """The dataset's name of a table's column: `/` would start another group in HDF5, so it is escaped."""
    return column.replace("%", "%25").replace("/", "%2F")


def chunk_shape(shape: Sequence[int], itemsize: int, dims: Sequence[str], limit: int = MAX_CHUNK) -> tuple[int, ...]:
    """Choose chunks of one layer and head and at most `limit` bytes.

    Args:
        shape: The dataset's shape; a dimension that starts empty and grows is given 256 to a chunk.
        itemsize: Bytes of one number.
        dims: The dimension names; `layer`, `head` and `kv_head` get 1, or more heads where they are small.
        limit: Bytes.

    Returns:
        The chunk's shape: the first dimensions are halved until it fits, so the last stays whole if it can.
    """
    chunk = [1 if dim in _ALONE else (size or 256) for size, dim in zip(shape, dims, strict=True)]
    if all(dim in _ALONE for dim in dims):  # such as /layers: a handful of numbers, in one chunk
        chunk = [max(1, size) for size in shape]
    for axis, dim in enumerate(dims):
        if dim in _ALONE[1:] and chunk[axis] == 1:
            chunk[axis] = max(1, min(shape[axis], _LEAST_CHUNK // max(1, math.prod(chunk) * itemsize)))
    for axis in range(len(chunk)):
        while chunk[axis] > 1 and math.prod(chunk) * itemsize > limit:
            chunk[axis] = (chunk[axis] + 1) // 2
    return tuple(chunk)


def create_array(
    group: h5py.Group,
    name: str,
    shape: Sequence[int],
    dtype: npt.DTypeLike,
    dims: Sequence[str],
    unit: str = "1",
    chunks: tuple[int, ...] | None = None,
    fill: float | int | None = None,
    maxshape: tuple[int | None, ...] | None = None,
) -> h5py.Dataset:
    """Create a compressed, checksummed `array` to be filled later.

    Args:
        group: Where.
        name: Its name.
        shape: Its shape.
        dtype: Its type.
        dims: One name a dimension.
        unit: Unit of the numbers, `"1"` if they have none.
        chunks: The chunk's shape; by default `chunk_shape`.
        fill: What unwritten places hold; by default NaN for floats, 0 for integers.
        maxshape: How far it may grow (None = without limit); by default not at all.

    Returns:
        The dataset.
    """
    kind = np.dtype(dtype)
    if len(dims) != len(shape):
        raise ValueError(f"{group.name}/{name}: {len(dims)} dims for {len(shape)} dimensions")
    if fill is None:
        fill = math.nan if kind.kind == "f" else 0
    options: dict[str, Any] = {"fillvalue": fill}
    if maxshape is not None or math.prod(shape) > 0:  # an empty array that cannot grow has nothing to chunk
        options |= COMPRESSION
        options |= {"chunks": chunks or chunk_shape(shape, kind.itemsize, dims), "maxshape": maxshape}
    dataset = group.create_dataset(name, shape=tuple(shape), dtype=kind, **options)
    stamp(dataset, "array")
    set_attributes(dataset, dims=list(dims), unit=unit)
    return dataset


def write_array(
    group: h5py.Group,
    name: str,
    data: npt.ArrayLike,
    dims: Sequence[str],
    unit: str = "1",
    chunks: tuple[int, ...] | None = None,
    maxshape: tuple[int | None, ...] | None = None,
) -> h5py.Dataset:
    """Write a numeric array; bool becomes uint8. See `create_array` for the arguments."""
    values = np.asarray(data)
    if values.dtype == bool:
        values = values.astype(np.uint8)
    dataset = create_array(group, name, values.shape, values.dtype, dims, unit, chunks, maxshape=maxshape)
    if values.size:
        dataset[...] = values
    return dataset


def write_json(group: h5py.Group, name: str, document: Any) -> h5py.Dataset:
    """Write a JSON document.

    Args:
        group: Where.
        name: Its name.
        document: Dicts, lists, strings, numbers, also numpy's, and paths; a number that is not finite becomes
            null, which JSON has no other word for.

    Returns:
        The scalar dataset, with the sha256 of its bytes.
    """
    text = json.dumps(_plain(document), ensure_ascii=False, allow_nan=False)
    dataset = group.create_dataset(name, data=fixed(text))
    stamp(dataset, "json")
    set_attributes(dataset, sha256=sha256_of([text.encode()]))
    return dataset


def write_strings(group: h5py.Group, name: str, values: Iterable[str]) -> h5py.Dataset:
    """Write a list of strings; a NUL in one becomes U+2400, its visible picture."""
    data = fixed_list(values)
    chunks = chunk_shape(data.shape, data.dtype.itemsize, ["row"])
    options = {"chunks": chunks, **COMPRESSION} if data.size else {}
    dataset = group.create_dataset(name, data=data, **options)
    stamp(dataset, "strings")
    set_attributes(dataset, sha256=sha256_of([b"\0".join([*data.tolist(), b""])]))
    return dataset


def write_bytes(group: h5py.Group, name: str, items: Sequence[bytes]) -> h5py.Group:
    """Write a list of byte strings, such as JPEG files."""
    inner = create_group(group, name, "bytes")
    write_array(inner, "data", np.frombuffer(b"".join(items), dtype=np.uint8), ["byte"])
    write_array(inner, "end", np.cumsum([len(item) for item in items], dtype=np.int64), ["row"], "byte")
    return inner


def write_table(
    group: h5py.Group, name: str, frame: pd.DataFrame, units: Mapping[str, str] | None = None
) -> h5py.Group:
    """Write a table: numeric columns as arrays, the others as strings.

    Args:
        group: Where.
        name: Its name.
        frame: The columns, in order; the index is not written.
        units: The unit of a column, where it has one.

    Returns:
        The table's group.
    """
    units = units or {}
    table = create_group(group, name, "table")
    for column in frame.columns:
        values = frame[column].to_numpy()
        if values.dtype.kind in "biuf":
            write_array(table, dataset_name(column), values, ["row"], units.get(column, "1"))
        else:
            write_strings(table, dataset_name(column), values.tolist())
    set_attributes(table, columns=[str(column) for column in frame.columns], length=len(frame))
    return table


def sha256_of(pieces: Iterable[bytes]) -> str:
    """The hex digest of byte strings, one after another."""
    return hashlib.sha256(b"".join(pieces)).hexdigest()


def _plain(value: Any) -> Any:
    """The same document in what the json module knows."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a {type(value).__name__} has no place in a JSON document: {value!r}")

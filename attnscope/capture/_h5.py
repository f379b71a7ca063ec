"""Typed access to the nodes of a capture file: every read checks the encoding, every error names the node."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import hdf5plugin  # noqa: F401  (registers Blosc with HDF5)
import numpy as np
import numpy.typing as npt

from attnscope.capture import schema
from attnscope.errors import FormatError, RequestError
from attnscope.versions import check as check_versions

if TYPE_CHECKING:
    import pandas as pd

# What h5py raises when the bytes under a node are not what HDF5 expects.
_BROKEN = (OSError, RuntimeError, KeyError, ValueError, TypeError, EOFError)


class NodeError(FormatError):
    """A FormatError about one node.

    Attributes:
        node: its path.
        what: what is wrong with it.
    """

    def __init__(self, path: Path, node: str, what: str) -> None:
        super().__init__(f"{path}: {node}: {what}")
        self.node, self.what = node, what


class Store:
    """A capture file open for reading.

    Args:
        path: the file.

    Raises:
        RequestError: if there is no such file.
        FormatError: if the file is not HDF5, not a capture, not complete, or of a version that is not known.
    """

    def __init__(self, path: str | Path) -> None:
        check_versions("h5py", "hdf5plugin", "numpy")
        self.path = Path(path)
        self.file = _open(self.path)
        self._checked: dict[tuple[str, str], Any] = {}  # nodes by path and encoding: a capture never changes
        try:
            self._check_root()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the file; later reads raise RequestError."""
        self._checked.clear()
        self.file.close()

    def error(self, node: str, what: str) -> NodeError:
        """A FormatError that names the file and the node."""
        return NodeError(self.path, node, _line(what))

    @contextmanager
    def reading(self, node: str) -> Iterator[None]:
        """Turn what HDF5 raises on damaged bytes into a FormatError on `node`."""
        if not self.file.id.valid:
            raise RequestError(f"{self.path}: the capture is closed; open it again to read {node}")
        try:
            yield
        except _BROKEN as error:
            raise self.error(node, f"cannot be read, the file is damaged ({_line(error)})") from error

    def has(self, path: str) -> bool:
        """Whether the file has this node."""
        with self.reading(path):
            return path in self.file

    def attribute(self, path: str, name: str) -> Any:
        """An attribute of a node; `path` "/" is the root.

        Raises:
            FormatError: if it is missing or damaged.
        """
        with self.reading(path):
            node = self.file[path]
            found = node.attrs.get(name)
        if found is None:
            raise self.error(path, f"attribute '{name}' is missing")
        with self.reading(path):  # strings of fixed length come as bytes
            if isinstance(found, bytes):
                return found.decode()
            if isinstance(found, np.ndarray) and found.dtype.kind == "S":
                return np.char.decode(found, "utf-8")
            return found

    def node(self, path: str, encoding: str) -> Any:
        """The node at `path`, checked to have this encoding-type in a version that is known.

        Raises:
            FormatError: if it is missing, damaged, or encoded otherwise.
        """
        if (path, encoding) in self._checked and self.file.id.valid:
            return self._checked[path, encoding]
        with self.reading(path):
            there = path in self.file  # .get() would say None of a node that is there but damaged
            node = self.file[path] if there else None
        if node is None:
            raise self.error(path, "is missing")
        found = str(self.attribute(path, schema.ENCODING_TYPE))
        if found != encoding:
            raise self.error(path, f"encoding-type is '{found}', not '{encoding}'")
        self.check_version(path)
        group = encoding not in ("json", "strings", "array")
        if isinstance(node, h5py.Group) != group:
            raise self.error(path, f"is not a {'group' if group else 'dataset'}, as '{encoding}' has to be")
        self._checked[path, encoding] = node
        return node

    def check_version(self, path: str) -> None:
        """Refuse a node whose encoding-version has a major number other than ours.

        Raises:
            FormatError: naming the node and its version.
        """
        version = str(self.attribute(path, schema.ENCODING_VERSION))
        ours = schema.VERSION.split(".")[0]
        if version.split(".")[0] != ours:
            raise self.error(path, f"encoding-version is '{version}'; this attnscope reads {ours}.x")

    def json(self, path: str) -> Any:
        """The document in a `json` dataset, its checksum checked."""
        node = self.node(path, "json")
        with self.reading(path):
            text = node.asstr()[()]
        self._check_digest(path, [text.encode()])
        with self.reading(path):
            return json.loads(text)

    def strings(self, path: str) -> list[str]:
        """The strings of a `strings` dataset, their checksum checked."""
        node = self.node(path, "strings")
        with self.reading(path):
            if node.ndim != 1:
                raise ValueError(f"{node.ndim} dimensions, not 1")
            texts = [str(text) for text in node.asstr()[()]] if node.size else []
        self._check_digest(path, (text.encode() + b"\0" for text in texts))
        return texts

    def bytes(self, path: str, row: int) -> bytes:
        """One item of a `bytes` group.

        Raises:
            FormatError: if it is missing or damaged.
        """
        self.node(path, "bytes")
        ends = self.read(f"{path}/end", dims=["row"]).tolist()
        start = ends[row - 1] if row else 0
        return self.read(f"{path}/data", slice(start, ends[row]), dims=["byte"]).tobytes()

    def array(self, path: str, dims: Sequence[str] | None = None) -> h5py.Dataset:
        """The dataset of an `array`, not read yet.

        Args:
            path: of the node.
            dims: the names that its dimensions must have.

        Raises:
            FormatError: if it is missing, encoded otherwise, or its dimensions have other names.
        """
        node = self.node(path, "array")
        found = [str(dim) for dim in np.atleast_1d(self.attribute(path, "dims"))]
        if len(found) != node.ndim or (dims is not None and found != list(dims)):
            wanted = list(dims) if dims is not None else f"{node.ndim} names"
            raise self.error(path, f"dims are {found}, not {wanted}")
        return node

    def read(self, path: str, selection: Any = (), dims: Sequence[str] | None = None) -> npt.NDArray[Any]:
        """Read an `array`, or the part of it that `selection` picks.

        Raises:
            FormatError: as `array`, or if a chunk is damaged.
        """
        dataset = self.array(path, dims)
        with self.reading(path):
            return np.asarray(dataset[selection])

    def rows(self, path: str, lead: tuple[int, ...], wanted: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
        """Read the rows `wanted` (in any order) of `dataset[lead]`, in runs of neighbours, not one by one."""
        dataset = self.array(path)
        unique, back = np.unique(wanted, return_inverse=True)
        runs = np.split(unique, np.flatnonzero(np.diff(unique) > 64) + 1)  # a gap is cheaper to read than to skip
        with self.reading(path):
            parts = [dataset[(*lead, slice(r[0], r[-1] + 1))][r - r[0]] for r in runs if len(r)]
            empty = np.empty((0, *dataset.shape[len(lead) + 1 :]), dataset.dtype)
        return np.concatenate([empty, *parts])[back]

    def table(self, path: str) -> pd.DataFrame:
        """A `table` as a DataFrame, its columns in order.

        Raises:
            FormatError: if a column is missing, damaged, or not as long as the table.
        """
        import pandas as pd

        self.node(path, "table")
        length = int(self.attribute(path, "length"))
        columns: dict[str, Any] = {}
        for column in self.columns(path):
            at = f"{path}/{schema.dataset_name(column)}"
            strings = self.has(at) and self.attribute(at, schema.ENCODING_TYPE) == "strings"
            columns[column] = self.strings(at) if strings else self.read(at, dims=["row"])
            if len(columns[column]) != length:
                raise self.error(at, f"{len(columns[column])} rows in a table of {length}")
        return pd.DataFrame(columns)

    def columns(self, path: str) -> list[str]:
        """The names of a table's columns, in order."""
        return [str(column) for column in np.atleast_1d(self.attribute(path, "columns"))]

    def _check_digest(self, path: str, pieces: Any) -> None:
        if schema.sha256_of(pieces) != self.attribute(path, "sha256"):
            raise self.error(path, "sha256 does not match its content, the file is damaged")

    def _check_root(self) -> None:
        with self.reading("/"):
            known = schema.ENCODING_TYPE in self.file.attrs
        if not known or self.attribute("/", schema.ENCODING_TYPE) != schema.FORMAT:
            raise FormatError(f"{self.path}: an HDF5 file, but not a capture (no encoding-type '{schema.FORMAT}')")
        self.check_version("/")
        complete = self.attribute("/", "complete")
        if not isinstance(complete, (bool, int, np.bool_, np.integer)) or not complete:
            raise self.error("/", "complete is not true: the capture was cut short; capture again")


def _open(path: Path) -> h5py.File:
    """Open an HDF5 file, or say in one line why not."""
    if path.is_dir():
        raise RequestError(f"{path}: a folder, not a capture file")
    if not path.exists():
        raise RequestError(f"{path}: no such file")
    if path.suffix == ".part":
        raise FormatError(f"{path}: an unfinished capture (.part); capture again")
    try:
        if path.stat().st_size == 0:
            raise FormatError(f"{path}: the file is empty")
        if not h5py.is_hdf5(path):
            with path.open("rb") as file:
                file.read(1)  # a file that may not be read is told apart from one that is not HDF5
            raise FormatError(f"{path}: not an HDF5 file, so not a capture")
        # A capture never changes: a lock would only trouble network disks.
        return h5py.File(path, "r", locking=False)
    except PermissionError as error:
        raise RequestError(f"{path}: no permission to read it") from error
    except _BROKEN as error:
        if "file locking" in str(error):  # HDF5's own name for one file opened twice in a process with other settings
            raise RequestError(
                f"{path}: is open in this process already, with h5py itself; close it there first"
            ) from error
        raise FormatError(f"{path}: the HDF5 file is damaged ({_line(error)})") from error


def _line(error: object) -> str:
    """A message on one line."""
    return " ".join(str(error).split())

"""Typed access to the nodes of a capture file: every read checks the encoding, every error names the node."""

from __future__ import annotations

import json
import math
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import hdf5plugin  # noqa: F401  (registers Bitshuffle and Blosc with HDF5)
import numpy as np
import numpy.typing as npt

from attnscope.capture.file import encode
from attnscope.capture.file.gate import RefusedError, check_gate
from attnscope.capture.file.specification import (
    ENCODING_TYPE,
    ENCODING_VERSION,
    FORMAT,
    VERSION,
)
from attnscope.errors import FormatError, RequestError
from attnscope.versions import check as check_versions
from attnscope.vocabulary import ALL, BASIC, ROLES, TEXT

if TYPE_CHECKING:
    import pandas as pd

# What h5py raises when the bytes under a node are not what HDF5 expects.
_BROKEN = (OSError, RuntimeError, KeyError, ValueError, TypeError, EOFError, AttributeError, SystemError)
MAX_DOCUMENT = 32 << 20  # bytes of a JSON document; as Python objects it may need twenty times as much
MAX_BYTES = 1 << 20  # of one attribute
MAX_TEXTS = 256  # texts of variable length in one attribute: their own lengths are not known before they are read
_CLASSES = (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.STRING, h5py.h5t.ENUM)  # of an attribute
_MODALITY = re.compile(r"[a-z][a-z0-9_-]*")


class NodeError(FormatError):
    """A FormatError about one node.

    Attributes:
        node: Its path.
        what: What is wrong with it.
    """

    def __init__(self, path: Path, node: str, what: str) -> None:
        super().__init__(f"{path}: {node}: {what}")
        self.node, self.what = node, what


class Store:
    """A capture file open for reading.

    Args:
        path: The file.

    Whatever opens a capture comes through here: a file that reads outside itself, or declares more than it can hold,
    is refused before anything but the root's attributes is read.

    Raises:
        RequestError: If there is no such file.
        FormatError: If the file is not HDF5, not a capture, not complete, of a version that is not known, or refused.
    """

    def __init__(self, path: str | Path) -> None:
        check_versions("h5py", "hdf5plugin", "numpy")
        self.path = Path(path)
        self.file = _open(self.path)
        self._checked: dict[tuple[str, str], Any] = {}  # nodes by path and encoding: a capture never changes
        self._attributes: dict[tuple[str, str], Any] = {}  # by path and name
        self._nodes: dict[str, Any] = {}  # by path
        try:
            self._check_root()
            self._check_gate()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the file; later reads raise RequestError."""
        self._checked.clear()
        self._nodes.clear()
        self.file.close()

    @property
    def identity(self) -> int:
        """HDF5's own number of the open file: the same for two openings of one file, another one once it was replaced.

        Raises:
            RequestError: If it is closed.
        """
        with self.reading("/"):
            return int(h5py.h5o.get_info(self.file.id).fileno)

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
            FormatError: If it is missing or damaged.
        """
        if (path, name) in self._attributes and self.file.id.valid:
            return self._attributes[path, name]
        with self.reading(path):
            value = read_attribute(self._node(path), name)
        if value is None:
            raise self.error(path, f"attribute '{name}' is missing")
        self._attributes[path, name] = value
        return value

    def _node(self, path: str) -> Any:
        if path not in self._nodes:
            self._nodes[path] = self.file[path]
        return self._nodes[path]

    def text(self, path: str, name: str) -> str:
        """An attribute that is a string.

        Raises:
            FormatError: If it is missing, damaged, or something else.
        """
        value = self.attribute(path, name)
        if not isinstance(value, str):
            raise self.error(path, f"attribute '{name}' is {_excerpt(value)}, not a string")
        return value

    def texts(self, path: str, name: str) -> list[str]:
        """An attribute that is a list of strings."""
        values = np.atleast_1d(self.attribute(path, name))
        if values.ndim != 1 or not all(isinstance(text, str) for text in values):
            raise self.error(path, f"attribute '{name}' is {_excerpt(values)}, not a list of strings")
        return [str(text) for text in values]

    def number(self, path: str, name: str) -> float:
        """An attribute that is a number."""
        value = self.attribute(path, name)
        if not isinstance(value, (int, float, np.integer, np.floating)) or isinstance(value, bool):
            raise self.error(path, f"attribute '{name}' is {_excerpt(value)}, not a number")
        return float(value)

    def whole(self, path: str, name: str) -> int:
        """An attribute that is a whole number and not negative."""
        value = self.attribute(path, name)
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 0:
            raise self.error(path, f"attribute '{name}' is {_excerpt(value)}, not a whole number from 0")
        return int(value)

    def node(self, path: str, encoding: str) -> Any:
        """The node at `path`, checked to have this encoding-type in a version that is known.

        Raises:
            FormatError: If it is missing, damaged, or encoded otherwise.
        """
        if (path, encoding) in self._checked and self.file.id.valid:
            return self._checked[path, encoding]
        with self.reading(path):
            there = path in self._nodes or path in self.file  # .get() would say None of a node that is damaged
            node = self._node(path) if there else None
        if node is None:
            raise self.error(path, "is missing")
        stated = self.text(path, ENCODING_TYPE)
        if stated != encoding:
            raise self.error(path, f"encoding-type is '{stated}', not '{encoding}'")
        self.check_version(path)
        group = encoding not in ("json", "strings", "array")
        if isinstance(node, h5py.Group) != group:
            raise self.error(path, f"is not a {'group' if group else 'dataset'}, as '{encoding}' has to be")
        self._checked[path, encoding] = node
        return node

    def check_version(self, path: str) -> None:
        """Refuse a node whose encoding-version has a major number other than ours.

        Raises:
            FormatError: Naming the node and its version.
        """
        version = self.text(path, ENCODING_VERSION)
        ours = VERSION.split(".")[0]
        if version.split(".")[0] != ours:
            raise self.error(path, f"encoding-version is '{version}'; this attnscope reads {ours}.x")

    def json(self, path: str) -> Any:
        """The document in a `json` dataset, its checksum checked."""
        node = self.node(path, "json")
        if node.ndim or node.dtype.itemsize > MAX_DOCUMENT:
            raise self.error(path, f"is no single document of at most {MAX_DOCUMENT} bytes")
        with self.reading(path):
            text = node.asstr()[()]
            self._check_digest(path, [text.encode()])
        with self.reading(path):
            document = json.loads(text, parse_constant=_no_number)
            if "\\ud" in text.lower():  # half of a pair is no character, and no terminal or file takes it
                json.dumps(document, ensure_ascii=False).encode()
            return document

    @property
    def version(self) -> tuple[int, int]:
        """Major and minor number of the format that the file follows."""
        text = self.text("/", ENCODING_VERSION)
        try:
            major, minor = (int(part) for part in text.split("."))
        except ValueError:
            raise self.error("/", f"encoding-version is '{text}', not two numbers") from None
        return major, minor

    @property
    def declares_modalities(self) -> bool:
        """Whether the capture lists its modalities."""
        node = self.node("/tokens", "table")
        with self.reading("/tokens"):
            return read_attribute(node, "modalities") is not None

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that the capture declares, in its order; text, visual and special if it declares none.

        Raises:
            FormatError: If what it declares is no list of modalities.
        """
        path, name = "/tokens", "modalities"
        if not self.declares_modalities:
            return BASIC
        modalities = self.texts(path, name)
        for modality in modalities:
            if not _MODALITY.fullmatch(modality) or modality in (ALL, *ROLES):
                raise self.error(path, f"attribute '{name}': '{modality}' is no name of a modality")
        if TEXT not in modalities or len(set(modalities)) < len(modalities):
            raise self.error(path, f"attribute '{name}' is {modalities}, without '{TEXT}' or with a name twice")
        return tuple(modalities)

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
            FormatError: If it is missing or damaged.
        """
        self.node(path, "bytes")
        ends = self.read(f"{path}/end", dims=["row"]).tolist()
        start = ends[row - 1] if row else 0
        length = self.array(f"{path}/data", ["byte"]).shape[0]
        if not 0 <= start <= ends[row] <= length:
            raise self.error(f"{path}/end", f"item {row} is from {start} to {ends[row]} of {length} bytes")
        return self.read(f"{path}/data", slice(start, ends[row]), dims=["byte"]).tobytes()

    def array(self, path: str, dims: Sequence[str] | None = None) -> h5py.Dataset:
        """The dataset of an `array`, not read yet.

        Args:
            path: Path of the node.
            dims: The names that its dimensions must have.

        Raises:
            FormatError: If it is missing, encoded otherwise, or its dimensions have other names.
        """
        node = self.node(path, "array")
        names = self.texts(path, "dims")
        if len(names) != node.ndim or (dims is not None and names != list(dims)):
            expected = list(dims) if dims is not None else f"{node.ndim} names"
            raise self.error(path, f"dims are {names}, not {expected}")
        return node

    def array_length(self, path: str) -> int:
        """How many strings a `strings` dataset holds, from its header."""
        return int(self.node(path, "strings").size)

    def read(self, path: str, selection: Any = (), dims: Sequence[str] | None = None) -> npt.NDArray[Any]:
        """Read an `array`, or the part of it that `selection` picks.

        Raises:
            FormatError: As `array`, or if a chunk is damaged.
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
            FormatError: If a column is missing, damaged, or not as long as the table.
        """
        return frame_of(self.table_columns(path))

    def table_columns(self, path: str) -> dict[str, npt.NDArray[Any]]:
        """The columns of a `table` by name, in order, without pandas; text as objects. Raises as `table`."""
        self.node(path, "table")
        length = self.whole(path, "length")
        columns: dict[str, npt.NDArray[Any]] = {}
        for column in self.columns(path):
            at = f"{path}/{encode.dataset_name(column)}"
            strings = self.has(at) and self.text(at, ENCODING_TYPE) == "strings"
            rows = self.node(at, "strings").size if strings else self.array(at, ["row"]).shape[0]
            if rows != length:
                raise self.error(at, f"{rows} rows in a table of {length}")
            columns[column] = np.array(self.strings(at), object) if strings else self.read(at)
        return columns

    def columns(self, path: str) -> list[str]:
        """The names of a table's columns, in order."""
        return self.texts(path, "columns")

    def _check_digest(self, path: str, pieces: Any) -> None:
        if encode.sha256_of(pieces) != self.text(path, "sha256"):
            raise self.error(path, "sha256 does not match its content, the file is damaged")

    def _check_gate(self) -> None:
        at = ["/"]
        try:
            check_gate(self.file, self.path.stat().st_size, lambda node: at.append(node))
        except RefusedError as error:
            raise self.error(error.node, error.what) from None
        except _BROKEN as error:
            raise self.error(at[-1], f"cannot be read, the file is damaged ({_line(error)})") from error

    def _check_root(self) -> None:
        with self.reading("/"):
            known = ENCODING_TYPE in self.file.attrs
        kind = self.attribute("/", ENCODING_TYPE) if known else None
        if not isinstance(kind, str) or kind != FORMAT:
            raise FormatError(f"{self.path}: an HDF5 file, but not a capture (no encoding-type '{FORMAT}')")
        self.check_version("/")
        _ = self.version  # or say that it is none
        complete = self.attribute("/", "complete")
        if not isinstance(complete, (bool, int, np.bool_, np.integer)) or not complete:
            raise self.error("/", "complete is not true: the capture was cut short; capture again")


def frame_of(columns: Mapping[str, npt.NDArray[Any]]) -> pd.DataFrame:
    """A DataFrame of what `Store.table_columns` gives."""
    import pandas as pd

    return pd.DataFrame({name: data.tolist() if data.dtype == object else data for name, data in columns.items()})


def read_attribute(node: h5py.HLObject, name: str) -> Any:
    """The value of an attribute.

    Args:
        node: The file, group or dataset.
        name: Its name.

    Returns:
        A number, a string, an array of numbers or an array of strings; None if there is no such attribute.

    Raises:
        ValueError: If it is of a type that no capture has, or too large.
    """
    if not h5py.h5a.exists(node.id, name.encode()):
        return None
    attribute = h5py.h5a.open(node.id, name.encode())
    kind, space = attribute.get_type(), attribute.get_space()
    shape = space.shape if space.get_simple_extent_type() == h5py.h5s.SIMPLE else ()
    if kind.get_class() not in _CLASSES or kind.committed() or space.get_simple_extent_type() == h5py.h5s.NULL:
        raise ValueError(f"attribute '{name}' is neither numbers nor text")
    variable = kind.get_class() == h5py.h5t.STRING and kind.is_variable_str()
    count = math.prod(shape)
    if count * kind.get_size() > MAX_BYTES or (variable and count > MAX_TEXTS):
        raise ValueError(f"attribute '{name}' holds {count} values, which is too many")
    if kind.get_class() == h5py.h5t.STRING and not shape and not variable:  # most are of this kind
        text = np.empty((), kind.dtype)
        attribute.read(text, mtype=h5py.h5t.py_create(text.dtype))
        return bytes(text[()]).decode()
    value = node.attrs[name]
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray) and value.dtype.kind == "S":
        return np.char.decode(value, "utf-8")
    return value


def _open(path: Path) -> h5py.File:
    """Open an HDF5 file, or say in one line why not."""
    if path.is_dir():
        raise RequestError(f"{path}: a folder, not a capture file")
    if not path.exists():
        raise RequestError(f"{path}: no such file")
    if not stat.S_ISREG(path.stat().st_mode):  # a pipe or a device has no end
        raise RequestError(f"{path}: not a regular file")
    if path.suffix == ".part":
        raise FormatError(f"{path}: an unfinished capture (.part); capture again")
    try:
        if path.stat().st_size == 0:
            raise FormatError(f"{path}: the file is empty")
        if not h5py.is_hdf5(path):
            with path.open("rb") as file:
                file.read(1)  # a file that may not be read is told apart from one that is not HDF5
            raise FormatError(f"{path}: not an HDF5 file, so not a capture")
        return _open_shared(path)
    except PermissionError as error:
        raise RequestError(f"{path}: no permission to read it") from error
    except BlockingIOError as error:
        raise RequestError(f"{path}: another program is writing it") from error
    except _BROKEN as error:
        raise FormatError(f"{path}: the HDF5 file is damaged ({_line(error)})") from error


def _open_shared(path: Path) -> h5py.File:
    """Open with HDF5's usual lock, so that the same process can open the file with h5py or xarray too.

    HDF5 refuses a second opening with another kind of lock. The usual lock keeps programs from writing the file while
    it is read. Where a disk has no locks, or h5py has the file open without one, there is none here either.
    """
    options: tuple[dict[str, Any], ...] = ({}, {"locking": True}, {"locking": False})
    for last, chosen in enumerate(options, 1 - len(options)):
        try:
            return h5py.File(path, "r", **chosen)
        except (BlockingIOError, PermissionError):
            raise
        except OSError as error:
            if not last or "lock" not in str(error):
                raise
    raise AssertionError("the last option returns or raises")


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")


def _excerpt(value: object) -> str:
    """A value of a wrong type, cut short."""
    text = _line(repr(value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value))
    return text if len(text) <= 60 else text[:59] + "\N{HORIZONTAL ELLIPSIS}"


def _line(error: object) -> str:
    """A message on one line."""
    return " ".join(str(error).split())

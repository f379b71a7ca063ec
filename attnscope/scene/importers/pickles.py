"""Lists, dicts, numbers, texts and arrays of numbers from a pickle, and nothing else.

A pickle is a program: it names functions and calls them. Here the few names that NumPy's arrays need stand for
functions of this file, which check what they are given and make arrays from bytes alone; any other name is refused.
Python's own unpickler in Python is used, since the one in C takes as much memory as a file asks for.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

from attnscope.errors import SceneError
from attnscope.files import read_bytes


class Array:
    """An array of numbers, or a list that was stored as an array of objects.

    Attributes:
        values: The NumPy array, or the list; of a pickle that gave none, an empty array.
    """

    __slots__ = ("values",)

    def __init__(self) -> None:
        import numpy as np

        self.values: Any = np.empty(0)

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, is_fortran, data = state
        if isinstance(kind, _Kind) and kind.dtype.hasobject:
            if not isinstance(data, list) or tuple(shape) != (len(data),):
                raise ValueError("an array of objects is no list")
            self.values = data
            return
        self.values = _values(data, kind, shape, "F" if is_fortran else "C")


class _Kind:
    """A dtype of numbers or objects. NumPy takes flags from the pickle that make it read pointers out of bytes."""

    __slots__ = ("dtype",)

    def __init__(self, code: str, objects: bool) -> None:
        import numpy as np

        self.dtype = np.dtype(code)
        if self.dtype.kind not in ("biufO" if objects else "biuf"):
            raise ValueError(f"an array of {self.dtype} is no array of numbers")

    def __setstate__(self, state: Any) -> None:
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


def read_pickle(path: Path, limit: int) -> Any:
    """Read a pickle that holds nothing but data.

    Args:
        path: The file; it is read whole.
        limit: Most bytes that it may hold.

    Raises:
        SceneError: The file cannot be read, is too large or damaged, or names anything but arrays of numbers.
    """
    return load_pickle(path, read_bytes(path, limit, SceneError))


def load_pickle(path: Path, content: bytes, *, objects: bool = False) -> Any:
    """Load a pickle that holds nothing but data, from a file that was read.

    Args:
        path: Named in errors.
        content: The pickle.
        objects: Arrays may also be lists of such data, which NumPy stores as arrays of objects.

    Raises:
        SceneError: As `read_pickle`.
    """
    try:
        return _Unpickler(path, io.BytesIO(content), objects).load()
    except SceneError:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SceneError(f"{path}: not a pickle of numbers that can be read: {reason}") from None


class _Unpickler(pickle._Unpickler):  # type: ignore[name-defined,misc,unused-ignore]
    def __init__(self, path: Path, file: io.BytesIO, objects: bool) -> None:
        super().__init__(file)
        self.path, self.objects = path, objects

    def find_class(self, module: str, name: str) -> Any:
        """A function of this file in place of the one that is named, fresh each time: a pickle may write on it."""
        match module.replace("numpy._core.", "numpy.core."), name:
            case "numpy", "ndarray":
                return "ndarray"
            case "numpy", "dtype":
                return lambda code, *_: _Kind(str(code), self.objects)
            case "numpy.core.multiarray", "_reconstruct":
                return lambda *_: Array()
            case "numpy.core.multiarray", "scalar":
                return lambda kind, data: _values(data, kind, (), "C").item()
            case "numpy.core.numeric", "_frombuffer":
                return lambda *state: _from_buffer(*state)
            case "_codecs", "encode":  # how protocol 2 writes bytes
                return lambda text, encoding: str(text).encode("latin1") if encoding == "latin1" else None
        raise SceneError(f"{self.path}: names {module}.{name}, which is no array of numbers; it is not loaded")


def _from_buffer(data: Any, kind: Any, shape: Any, order: Any) -> Array:
    array = Array()
    array.values = _values(data, kind, shape, order)
    return array


def _values(data: Any, kind: Any, shape: Any, order: Any) -> Any:
    import numpy as np

    if not isinstance(kind, _Kind) or not isinstance(data, bytes | bytearray):
        raise ValueError("an array holds no numbers")
    return np.frombuffer(data, kind.dtype).reshape(shape, order=order)

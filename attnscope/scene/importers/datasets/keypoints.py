"""Key points of people in .npy files whose frames are Python lists, read without running code that a file holds.

NumPy writes such an array as a pickle, and reading one with `allow_pickle=True` runs whatever the file names. Here only
the names that a plain array needs are known; any other is refused.
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from attnscope.errors import SceneError
from attnscope.files import open_regular
from attnscope.scene.importers.datasets.reading import IncompleteError

_LIMIT = 512 * 2**20  # bytes: a pickle is read as a whole
_POINT = 3  # numbers of a key point: x, y, confidence


def read_keypoints(path: Path) -> list[Any]:
    """The frames of a .npy file, each a list of whatever was stored.

    Raises:
        SceneError: If the file is no such array, holds more than 512 MiB, or names anything but plain data.
    """
    import numpy as np

    with closing(open_regular(path, SceneError)) as file:
        try:
            version = np.lib.format.read_magic(file)
            header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }.get(version)
            if header is None:
                raise SceneError(f"{path}: .npy version {version[0]}.{version[1]} is not known")
            shape, _, kind = header(file)
        except ValueError as error:
            raise SceneError(f"{path}: is no .npy file ({' '.join(str(error).split())})") from None
        if not kind.hasobject or len(shape) != 1:
            raise SceneError(f"{path}: is an array {list(shape)} of {kind}, and not one list of people for each frame")
        content = file.read(_LIMIT + 1)
    if len(content) > _LIMIT:
        raise SceneError(f"{path}: holds more than {_LIMIT:,} bytes")
    try:
        frames = _Plain(content).load()
    except SceneError as error:
        raise SceneError(f"{path}: ", *error.args) from None
    except Exception as error:  # a damaged pickle raises nearly anything
        raise SceneError(f"{path}: cannot be read ({type(error).__name__})") from None
    if not isinstance(frames, np.ndarray) or frames.ndim != 1:
        raise SceneError(f"{path}: is no list of frames")
    return list(frames)


def people(frame: Any, confidence: float, margin: float) -> Iterator[tuple[int, tuple[float, float, float, float]]]:
    """Who is in a frame, and the box around the key points that are sure (ours).

    Args:
        frame: A list of `{"idx": number, "keypoints": [x, y, confidence, ...]}`.
        confidence: Least confidence of a key point that counts.
        margin: Added on each side, as a share of the extent of the key points.

    Returns:
        Pairs of the person's number and left, top, right, bottom in pixels; nobody with fewer than two sure points.

    Raises:
        IncompleteError: If the frame is no such list.
    """
    try:
        found = [(int(person["idx"]), [float(value) for value in person["keypoints"]]) for person in frame]
    except (TypeError, ValueError, KeyError, IndexError, OverflowError):
        raise IncompleteError("the frame is no list of people with idx and keypoints") from None
    for number, values in found:
        points = [values[i : i + _POINT] for i in range(0, len(values) - _POINT + 1, _POINT)]
        sure = [(x, y) for x, y, c in points if c >= confidence and math.isfinite(x) and math.isfinite(y)]
        if len(sure) < 2:
            continue
        xs, ys = zip(*sure, strict=True)
        dx, dy = margin * (max(xs) - min(xs)), margin * (max(ys) - min(ys))
        yield number, (min(xs) - dx, min(ys) - dy, max(xs) + dx, max(ys) + dy)


class _Plain(pickle.Unpickler):
    """An unpickler that knows arrays of plain data, and no other name."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="latin1")  # files of Python 2 hold byte strings

    def find_class(self, module: str, name: str) -> Any:
        known = _NAMES.get((module.replace("numpy._core", "numpy.core"), name))
        if known is not None:
            return known
        raise SceneError(f"names {module}.{name}, which is no plain data; it is not read, since that may run code")


def _array(kind: Any, *_: Any) -> Any:
    """An empty array, which its state then fills."""
    import numpy as np

    if kind != _NDARRAY:
        raise SceneError("makes an array of another kind")
    return np.ndarray((0,), dtype="b")


def _dtype(kind: Any, *_: Any) -> Any:
    import numpy as np

    if not isinstance(kind, str):
        raise SceneError("names a type of numbers that is none")
    return np.dtype(kind)


def _scalar(kind: Any, value: Any = b"") -> Any:
    import numpy as np

    if not isinstance(kind, np.dtype) or kind.hasobject or not isinstance(value, bytes):
        raise SceneError("holds a number that is none")
    return np.frombuffer(value, dtype=kind, count=1)[0]


def _latin1(text: Any, encoding: Any) -> bytes:
    """How old pickles write bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise SceneError("holds bytes in an encoding that is not known")
    return text.encode("latin1")


_NDARRAY = "numpy.ndarray"  # stands for the class, so that nothing in the file can call it
_NAMES: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _latin1,
}

"""Key points of people in .npy files whose frames are Python lists, read without running code that a file holds.

NumPy writes such an array as a pickle, and `allow_pickle=True` runs whatever the file names. Here a file that names
anything but arrays is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from attnscope.errors import SceneError
from attnscope.files import open_regular
from attnscope.scene.importers.datasets.reading import IncompleteError
from attnscope.scene.importers.pickles import Array, load_pickle

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
    frames = load_pickle(path, content, objects=True)
    if not isinstance(frames, Array) or not isinstance(frames.values, list):
        raise SceneError(f"{path}: is no list of frames")
    return frames.values


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
        found = [(int(person["idx"]), _numbers(person["keypoints"])) for person in frame]
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


def _numbers(values: Any) -> list[float]:
    """Key points as a list, whether they were stored as one or as an array."""
    flat = values.values.ravel() if isinstance(values, Array) else values
    return [float(value) for value in flat]

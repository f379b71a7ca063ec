"""Arrays as text: base64 of little-endian numbers, as the viewer reads them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

DType = Literal["float32", "float16", "int32"]
Packed = dict[str, Any]
BYTES: dict[DType, int] = {"float32": 4, "float16": 2, "int32": 4}
LARGEST = 65504.0  # of a float16


def pack(values: NDArray[Any], dtype: DType = "float32") -> Packed:
    """An array as `dtype`, `shape` and `data`.

    Args:
        values: Numbers of any shape; NaN stays NaN.
        dtype: What they become.

    Raises:
        ValueError: If a number does not fit: too large for float16, or not a whole number of 32 bits.
    """
    array = np.asarray(values)
    if dtype == "int32" and array.size and not (np.abs(array) < 1 << 31).all():
        raise ValueError("int32: a number is too large, or not defined")
    if dtype == "float16" and array.size and float(np.nanmax(np.abs(array), initial=0.0)) > LARGEST:
        raise ValueError(f"float16: {np.nanmax(np.abs(array)):g} is larger than {LARGEST:g}")
    data = np.ascontiguousarray(array, dtype=np.dtype(dtype).newbyteorder("<"))
    return {"dtype": dtype, "shape": list(array.shape), "data": base64.b64encode(data.tobytes()).decode()}


def unpack(packed: Mapping[str, Any]) -> NDArray[Any]:
    """The array that `pack` took, as precise as its `dtype`."""
    kind = np.dtype(packed["dtype"]).newbyteorder("<")
    flat = np.frombuffer(base64.b64decode(packed["data"]), dtype=kind)
    return flat.reshape(packed["shape"]).astype(kind.newbyteorder("="))


def characters(shape: Sequence[int], dtype: DType) -> int:
    """How many characters the data of an array takes."""
    return -(-int(np.prod(shape, dtype=np.int64)) * BYTES[dtype] // 3) * 4

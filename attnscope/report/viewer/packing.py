"""Arrays as text: base64 of little-endian numbers, as the viewer reads them, deflated where room is short."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

DType = Literal["float32", "float16", "int32"]
Packed = dict[str, Any]
BYTES: dict[DType, int] = {"float32": 4, "float16": 2, "int32": 4}
LARGEST = 65504.0  # of a float16
LEVEL = 6  # of zlib


@dataclass(frozen=True)
class Form:
    """How an array is written.

    Attributes:
        dtype: Type of its numbers.
        deflated: Whether its bytes are compressed, which loses nothing: first the first bytes of all numbers, then the
            second ones and so on (they are more alike), as a zlib stream (RFC 1950).
    """

    dtype: DType = "float32"
    deflated: bool = False


PLAIN = Form()


def pack(values: NDArray[Any], form: Form | DType = PLAIN) -> Packed:
    """An array as `dtype`, `shape` and `data`, and `codec` if it is deflated.

    Args:
        values: Numbers of any shape; NaN stays NaN.
        form: How it is written; a type alone is not deflated.

    Raises:
        ValueError: If a number does not fit: too large for float16, or not one of 32 bits.
    """
    form = form if isinstance(form, Form) else Form(form)
    array, dtype = np.asarray(values), form.dtype
    if dtype == "int32" and array.size and not (np.abs(array) < 1 << 31).all():
        raise ValueError("int32: a number is too large, or not defined")
    if dtype == "float16" and array.size and float(np.nanmax(np.abs(array), initial=0.0)) > LARGEST:
        raise ValueError(f"float16: {np.nanmax(np.abs(array)):g} is larger than {LARGEST:g}")
    data = np.ascontiguousarray(array, dtype=np.dtype(dtype).newbyteorder("<")).tobytes()
    packed: Packed = {"dtype": dtype, "shape": list(array.shape)}
    if form.deflated:
        planes = np.frombuffer(data, np.uint8).reshape(-1, BYTES[dtype]).T
        data = zlib.compress(planes.tobytes(), LEVEL)
        packed["codec"] = "deflate"
    return packed | {"data": base64.b64encode(data).decode()}


def unpack(packed: Mapping[str, Any]) -> NDArray[Any]:
    """The array that `pack` took, as precise as its `dtype`."""
    data = base64.b64decode(packed["data"])
    if packed.get("codec") == "deflate":
        planes = np.frombuffer(zlib.decompress(data), np.uint8)
        data = planes.reshape(BYTES[packed["dtype"]], -1).T.tobytes()
    kind = np.dtype(packed["dtype"]).newbyteorder("<")
    return np.frombuffer(data, dtype=kind).reshape(packed["shape"]).astype(kind.newbyteorder("="))


def characters(shape: Sequence[int], dtype: DType) -> int:
    """How many characters the data of an array takes that is not deflated."""
    return -(-int(np.prod(shape, dtype=np.int64)) * BYTES[dtype] // 3) * 4

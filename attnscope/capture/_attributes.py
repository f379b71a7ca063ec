"""Attributes of a capture's nodes: their type and size are looked at before they are read."""

from __future__ import annotations

import math
from typing import Any

import h5py
import numpy as np

MAX_BYTES = 1 << 20  # of one attribute
MAX_TEXTS = 256  # texts of variable length in one attribute: their own lengths are not known before they are read

_CLASSES = (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.STRING, h5py.h5t.ENUM)


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
    value = node.attrs[name]
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray) and value.dtype.kind == "S":
        return np.char.decode(value, "utf-8")
    return value

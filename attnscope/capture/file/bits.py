"""Two encodings that numpy has no type for: bfloat16 numbers, and masks of one bit a pair."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def bfloat16_bits(values: npt.ArrayLike) -> npt.NDArray[np.uint16]:
    """Round numbers to bfloat16 and return the 16 bits of each.

    Args:
        values: Numbers of any shape; they pass through float32.

    Returns:
        Uint16 of the same shape: the upper half of the float32, rounded to nearest even; NaN stays NaN.
    """
    single = np.ascontiguousarray(np.asarray(values, dtype=np.float32))
    bits = single.view(np.uint32)
    rounded = ((bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    # Rounding could carry a NaN's payload into infinity: keep its upper half and set the quiet bit instead.
    quiet = ((bits >> 16) | 0x40).astype(np.uint16)
    return np.where(np.isnan(single), quiet, rounded).astype(np.uint16)


def float32_from_bfloat16(bits: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """Widen the bits of bfloat16 numbers to float32, exactly.

    Args:
        bits: Uint16 of any shape.

    Returns:
        Float32 of the same shape.
    """
    return (np.ascontiguousarray(bits, dtype=np.uint16).astype(np.uint32) << 16).view(np.float32)


def pack_mask(allowed: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Pack a mask to one bit a pair, most significant bit first.

    Args:
        allowed: bool [query, key].

    Returns:
        Uint8 [query, ceil(key / 8)]; the bits past the last key are 0.
    """
    packed: npt.NDArray[np.uint8] = np.packbits(np.asarray(allowed, dtype=bool), axis=-1, bitorder="big")
    return packed


def unpack_mask(packed: npt.NDArray[Any], keys: int) -> npt.NDArray[np.bool_]:
    """Undo `pack_mask`.

    Args:
        packed: Uint8 [query, byte].
        keys: The number of keys.

    Returns:
        bool [query, key].
    """
    return np.unpackbits(np.asarray(packed, dtype=np.uint8), axis=-1, count=keys, bitorder="big").astype(bool)

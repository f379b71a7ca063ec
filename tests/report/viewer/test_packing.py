"""Arrays as text come back as they were."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from attnscope.report.viewer.packing import LARGEST, Form, characters, pack, unpack

SHAPES = arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=7)


@settings(max_examples=60, deadline=None)
@given(arrays.arrays(np.float32, SHAPES, elements=st.floats(width=32, allow_infinity=False)), st.booleans())
def test_float32_comes_back_bit_by_bit(values: np.ndarray, deflated: bool) -> None:
    packed = pack(values, Form("float32", deflated))
    assert packed["shape"] == list(values.shape)
    assert unpack(packed).tobytes() == values.astype(np.float32).tobytes()


@settings(max_examples=60, deadline=None)
@given(arrays.arrays(np.float64, SHAPES, elements=st.floats(-LARGEST, LARGEST)), st.booleans())
def test_float16_comes_back_within_its_rounding(values: np.ndarray, deflated: bool) -> None:
    back = unpack(pack(values, Form("float16", deflated))).astype(np.float64)
    assert np.all(np.abs(back - values) <= np.maximum(np.abs(values) * 2.0**-11, 2.0**-25))


@given(arrays.arrays(np.int64, SHAPES, elements=st.integers(-(2**31) + 1, 2**31 - 1)))
def test_whole_numbers_come_back(values: np.ndarray) -> None:
    packed = pack(values, "int32")
    assert np.array_equal(unpack(packed), values)
    assert len(packed["data"]) == characters(values.shape, "int32")


def test_bytes_are_little_endian_in_the_order_of_the_specification() -> None:
    assert pack(np.array([1, 256]), "int32")["data"] == "AQAAAAABAAA="
    assert pack(np.array([1.0, np.nan]), "float16")["data"] == "ADwAfg=="


@pytest.mark.parametrize("value", [65600.0, np.inf])
def test_what_float16_cannot_hold_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="float16"):
        pack(np.array([value, np.nan]), "float16")


@pytest.mark.parametrize("value", [2.0**31, np.nan])
def test_what_is_no_whole_number_of_32_bits_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="int32"):
        pack(np.array([0.0, value]), "int32")

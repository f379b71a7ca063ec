from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from attnscope.capture.file.bits import bfloat16_bits, float32_from_bfloat16, pack_mask, unpack_mask


@given(hnp.arrays(np.uint16, hnp.array_shapes(max_dims=3, max_side=9)))
def test_bfloat16_bits_survive_float32(bits: np.ndarray) -> None:
    wide = float32_from_bfloat16(bits)
    assert wide.shape == bits.shape
    back = bfloat16_bits(wide)
    number = ~np.isnan(wide)
    np.testing.assert_array_equal(back[number], bits[number])
    assert np.isnan(float32_from_bfloat16(back)[~number]).all()


@settings(deadline=None)  # the first call imports torch
@given(hnp.arrays(np.float32, st.integers(0, 40), elements=st.floats(width=32)))
def test_bfloat16_is_torchs(values: np.ndarray) -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.from_numpy(values.copy()).to(torch.bfloat16)
    ours = float32_from_bfloat16(bfloat16_bits(values))
    np.testing.assert_array_equal(ours, theirs.float().numpy())


@given(hnp.arrays(bool, st.tuples(st.integers(0, 9), st.integers(1, 35))))
def test_masks_survive_packing(mask: np.ndarray) -> None:
    packed = pack_mask(mask)
    assert packed.shape == (mask.shape[0], (mask.shape[1] + 7) // 8)
    np.testing.assert_array_equal(unpack_mask(packed, mask.shape[1]), mask)


def test_the_first_key_is_the_most_significant_bit() -> None:
    assert pack_mask(np.array([[True] + [False] * 8 + [True]])).tolist() == [[0b10000000, 0b01000000]]

"""What reading is measured on is a capture as any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import attnscope
from benchmarks.reading_capture import Shape, write


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_an_invented_capture_is_valid(tmp_path: Path, dtype: str) -> None:
    path = write(tmp_path / "run.h5", Shape(2, 4, 2, 8, dtype, 100))
    assert attnscope.validate(path) == []
    with attnscope.open(path) as cap:
        assert cap.readings == ["qk"] and cap.heads == 4
        np.testing.assert_allclose(cap.attention(1).sum(-1), 1, rtol=1e-5)

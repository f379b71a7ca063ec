"""Memory of a capture grows in proportion to the number of tokens; eager attention's cannot."""

from __future__ import annotations

import pytest

from benchmarks.harness import measured
from benchmarks.meter import HAND_BACK
from benchmarks.model import build, frames_for

pytestmark = [pytest.mark.slow, pytest.mark.alone]
SIZES = (2048, 4096, 8192, 16384)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return build(tmp_path_factory.mktemp("bench"))


def measure(bench, mode, tokens, *options):
    arguments = (mode, *bench, "--frames", frames_for(tokens), *options)
    result = measured("recording_worker", *arguments, threads=1, variables=HAND_BACK, timeout=590)
    assert abs(result["tokens"] / tokens - 1) < 0.12
    return result


@pytest.mark.timeout(1500)
def test_extra_memory_grows_linearly_and_16k_tokens_fit_where_eager_does_not(bench):
    """Ours above the plain run in the same process: a fourfold length may cost at most about fourfold extra."""
    extra = {}
    for tokens in SIZES:
        result = measure(bench, "default", tokens, *(("--limit", "10") if tokens == 16384 else ()))
        assert result["error"] is None
        extra[tokens] = max(result["work"][0]["peak"] - result["plain"][0]["peak"], 2**20)
    # A quadratic part would show between the two longest: x 4. Linear is x 2; constants and allocators only lower it.
    # Below a few tens of MiB it is the allocator's noise; one map of a head of the longest takes 1 GiB.
    assert extra[16384] <= 2.6 * max(extra[8192], 48 * 2**20), extra
    assert extra[8192] <= 2.6 * max(extra[4096], 48 * 2**20), extra
    assert measure(bench, "eager", 16384, "--limit", "10")["error"] is not None

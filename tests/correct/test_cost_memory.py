"""What a correction holds grows in proportion to the number of tokens; what the benchmark's page says of it."""

from __future__ import annotations

import pytest
import torch

from attnscope.correct import corrections
from benchmarks import cost
from benchmarks.cost_worker import CASES
from benchmarks.harness import allocated, measured
from benchmarks.model import build, frames_for

SIZES = (4096, 8192)
NOISE = 24 * 2**20  # a boolean per pair of tokens is 64 MiB at the longer length, a float32 map of a head 256 MiB


def measure(bench, tokens):
    result = measured("cost_worker", *bench, "--frames", frames_for(tokens), "--tensors", timeout=900)
    assert abs(result["tokens"] / tokens - 1) < 0.12
    return result["tensors"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_what_corrections_hold_grows_linearly(tmp_path_factory):
    """Tensors above those of the plain run of the same length; a part that is quadratic would be four times as much."""
    bench = build(tmp_path_factory.mktemp("bench"))
    short, long = (measure(bench, tokens) for tokens in SIZES)
    assert long["plain"] <= 2.4 * short["plain"]
    for case in CASES:
        extra = [max(found[case.name] - found["plain"], 0) for found in (short, long)]
        assert extra[1] <= 2.4 * extra[0] + NOISE, (case.name, [round(one / 2**20) for one in extra])


def test_a_map_of_every_pair_is_seen():
    """What is counted: a boolean per pair of 4,096 tokens is 16 MiB, and it is gone when the work is."""
    assert allocated(lambda: torch.ones(4096, 4096, dtype=torch.bool).sum().item()) >= 2**24
    assert allocated(lambda: torch.ones(4096).sum().item()) < 2**20


def test_every_correction_is_measured():
    assert {case.method for case in CASES} == set(corrections())
    assert len({case.name for case in CASES}) == len(CASES)
    for case in CASES:
        assert case.make().method == case.method


def test_the_page_names_what_is_above_the_limit():
    """Ratios and memory as measured, and the names of those above the limit, with their reason or without one."""
    plain = {"prefill_cpu": 2.0, "prefill_wall": 3.0, "steps_cpu": 0.5, "peak": 100 * 2**20}
    found = {}
    for tokens in cost.TOKENS:
        memory = {case.name: plain | {"prefill_cpu": 2.5, "peak": 110 * 2**20} for case in CASES}
        found[tokens] = {"tokens": tokens + 5, "plain": [plain] * 3, "memory": memory}
    ratios = {"prefill_cpu": 1.1, "prefill_wall": 1.2, "steps_cpu": 1.3, "plain_wall": 3.0}
    found[cost.COUNTS]["time"] = {case.name: [ratios] * 5 for case in CASES}
    slow, looks = CASES[0], next(case for case in CASES if case.why == "a look at the plain model")
    for case, times in ((slow, (1.4, 1.6, 1.7)), (looks, (2.0, 2.1, 2.2))):
        rounds = [{"prefill_cpu": x, "prefill_wall": x, "steps_cpu": x, "plain_wall": 3.0} for x in times]
        found[cost.COUNTS]["time"][case.name] = rounds
    assert cost.verdict(found) == [
        f"Of {len(CASES)} rows, {len(CASES) - 2} are within 1.5 times the plain prefill at 8197 tokens (CPU time,",
        f"median). Above: `{slow.name}` (1.60: no reason known), `{looks.name}` (2.10: a look at the plain model).",
        "**Some of these have no reason to be there.**",
    ]
    lines = cost.at_length(found, cost.COUNTS)
    assert lines[0] == "| `social-bias` | 1.60 (1.40 to 1.70) | 1.60 (1.40 to 1.70) | 1.60 (1.40 to 1.70) | 10 |  |"
    assert cost.by_length(found)[1] == "| `social-bias` | 1.25 | 1.25 | 1.60 | 1.25 | 10 | 10 | 10 | 10 |"
    assert sum("No GPU was measured" in line for line in cost.text(found, 5)) == 1

"""The script for a GPU runs through on a CPU with small sizes, and reads masses right every way."""

from __future__ import annotations

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu_groups import WAYS, Heads
from benchmarks.gpu_meter import Meter, covered


def test_ways_read_the_masses_of_float32_rows():
    heads = Heads.random(2, 1, 96, 32, "cpu", torch.float32)
    exact = heads.exact()
    assert exact.shape == (2, 96, 16)
    torch.testing.assert_close(exact.sum(-1), torch.ones(2, 96))
    for name in [name for name in WAYS if "Flex" not in name]:  # which takes seconds to import; below
        masses = WAYS[name](heads)
        own = masses[0][:, heads.rows] if masses.dim() == 4 else masses
        torch.testing.assert_close(own, exact, msg=name)


def test_copies_are_overlapped_where_a_kernel_runs():
    assert covered([(0, 4), (10, 12)], [(1, 2), (1.5, 3), (11, 20)]) == 3
    assert covered([(0, 4)], []) == 0


def test_what_fails_is_named_in_the_table():
    assert Meter("cpu").failure(RuntimeError("CUDA out of memory. Tried to")) == "out of memory"
    assert Meter("cpu").failure(KeyError("flex")) == "KeyError"


@pytest.mark.slow
def test_the_script_runs_through_on_a_cpu_and_leaves_the_page_alone(tmp_path, capsys):
    page = tmp_path / "README.md"
    page.write_text("# Benchmarks\n")
    arguments = ["--device", "cpu", "--small", "--layers", "2", "--tokens", "512", "--rounds", "1", "--page", str(page)]
    lines = gpu.main(arguments)
    assert page.read_text() == "# Benchmarks\n"
    assert capsys.readouterr().out.splitlines() == lines
    for mode in gpu.MODES.values():
        assert any(line.startswith(f"| 433 | sdpa | {mode} | ") and "/" not in line for line in lines), mode
    for way in WAYS:
        [line] = [line for line in lines if line.startswith(f"| 512 | {way} | ")]
        assert float(line.split("|")[-2]) < 0.01
    rows, bfloat16, float16 = [line for line in lines if "float32 rows by" in line or "of float32 rows" in line][:3]
    assert float(rows.split(" by ")[1].split()[0]) < 1e-4
    assert float(bfloat16.split(" by ")[1].split()[0]) < 2e-2
    assert float(float16.split(" by ")[1].split()[0]) < 3e-3

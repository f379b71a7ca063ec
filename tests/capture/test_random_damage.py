"""A damaged capture is refused in one line, or every number that can be read is the one that was written."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.capture.by_hand import build
from tests.capture.mutations import KINDS

SEED = 1594
MANY, SOME, WORKERS = 1602, 60, 2


def run(folder: Path, original: Path, first: int, last: int) -> list[dict[str, str]]:
    """The outcomes of some cases, by `WORKERS` processes that fork one for each case."""
    step = -(-(last - first) // WORKERS)
    command = [sys.executable, "-m", "tests.capture.mutations", str(original), str(folder), str(SEED)]
    ranges = [(start, min(start + step, last)) for start in range(first, last, step)]
    workers = [
        subprocess.Popen([*command, str(a), str(b)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for a, b in ranges
    ]
    lines: list[dict[str, str]] = []
    for worker in workers:
        out, err = worker.communicate(timeout=1200)
        assert worker.returncode == 0, err[-2000:]
        lines += map(json.loads, out.splitlines())
    assert len(lines) == last - first
    return lines


def judge(lines: list[dict[str, str]]) -> None:
    wrong = [line for line in lines if line["outcome"] not in ("refused", "same")]
    assert not wrong, wrong[:5]
    refused = Counter(line["kind"] for line in lines if line["outcome"] == "refused")
    assert set(refused) == set(KINDS), refused  # each kind of damage was met


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_some_random_damage(tmp_path: Path) -> None:
    build(tmp_path / "original.h5", layers=2, heads=2, prompt=45, frames=3, speakers=1, window=20, explicit=True)
    judge(run(tmp_path, tmp_path / "original.h5", 0, SOME))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_much_random_damage(tmp_path: Path) -> None:
    build(tmp_path / "original.h5", layers=2, heads=2, prompt=45, frames=3, speakers=1, window=20, explicit=True)
    judge(run(tmp_path, tmp_path / "original.h5", SOME, MANY))

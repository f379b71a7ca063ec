"""Clicks are measured over HTTP on rows that are those of the capture."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import clicks
from benchmarks.page import write_part
from benchmarks.reading_capture import Shape, write


@pytest.mark.slow
def test_every_kind_of_click_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = Shape(2, 4, 2, 8, "bfloat16", 100)
    monkeypatch.setattr(clicks, "SHAPE", shape)
    page = tmp_path / "page.md"
    page.write_text("# Page\n")
    write_part("Clicks", clicks.measure(write(tmp_path / "run.h5", shape), 0.01), page)
    rows = [
        line.split("|")[1:-1]
        for line in page.read_text().splitlines()
        if line.startswith("| a head") or "| the mean" in line
    ]
    assert [len(row) for row in rows] == [6] * 4
    for _, count, median, most, worst, _cpu in rows:
        assert int(count) >= 1 and 0 <= float(median) <= float(most) <= float(worst)

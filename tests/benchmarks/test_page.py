"""Pages: a command rewrites its part of benchmarks/README.md and no other; a study's page follows from its tables."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

import pytest

from benchmarks.page import write_part

DOCS = Path(__file__).parents[2] / "docs"


def test_a_part_is_added_then_replaced_and_the_others_stay(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("# Benchmarks\n\nWords.\n\n## One\n\nold\n\n## Two\n\nstays\n")
    write_part("One", ["new", "", "| a |"], page)
    write_part("Three", ["last"], page)
    parts = ["# Benchmarks\n\nWords.\n", "## One\n\nnew\n\n| a |\n", "## Two\n\nstays\n", "## Three\n\nlast\n"]
    assert page.read_text() == "\n".join(parts)
    write_part("One", ["new", "", "| a |"], page)
    assert page.read_text() == "\n".join(parts)


@pytest.mark.slow
@pytest.mark.parametrize("study", ["roundtable", "corrections"])
def test_a_page_comes_out_again_from_its_stored_tables(tmp_path: Path, study: str) -> None:
    shutil.copytree(DOCS / "data", tmp_path / "data")
    page = importlib.import_module(f"benchmarks.studies.{study}.page")
    assert page.write(page.read(tmp_path), tmp_path).read_text() == (DOCS / f"{study}.md").read_text()
    for name in (DOCS / "data").glob(f"{study}-*"):
        assert (tmp_path / "data" / name.name).read_bytes() == name.read_bytes()

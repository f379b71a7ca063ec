"""benchmarks/README.md: a command rewrites its part and no other."""

from __future__ import annotations

from benchmarks.page import write_part


def test_a_part_is_added_then_replaced_and_the_others_stay(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("# Benchmarks\n\nWords.\n\n## One\n\nold\n\n## Two\n\nstays\n")
    write_part("One", ["new", "", "| a |"], page)
    write_part("Three", ["last"], page)
    parts = ["# Benchmarks\n\nWords.\n", "## One\n\nnew\n\n| a |\n", "## Two\n\nstays\n", "## Three\n\nlast\n"]
    assert page.read_text() == "\n".join(parts)
    write_part("One", ["new", "", "| a |"], page)
    assert page.read_text() == "\n".join(parts)

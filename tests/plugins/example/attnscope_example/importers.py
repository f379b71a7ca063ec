"""An importer: a turn a line, "NAME<TAB>START<TAB>END<TAB>TEXT"."""

from __future__ import annotations

from pathlib import Path

from attnscope.scene import Turn
from attnscope.scene.importers import importer


@importer("example-tsv", "turns (.tsv) as NAME, START, END, TEXT", "transcript")
def read_tsv(path):
    """The turns of a file."""
    rows = [line.split("\t") for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return [Turn(speaker=name, start=float(start), end=float(end), text=text) for name, start, end, text in rows]

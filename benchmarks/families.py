"""Which model families are captured exactly, and how visual tokens are placed: rewrites docs/data/families.csv.

`python -m benchmarks.families [NAME ...]` (`make families`) builds a tiny checkpoint of each family with the real
classes and processor, holds a capture against transformers' own eager attention, repaints pixels to see which visual
tokens answer, and tries every correction that edits attention. With names, only these rows are measured again. The slow
tests (tests/families/test_placed.py) measure everything again and compare.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import attnscope
from attnscope.errors import AttnscopeError
from docs.supported import TABLE, read_table
from tests.families import EVERY
from tests.families.measured import placing_measured, tried_corrections, versions, worst_difference
from tests.support.clip import render_clip


def measure(name: str, folder: Path, scene: Path) -> dict[str, Any]:
    """One row of the table.

    Args:
        name: Of the checkpoint, in `tests.families.EVERY`.
        folder: For the checkpoint and a capture.
        scene: The scene file of Ada and Ben.

    Returns:
        `name`, `family`, `class`, `transformers`, `worst` (largest difference to eager attention), what
        `placing_measured` returns, `acts` (the corrections that act) and `refused` (the others, each with its reason).
    """
    checkpoint = EVERY[name](folder / "checkpoint")
    loaded = attnscope.load(str(checkpoint), dtype="float32", device="cpu")
    worst = worst_difference(checkpoint, loaded, scene, folder)
    placing = placing_measured(loaded)
    outcomes = tried_corrections(loaded, scene)
    return {
        "name": name,
        "family": str(loaded.model.config.model_type),
        "class": type(loaded.model).__name__,
        "transformers": versions(),
        "worst": float(f"{worst:.1e}"),
        **placing,
        "acts": ", ".join(method for method, why in outcomes.items() if not why),
        "refused": " | ".join(f"{method}: {why}" for method, why in outcomes.items() if why),
    }


def main(words: Sequence[str]) -> int:
    """Measure all families, or those that are named; the exit code."""
    parser = argparse.ArgumentParser(description="measure the model families of docs/models.md")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a checkpoint of tests.families; all by default")
    names = parser.parse_args(words).names or list(EVERY)
    for name in names:
        if name not in EVERY:
            parser.error(f"no checkpoint '{name}'; there are {', '.join(EVERY)}")
    logging.getLogger("attnscope").setLevel(logging.ERROR)  # warnings about places, once a family
    known = {row["name"]: row for row in read_table()} if TABLE.exists() else {}
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ATTNSCOPE_CACHE"] = str(Path(folder) / "cache")  # the user's own stays as it is
        scene = render_clip(Path(folder) / "scene")
        for name in names:
            began = time.perf_counter()
            try:
                known[name] = measure(name, Path(folder) / name, scene)
            except (AttnscopeError, AssertionError) as error:
                failed += 1
                print(f"{name}: {error}", file=sys.stderr)
                continue
            row = known[name]
            print(f"{name}: {row['how']}, {row['worst']:.1e}, {time.perf_counter() - began:.1f} s")
            pd.DataFrame([known[other] for other in EVERY if other in known]).to_csv(TABLE, index=False)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The viewer writes numbers as the pages do: viewer/src/numbers.ts is held to attnscope/report/page/numbers.py."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from attnscope.report.page import numbers

_SOURCE = Path(__file__).parents[2] / "viewer/src/numbers.ts"
_SCRIPT = """
import { readFileSync } from "node:fs";
import { changed, exact, number, percent, signed } from %s;
const values = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(values.map((v) => (
  [number(v), number(v, 2), signed(v, 4), percent(Math.abs(v) %% 1), changed(v, v + 0.25), exact(v)]))));
"""


def _values() -> list[float]:
    """Numbers of every size, with those that round to a neighbour and those that lie between two."""
    rng = np.random.default_rng(17)
    ends = [0.0, 1.0, -1.0, 0.9996, 1.0000001, 0.999999, 1e-3, 9.9996e-4, 5e-324, 1e-300, 99999.4, 1e5, 9995.0, 1.005]
    ties = (rng.integers(1, 4000, 500) / rng.choice([8, 32, 128, 4096], 500)).tolist()
    wide = rng.lognormal(0, 6, 500).tolist() + rng.normal(0, 1, 500).tolist() + (1 + rng.normal(0, 1e-5, 200)).tolist()
    return [*ends, *ties, *wide, *np.asarray(wide, np.float32).astype(float).tolist()]


@pytest.fixture(scope="module")
def written() -> list[tuple[float, list[str]]]:
    """Each number with its texts."""
    node = shutil.which("node", path=str(Path(sys.executable).parent)) or shutil.which("node")
    assert node, "node is among the development requirements: make .venv/.installed-dev"
    values = _values()
    script = _SCRIPT % json.dumps(_SOURCE.as_uri())
    command = [node, "--no-warnings", "--input-type=module", "-e", script]
    run = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=True)
    return list(zip(values, json.loads(run.stdout), strict=True))


def test_the_viewer_and_the_pages_write_one_number_alike(written: list[tuple[float, list[str]]]) -> None:
    for value, texts in written:
        row = {"before": value, "after": value + 0.25, "change": value + 0.25 - value}
        expected = [numbers.number(value), numbers.number(value, 2), numbers.signed(value, 4)]
        expected += [numbers.percent(math.fmod(abs(value), 1)), numbers.changed(row)]
        assert texts[:5] == expected, value


def test_a_saved_number_is_the_number(written: list[tuple[float, list[str]]]) -> None:
    for value, texts in written:
        saved = float(texts[5])
        assert np.float32(saved) == np.float32(value) if float(np.float32(value)) == value else saved == value

"""The pages on corrections say what the code says: every method, parameter, control and field of a file."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import attnscope
from attnscope import correct
from attnscope.correct import SocialBias, corrections, read_corrections
from attnscope.correct.controls import Controlled, controls
from attnscope.correct.heads.selection import HeadRule
from attnscope.correct.params import declared
from attnscope.correct.recipe import Recipe, Step
from attnscope.metrics.choosing.headlist import By, Head, HeadList, OfModel
from docs import generate

METHODS = generate.read("docs/methods.md")
SECTION = METHODS.split("\n## Corrections\n")[1].split("\n## ")[0]
GUIDE = generate.read("docs/guide.md").split("\n## Correct\n")[1].split("\n## ")[0]
FORMAT = generate.read("docs/format.md").split("\n# correction.json\n")[1]
README = generate.read("README.md")


def part(heading: str) -> str:
    """What stands under a heading of the corrections."""
    found = re.split(r"^### (.+)$", SECTION, flags=re.MULTILINE)[1:]
    parts = dict(zip(found[::2], found[1::2], strict=True))
    return next(text for names, text in parts.items() if heading in names.split(", "))


def rows(text: str) -> dict[str, str]:
    """Rows of the tables of a text, by their first cell."""
    return {line.split("|")[1].strip(" `"): line for line in text.splitlines() if line.startswith("| ")}


@pytest.mark.parametrize("method", sorted(corrections()))
def test_every_correction_is_explained(method: str) -> None:
    source = corrections()[method].source
    assert f"`{source}`" in part(method) or f"| {source} |" in part(method)
    acts = [name for names in rows(part("How they are applied")) for name in names.split("`, `")]
    assert method in acts  # whose rows change, and what happens to generated tokens
    assert f"`{method}`" in GUIDE
    assert f"`{method}`" in README


def test_every_parameter_is_explained() -> None:
    for method, cls in corrections().items():
        assert set(rows(part(method))) >= set(declared(cls)), method
    assert set(rows(part("Controls"))) >= set(declared(Controlled))
    rule = {name for name in declared(HeadRule) if name not in ("by", "layers")}
    assert set(rows(part("Which heads"))) >= rule | {"lowest"}


def test_controls_are_those_of_the_code() -> None:
    table, plain = rows(part("Controls")), SocialBias(rows="answer")
    made, default = controls([plain]), Controlled(plain).params()
    assert set(made) < set(table)
    for name, (changed,) in made.items():
        params = {key: value for key, value in changed.params().items() if value != default[key]}
        ((key, value),) = params.items()
        assert (f"`{key}`" if value is True else f"`{key}={value}`") in table[name], name


def test_the_format_names_every_field(tmp_path: Path) -> None:
    for model in (Recipe, Step, HeadList, OfModel, By, Head):
        assert all(f"`{name}`" in FORMAT or f".{name}`" in FORMAT for name in model.model_fields), model.__name__
    (smallest,) = re.findall(r"```json\n(.*?)```", FORMAT, flags=re.DOTALL)
    path = tmp_path / "correction.json"
    path.write_text(smallest, encoding="utf-8")
    assert read_corrections(path) == [correct.Pai()]


def test_a_file_with_no_more_than_the_format_asks_for_is_read(tmp_path: Path) -> None:
    heads = {
        "model": {"id": "roundtable", "config_sha256": "00", "layers": 6, "heads": 8},
        "heads": [{"rank": 1, "layer": 2, "head": 3, "value": 1.5, "n": 1}],
        "criterion": dict.fromkeys(("name", "metric", "definition", "frames"), "")
        | {"lowest": False, "threshold": 0.5, "gate": None, "least": None, "top": 1, "layers": None},
        "captures": [],
        "clips": 1,
        "stability": {},
        "agreement": [],
        "notes": [],
    }
    path = tmp_path / "correction.json"
    steps = [{"method": "social-bias", "params": {"alpha": 2, "heads": heads}}]
    path.write_text(json.dumps({"corrections": steps}), encoding="utf-8")
    (found,) = read_corrections(path)
    assert found.params()["alpha"] == 2.0
    assert found.params()["heads"] == "2.3"


def test_what_the_pages_import_is_there() -> None:
    assert attnscope.corrected is correct.corrected
    assert attnscope.SocialBias is correct.SocialBias
    assert {cls.__name__ for cls in corrections().values()} <= set(correct.__all__)
    assert set(attnscope.__all__) <= {*dir(attnscope)}


def test_targets_of_the_benchmarks_run_what_is_there() -> None:
    targets = dict(re.findall(r"^([\w-]+):.*\n\t\$\(BIN\)/python -m (\S+)", generate.read("Makefile"), re.MULTILINE))
    for name in ("bench", "bench-analyze", "bench-cost", "bench-nulls", "bench-corrections", "benchmark"):
        place = generate.ROOT / targets[name].replace(".", "/")
        assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), name

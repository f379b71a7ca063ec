"""What commands that write a folder do with one that holds a report, and what they print."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Ran

pytestmark = pytest.mark.usefixtures("here")
Cli = Callable[..., Ran]
GIVEN = ["--layers", "0-3", "-o", "out"]
REFUSED = "attnscope: out/{}: already exists; pass --force to replace it\n"


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("analyze run.h5 -o out", "report.html"),
        ("compare run.h5 after.h5 -o out", "report.html"),
        ("correct run.h5 -o out", "report.html"),
        ("correct run.h5 -o out", "after.h5"),
        ("correct run.h5 -o out", "correction.json"),
        ("correct run.h5 --sweep alpha=1 -o out", "report.html"),
        ("correct run.h5 --what-if -o out", "report.html"),
    ],
)
def test_what_is_there_is_not_replaced(cli: Cli, words: str, name: str) -> None:
    Path("out").mkdir()
    Path("out", name).write_text("mine")
    assert cli(*words.split()) == Ran(2, "", REFUSED.format(name))
    assert Path("out", name).read_text() == "mine" and len(list(Path("out").iterdir())) == 1


@pytest.mark.parametrize("words", ["analyze stats.h5", "compare stats.h5 stats.h5"])
def test_with_force_a_report_takes_the_place_of_another(cli: Cli, words: str) -> None:
    """The folder then holds the later one alone."""
    for name in ("report.html", "tables/old.csv", "figures/old.png"):
        Path("out", name).parent.mkdir(parents=True, exist_ok=True)
        Path("out", name).write_text("old")
    listed = {"tables": ["out/tables/old.csv"], "figures": ["out/figures/old.png"]}
    Path("out", "report.json").write_text(json.dumps(listed))
    ran = cli(*words.split(), "-o", "out", "--force", "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    written = {found["report"], "out/report.json", *found["tables"], *found["figures"]}
    assert {str(path) for path in Path("out").rglob("*") if path.is_file()} == written
    assert Path("out/report.html").read_text() != "old"


def table(out: str) -> list[list[str]]:
    """Words of the lines of a printed table."""
    return [line.split() for line in out.splitlines() if line.strip() and set(line.strip()) != {"─"}]


@pytest.mark.slow
def test_a_sweep_prints_its_small_table(cli: Cli) -> None:
    words = ["correct", "run.h5", *GIVEN, "--model", "model", "--sweep", "alpha=0,4"]
    ran = cli(*words)
    assert (ran.code, ran.err) == (0, "")
    *lines, page = table(ran.out)
    assert page == ["out/report.html"]
    found = json.loads(Path("out/report.json").read_text())
    assert "Log-probability of" in ran.out and f"“{found['answer']['text']}”" in ran.out
    rows = [line for line in lines if line[0] in ("plain", "0", "4")]
    assert [row[0] for row in rows] == ["plain", "0", "4"]
    for row, setting in zip(rows, found["settings"], strict=True):
        said = "right" if setting["answer"].strip() == found["answer"]["text"] else "wrong"
        assert said in row
        value = setting["numbers"][0]["value"]
        assert any(
            re.fullmatch(r"−?[\d.]+", word) and float(word.replace("−", "-")) == pytest.approx(value, rel=1e-3)
            for word in row
        )
    again = cli(*words, "--force", "--json")
    assert json.loads(again.out)["settings"] == found["settings"]


def test_a_what_if_prints_the_heads_that_would_change_most(cli: Cli) -> None:
    ran = cli("correct", "run.h5", "--what-if", "--set", "topk=2", *GIVEN)
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(Path("out/report.json").read_text())
    active = {(layer, head) for layer, heads in found["corrections"][0]["active"] for head in heads}
    assert ran.out.startswith("social-bias: acts in layer") and ran.out.endswith("out/report.html\n")
    assert f"{found['main']['number']}: heads that would change most" in ran.out
    rows = [line for line in table(ran.out) if len(line) == 5 and line[0].isdigit()]
    assert {(int(layer), int(head)) for layer, head, *_ in rows} <= active
    assert len(rows) == len(found["main"]["most_changed"]) > 0

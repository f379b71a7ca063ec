"""Options of `correct` and `eval` that say which corrections there are, on a good day."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import attnscope
from attnscope.correct import Pai, SocialBias, read_corrections
from attnscope.correct.params import declared
from attnscope.correct.registry import corrections
from attnscope_cli.main import app
from tests.cli.conftest import Ran

pytestmark = pytest.mark.usefixtures("here")

TWO = ["pai", "social-bias"]
GROUP: Any = get_command(app)


@pytest.mark.slow
def test_several_methods_in_order_and_then_from_the_file(cli: Callable[..., Ran]) -> None:
    words = ["--method", "pai", "--method", "social-bias", "--no-verify", "--quiet"]
    settings = ["--set", "pai.alpha=0.3", "--set", "social-bias.alpha=2", "--set", "threshold=0", "-o", "out"]
    ran = cli("correct", "run.h5", *words, *settings, "--model", "model")
    assert (ran.code, ran.err) == (0, "")
    made = [Pai(alpha=0.3), SocialBias(alpha=2.0, threshold=0.0)]
    assert read_corrections("out/correction.json") == made
    with attnscope.open("out/after.h5") as cap:
        assert [record["method"] for record in cap.correction] == TWO
    put = {"id": "one", "scene": "scene.json"}
    Path("manifest.jsonl").write_text(json.dumps(put) + "\n", encoding="utf-8")
    for how in (
        ["--correction", "out/correction.json"],
        ["--method", "pai", "--method", "social-bias", *settings[:6]],
        ["--correct", "pai", "--correct", "social-bias", *settings[:6]],  # the old name
    ):
        ran = cli("eval", ".", "--model", "model", *how, "-o", "scored", "--frames", "4", "--quiet")
        assert (ran.code, ran.err) == (0, ""), ran.err  # the others go on where the first stopped: the same run
    run = json.loads(Path("scored/run.json").read_text(encoding="utf-8"))
    assert [step["method"] for step in run["correction"]] == TWO
    assert [step["params"]["alpha"] for step in run["correction"]] == [0.3, 2.0]


def test_methods_lists_parameters_with_defaults_and_sources(cli: Callable[..., Ran]) -> None:
    ran = cli("methods")
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    at = lines.index("pai (correction)")
    entry = lines[at : at + 7]
    assert "source: code" in entry and "alpha=0.2: Share of |z| that is added; 0 is the identity (code: 0.2)." in entry
    assert any(line.startswith("layers=0.0625-1.0: Layers that are edited") for line in entry)
    assert "topk=none: The `topk` heads" in ran.out and "lowest=false (control): As many heads" in ran.out
    found = {entry["method"]: entry["fields"] for entry in json.loads(cli("methods", "--json").out)["corrections"]}
    assert set(TWO) < set(found)
    for method, cls in corrections().items():
        assert [field["name"] for field in found[method]] == list(declared(cls))
        assert all(field["meaning"].endswith(".") and len(field["meaning"]) < 1000 for field in found[method]), method
    assert next(f for f in found["social-bias"] if f["name"] == "window")["meaning"].startswith("Seconds before and")


@pytest.mark.parametrize("command", ["correct", "eval"])
def test_the_help_says_once_where_the_defaults_are(command: str) -> None:
    said = [p for p in GROUP.commands[command].params if "attnscope methods has it" in (p.rich_help_panel or "")]
    assert len(said) > 8 and not any("the method's own" in str(p.help) for p in GROUP.commands[command].params)


@pytest.mark.slow
def test_jitter_reaches_the_report(cli: Callable[..., Ran]) -> None:
    words = ["--alpha", 2, "--layers", "0-3", "--jitter", "10%", "--no-verify", "--model", "model", "--json"]
    ran = cli("correct", "run.h5", *words, "-o", "out")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["settings"]["jitter"] == {"amount": 0.1, "unit": "box"}
    assert any(row["low_after"] is not None for row in found["headline"])


@pytest.mark.parametrize("option", ["rows", "alpha", "strength"])
def test_the_help_of_options_that_several_methods_have_names_them(option: str) -> None:
    having = [method for method, cls in corrections().items() if option in list(declared(cls))]
    assert len(having) > 1
    for command in ("correct", "eval"):
        said = next(p.help for p in GROUP.commands[command].params if p.name == option)
        assert all(method in said for method in having), (command, having)

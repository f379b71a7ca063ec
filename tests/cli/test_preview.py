"""`attnscope preview` from a scene file, from separate files, with a model, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Ran

pytestmark = pytest.mark.usefixtures("here")
Cli = Callable[..., Ran]


def test_a_scene_file_and_its_flags(cli: Cli) -> None:
    ran = cli("preview", "scene.json", "--frames", "3", "-o", "page")
    assert (ran.code, ran.out) == (0, "page/report.html\n")
    assert Path("page/report.html").read_text("utf-8").count("<figure") == 3
    same = cli("preview", "--scene", "scene.json", "clip.mp4", "--frames", "3", "-o", "other")
    assert same.code == 0, same.err
    assert Path("other/report.html").read_text("utf-8").count("<figure") == 3
    alone = cli("preview", "clip.mp4", "--speakers", "scene.json", "--end", "1", "-o", "alone", "--json")
    assert alone.code == 0, alone.err
    facts = json.loads(alone.out)
    assert json.loads(Path("alone/report.json").read_text("utf-8")) == facts
    assert facts["scene"]["window"] == [0.0, 1.0]
    assert [speaker["turns"] for speaker in facts["scene"]["speakers"]] == [[], []]


def test_a_model_and_json(cli: Cli) -> None:
    ran = cli("preview", "scene.json", "--model", "model", "--frames", "4", "--end", "1.5", "--json")
    assert ran.code == 0, ran.err
    facts = json.loads(ran.out)
    assert facts["report"] == "preview-out/report.html"
    assert facts["model"]["placed"] == "layout"
    assert "turn_cut_by_window" in {warning["kind"] for warning in facts["warnings"]}
    assert all(f"warning: {warning['text']}\n" in ran.err for warning in facts["warnings"])
    assert len(facts["model"]["frames"]) == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "preview: give a SCENE"),
        ("missing.json", "missing.json: no such file"),
        ("scene.json -o clip.mp4", "clip.mp4: cannot be used as the output folder: file exists"),
        (
            "scene.json -o preview.html",
            "--out preview.html: names a page; give a folder, which gets report.html and report.json",
        ),
        ("scene.json --frames 0", "sampling: frames: 0 is less than 1"),
        ("scene.json --model model --coverage 2", "--coverage 2.0: must be above 0 and at most 1"),
        ("scene.json --model nowhere/at/all", "nowhere/at/all: no such model folder"),
    ],
)
def test_what_is_wrong_is_one_line(cli: Cli, words: str, message: str) -> None:
    before = set(Path.cwd().iterdir())
    ran = cli("preview", *words.split())
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines()[-1].removeprefix("attnscope: ") == message
    assert set(Path.cwd().iterdir()) == before

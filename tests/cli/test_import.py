"""`attnscope import` from the command line, and what comes after it: validate, capture, eval."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from attnscope_cli import import_ as import_command
from tests.cli.conftest import Ran

Cli = Callable[..., Ran]
SAID = "Are you ready? - Yes, I am."
QUESTIONS = """clip,question,options,answer,task,start,end
clip.mp4,Who speaks first?,Ann|Bob,Ann,who,0,1.5
clip,Who is ready?,Ann|Bob,Bob,who,,
clip,Who left?,Ann|Bob,Eve,who,,
"""


@pytest.fixture
def files(here: Path) -> Path:
    """Boxes of two people, who speaks when, words with times, and questions, each of another tool."""
    boxes = [f"{frame},{who},{x},4,44,56,1,-1,-1,-1\n" for frame in range(1, 31) for who, x in ((1, 2), (2, 50))]
    (here / "gt.txt").write_text("".join(boxes), encoding="utf-8")
    spans = (("Ann", 0.2, 1.0), ("Bob", 1.15, 1.45), ("Ann", 2.7, 0.2))
    rttm = [f"SPEAKER clip 1 {start} {seconds} <NA> <NA> {name} <NA> <NA>\n" for name, start, seconds in spans]
    (here / "who.rttm").write_text("".join(rttm), encoding="utf-8")
    words = [{"word": w, "start": 0.3 * n, "end": 0.3 * n + 0.2} for n, w in enumerate(SAID.split(), 1)]
    segment = {"start": 0.3, "end": 2.4, "text": SAID, "words": words}
    (here / "words.json").write_text(json.dumps({"segments": [segment]}), encoding="utf-8")
    (here / "questions.csv").write_text(QUESTIONS, encoding="utf-8")
    return here


SOURCES = "--boxes mot:gt.txt --turns who.rttm --words whisperx:words.json --questions questions.csv --video clip.mp4"


@pytest.mark.usefixtures("files")
def test_four_tools_to_scenes_that_validate_capture_and_eval_take(cli: Cli) -> None:
    ran = cli("import", *SOURCES.split(), "-o", "scenes", "--fps", "10")
    assert ran.code == 0, ran.err
    assert ran.out.splitlines() == [
        "boxes: imported 60",
        "turns: imported 3 of 4, left out 1: 1 no words fall into it",
        "words: imported 7",
        "questions: imported 2 of 3, left out 1: 1 its answer is none of its options",
        'mot:gt.txt calls its clip "gt"; it is taken for clip.mp4',
        "scenes/manifest.jsonl",
    ]
    assert cli("validate", "scenes").out == "scenes/manifest.jsonl: valid: questions 2, lines 2, videos 1\n"
    scene = json.loads(Path("scenes/scenes/clip.json").read_text("utf-8"))
    assert [(turn["speaker"], turn["text"]) for turn in scene["transcript"]] == [
        ("Ann", "Are you ready?"),
        ("Bob", "- Yes, I am."),
    ]
    assert [len(speaker["segments"]) for speaker in scene["speakers"].values()] == [1, 1]
    ran = cli(
        "capture",
        "model",
        "--scene",
        "scenes",
        "--id",
        "clip, 1",
        "--frames",
        "2",
        "--max-new-tokens",
        "1",
        "-o",
        "new.h5",
    )
    assert ran.code == 0, ran.err
    described = json.loads(cli("inspect", "new.h5", "--json").out)
    assert "Who speaks first?" in json.dumps(described)
    ran = cli("eval", "scenes", "--model", "model", "--frames", "2", "-o", "scored", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["accuracy"][0]["n"] == 2


@pytest.mark.usefixtures("files")
def test_json_says_what_the_lines_say(cli: Cli) -> None:
    ran = cli("import", "table", "questions.csv", "--json", "-o", "out", "--no-windows")
    document = json.loads(ran.out)
    assert (document["manifest"], document["questions"], document["scenes"]) == ("out/manifest.jsonl", 2, 1)
    assert document["counts"]["question"]["left_out"] == 1
    assert "window" not in Path("out/manifest.jsonl").read_text("utf-8")


def test_the_list_names_every_format_with_its_options(cli: Cli) -> None:
    from attnscope.scene.importers.sources import IMPORTERS

    formats = json.loads(cli("import", "--list", "--json").out)
    assert [entry["format"] for entry in formats] == sorted(IMPORTERS)
    text = " ".join(cli("import", "--list").out.split())
    for entry in formats:
        assert f"{entry['format']}: " in text
        assert all(f"--set {option['name']}={option['default']} (" in text for option in entry["options"])
        assert " ".join(entry["unverified"].split()) in text
        assert all(option["meaning"] for option in entry["options"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("import", "import: names no source"),
        ("import tvqa", "import tvqa: names no SOURCE"),
        ("import tvq gt.txt", 'FORMAT tvq: is not a format; did you mean "tvqa"?'),
        ("import mot gone.txt", "gone.txt: no such file or folder"),
        ("import mot gt.txt --set gaps=1", "--set gaps: is not an option of mot"),
        ("import mot gt.txt --fps 0", "--fps 0.0: must be above 0 and at most 1000"),
        ("import mot gt.txt --size 1920", '--size "1920": is not a width and a height like 1920x1080'),
        ("import mot gt.txt --size 0x4", "--size [0.0, 4.0]: is no width and height of a picture"),
        ("import mot gt.txt --videos gone", "--videos gone: no such folder"),
        ("import mot gt.txt --video clip.mp4 --videos .", "--videos .: is given beside a video; give one of them"),
        ("import mot gt.txt -o scene.json", "scene.json: is not an empty folder; choose another for --out"),
        ("import mot gt.txt -o .", ".: is not an empty folder; choose another for --out"),
        ("import --boxes gt.csv", "gt.csv: no such file or folder"),
        ("import --boxes questions.csv", ".csv files are of several formats; say which: ava:PATH, table:PATH"),
        ("import --words gt.txt", "gt.txt: say the format, as FORMAT:PATH"),
        ("import mot fifo", "fifo: is a FIFO, a regular file was expected"),
        ("import rttm gt.txt", "gt.txt: "),
        ("import tvqa words.json", "words.json: "),
        ("validate scene.json", "scene.json: validate checks captures and questions; attnscope preview checks a scene"),
        ("validate scenes.jsonl", "scenes.jsonl: no such file"),
        ("validate run.h5 --videos .", "--videos: run.h5 is a capture, not a manifest"),
        ("validate manifest.jsonl --deep", "--deep: manifest.jsonl is a manifest, not a capture"),
        (
            "capture model -o new.h5 --scene manifest.jsonl",
            "manifest.jsonl: is a manifest: say which of its questions with --id",
        ),
        (
            "capture model -o new.h5 --scene manifest.jsonl --id B",
            '--id B: manifest.jsonl has no such question; did you mean "b"?',
        ),
    ],
)
def test_a_wrong_request_is_one_line_and_leaves_nothing(cli: Cli, files: Path, words: str, message: str) -> None:
    os.mkfifo(files / "fifo")
    (files / "manifest.jsonl").write_text('{"id": "b", "scene": "scene.json"}\n', encoding="utf-8")
    before = sorted(path.name for path in files.iterdir())
    ran = cli(*words.split())
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"attnscope: {message}")
    assert ran.err.count("\n") == 1
    assert sorted(path.name for path in files.iterdir()) == before


@pytest.mark.usefixtures("files")
def test_problems_of_a_manifest_are_lines_and_exit_with_1(cli: Cli) -> None:
    Path("manifest.jsonl").write_text('{"scene": "gone.json"}\n{"scene": 3}\n', encoding="utf-8")
    ran = cli("validate", "manifest.jsonl")
    assert (ran.code, ran.err) == (1, "")
    assert ran.out.splitlines() == [
        "manifest.jsonl: line 1: scene: gone.json: no such file",
        "manifest.jsonl: line 2: scene: 3 is not a text of at least one character",
    ]
    assert json.loads(cli("validate", "manifest.jsonl", "--json").out)["valid"] is False


@pytest.mark.usefixtures("files")
def test_importing_says_how_far_it_is(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, int, int]] = []

    @contextmanager
    def recorded(quiet: bool) -> Iterator[Any]:
        assert not quiet
        yield lambda what, done, total: calls.append((what, done, total))

    monkeypatch.setattr(import_command, "progress_bar", recorded)
    monkeypatch.setattr("attnscope.scene.joining.run._OFTEN", 10)
    assert cli("import", "mot", "gt.txt", "-o", "out", "--fps", "10").code == 0
    assert ("reading records", 60, 0) in calls and ("clips", 0, 1) in calls

"""What the command line refuses of the scene editor, in one line, before a page is served."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from attnscope_cli.main import app


def refused(*words: object) -> str:
    """The one line that `attnscope view` says."""
    done = CliRunner().invoke(app, ["view", *map(str, words), "--no-browser"], prog_name="attnscope")
    assert done.exit_code == 2, done.output
    (line,) = done.stderr.strip().splitlines()
    return line.removeprefix("attnscope: ")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "view: give captures (.h5) to look at, or --scene or --video for the scene editor"),
        (("run.h5", "--scene", "scene.json"), "view: give captures, or a scene to edit, not both"),
        (("run.h5", "--fps", "2"), "view: --frames, --fps, --start and --end are of the scene editor, not of captures"),
        (("run.h5", "--save", "new.json"), "view: --save is of the scene editor, which needs --scene or --video"),
        (("--model", "roundtable"), "view: --model is of the scene editor, which needs --scene or --video"),
        (("--scene", "none.json"), "none.json: no such file; a new scene needs a --video"),
        (("--video", "none.mp4"), "none.mp4: no such file"),
    ],
)
def test_what_does_not_fit_together(
    words: tuple[str, ...], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused(*words).removeprefix(f"{tmp_path}/") == line
    assert not list(tmp_path.iterdir())


def test_a_scene_that_cannot_be_read(drawn: Path, tmp_path: Path) -> None:
    path = tmp_path / "scene.json"
    document = json.loads(drawn.read_text()) | {"video": str(drawn.parent / json.loads(drawn.read_text())["video"])}
    path.write_text(json.dumps(document | {"qestion": "Who?"}))
    assert refused("--scene", path) == f"{path}: qestion: is not a field of this format"
    path.write_text(json.dumps(document))
    assert (
        refused("--scene", path, "--save", path) == f"--save {path}: already exists; it is replaced only with --force"
    )
    assert refused("--scene", path, "--frames", 0) == "sampling: frames: 0 is less than 1"
    assert refused("--scene", path, "--end", 99).endswith("end: 99 s is beyond the end at 6 s")
    wrong = refused("--scene", path, "--model", "roundtable", "--coverage", 2)
    assert wrong == "--coverage 2.0: must be above 0 and at most 1"
    assert sorted(tmp_path.iterdir()) == [path]

"""What the command line is tried on: one tiny checkpoint, one film of three seconds, one capture of it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from attnscope_cli.main import app
from tests.scene.films import film


def _visible(x0: float, x1: float) -> dict[str, Any]:
    return {"segments": [{"start": 0, "end": 3, "keyframes": [{"t": 0, "xyxy": [x0, 4, x1, 60]}]}]}


SCENE: dict[str, Any] = {
    "video": "clip.mp4",
    "speakers": {"Ann": _visible(2, 46), "Bob": _visible(50, 94)},
    "transcript": [
        {"speaker": "Ann", "start": 0.2, "end": 1.2, "text": "Are you ready over there?"},
        {"speaker": "Bob", "start": 1.4, "end": 2.6, "text": "Yes, whenever you are."},
    ],
    "question": "Who is speaking in the last sentence?",
    "options": ["Ann", "Bob"],
    "answer": "Bob",
}


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run a command line in this process; what C libraries write past Python's streams counts as stderr too."""

    def run(*words: object) -> Ran:
        capfd.readouterr()
        done = CliRunner().invoke(app, [str(word) for word in words], prog_name="attnscope")
        past = capfd.readouterr()
        return Ran(done.exit_code, done.stdout + past.out, done.stderr + past.err)

    return run


@pytest.fixture(scope="session")
def things(tmp_path_factory: pytest.TempPathFactory, checkpoint: Callable[[str], Path]) -> Path:
    """A folder with `clip.mp4`, `scene.json` and captures, from which every test gets its own copies.

    `run.h5` is a plain capture, `other.h5` one of another question, `boxless.h5` one of a scene without boxes,
    `stats.h5` one with statistics only, `after.h5` a corrected one; `no_video.h5` and `no_model.h5` have lost what they
    were made from.
    """
    import attnscope
    from attnscope.correct import rerun

    folder = tmp_path_factory.mktemp("things")
    film(folder / "clip.mp4")
    (folder / "scene.json").write_text(json.dumps(SCENE), encoding="utf-8")
    model = attnscope.load(checkpoint("qwen2_5_vl"), device="cpu")
    scene = attnscope.Scene.read(folder / "scene.json")
    how: dict[str, Any] = {"sampling": attnscope.Sampling(frames=4), "max_new_tokens": 2}

    def record(name: str, shown: attnscope.Scene = scene, loaded: Any = model, **more: Any) -> None:
        attnscope.capture(loaded, shown, folder / name, **how, **more).close()

    record("run.h5", plan=attnscope.Plan(qk=True))
    record("other.h5", scene.model_copy(update={"question": "Who is on the left?"}))
    record("boxless.h5", scene.model_copy(update={"speakers": {}}))
    record("stats.h5", plan=attnscope.Plan(masses=False, maps=False))
    rerun(folder / "run.h5", [attnscope.SocialBias(layers="0-3")], folder / "after.h5", model=model).close()
    (folder / "lost.mp4").write_bytes((folder / "clip.mp4").read_bytes())
    record("no_video.h5", scene.model_copy(update={"video": folder / "lost.mp4"}))
    (folder / "lost.mp4").unlink()
    shutil.copytree(checkpoint("qwen2_5_vl"), folder / "lost")
    record("no_model.h5", loaded=attnscope.load(folder / "lost", device="cpu"))
    shutil.rmtree(folder / "lost")
    return folder


@pytest.fixture
def here(tmp_path: Path, things: Path, checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of one test: its own copies of `things`, and `model`."""
    folder = tmp_path / "here"
    folder.mkdir()
    for thing in things.iterdir():
        os.link(thing, folder / thing.name)  # nothing writes into a capture; what spoils one replaces it
    (folder / "model").symlink_to(checkpoint("qwen2_5_vl"))
    monkeypatch.chdir(folder)
    return folder

"""Trainings of a few steps: an interruption changes nothing, and the command leaves a checkpoint with its card."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from attnscope.demo.questions import TASKS
from attnscope.errors import RequestError
from training import language, tower, training
from training.recipes import RECIPES, Recipe
from training.state import Curve

STEPS = dict.fromkeys(("tower_steps", "arms_steps", "glance_steps", "language_steps"), 4)
RECIPE = Recipe("tiny", people=(0, 2), seed=1, pool=16, exam=0, **STEPS)


class Cut(logging.Filter):
    """Ctrl-C when a step is reported."""

    def __init__(self, stage: str, step: int) -> None:
        super().__init__()
        self.at = (stage, step)

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple) and record.args[1:3] == self.at:
            raise KeyboardInterrupt
        return True


@pytest.fixture
def in_small_steps(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Batches of a few clips; every step is reported, every other one saved."""
    for module in (tower, language):
        monkeypatch.setattr(module, "REPORT", 1)
        monkeypatch.setattr(module, "SAVE", 2)
    monkeypatch.setattr(training, "train_tower", partial(tower.train_tower, batch=3))
    monkeypatch.setattr(training, "Lesson", lambda *args, **more: language.Lesson(*args, **more | {"batch": 2}))
    caplog.set_level(logging.INFO, "attnscope")


def interrupted(work: Path, stage: str, step: int) -> None:
    """Train until a step has been reported."""
    logger, cut = logging.getLogger("attnscope"), Cut(stage, step)
    logger.addFilter(cut)
    try:
        with pytest.raises(KeyboardInterrupt):
            training.train(RECIPE, work, "cpu")
    finally:
        logger.removeFilter(cut)


def step_in(path: Path) -> int:
    return int(torch.load(path, weights_only=True)["step"])


def records_of(work: Path) -> list[dict[str, Any]]:
    """The curve but for its times."""
    return [{name: row[name] for name in row if name != "seconds"} for row in Curve(work / "curve.csv").rows()]


@pytest.mark.slow
@pytest.mark.usefixtures("in_small_steps")
def test_an_interrupted_training_ends_in_the_same_weights(tmp_path: Path) -> None:
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    folder = training.train(RECIPE, whole, "cpu")
    interrupted(pieces, "tower", 3)
    assert step_in(pieces / "tower.pt") == 2
    interrupted(pieces, "arms", 3)
    assert step_in(pieces / "tower.pt") == 4 and step_in(pieces / "arms.pt") == 2
    interrupted(pieces, "glance", 3)
    assert step_in(pieces / "arms.pt") == 4 and step_in(pieces / "glance.pt") == 2
    interrupted(pieces, "language", 3)
    assert step_in(pieces / "glance.pt") == 4 and step_in(pieces / "language.pt") == 2
    again = training.train(RECIPE, pieces, "cpu")
    assert (folder, again) == (whole / "tiny", pieces / "tiny")
    for name in ("model.safetensors", "config.json", "tokenizer.json", "processor_config.json"):
        assert (folder / name).read_bytes() == (again / name).read_bytes(), name
    assert records_of(whole) == records_of(pieces)
    steps = [line.split(",")[1] for line in (pieces / "curve.csv").read_text().splitlines()[1:]]
    assert steps == list("12334" * 4)  # it went on from step 2, not from the beginning
    assert [(row["stage"], row["step"]) for row in records_of(whole)] == [
        (stage, str(step)) for stage in ("tower", "arms", "glance", "language") for step in (1, 2, 3, 4)
    ]
    with pytest.raises(RequestError) as error:
        training.train(replace(RECIPE, seed=2), whole, "cpu")
    problem = "is of another recipe or version of torch; train in another folder"
    assert str(error.value) == f"{whole / 'recipe.json'}: {problem}"


def command(*words: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "training", *map(str, words)]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(line, capture_output=True, text=True, env=env, timeout=540, check=False)


@pytest.mark.slow
def test_smoke(tmp_path: Path) -> None:
    """Of the smaller model; takes about 20 s on a core of its own."""
    ran = command("--smoke", "-o", tmp_path, "--model", "roundtable", "--device", "cpu")
    folder = tmp_path / "roundtable" / "roundtable"
    assert (ran.returncode, ran.stdout) == (0, f"{folder}\n"), ran.stderr
    names = {path.name for path in folder.iterdir()}
    assert {"README.md", "training.json", "config.json", "model.safetensors", "tokenizer.json"} <= names
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlicense: apache-2.0\n") and "{{" not in card and "{%" not in card
    table = [line.split("|")[1:-1] for line in card.partition("## Accuracy")[2].splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in table[0]] == ["task", "0", "1", "2", "3", "4", "5", "6"]
    assert [row[0].strip() for row in table[2:]] == list(TASKS)
    cells = {row[0].strip(): [cell.strip() for cell in row[1:8]] for row in table[2:]}
    assert all(re.fullmatch(r"[01]\.\d{3} \(\d+\)|", cell) for row in cells.values() for cell in row)
    assert [bool(cell) for cell in cells["cup"]] == [False] + [True] * 6
    facts = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    assert facts["recipe"]["tower_steps"] == 4 and facts["recipe"]["people"] == [0, 1, 2, 3, 3]
    asked = {(task, people): (right, total) for task, people, right, total in facts["marks"]}
    right, total = asked["cup", 6]
    assert cells["cup"][6] == f"{right / total:.3f} ({total})"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "nope"], '--model "nope": choose from roundtable, roundtable-full'),
        (["--device", "tpu"], '--device "tpu": choose from auto, cpu, cuda'),
    ],
)
def test_wrong_words_are_one_line(words: list[str], message: str, tmp_path: Path) -> None:
    ran = command("-o", tmp_path / "new", *words)
    assert (ran.returncode, ran.stdout, ran.stderr) == (2, "", f"training: {message}\n")
    assert not (tmp_path / "new").exists()


def test_the_recipes_are_those_of_the_shipped_models() -> None:
    from attnscope.model.folder import EMBEDDED

    assert tuple(RECIPES) == EMBEDDED
    assert max(RECIPES["roundtable"].people) == 3 and max(RECIPES["roundtable-full"].people) == 6
    smoke = RECIPES["roundtable"].smoke()
    assert (smoke.name, smoke.people, smoke.seed) == ("roundtable", (0, 1, 2, 3, 3), 0)

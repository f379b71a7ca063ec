"""Untrained checkpoints that pass for trained ones, and a handful of clips."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.studies.settings import Model, find_model


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Model]:
    """The limited and the full model: of different seeds, untrained."""
    from training.build import build, save

    found = []
    for seed, (role, people) in enumerate({"limited": [0, 3], "full": [0, 6]}.items()):
        folder = tmp_path_factory.mktemp("models") / role
        save(*build(seed), folder)
        recipe = {"recipe": {"name": f"untrained-{role}", "people": people}}
        (folder / "training.json").write_text(json.dumps(recipe), encoding="utf-8")
        found.append(find_model(role, str(folder)))
    return found[0], found[1]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Where a run keeps its scenes and results."""
    return tmp_path / "work"

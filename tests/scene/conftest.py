"""The clip that the scene tests run on: a real one where its folder is given, else the rendered one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from attnscope.demo.clip import render_clip


@pytest.fixture(scope="session")
def scene_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """scene.json of the clip in the folder ATTNSCOPE_STAGE, or of a clip drawn by code."""
    stage = os.environ.get("ATTNSCOPE_STAGE")
    if stage:
        return Path(stage) / "scene.json"
    return render_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh folder that is also the working directory, so that messages name files without their folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path

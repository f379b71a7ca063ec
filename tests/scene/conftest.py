"""What the scene tests share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh folder that is also the working directory, so that messages name files without their folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path

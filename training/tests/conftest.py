"""The embedded models' untrained model, built and saved once a session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def untrained() -> tuple[Any, Any]:
    """Model and processor with random weights; no test may change them."""
    from training.build import build

    return build(0)


@pytest.fixture(scope="session")
def untrained_folder(untrained: tuple[Any, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a checkpoint folder."""
    from training.build import save

    folder = tmp_path_factory.mktemp("untrained") / "model"
    save(*untrained, folder)
    return folder

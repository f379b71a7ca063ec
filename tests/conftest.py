"""Fixtures that every part of the suite shares."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`checkpoint(name)`: folder of the tiny checkpoint of that family, built once a session."""
    built: dict[str, Path] = {}

    def build(name: str) -> Path:
        if name not in built:
            from tests.families import FAMILIES

            built[name] = FAMILIES[name](tmp_path_factory.mktemp("checkpoints") / name)
        return built[name]

    return build

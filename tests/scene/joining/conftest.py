"""Small formats of the tests' own: what they yield is set by each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from attnscope.scene import importer
from attnscope.scene.importers.registry import IMPORTERS
from tests.scene.films import film

Register = Callable[..., str]


@pytest.fixture
def yields(here: Path) -> Iterator[Register]:
    """Registers a format that yields what it is given, and makes a file of it: what a source is called."""
    names: list[str] = []

    def register(name: str, records: Sequence[Any] | Callable[[], Iterator[Any]], *kinds: str) -> str:
        @importer(name=name, yields=kinds or ("boxes",), suffixes=(f".{name}",))  # type: ignore[arg-type]
        def read(
            path: Path,  # noqa: ARG001
            *,
            scale: float = 1.0,  # noqa: ARG001
            mode: Literal["a", "b"] = "a",  # noqa: ARG001
            rows: int | None = None,  # noqa: ARG001
            deep: bool = False,  # noqa: ARG001
        ) -> Iterator[Any]:
            yield from records() if callable(records) else records

        names.append(name)
        (here / f"file.{name}").write_text("x")
        return f"{name}:file.{name}"

    yield register
    for name in names:
        del IMPORTERS[name]


@pytest.fixture
def clip(here: Path) -> Path:
    """A film of three seconds, 96 x 64, ten frames a second."""
    return film(here / "clip.mp4", codec="mpeg4", frames=30)

"""Fixtures that every part of the suite shares."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import transformers
from packaging.version import Version

from attnscope.report.figures import speakers
from attnscope.report.page import output
from attnscope.versions import TESTED
from tests.support.clip import render_clip


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`checkpoint(name)`: folder of the tiny checkpoint of that family, built once a session."""
    built: dict[str, Path] = {}

    def build(name: str) -> Path:
        if name not in built:
            from tests.families import FAMILIES, OTHERS, PLACED

            try:
                built[name] = (FAMILIES | OTHERS | PLACED)[name](tmp_path_factory.mktemp("checkpoints") / name)
            except (ImportError, AttributeError) as error:
                if not _lacks_family(error):
                    raise
                pytest.skip(f"this version of transformers does not know the family: {error}")
        return built[name]

    return build


def _lacks_family(error: Exception) -> bool:
    """Whether transformers has no class of that name, and is older than the newest version that attnscope knows."""
    known = next(tested for tested in TESTED if tested.package == "transformers")
    old = Version(transformers.__version__) < Version(known.newest)
    return old and bool(
        re.search(r"cannot import name '\w+' from 'transformers'|module transformers has no", str(error))
    )


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene file with several people: of the real clip in ATTNSCOPE_STAGE, or else of a drawn one."""
    folder = os.environ.get("ATTNSCOPE_STAGE")
    return Path(folder) / "scene.json" if folder else render_clip(tmp_path_factory.mktemp("stage"))


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scene file of the drawn clip of Ada and Ben, for tests that name them."""
    return render_clip(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="session", autouse=True)
def quick_reports() -> Iterator[None]:
    """Reports of this process are drawn without laying out, most of their time; test_figures_look lays figures out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output, "lay_out", lambda figure: figure.set_layout_engine("none"))
        patch.setattr(speakers, "TRIMS", 0)
        yield


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is kept of probing is kept for this session alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATTNSCOPE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def the_logger_as_it_was() -> Iterator[None]:
    """The command line, run in this process, takes the library's messages for itself."""
    logger = logging.getLogger("attnscope")
    handlers, level, propagate = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.propagate = handlers, propagate
    logger.setLevel(level)

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from attnscope.capture.read.capture import Capture
from attnscope.capture.read.capture import open as open_capture
from attnscope.metrics.choosing.ranking import choose, measure
from tests.metrics.planted import NAMES, asking, planted
from tests.metrics.sketch import Sketch, draw


@pytest.fixture
def drawn(tmp_path: Path) -> Iterator[Callable[..., Capture]]:
    """Draw a sketch into a file and open it."""
    with ExitStack() as stack:

        def make(sketch: Sketch, *args: Any, name: str = "run.h5", **options: Any) -> Capture:
            return stack.enter_context(open_capture(draw(tmp_path / name, sketch, *args, **options)))

        yield make


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Three captures of two clips, with the layers 2 and 7."""
    with ExitStack() as stack:
        caps = []
        for number, clip in enumerate("aab"):
            sketch = asking()
            sketch.scene["video"] = f"/nowhere/{clip}.mp4"
            path = draw(
                tmp_path_factory.mktemp("three") / f"{number}.h5", sketch, planted(sketch, number), numbers=[2, 7]
            )
            caps.append(stack.enter_context(open_capture(path)))
        yield caps


@pytest.fixture(scope="module")
def measured(three):
    return measure(three, NAMES)


@pytest.fixture(scope="module")
def chosen(three, measured):
    """What three captures choose by default."""
    return choose(three, NAMES, top=3, tables=measured)

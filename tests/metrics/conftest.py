from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from attnscope.capture.reader import Capture
from attnscope.capture.reader import open as open_capture
from tests.metrics.sketch import Sketch, draw


@pytest.fixture
def drawn(tmp_path: Path) -> Iterator[Callable[..., Capture]]:
    """Draw a sketch into a file and open it."""
    with ExitStack() as stack:

        def make(sketch: Sketch, *args: Any, name: str = "run.h5", **options: Any) -> Capture:
            return stack.enter_context(open_capture(draw(tmp_path / name, sketch, *args, **options)))

        yield make

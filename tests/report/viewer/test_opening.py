"""The viewer begins with what the verdict says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attnscope.capture.read.capture import open as open_capture
from attnscope.metrics.people.cells import cell_lift
from attnscope.report.verdict import of_capture
from attnscope.report.viewer.document import view_document
from tests.metrics.sketch import draw, room
from tests.report.conftest import answer, attention, scenery


def test_it_is_the_layer_and_the_person_that_the_verdict_names(tmp_path: Path) -> None:
    sketch = scenery()
    weights = attention(sketch)
    query = len(sketch.tokens) - sketch.generated - 1
    weights[2, :, query] *= np.where(sketch.cells_of("Cleo"), 60.0, 1.0)
    weights[2, :, query] /= weights[2, :, query].sum(-1, keepdims=True)
    path = draw(tmp_path / "run.h5", sketch, weights, numbers=[0, 1, 4], answer=answer("Cleo", -1.0, -2.0, -0.1))
    with open_capture(path) as cap:
        facts = of_capture(cap).facts
        assert facts["looks_most_at"] == "Cleo" and facts["attention"]["people"]["Cleo"]["layer_most"] == 4
        first = view_document([cap], facts=facts)["first"]
        lift, table = cell_lift(cap, "answer_position", 4), cap.tokens
        by_frame = [lift[(table["frame_first"] == f).to_numpy()].mean() for f in range(3)]
    assert first == {
        "measure": "answer_lift:Cleo",
        "look": {"layer": 4, "head": None},
        "query": {"kind": "group", "name": "answer_position"},
        "frame": int(np.argmax(by_frame)),
    }


@pytest.mark.parametrize("facts", [{}, {"self_check": "failed"}, {"looks_most_at": None}, {"before": {}}])
def test_a_verdict_that_names_nobody_begins_nowhere(before: Path, facts: dict[str, object]) -> None:
    with open_capture(before) as cap:
        assert "first" not in view_document([cap], facts=facts)


def test_a_person_without_numbers_begins_nowhere(tmp_path: Path) -> None:
    with open_capture(draw(tmp_path / "run.h5", room(question=0))) as cap:
        assert "first" not in view_document([cap], facts={"looks_most_at": "Eve"})

"""A document inside a page: hostile texts do nothing, and the policy allows the one script."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from markupsafe import Markup

from attnscope.capture.file import encode
from attnscope.capture.read.capture import open as open_capture
from attnscope.report.analyze import analyze
from attnscope.report.compare import compare
from attnscope.report.figures.style import CYCLE
from attnscope.report.page.render import POLICY
from attnscope.report.verdict import of_change
from attnscope.report.viewer.colors import CONTRAST, DARK, LIGHT, contrast, readable
from attnscope.report.viewer.document import view_document
from attnscope.report.viewer.embedding import Embedded, embed, escaped, viewer
from tests.metrics.sketch import draw, room
from tests.report.conftest import answer, attention, scenery
from tests.report.pages import assert_self_contained, document_of

HOSTILE = '<b>Eve</b> "&" \'--></script><script>alert(1)</script><!-- x'


def test_nothing_in_a_text_can_end_the_element() -> None:
    text = escaped({HOSTILE: [HOSTILE + "\u2028\u2029"]})
    assert not set("<>&\u2028\u2029") & set(text) and text.isascii()
    assert json.loads(text) == {HOSTILE: [HOSTILE + "\u2028\u2029"]}


def test_numbers_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        escaped({"value": float("nan")})


def test_the_policy_is_the_hash_of_the_script() -> None:
    # echo -n 'let a = 1' | openssl dgst -sha256 -binary | base64
    assert Embedded(Markup("{}"), Markup("let a = 1")).policy == "'sha256-LAfYd7pbFUgwfQu8b4q135PeTG2z+/coPEUYCd74eCQ='"
    assert embed({}).script == viewer()


def test_hostile_texts_in_every_field_stay_texts(tmp_path: Path) -> None:
    """Names and words of a capture that somebody else sent."""
    sketch = room((HOSTILE, "Ben"), ((HOSTILE, 0.0, 0.4), ("Ben", 0.6, 1.4)))
    sketch.scene["question"] = sketch.scene["answer"] = HOSTILE
    sketch.scene["options"] = [HOSTILE, "Ben"]
    for turn in sketch.scene["transcript"]:
        turn["text"] = HOSTILE + "\u2028"
    said = {"text": HOSTILE, "tokens": [], "options": [{"text": HOSTILE, "tokens": [1], "logprob": -1.0}]}
    path = draw(tmp_path / "run.h5", sketch, answer=said)
    with h5py.File(path, "r+") as file:
        model = json.loads(file["model"][()]) | {"id": HOSTILE}
        del file["model"]
        encode.write_json(file, "model", model)
    report = analyze(path, tmp_path / "out").report
    assert_self_contained(report)
    document = document_of(report)
    assert document["stages"][0]["people"][0]["name"] == HOSTILE
    assert "<b>Eve</b>" in document["stages"][0]["question"]


def test_pages_hold_what_was_computed(after: Path, tmp_path: Path) -> None:
    sketch = scenery()
    weights = attention(sketch)
    weights[:, :, len(sketch.tokens) - sketch.generated - 1] *= np.where(sketch.cells_of("Cleo"), 60.0, 1.0)
    weights /= weights.sum(-1, keepdims=True)
    before = draw(tmp_path / "before.h5", sketch, weights, numbers=[0, 1, 4], answer=answer("Cleo", -1.0, -2.0, -0.1))
    report = compare(before, after, tmp_path / "out").report
    page = assert_self_contained(report)
    assert {"attnscope-viewer", "attnscope-view"} <= page.ids
    document = document_of(report)
    assert [view["label"] for view in document["captures"]] == ["before", "after"]
    with open_capture(before) as first, open_capture(after) as second:
        facts = of_change(first, second).facts
        own = view_document([first, second], labels=["before", "after"], facts=facts)
    assert facts["before"]["looks_most_at"] == "Cleo"  # so the viewer begins with her
    assert document["first"]["measure"] == "answer_lift:Cleo"
    assert document == json.loads(json.dumps(own))


def test_pages_without_a_viewer_allow_no_script() -> None:
    assert "script-src" not in POLICY and "default-src 'none'" in POLICY


@pytest.mark.parametrize("color", [*CYCLE, "#ffffff", "#000000"])
def test_colours_of_people_can_be_read(color: str) -> None:
    for page in (LIGHT, DARK, "#ffffff", "#15181c"):
        mixed = readable(color, LIGHT if page in (LIGHT, "#ffffff") else DARK)
        assert contrast(mixed, page) >= CONTRAST


def test_contrast_is_that_of_the_guidelines() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)
    assert readable("#000000", LIGHT) == "#000000"

"""Which captures are a control of a correction, and which are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from attnscope.capture.read.capture import open as open_capture
from attnscope.errors import RequestError
from attnscope.report import compare
from attnscope.report.control import check_control, uneven
from tests.report.pages import assert_self_contained, document_of
from tests.report.verdict.sketches import bias, capture, said


@pytest.fixture
def check(tmp_path: Path):
    """`check(own, other)`: in what two corrections differ."""

    def make(own: list[dict[str, Any]], other: list[dict[str, Any]]) -> list[str]:
        paths = [
            capture(tmp_path / f"{name}.h5", correction=some) for name, some in (("after", own), ("control", other))
        ]
        with open_capture(paths[0]) as after, open_capture(paths[1]) as control:
            found = check_control(after, control)
            return [f"{one.name}: {one.own} -> {one.other}" for one in found]

    return make


@pytest.mark.parametrize(
    ("params", "differences"),
    [
        ({"toward": "everyone"}, ["toward: asked -> everyone"]),
        ({"toward": "Cleo"}, ["toward: asked -> Cleo"]),
        ({"whose": "other"}, ["whose: own -> other"]),
        ({"whose": "random", "seed": 3, "unused": []}, ["seed: 0 -> 3", "whose: own -> random"]),
        ({"whose": "other", "box_jitter": 0.1}, ["whose: own -> other", "box_jitter: 0.0 -> 0.1"]),
        (
            {"lowest": True, "heads": "", "topk": 2, "active": [(0, (0, 1))]},
            ["heads: 1.0,1.1 -> none", "topk: none -> 2", "lowest: false -> true"],
        ),
    ],
)
def test_controls(check, params, differences):
    assert check([bias()], [bias(**params)]) == differences


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"whose": "other", "alpha": 4.0}, "social-bias.alpha is 4.0, there it is 8.0; a control acts as strongly"),
        ({"whose": "other", "heads": "1.0"}, "social-bias.heads is 1.0, there it is 1.0,1.1"),
        ({"whose": "other", "rows": "answer, question"}, "social-bias.rows is answer, question, there it is answer"),
        ({"whose": "other", "topk": 4}, "social-bias.topk is 4, there it is none"),
        ({}, "it is the same correction, with the same parameters"),
        ({"seed": 5}, "it is the same correction, with the same parameters"),
        ({"box_jitter": 0.2}, "its boxes are worse, and it acts on the same people"),
        ({"toward": "Ben"}, "both draw the answer to Ben in the same heads"),
    ],
)
def test_what_is_no_control(check, params, why):
    with pytest.raises(RequestError, match=r"is no control of .*after\.h5") as error:
        check([bias()], [bias(**params)])
    assert why in str(error.value) and "control.h5" in str(error.value)


def test_other_methods_and_none(check):
    pai = {**bias(), "method": "pai"}
    with pytest.raises(RequestError, match=r"was made under pai, that under social-bias"):
        check([bias()], [pai])
    with pytest.raises(RequestError, match=r"was made under social-bias \+ pai, that under social-bias"):
        check([bias()], [bias(whose="other"), pai])
    with pytest.raises(RequestError, match="it was made under no correction"):
        check([bias()], [])
    with pytest.raises(RequestError, match="there is nothing to control"):
        check([], [bias()])


def test_a_control_in_fewer_heads_is_said(tmp_path):
    after = capture(tmp_path / "after.h5", correction=[bias()])
    control = capture(tmp_path / "control.h5", correction=[bias(whose="other", active=[(1, (0,))])])
    with open_capture(after) as one, open_capture(control) as two:
        assert uneven(one, two).startswith("The control acted in 1 head, the correction in 2:")
        assert uneven(one, one) == ""


def test_the_page_has_three_columns(tmp_path):
    before = capture(tmp_path / "before.h5", answer=said("Cleo", Cleo=0.8))
    after = capture(tmp_path / "after.h5", answer=said("Ann", Ann=0.8), correction=[bias()])
    control = capture(tmp_path / "control.h5", answer=said("Cleo", Cleo=0.7), correction=[bias("everyone")])
    summary = compare(before, after, tmp_path / "out", control=control)
    text = " ".join(assert_self_contained(summary.report).text)
    for words in (
        "before.h5 → after.h5; control: control.h5",
        "Control: Cleo ✗ wrong (as before)",
        "The correction turns the answer right; its control does not.",
        "Its control control.h5 is the same correction, as strong, but for what stands here.",
        "toward everyone (the correction: asked)",
    ):
        assert words in text, words
    document = summary.to_dict()
    assert document["control"]["capture"] == str(control)
    assert document["control"]["differs_in"] == [
        {"method": "social-bias", "name": "toward", "own": "asked", "other": "everyone"}
    ]
    assert document["answer"]["control"] == "Cleo" and document["answer"]["verdict_control"] == "wrong"
    (row,) = [row for row in document["headline"] if row["number"] == "Answer's lift on the asked speaker"]
    assert row["control"] == row["before"] and row["change_control"] == 0
    shares = {row["option"]: row["share_control"] for row in document["options"]}
    assert shares["Cleo"] == pytest.approx(0.7)
    assert [one["label"] for one in document_of(summary.report)["captures"]] == ["before", "after", "control"]
    assert (tmp_path / "out" / "tables" / "answer_change_control.parquet").exists()


def test_what_is_no_control_writes_nothing(tmp_path):
    before, after = capture(tmp_path / "before.h5"), capture(tmp_path / "after.h5", correction=[bias()])
    with pytest.raises(RequestError, match="is the same correction"):
        compare(before, after, tmp_path / "out", control=after)
    assert not (tmp_path / "out").exists()


def test_without_a_control_there_is_no_third_column(tmp_path):
    before, after = capture(tmp_path / "before.h5"), capture(tmp_path / "after.h5", correction=[bias()])
    summary = compare(before, after, tmp_path / "out")
    assert summary.to_dict()["control"] is None
    assert "Control" not in assert_self_contained(summary.report).text

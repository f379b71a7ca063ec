"""The verdict on a correction and its control: every way in which the two can turn out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from attnscope.capture.read.capture import open as open_capture
from attnscope.report.verdict import Verdict, of_change
from attnscope.report.verdict.change import _way
from tests.report.verdict.sketches import CLEO, NAMES, bias, capture, said

TO_BEN = (CLEO[0], ({"Ann": 0.1, "Ben": 0.7, "Cleo": 0.1}, {"Ann": 0.1, "Ben": 0.7, "Cleo": 0.1}))
HELPS, HURTS = ("Cleo", "Ann"), ("Ann", "Cleo")  # the right answer is Ann


@pytest.fixture
def judge(tmp_path: Path):
    """`judge(before, after, control)`: the verdict on captures with these answers; None for no control."""

    def make(before: str, after: str, control: str | None = None, **options: Any) -> Verdict:
        runs: list[tuple[str, Any, Any]] = [(before, CLEO, None), (after, TO_BEN, [options.pop("correction", bias())])]
        if control is not None:
            runs.append((control, options.pop("looks", CLEO), [options.pop("other", bias("everyone"))]))
        paths = [
            capture(tmp_path / f"{row}.h5", looks, answer=said(text, **{text: 0.8}), correction=record, **options)
            for row, (text, looks, record) in enumerate(runs)
        ]
        caps = [open_capture(path) for path in paths]
        verdict = of_change(*caps)
        for cap in caps:
            cap.close()
        return verdict

    return make


def lead(verdict: Verdict) -> str:
    return next(statement.lead for statement in verdict.statements if statement.about == "correction")


def text(verdict: Verdict) -> str:
    return next(statement.text for statement in verdict.statements if statement.about == "correction")


@pytest.mark.parametrize(
    ("answers", "sentence", "effect", "belief"),
    [
        (
            (*HELPS, "Cleo"),
            "turns the answer right; its control does not. This is a reason to believe",
            "helps",
            "supported",
        ),
        (
            (*HELPS, "Ben"),
            "turns the answer right; its control does not. This is a reason to believe",
            "helps",
            "supported",
        ),
        (
            (*HELPS, "Ann"),
            "turns the answer right, but its control turns it right too. Do not",
            "helps",
            "contradicted",
        ),
        (HELPS, "turns the answer right. No control was run, so whether to believe", "helps", "open"),
        ((*HURTS, "Ann"), "turns a right answer wrong; its control does not. The harm is", "hurts", "supported"),
        ((*HURTS, "Ben"), "turns a right answer wrong, and so does its control.", "hurts", "contradicted"),
        (HURTS, "wrong. No control was run, so whether that is its own effect is open.", "hurts", "open"),
        (
            ("Cleo", "Ben", "Cleo"),
            "to another; its control does not. The change is the correction's own, but it does not help.",
            "changes",
            "supported",
        ),
        (
            ("Cleo", "Ben", "Ben"),
            "from one wrong answer to another, but its control gives the same answer. Do",
            "changes",
            "contradicted",
        ),
        (
            ("Cleo", "Ben", "Ann"),
            "from one wrong answer to another, but its control changes it too. This is no",
            "changes",
            "weakened",
        ),
        (("Ann", "ann", "Ann"), "does not change the answer, so there is no effect", "none", "nothing to believe"),
        (("Cleo", "Cleo", "Ann"), "does not change the answer, so there is no effect", "none", "nothing to believe"),
        (("Cleo", "Cleo"), "does not change the answer, so there is no effect", "none", "nothing to believe"),
    ],
)
def test_every_outcome(judge, answers, sentence, effect, belief):
    verdict = judge(*answers)
    assert lead(verdict).startswith("The correction ") and sentence in lead(verdict)
    assert ("a reason to believe" in lead(verdict)) == (belief == "supported" and effect == "helps")
    assert (verdict.facts["effect"], verdict.facts["belief"]) == (effect, belief)


def test_without_a_right_answer_the_answers_are_compared(judge):
    for control, belief in (("Cleo", "supported"), ("Ann", "contradicted"), ("Ben", "weakened")):
        verdict = judge("Cleo", "Ann", control, expected=None)
        assert lead(verdict).startswith("The correction changes the answer")
        assert "right" not in lead(verdict) and verdict.facts["belief"] == belief
    assert "whether it helps is not known." in lead(judge("Cleo", "Ann", "Cleo", expected=None))


def test_the_numbers_of_all_three_runs(judge):
    verdict = judge(*HELPS, "Cleo")
    own = text(verdict)
    assert "It answers “Cleo” before and “Ann” after; under the control, “Cleo”." in own
    assert "“Ann” has 10 % of the options before and 80 % after (10 % under the control)." in own
    assert "social-bias acts in 2 heads of layer 1 and draws to the cells of Ben." in own
    assert "Its control acts as strongly in the same heads, but draws to the cells of everybody." in own
    # means over both layers: Ben 0.125 of 0.725 before; (0.2 + 0.7) / 2 of (0.6 + 0.9) / 2 after
    assert (
        "Ben's share of the attention to people (17 % before) rises to 60 %; under the control it hardly moves." in own
    )
    assert (
        "Cleo's share of the attention to people (55 % before) falls to 20 %; under the control it hardly moves." in own
    )
    moved = verdict.facts["attention_change"]
    assert moved["after"]["Ben"]["after"] == pytest.approx(0.45 / 0.75) and moved["after"]["Ben"]["moves"] is True
    assert moved["control"]["Ben"]["change"] == 0 and moved["control"]["Ben"]["moves"] is False


def test_the_table_has_the_runs_in_columns(judge):
    trial = judge(*HELPS, "Cleo").trial
    assert trial.columns == ("Before", "Correction", "Control")
    rows = {row.title: [cell.text for cell in row.cells] for some in trial.rows.values() for row in some}
    assert rows["The model answers"] == ["“Cleo”", "“Ann”", "“Cleo”"]
    assert rows["Share of “Ann” among the options"] == ["10 %", "80 %", "10 %"]
    assert rows["Ben"] == ["17 %", "60 %, first in layer 1", "17 %"]
    assert rows["In heads"] == ["none", "2 heads (layer 1: all heads)", "the same 2 heads"]
    assert rows["How"] == ["—", "social-bias (alpha 8.0 and rows answer)", "the same"]
    assert rows["Drawn to"] == ["—", "the cells of Ben", "the cells of everybody"]
    assert [cell.word for cell in trial.rows["Answer"][0].cells] == ["wrong", "right", "wrong"]


def test_another_person_and_other_heads_as_control(judge):
    other = bias(whose="other")
    verdict = judge(*HELPS, "Cleo", other=other)
    assert "Its control acts as strongly in the same heads, but draws to the cells of Cleo." in text(verdict)
    lowest = bias(active=[(0, (1,)), (1, (0,))], lowest=True, heads="", topk=2)
    verdict = judge(*HELPS, "Cleo", other=lowest)
    assert "Its control acts as strongly in 2 heads (1 of them the same)." in text(verdict)
    assert verdict.facts["active_heads"]["control"] == [[0, 1], [1, 0]]


def test_a_control_that_changes_the_answer_otherwise_is_said(judge):
    assert "The control changes the answer too, to another one" in text(judge(*HELPS, "Ben"))
    assert "The control changes the answer, which the correction does not." in text(judge("Cleo", "Cleo", "Ann"))
    assert "changes the answer too" not in text(judge(*HELPS, "Cleo"))


def test_how_a_control_is_run(judge):
    command = "attnscope correct 0.h5 --correction correction.json --control wrong-speaker"
    assert command in text(judge(*HELPS))
    pai = {**bias(), "method": "pai", "params": {"alpha": 0.2}, "defaults": {"alpha": 0.2}}
    own = text(judge(*HELPS, correction=pai))
    assert command not in own and "There is no ready control of pai" in own


def test_two_plain_captures_are_no_correction(tmp_path):
    paths = [capture(tmp_path / f"{n}.h5", CLEO, answer=said(n, **{n: 0.8})) for n in ("Cleo", "Ann")]
    with open_capture(paths[0]) as before, open_capture(paths[1]) as after:
        verdict = of_change(before, after)
    assert "No correction is recorded in the second capture, so there is none to judge; the answer is another." in text(
        verdict
    )
    assert verdict.facts["belief"] == "no correction"
    assert verdict.trial is not None and list(verdict.trial.rows)[-1] != "What is changed"


def test_no_verdict_where_a_self_check_failed(tmp_path):
    before = capture(tmp_path / "before.h5")
    check = {"verified": True, "passed": False, "checks": []}
    after = capture(tmp_path / "after.h5", correction=[bias()], check=check)
    with open_capture(before) as one, open_capture(after) as two:
        verdict = of_change(one, two)
    assert len(verdict.sentences) == 1 and "It failed in after.h5." in verdict.sentences[0]
    assert verdict.facts == {"failed": ["after.h5"]}


def test_without_maps_the_answers_are_still_judged(judge):
    verdict = judge(*HELPS, "Cleo", readings=("masses",))
    assert verdict.facts["belief"] == "supported" and verdict.facts["attention_change"]["after"] == {}
    assert not any(name in row.title for some in verdict.trial.rows.values() for row in some for name in NAMES[1:])


def test_a_control_that_touches_less_says_nothing(judge):
    verdict = judge(*HELPS, "Cleo", other=bias("everyone", active=[(1, (0,))]))
    assert "Its control acted in fewer heads, so whether to believe in the correction is open." in lead(verdict)
    assert "Its control acts with the same strength in 1 of these heads" in text(verdict)
    verdict = judge(*HELPS, "Cleo", other=bias("everyone", active=[]))
    assert verdict.facts["belief"] == "open" and "acted in no head, so it says nothing." in text(verdict)


def test_a_control_that_does_the_same_in_fewer_heads_contradicts(judge):
    verdict = judge(*HELPS, "Ann", other=bias("everyone", active=[(1, (0,))]))
    assert verdict.facts["belief"] == "contradicted"
    assert "but its control turns it right too. Do not believe in the correction." in lead(verdict)


def test_a_first_capture_that_was_corrected_is_said(tmp_path):
    runs = [("Cleo", [bias("everyone")]), ("Ann", [bias()])]
    caps = [
        open_capture(capture(tmp_path / f"{text}.h5", CLEO, answer=said(text), correction=record))
        for text, record in runs
    ]
    verdict = of_change(*caps)
    for cap in caps:
        cap.close()
    assert lead(verdict).startswith("The first capture was itself made under a correction")
    assert verdict.statements[0].lead.startswith("Under social-bias, asked “Who does Ben ask?”, the model answers")
    assert verdict.statements[1].lead.startswith("Under social-bias, it confuses")
    assert verdict.facts["belief"] == "no plain run" and "attnscope correct" not in text(verdict)
    acts = {row.title: [cell.text for cell in row.cells] for row in verdict.trial.rows["What is changed"]}
    assert acts["In heads"][0] == "2 heads (layer 1: all heads)" and acts["Drawn to"][0] == "the cells of everybody"


def test_a_large_move_that_boxes_could_make_is_not_called_none():
    move = {"before": 0.12, "after": 0.4, "change": 0.28, "low": -0.05, "high": 0.3, "moves": False}
    assert _way(move) == "is 40 %, a change that a small error of the boxes could make"
    assert _way(move | {"after": 0.122, "change": 0.002}) == "hardly moves"
    assert _way(move | {"moves": True}) == "rises to 40 %"

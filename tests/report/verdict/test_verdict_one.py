"""The verdict on one capture, sentence by sentence, on attention that is drawn by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnscope.capture.read.capture import open as open_capture
from attnscope.report.verdict import Verdict, of_capture
from tests.report.verdict.sketches import CLEO, NAMES, asking, bias, capture, said

EVEN = (({"Ann": 0.2, "Ben": 0.2, "Cleo": 0.2}, {"Ann": 0.2, "Ben": 0.2, "Cleo": 0.2}),)


def at(name: str, mass: float = 0.6, rest: float = 0.1) -> Any:
    return (tuple({n: mass if n == name else rest for n in NAMES} for _ in range(2)),)


@pytest.fixture
def judge(tmp_path: Path):
    """`judge(looks, ...)`: the verdict on a capture."""

    def make(*args: Any, **options: Any) -> Verdict:
        with open_capture(capture(tmp_path / "run.h5", *args, **options)) as cap:
            return of_capture(cap)

    return make


def lead(verdict: Verdict, about: str) -> str:
    (statement,) = [statement for statement in verdict.statements if statement.about == about]
    return statement.lead


def text(verdict: Verdict, about: str) -> str:
    (statement,) = [statement for statement in verdict.statements if statement.about == about]
    return statement.text


# ---- numbers by hand


def test_whom_it_confuses_by_hand(judge):
    """Ann, Ben, Cleo have masses 0.2, 0.2, 0.2 in a layer, and 0.2, 0.05, 0.6 in the other: means 0.2, 0.125, 0.4."""
    verdict = judge(CLEO, numbers=[3, 7])
    assert lead(verdict, "answer") == (
        "Asked “Who does Ben ask?”, the model answers “Cleo”, which is wrong: the right answer is “Ann”."
    )
    assert "Among the 3 options it gives 70 % to “Cleo” and 20 % to “Ann”." in text(verdict, "answer")
    assert (
        lead(verdict, "attention")
        == "It confuses Ann with Cleo: it answers Cleo, and it looks most at Cleo in layer 7."
    )
    own = text(verdict, "attention")
    assert (
        "Cleo (its answer) gets 55 % of its attention to people (chance 33 %; 55 to 55 % with boxes moved at random"
        in own
    )
    assert "Ben (asked about) 17 % and Ann (the right answer) 28 %." in own
    assert "Cleo's share is highest in layer 7: 71 %; 2 of its 2 heads look most at Cleo." in own
    people = verdict.facts["attention"]["people"]
    means = np.array([0.2, 0.125, 0.4])
    assert [people[name]["share"] for name in NAMES] == pytest.approx(means / means.sum())
    assert [people[name]["heads_led"] for name in NAMES] == [0, 0, 2]
    assert [people[name]["layers_led"] for name in NAMES] == [[], [], [7]]
    facts = verdict.facts
    assert (facts["looks_most_at"], facts["confused"], facts["instead_of"]) == ("Cleo", "Cleo", "Ann")
    assert facts["attention"]["chance"] == pytest.approx(1 / 3) and facts["attention"]["heads"] == 4


def test_less_than_even_attention_is_said(judge):
    looks = (({"Ann": 0.002, "Ben": 0.002, "Cleo": 0.01},),)
    verdict = judge(looks)
    keys = len(asking().tokens)
    assert f"Even so, Cleo's cells get {0.01 * keys:.2g} times what attention spread evenly" in text(
        verdict, "attention"
    )
    verdict = judge(at("Cleo"))
    assert f"Over all layers, Cleo's cells get {0.6 * keys:.2g} times" in text(verdict, "attention")


# ---- whom it looks at


@pytest.mark.parametrize(
    ("looks", "how", "sentence", "confused"),
    [
        (at("Ben"), {}, "It looks most at Ben in layer 0, and the question is about Ben.", None),
        (at("Ann"), {}, "It looks most at Ann in layer 0: the right answer.", None),
        (
            at("Cleo"),
            {"answer": said("Ann")},
            "It looks most at Cleo in layer 0, but the question is about Ben.",
            None,
        ),
        (
            at("Cleo"),
            {"answer": said("Ben")},
            "It looks most at Cleo in layer 0, but the question is about Ben.",
            None,
        ),
        (
            at("Cleo"),
            {"expected": "red", "answer": said("blue")},
            "It confuses Ben with Cleo: it looks most at Cleo in layer 0.",
            "Cleo",
        ),
        (
            at("Cleo"),
            {"expected": None},
            "It looks most at Cleo in layer 0, but the question is about Ben.",
            None,
        ),
        (
            at("Ann"),
            {"expected": None},
            "It looks most at Ann in layer 0, but the question is about Ben.",
            None,
        ),
        (
            at("Cleo"),
            {"question": "Who asks?"},
            "It looks most at Cleo in layer 0; the question names nobody with a box, so there is nobody to compare that"
            " with.",
            None,
        ),
        (
            at("Cleo"),
            {"question": "Do Ann and Ben talk?", "expected": "yes"},
            "It looks most at Cleo in layer 0, but the question is about Ann and Ben.",
            None,
        ),
        (
            at("Cleo"),
            {"question": "Do Cleo and Ben talk?", "expected": "yes"},
            "It looks most at Cleo in layer 0, and the question is about Cleo and Ben.",
            None,
        ),
        (EVEN, {}, "It looks at no one person clearly more than at the others when it answers.", None),
    ],
)
def test_whom_it_looks_at(judge, looks, how, sentence, confused):
    verdict = judge(looks, **how)
    assert lead(verdict, "attention") == sentence
    assert verdict.facts["confused"] == confused


def test_everybody_who_has_most_is_named_in_a_tie(judge):
    tie = (({"Ann": 0.3, "Ben": 0.1, "Cleo": 0.3},),)
    own = text(judge(tie), "attention")
    assert "Ann and Cleo get most, but by less than a small error of the boxes could change." in own
    near = (({"Ann": 0.2, "Ben": 0.21, "Cleo": 0.2},),)
    assert "Ben gets most, but hardly more than chance. Ben (asked about) gets 34 % of" in text(
        judge(near), "attention"
    )
    assert judge(tie).facts["looks_most_at"] is None


def test_a_lead_that_hangs_on_exact_boxes_is_none(judge):
    """Cleo's box ends in the middle of the background: in half of the draws her mean attention is higher than Ben's."""
    narrow, wide = asking(), asking()
    wide.scene["speakers"]["Cleo"]["segments"][0]["keyframes"][0]["xyxy"][2] += 16  # half a cell
    looks: Any = (({"Ann": 0.1, "Ben": 0.3, "Cleo": 0.2, "": 0.5},),)
    assert judge(looks, sketch=narrow).facts["looks_most_at"] == "Ben"
    verdict = judge(looks, sketch=wide)
    own = verdict.facts["attention"]["people"]["Cleo"]
    assert (own["share"], own["low"]) == pytest.approx((0.2 / 0.6, 0.2 / 0.6))
    assert own["high"] == pytest.approx(0.35 / 0.75)  # the mean of 0.2 and 0.5
    assert verdict.facts["looks_most_at"] is None and verdict.facts["confused"] is None
    assert lead(verdict, "attention") == "It looks at no one person clearly more than at the others when it answers."
    assert "Ben gets most, but by less than a small error of the boxes could change." in text(verdict, "attention")


# ---- what cannot be said


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"readings": ("masses",)}, "the capture has no maps of attention (the plan lacks maps)."),
        ({"names": ()}, "the scene has no boxes of people."),
        (
            {"names": ("Ben",), "expected": "Ben"},
            "fewer than two people have a box that covers cells of the frames shown.",
        ),
    ],
)
def test_why_attention_is_not_known(judge, how, why):
    looks = tuple(tuple({} for _ in range(2)) for _ in range(2))
    verdict = judge(looks, **{"expected": None, **how})
    assert lead(verdict, "attention") == f"Whom it looks at when it answers is not known: {why}"
    assert verdict.facts["attention"] is None and verdict.facts["attention_not_known"] == why
    assert verdict.facts["confused"] is None


def test_people_out_of_sight_are_named_and_confused_with_nobody(judge):
    sketch = asking(expected="Ben")
    sketch.scene["speakers"]["Ann"]["segments"] = [
        {"start": 5.0, "end": 5.0, "keyframes": [{"t": 5.0, "xyxy": [0, 0, 32, 32]}]}  # in no frame
    ]
    for token in sketch.tokens:
        token.covered = [name for name in token.covered if name != "Ann"]
    looks: Any = (({"Ben": 0.2, "Cleo": 0.6},),)
    verdict = judge(looks, sketch=sketch)
    assert list(verdict.facts["attention"]["people"]) == ["Ben", "Cleo"] and verdict.facts["attention"]["chance"] == 0.5
    assert "Ann has no cell in the frames shown, so attention there cannot be counted." in text(verdict, "attention")
    assert "A share compares the attention per cell" in verdict.trial.note and "things too." in verdict.trial.note
    assert verdict.facts["confused"] == "Cleo" and verdict.facts["attention"]["out_of_sight"] == ["Ann"]
    sketch.scene["answer"] = "Ann"  # with Ann she could not be confused: nobody could look at Ann
    verdict = judge(looks, sketch=sketch)
    assert verdict.facts["confused"] is None
    assert lead(verdict, "attention") == "It looks most at Cleo in layer 0, but the question is about Ben."


def test_a_right_answer_without_a_box(judge):
    names, turns = ("Ben", "Cleo"), [("Guest", 0.0, 0.5)]
    looks: Any = (({"Ben": 0.2, "Cleo": 0.6},),)
    verdict = judge(looks, names=names, turns=turns, expected="Guest", answer=said("Cleo", names))
    assert verdict.facts["confused"] is None
    assert "Guest has no box, so whether it looks there is not known." in text(verdict, "attention")


def test_nothing_asked_nothing_answered(judge):
    answer = {"text": "", "tokens": [], "options": []}
    verdict = judge(at("Cleo"), question=None, expected=None, answer=answer)
    assert lead(verdict, "answer") == "The model was asked for no answer."
    assert verdict.facts["confused"] is None and verdict.facts["verdict"] is None


def test_no_right_answer_and_no_options(judge):
    answer = said("Cleo") | {"options": []}
    verdict = judge(at("Cleo"), expected=None, answer=answer)
    assert "the model answers “Cleo”; the scene has no answer to compare it with." in lead(verdict, "answer")
    assert "No options were scored, so how sure the model is stays unknown." in text(verdict, "answer")


def test_options_that_nobody_would_say(judge):
    answer = said("Cleo")
    for option in answer["options"]:
        option["logprob"] -= 8.0
    assert "All options together are improbable" in text(judge(at("Cleo"), answer=answer), "answer")


def test_no_verdict_on_a_capture_whose_check_failed(judge):
    verdict = judge(at("Cleo"), check={"verified": True, "passed": False, "checks": []})
    assert verdict.sentences == [
        "There is no verdict: the self-check of the capture failed, so its numbers cannot be trusted."
    ]
    assert verdict.facts == {"self_check": "failed"} and verdict.trial is None


def test_three_turns_are_too_few_to_test_speakers(judge):
    turns = [("Ann", 0.0, 0.3), ("Ben", 0.4, 0.6), ("Cleo", 0.7, 0.9)]
    own = text(judge(at("Cleo"), turns=turns), "limits")
    assert "3 turns can be given to the speakers in only 6 ways, so that no p is below 1/6." in own
    assert "cannot be tested" not in text(judge(at("Cleo")), "limits")


def test_a_long_question_and_hostile_names_stay_texts(judge):
    sketch = asking(question="Who? " * 60, expected="<b>x</b>")
    answer = said("<script>alert(1)</script>\u202e" + "y" * 200)
    own = text(judge(at("Cleo"), sketch=sketch, answer=answer), "answer")
    assert "…” answers" not in own and len(own) < 500 and "\u202e" not in own


def test_a_corrected_capture_says_so(judge):
    verdict = judge(CLEO, correction=[bias()])
    assert lead(verdict, "answer").startswith("Under social-bias, asked “Who does Ben ask?”, the model answers “Cleo”")
    assert lead(verdict, "attention").startswith("Under social-bias, it confuses Ann with Cleo")
    drawn = "What heads of layer 1 attend to is in part what social-bias drew them to."
    assert drawn in text(verdict, "attention") and verdict.facts["corrections"] == ["social-bias"]


def test_layers_that_were_not_recorded_are_said(judge):
    own = judge(CLEO, numbers=[3, 7])
    assert "Over the 2 recorded layers, Cleo's cells get" in text(own, "attention")
    assert "2 of 8 layers were recorded; of the others nothing is said." in text(own, "limits")
    assert "Over all layers, Cleo's" in text(judge(CLEO), "attention") and "recorded" not in text(judge(CLEO), "limits")

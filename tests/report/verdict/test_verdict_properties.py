"""What holds of every verdict: it names only who is there, agrees with its facts, and follows names."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attnscope.capture.read.capture import open as open_capture
from attnscope.metrics.people.gaze import gaze, leader
from attnscope.report.verdict import Verdict, of_capture, of_change
from tests.report.verdict.sketches import NAMES, bias, capture, said

SHARES = st.lists(st.floats(0.0, 0.3), min_size=3, max_size=3)
LOOKS = st.lists(st.lists(SHARES, min_size=2, max_size=2), min_size=1, max_size=3)
QUESTIONS = st.sampled_from(["Who does {0} ask?", "What does {1} hold?", "Do {0} and {2} talk?", "Who asks?"])
QUICK = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NUMBERED = [3, 5, 8]


def judged(looks: Any, names: tuple[str, ...], question: str, answer: str, expected: str | None) -> Verdict:
    masses = [[dict(zip(names, head, strict=True)) for head in heads] for heads in looks]
    with TemporaryDirectory() as folder:
        path = capture(
            Path(folder) / "run.h5",
            masses,
            question=question.format(*names),
            expected=expected,
            names=names,
            answer=said(answer, names),
            numbers=NUMBERED[: len(looks)],
        )
        with open_capture(path) as cap:
            return of_capture(cap)


@given(looks=LOOKS, question=QUESTIONS, answer=st.sampled_from(NAMES), expected=st.sampled_from([*NAMES, None]))
@QUICK
def test_sentences_agree_with_their_facts(looks, question, answer, expected):
    verdict = judged(looks, NAMES, question, answer, expected)
    facts, lead = verdict.facts, {one.about: one.lead for one in verdict.statements}
    own, first, confused = lead["attention"], facts["looks_most_at"], facts["confused"]
    if facts["attention"] is None:
        assert "is not known" in own
        return
    people = facts["attention"]["people"]
    assert sum(one["share"] for one in people.values()) > 0.999
    for number in map(int, re.findall(r"\d+", own)):
        assert number in NUMBERED[: len(looks)]
    if first is None:
        assert own.startswith("It looks at no one person")
    else:
        assert people[first]["share"] == max(one["share"] for one in people.values()) and first in own
        assert people[first]["share"] >= 1.25 / 3
        assert own.startswith("It confuses") == (confused is not None)
    if confused is not None:
        assert facts["verdict"] == "wrong" and confused == first and confused not in (*facts["asked"], expected)
    assert ("wrong" in lead["answer"]) == (expected is not None and answer != expected)
    assert not re.search(r"because|causes?\b|leads to|makes the model", " ".join(verdict.sentences))


@pytest.mark.slow
@given(looks=LOOKS, question=QUESTIONS, answer=st.sampled_from(NAMES), expected=st.sampled_from(NAMES))
@QUICK
def test_other_names_give_the_same_sentences(looks, question, answer, expected):
    others = ("Xavier", "Yvonne", "Zed")
    new = dict(zip(NAMES, others, strict=True))
    one = judged(looks, NAMES, question, answer, expected)
    other = judged(looks, others, question, new[answer], new[expected])
    renamed = [re.sub("|".join(NAMES), lambda found: new[found[0]], text) for text in one.sentences]
    assert renamed == other.sentences
    assert not any(name in text for name in NAMES for text in other.sentences)


@pytest.mark.slow
@given(before=st.sampled_from(NAMES), after=st.sampled_from(NAMES), control=st.sampled_from([*NAMES, None]))
@QUICK
def test_a_correction_is_believed_only_for_what_its_control_does_not_do(before, after, control):
    looks = (({"Ann": 0.2, "Ben": 0.1, "Cleo": 0.3},),)
    runs = [(before, None), (after, [bias(active=[(0, (0,))])]), (control, [bias("everyone", active=[(0, (0,))])])]
    with TemporaryDirectory() as folder:
        caps = [
            open_capture(capture(Path(folder) / f"{row}.h5", looks, answer=said(text), correction=record))
            for row, (text, record) in enumerate(runs)
            if text is not None
        ]
        verdict = of_change(*caps)
        for cap in caps:
            cap.close()
    lead = next(one.lead for one in verdict.statements if one.about == "correction")
    if "a reason to believe" in lead and "no reason" not in lead:
        assert control is not None and before != after and control != after
        assert after == "Ann"
    if "Do not believe" in lead:
        assert before != after and (control == after or "Ann" not in (control, after))
    if before == after:
        assert verdict.facts["belief"] == "nothing to believe"
    assert (verdict.facts["effect"] == "helps") == (after == "Ann" != before)


@given(seed=st.integers(0, 50))
@QUICK
def test_a_leader_leads(seed):
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.ones(4))
    draws = rng.dirichlet(100 * share, 40)
    at = leader(share, draws)
    if at is not None:
        assert share[at] == share.max() >= 1.25 / 4 and (draws.argmax(1) == at).mean() >= 0.95
    assert leader(share, np.full_like(draws, np.nan)) is None
    assert leader(np.array([0.3, 0.3, 0.2, 0.2]), draws) is None
    assert leader(np.array([np.nan, 0.5, 0.5, 0.0]), draws) is None


def test_both_captures_of_a_scene_get_the_same_boxes(tmp_path):
    looks = (({"Ann": 0.2, "Ben": 0.1, "Cleo": 0.3},),)
    with open_capture(capture(tmp_path / "a.h5", looks)) as a, open_capture(capture(tmp_path / "b.h5", looks)) as b:
        first, second = gaze(a), gaze(b)
    assert first is not None and second is not None
    assert np.array_equal(first.draws, second.draws, equal_nan=True)

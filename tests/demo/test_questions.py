"""Questions: each has one right answer, which the picture alone tells."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from attnscope.demo.cast import CUPS, NAMES, THINGS
from attnscope.demo.questions import NUMBERS, SOCIAL, TASKS, Question, questions, shown_options
from attnscope.demo.scenes import scene_of
from attnscope.demo.script import MOST_PEOPLE, Clip, ClipSampler
from tests.demo.by_eye import evidence, right_answers

NAMING = ("target", "pronoun", "mention", "pointing", "cup")  # tasks whose question names somebody
MARKS = {"target": "you", "pronoun": "they", "mention": "[someone]"}  # what the named one's words hold


def asked(people: int, clips: int = 30) -> list[tuple[Clip, Question]]:
    stage = ClipSampler("test", 1, people)
    drawn = [stage.clip(people) for _ in range(clips)]
    drawn += [stage.clip(people, turns=turns, named=named) for turns in (2, 3) for named in (True, False)]
    drawn += [clip.at_slot(number % 4) for number, clip in enumerate(drawn)]  # as the models' training shows them too
    return [(clip, question) for clip in drawn for question in questions(clip)]


@pytest.mark.parametrize("people", range(MOST_PEOPLE + 1))
def test_the_picture_has_the_one_answer(people: int) -> None:
    for clip, question in asked(people):
        assert right_answers(clip.picture, question.text) == {question.answer}, question
        assert evidence(clip.picture, question.text) == question.about, question


@pytest.mark.parametrize("people", range(MOST_PEOPLE + 1))
def test_options_hold_the_answer_once(people: int) -> None:
    rng = np.random.default_rng(0)
    for clip, question in asked(people):
        shown = shown_options(question, rng)
        assert len(set(question.options)) == len(question.options)
        assert len(set(shown)) == len(shown)
        assert shown.count(question.answer) == question.options.count(question.answer) == 1
        names = {person.name for person in clip.people}
        if people == 1 and set(question.options) == names:
            assert len(shown) == 3 and set(shown) < set(NAMES)  # a choice of one would be none
        else:
            assert sorted(shown) == sorted(question.options)
        assert set(question.options) in (names, set(CUPS), set(THINGS), set(NUMBERS))


def test_options_come_in_any_order() -> None:
    question = next(q for _, q in asked(3) if q.task == "pointing")
    rng = np.random.default_rng(0)
    places = Counter(shown_options(question, rng).index(question.answer) for _ in range(300))
    assert set(places) == {0, 1, 2} and min(places.values()) > 70


@pytest.mark.parametrize("people", range(MOST_PEOPLE + 1))
def test_a_question_names_one_person_or_none(people: int) -> None:
    for _, question in asked(people):
        named = [word for word in re.findall(r"\w+", question.text) if word in NAMES]
        assert len(named) == (question.task in NAMING), question
        assert question.answer not in re.findall(r"\w+", question.text)


@pytest.mark.parametrize("people", range(1, MOST_PEOPLE + 1))
def test_names_stand_in_named_transcripts_alone(people: int) -> None:
    """Of the scene file: it is what the model is given."""
    for clip, question in asked(people):
        scene = scene_of(clip, question, question.options, "a.mp4", "test")
        speakers = [turn["speaker"] for turn in scene["transcript"]]
        words = {word for turn in scene["transcript"] for word in re.findall(r"\w+", turn["text"])}
        assert not words & set(NAMES)
        assert speakers == [clip.people[turn.speaker].name if clip.named else None for turn in clip.turns]
        assert (question.task in ("speaks", "target-hidden")) <= (not clip.named)
        if question.task in MARKS:
            (said,) = (turn["text"] for turn in scene["transcript"] if turn["speaker"] == question.about)
            assert MARKS[question.task] in re.findall(r"\[?\w+\]?", said)
            assert not any(mark in said for task, mark in MARKS.items() if task != question.task)


def test_which_numbers_of_people_allow_which_task() -> None:
    found = {people: {question.task for _, question in asked(people, 60)} for people in range(MOST_PEOPLE + 1)}
    assert found[0] == {"colour", "thing"}
    assert found[1] == {"speaks", "cup", "count", "colour", "thing"}
    assert all(found[people] == set(TASKS) for people in range(2, MOST_PEOPLE + 1))
    assert set(SOCIAL) < set(TASKS)


def test_everything_that_has_one_answer_is_asked() -> None:
    stage = ClipSampler("test", 2)
    for clip in (stage.clip(3, turns=1, named=named) for named in (True, False) for _ in range(10)):
        counts = Counter(question.task for question in questions(clip))
        pointing = sum(len(set(person.points_at) - {-1}) == 1 for person in clip.people)
        things = len(clip.picture.things)
        of_turn = 1 if clip.named else 1 + (clip.turns[0].kind == "you")
        assert counts["cup"] == 3 and counts["count"] == 1 and counts["pointing"] == pointing
        assert counts["colour"] == counts["thing"] == things
        assert sum(counts.values()) == 4 + pointing + 2 * things + of_turn

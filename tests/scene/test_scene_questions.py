"""Several questions of one scene, and earlier messages of a chat: what a scene file may say, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from attnscope.errors import SceneError
from attnscope.scene import Scene
from attnscope.scene.sources import scene_from_flags

QUESTIONS = [
    {"id": "who", "question": "Who is first?", "options": ["Ada", "Ben"], "answer": "Ada", "fields": {"task": "who"}},
    {"id": "why", "question": "Why?", "window": [1.0, 2.0]},
]
HISTORY = [{"role": "user", "text": "Who is on the left?"}, {"role": "assistant", "text": "Ada is."}]


def scene(**fields: Any) -> Scene:
    return Scene.model_validate({"video": "clip.mp4", **fields})


def test_one_question_is_chosen_by_its_id() -> None:
    several = scene(questions=QUESTIONS, fields={"task": "any", "set": 1}, window=(0.0, 3.0))
    who, why = several.asking("who"), several.asking("why")
    assert (who.question, who.options, who.answer, who.questions) == ("Who is first?", ["Ada", "Ben"], "Ada", [])
    assert (who.fields, who.window) == ({"task": "who", "set": 1}, (0.0, 3.0))
    assert (why.question, why.options, why.answer, why.window) == ("Why?", [], None, (1.0, 2.0))
    assert scene(questions=QUESTIONS[:1]).asking() == scene(questions=QUESTIONS).asking("who")
    assert scene(question="Who?").asking() == scene(question="Who?")
    assert Scene.from_dict(several.to_dict()).questions == several.questions
    assert {"questions", "history"}.isdisjoint(scene(question="Who?").to_dict())


def test_flags_choose_a_question_or_put_another_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"film")
    path = tmp_path / "scene.json"
    path.write_text(json.dumps({"video": "clip.mp4", "questions": QUESTIONS}))
    assert scene_from_flags(path, None, question_id="why").question == "Why?"
    assert scene_from_flags(path, None, question="How?").question == "How?"
    with pytest.raises(SceneError, match="question_id: choose from who and why"):
        scene_from_flags(path, None)
    with pytest.raises(SceneError, match='question_id="why": is given beside a question'):
        scene_from_flags(path, None, question="How?", question_id="why")
    with pytest.raises(SceneError, match="is of a scene file"):
        scene_from_flags(None, tmp_path / "clip.mp4", question_id="why")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"questions": QUESTIONS, "question": "Who?"}, "scene: question: is given beside questions"),
        ({"questions": [QUESTIONS[0], QUESTIONS[0]]}, 'scene: questions[1].id: "who" is given twice'),
        (
            {"questions": [{**QUESTIONS[0], "answer": "Cleo"}]},
            'scene: questions[0].answer: "Cleo" is not one of the options "Ada", "Ben"',
        ),
        ({"questions": [{"question": "Who?"}]}, "scene: questions[0].id: is missing"),
        ({"history": HISTORY}, "scene: question: is missing after the history"),
        (
            {"history": HISTORY[:1], "question": "Who?"},
            "scene: history: ends with a user's message; that is the question",
        ),
        (
            {"history": HISTORY[::-1], "question": "Who?"},
            "scene: history[0].role: user and assistant take turns, from user on",
        ),
        (
            {"history": [{"role": "system", "text": "x"}], "question": "Who?"},
            "scene: history[0].role: \"system\" is not one of 'user' or 'assistant'",
        ),
        ({"history": [{"role": "user", "text": " "}], "question": "Who?"}, "scene: history[0].text: is empty"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SceneError) as error:
        scene(**fields)
    assert str(error.value) == message


def test_an_unknown_question_is_named_with_those_there_are() -> None:
    with pytest.raises(SceneError, match='question_id="when": choose from who and why'):
        scene(questions=QUESTIONS).asking("when")
    with pytest.raises(SceneError, match="the scene has no `questions`"):
        scene(question="Who?").asking("when")

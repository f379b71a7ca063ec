"""Manifests: what is read, and the one line that each mistake gives."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attnscope.errors import RequestError
from attnscope.evaluate import read_manifest
from attnscope.evaluate.manifest import select_questions

ONE = {"id": "a", "scene": "q0.json"}


@pytest.fixture
def folder(questions: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(questions, tmp_path / "m"))


def test_what_a_manifest_says(folder: Path) -> None:
    found = read_manifest(folder)
    assert found.path == folder / "manifest.jsonl"
    assert [question.id for question in found.questions][:4] == ["film 0, 0", "film 0, 1", "film 0, 2", "film 1, 3"]
    assert [question.clip for question in found.questions] == ["clip0.mp4"] * 3 + ["clip1.mp4"] * 2 + ["clip2.mp4"] * 3
    assert found.clips == 3
    assert found.questions[0].scene.fields == {"task": "what", "people": 2}
    assert read_manifest(folder / "manifest.jsonl") == found


def test_ids_are_optional_paths_may_be_absolute_and_lines_blank(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "list.jsonl").write_text(
        f"\n{json.dumps({'scene': str(folder / 'q1.json')})}\r\n\n{json.dumps({'scene': 'm/q2.json'})}"
    )
    found = read_manifest(tmp_path / "list.jsonl")
    assert [(question.id, question.line) for question in found.questions] == [("q1", 2), ("q2", 4)]
    assert [question.clip for question in found.questions] == ["m/clip0.mp4"] * 2


def test_a_video_elsewhere_is_named_by_its_path(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/list.jsonl").write_text('{"scene": "../m/q1.json"}')
    assert read_manifest(tmp_path / "other/list.jsonl").questions[0].clip == str(folder / "clip0.mp4")


def test_hashes_follow_what_the_scenes_say_and_not_where_they_are(folder: Path, questions: Path) -> None:
    here, there = read_manifest(folder), read_manifest(questions)
    assert (here.sha256, here.scenes_sha256) == (there.sha256, there.scenes_sha256)
    change(lambda scene: scene.update(question="Who?"))(folder)
    after = read_manifest(folder)
    assert after.sha256 == here.sha256
    assert after.scenes_sha256 != here.scenes_sha256


def lines(*entries: object) -> Callable[[Path], None]:
    text = "\n".join(entry if isinstance(entry, str) else json.dumps(entry) for entry in entries)
    return lambda folder: (folder / "manifest.jsonl").write_text(text) and None


def change(how: Callable[[dict[str, Any]], object], name: str = "q0.json") -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        scene = json.loads((folder / name).read_text())
        how(scene)
        (folder / name).write_text(json.dumps(scene))

    return write


BAD: list[tuple[Callable[[Path], None], str]] = [
    (lambda folder: (folder / "manifest.jsonl").unlink(), "{m}: no such file"),
    (lines(""), "{m}: the file is empty"),
    (lines(ONE, "{"), "{m}: line 2: not valid JSON: Expecting property name enclosed in double quotes at column 2"),
    (lines("[1]"), "{m}: line 1: [1] is not an object"),
    (lines({"id": "a"}), "{m}: line 1: scene: is missing"),
    (lines({"scene": 3}), "{m}: line 1: scene: 3 is not a text of at least one character"),
    (lines({"scene": "q0.json", "id": " "}), '{m}: line 1: id: " " is not a text of at least one character'),
    (
        lines({"scene": "q0.json", "sceen": "x"}),
        "{m}: line 1: sceen: is not a field of a manifest, which has id, scene, question_id, question, options, "
        "answer, fields, window",
    ),
    (lines('{"scene": "q0.json", "scene": "q1.json"}'), "{m}: line 1: scene: is given twice"),
    (lines(ONE, {"id": "b", "scene": "q1.json"}, ONE), '{m}: line 3: id: "a" is also the id of line 1'),
    (lines({"scene": "q0.json"}, {"scene": "./q0.json"}), '{m}: line 2: id: "q0" is also the id of line 1'),
    (lines(ONE, {"scene": "gone.json"}), "{m}: line 2: scene: {f}/gone.json: no such file"),
    (change(lambda s: s.pop("question")), "{m}: line 1: scene: {f}/q0.json: question: is missing"),
    (
        change(lambda s: (s.pop("options"), s.pop("answer"))),
        "{m}: line 1: scene: {f}/q0.json: options: [] are fewer than two to choose from",
    ),
    (
        change(lambda s: s.update(options=["a"])),
        '{m}: line 1: scene: {f}/q0.json: options: ["a"] are fewer than two to choose from',
    ),
    (change(lambda s: s.pop("answer")), "{m}: line 1: scene: {f}/q0.json: answer: is missing"),
    (
        change(lambda s: s.update(answer="c"), "q2.json"),
        '{m}: line 3: scene: {f}/q2.json: answer: "c" is not one of the options "yes", "no"',
    ),
    (
        change(lambda s: s.update(video="gone.mp4")),
        "{m}: line 1: scene: {f}/q0.json: video: gone.mp4: no such file",
    ),
    (
        change(lambda s: s.update(fields={"people": None})),
        "{m}: line 1: scene: {f}/q0.json: fields.people: null is not text, a number, true or false, or a list of these",
    ),
]


@pytest.mark.parametrize(("spoil", "message"), BAD, ids=[message for _, message in BAD])
def test_mistakes(spoil: Callable[[Path], None], message: str, folder: Path) -> None:
    spoil(folder)
    with pytest.raises(RequestError) as error:
        read_manifest(folder / "manifest.jsonl")
    assert str(error.value) == message.format(m=folder / "manifest.jsonl", f=folder)


def test_a_folder_without_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"manifest\.jsonl: no such file$"):
        read_manifest(tmp_path)


def test_questions_of_tasks_and_the_same_number_of_each(folder: Path) -> None:
    """The eight questions are: what, who, what, where, where, who, who, and one without a task."""
    asked = read_manifest(folder).questions
    assert select_questions(asked) == asked
    assert select_questions(asked, ["where", "what"]) == [asked[0], asked[2], asked[3], asked[4]]
    assert select_questions(asked, ["who", "what"], 2) == [asked[0], asked[1], asked[2], asked[5]]
    assert select_questions(asked[:7], per_task=2) == asked[:6]


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"tasks": []}, "tasks: names none"),
        ({"tasks": ["when"]}, 'tasks="when": choose from what, where, who'),
        ({"per_task": 0}, "per_task=0: must be at least 1"),
        ({"tasks": ["who", "what"], "per_task": 3}, 'per_task=3: the manifest has 2 questions of "what"'),
        ({"per_task": 1}, 'per_task=1: question "film 2, 7" has no field `task`'),
    ],
)
def test_a_choice_of_questions_that_cannot_be(folder: Path, choice: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError) as raised:
        select_questions(read_manifest(folder).questions, **choice)
    assert str(raised.value) == message


def test_tasks_are_refused_where_no_question_has_one(folder: Path) -> None:
    with pytest.raises(RequestError, match="no question has a field `task`"):
        select_questions(read_manifest(folder).questions[7:], ["who"])

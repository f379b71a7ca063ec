"""The three forms of a line say the same: a scene file each, a shared scene file with a question, and a whole scene."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import attnscope
from attnscope import Sampling
from attnscope.errors import RequestError
from attnscope.evaluate import evaluate, read_manifest
from attnscope.model import LoadedModel
from attnscope.scene import Scene, read_scene_frames
from attnscope.scene.manifests.checking import check_manifest
from attnscope.scene.manifests.writing import ManifestWriter
from tests.evaluate.conftest import BOXES, TURNS


@pytest.fixture
def folder(questions: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(questions, tmp_path / "m"))


def write(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def forms(folder: Path) -> tuple[Path, Path]:
    """The same questions with scene files that they share, and with whole scenes in the lines."""
    asked = read_manifest(folder).questions
    documents = [{**question.scene.to_dict(), "video": question.clip} for question in asked]
    (folder / "shared").mkdir()
    writer = ManifestWriter(folder / "shared")
    for question, document in zip(asked, documents, strict=True):
        path = writer.scene(Path(question.clip).stem, document | {"video": f"../../{question.clip}"})
        writer.line(question.id, path, document)
    writer.close()
    lines = ({"id": q.id, "scene": document} for q, document in zip(asked, documents, strict=True))
    return folder / "shared", write(folder / "whole.jsonl", *lines)


def test_scenes_to_a_manifest_and_back_are_the_same(folder: Path) -> None:
    shared, whole = forms(folder)
    before = [question.scene for question in read_manifest(folder).questions]
    for path in (shared, whole):
        assert [question.scene for question in read_manifest(path).questions] == before
    names = sorted(path.name for path in (shared / "scenes").iterdir())
    # the questions about a clip differ in how many turns there are, so three, two and two scenes
    assert names == [
        "clip0-2.json",
        "clip0-3.json",
        "clip0.json",
        "clip1-2.json",
        "clip1.json",
        "clip2-2.json",
        "clip2.json",
    ]
    again = [Scene.read(path).to_dict() for path in sorted((shared / "scenes").iterdir())]
    assert all("question" not in scene for scene in again)


def test_all_forms_have_one_hash_and_one_result(folder: Path, model: LoadedModel, tmp_path: Path) -> None:
    shared, whole = forms(folder)
    hashes = {read_manifest(path).scenes_sha256 for path in (folder, whole)}
    assert len(hashes) == 1
    for number, path in enumerate((folder, shared, whole)):
        evaluate(model, path, tmp_path / f"out{number}", sampling=Sampling(frames=2), limit=4)
    first, *others = [
        [json.loads(line) | {"clip": ""} for line in (tmp_path / f"out{n}/samples.jsonl").read_text().splitlines()]
        for n in range(3)
    ]
    assert others == [first, first]


def test_what_a_line_says_of_its_question(folder: Path) -> None:
    """Fields are added; a question of the line leaves none of the scene's answers."""
    asked = {"question": "Who is it?", "options": ["Ann", "Bob"], "answer": "ann\u200b".replace("a", "A")}
    write(
        folder / "manifest.jsonl",
        {"id": "a", "scene": "q0.json", **asked, "fields": {"task": "new", "x": 1}, "window": [1, 2]},
        {"id": "b", "scene": "q0.json", "answer": "the long way round"},
        {"id": "c", "scene": "q0.json", "options": ["a", "b"], "answer": "b"},
        {"id": "d", "scene": "q0.json"},
    )
    first, second, third, fourth = (question.scene for question in read_manifest(folder).questions)
    assert (first.question, first.options, first.answer) == ("Who is it?", ["Ann", "Bob"], "Ann")
    assert (first.fields, first.window) == ({"task": "new", "people": 2, "x": 1}, (1.0, 2.0))
    assert (second.question, second.answer) == ("What does Ann ask?", "the long way round")
    assert (third.options, third.answer) == (["a", "b"], "b")
    assert fourth == Scene.read(folder / "q0.json")
    assert first.speakers is fourth.speakers  # read once


def test_a_line_names_one_of_the_questions_of_its_scene(folder: Path) -> None:
    asked = {"options": ["a", "b"], "answer": "b"}
    questions = [{"id": name, "question": f"{name}?", "window": [n, n + 1], **asked} for n, name in enumerate("xy")]
    (folder / "several.json").write_text(json.dumps({"video": "clip0.mp4", "questions": questions}), "utf-8")
    write(
        folder / "manifest.jsonl",
        {"scene": "several.json", "question_id": "y"},
        {"scene": "several.json", "question": "z?", **asked},
    )
    first, second = read_manifest(folder).questions
    assert (first.id, first.scene.question, first.scene.window) == ("several, y", "y?", (1.0, 2.0))
    assert (second.id, second.scene.question, second.scene.questions) == ("several", "z?", [])
    write(folder / "manifest.jsonl", {"scene": "several.json"})
    with pytest.raises(RequestError, match="line 1: holds 2 questions; question_id: choose from"):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"id": "x", "scene": "q0.json", "question": "Who?"}, "options: [] are fewer than two to choose from"),
        ({"id": "x", "scene": "q0.json", "question": " "}, "question: is empty"),
        ({"id": "x", "scene": "q0.json", "options": ["a", "b"]}, "scene: {f}/q0.json: answer: is missing"),
        ({"id": "x", "scene": "q0.json", "options": "ab"}, 'options: "ab" is not a list'),
        (
            {"id": "x", "scene": "q0.json", "answer": "c"},
            'answer: "c" is not one of the options "a", "the long way round"',
        ),
        ({"id": "x", "scene": "q0.json", "window": [2, 2]}, "window[1]: end 2 is not after start 2"),
        (
            {"id": "x", "scene": "q0.json", "fields": {"x": None}},
            "fields.x: null is not text, a number, true or false, or a list of these",
        ),
        ({"scene": {"video": "clip0.mp4"}}, "id: is missing, and a line that holds a whole scene needs one"),
        ({"id": "x", "scene": {"video": "clip0.mp4", "sound": 1}}, "scene: sound: is not a field of this format"),
        ({"id": "x", "scene": {"video": "gone.mp4"}}, "scene: video: gone.mp4: no such file"),
        ({"id": "x", "scene": []}, "scene: [] is not a text of at least one character"),
    ],
)
def test_mistakes_name_line_and_field(folder: Path, line: dict[str, Any], message: str) -> None:
    write(folder / "manifest.jsonl", {"id": "ok", "scene": "q1.json"}, line)
    with pytest.raises(RequestError) as error:
        read_manifest(folder)
    assert str(error.value) == f"{folder}/manifest.jsonl: line 2: {message.format(f=folder)}"


def test_videos_are_found_by_name(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "films" / "deep").mkdir(parents=True)
    for name in ("clip0.mp4", "clip1.mp4"):
        (folder / name).rename(tmp_path / "films" / "deep" / name)
    with pytest.raises(RequestError, match=r"q0\.json: video: clip0\.mp4: no such file$"):
        read_manifest(folder)
    found = read_manifest(folder, tmp_path / "films").questions
    assert found[0].scene.video == tmp_path / "films/deep/clip0.mp4"
    assert found[7].clip == "clip2.mp4"  # where its scene says
    (folder / "clip2.mp4").unlink()
    with pytest.raises(RequestError, match=r"clip2\.mp4: no such file, nor is there one of its name"):
        read_manifest(folder, tmp_path / "films")


def test_frames_are_taken_from_the_window_of_each_question(
    folder: Path, model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"question": "Who?", "options": ["Ann", "Bob"], "answer": "Ann"}
    scene = {"video": "clip0.mp4", "speakers": BOXES, "transcript": TURNS[:1]}
    windows = {"a": [0.0, 1.0], "b": [2.0, 3.0]}
    lines = [{"id": name, "scene": scene, **asked, "window": window} for name, window in windows.items()]
    write(folder / "manifest.jsonl", *lines, {"id": "c", "scene": scene, **asked})
    times = []

    def read(scene: Scene, sampling: Sampling) -> Any:
        frames = read_scene_frames(scene, sampling)
        times.append(frames.times.round(3).tolist())
        return frames

    monkeypatch.setattr("attnscope.evaluate.lines.read_scene_frames", read)
    evaluate(model, folder, tmp_path / "out", sampling=Sampling(frames=2))
    assert times == [[0.2, 0.7], [2.2, 2.7], [0.7, 2.2]]
    times.clear()
    evaluate(model, folder, tmp_path / "other", sampling=Sampling(frames=2, end=2.0))
    assert times[0] == [0.5, 1.5]


def test_a_window_that_goes_on_after_the_video_ends_with_it(folder: Path) -> None:
    scene = Scene.read(folder / "q0.json").model_copy(update={"window": (2.0, 9.0)})
    assert read_scene_frames(scene, Sampling(frames=2)).times.round(3).tolist() == [2.2, 2.7]
    with pytest.raises(RequestError, match="beyond the end"):
        read_scene_frames(scene, Sampling(frames=2, start=2.0, end=9.0, fps=None).model_copy(update={"end": 8.0}))


def test_a_capture_holds_the_window_and_is_repeated_in_it(folder: Path, model: LoadedModel, tmp_path: Path) -> None:
    scene = Scene.read(folder / "q0.json").model_copy(update={"window": (1.0, 2.0)})
    with attnscope.capture(model, scene, tmp_path / "run.h5", sampling=Sampling(frames=2), max_new_tokens=1) as cap:
        assert cap.scene.window == (1.0, 2.0)
        assert cap.frames.times.round(3).tolist() == [1.2, 1.7]
        assert (cap.run["sampling"]["start"], cap.run["sampling"]["end"]) == (1.0, 2.0)


def test_all_problems_of_a_manifest_are_listed_and_missing_videos_only_with_a_folder(folder: Path) -> None:
    asked = {"question": "Who?", "options": ["Ann", "Bob"], "answer": "Ann"}
    late = {"video": "clip0.mp4", "transcript": [{"text": "Hi.", "start": 9.0}]}
    write(
        folder / "manifest.jsonl",
        {"id": "a", "scene": "q0.json"},
        {"id": "b", "scene": "gone.json"},
        {"id": "c", "scene": "gone.json"},
        {"id": "a", "scene": "q1.json"},
        {"id": "d", "scene": late, **asked},
        {"id": "e", "scene": "q0.json", "window": [4, 5]},
        {"id": "f", "scene": {"video": "v/gone.mp4"}, **asked},
        {"id": "g", "scene": {"video": "clip1.mp4"}},
    )
    (folder / "clip1.mp4").write_bytes(b"no film")
    checked = check_manifest(folder)
    damaged = "not a video or image that can be read, or cut short (Invalid data found when processing input)"
    problems = [
        f"lines 2, 3: scene: {folder}/gone.json: no such file",
        'line 4: id: "a" is also the id of line 1',
        "line 5: transcript[0]: 9 to 9 s is beyond the end of clip0.mp4 at 3 s",
        f"line 6: scene: {folder}/q0.json: window: 4 s is after the end: clip0.mp4 ends at 3 s",
        f"line 8: {folder}/clip1.mp4: {damaged}",
    ]
    assert checked.problems == [f"{folder}/manifest.jsonl: {problem}" for problem in problems]
    assert (checked.lines, checked.questions, checked.videos) == (8, 4, 3)
    assert checked.missing == [f"{folder}/v/gone.mp4"]
    with_folder = check_manifest(folder, folder)
    missing = "scene: video: v/gone.mp4: no such file, nor is there one of its name in the folder of videos"
    assert f"{folder}/manifest.jsonl: line 7: {missing}" in with_folder.problems

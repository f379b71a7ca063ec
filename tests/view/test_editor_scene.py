"""What the scene editor may change, keeps, refuses and writes: without a page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from attnscope.errors import RequestError, SceneError
from attnscope.model import load_skeleton, preview_model
from attnscope.model.preview import move_boxes
from attnscope.scene import Sampling, Scene, preview_scene, read_scene_frames
from attnscope.scene.video import video_frames, video_timeline
from attnscope.view.editor import Editor
from attnscope.view.editor_frames import SourceFrames
from attnscope.view.editor_scene import SceneDraft, TakenError, open_draft, parts_of, read_parts
from attnscope.view.editor_shown import ModelOptions

Write = Callable[..., Path]


@pytest.fixture
def write(drawn: Path, tmp_path: Path) -> Write:
    """`write(**fields)`: a scene file of the drawn clip with other fields, beside a copy of the clip."""
    shutil.copy(drawn.with_name(json.loads(drawn.read_text())["video"]), tmp_path / "clip.mp4")

    def make(name: str = "scene.json", **fields: Any) -> Path:
        data = {**json.loads(drawn.read_text()), "video": "clip.mp4", **fields}
        path = tmp_path / name
        path.write_text(json.dumps({key: value for key, value in data.items() if value is not None}))
        return path

    return make


def saved(draft: SceneDraft, change: Callable[[dict[str, Any]], object] | None = None) -> Path:
    """Save the draft as a page would have sent it, after a change of its parts."""
    parts = json.loads(json.dumps(parts_of(draft.opened)))
    if change is not None:
        change(parts)
    scene, problems = draft.scene(read_parts(parts))
    assert scene is not None, problems
    return draft.save(scene)


EVERYTHING: dict[str, dict[str, Any]] = {
    "as it is": {},
    "labels, window, system": {
        "fields": {"many": 2**62, "share": 0.1, "seats": ["left", 2.0], "right": True},
        "window": [0.5, 3.5],
        "system": "Answer in one word.\n",
    },
    "history": {"history": [{"role": "user", "text": "Who?"}, {"role": "assistant", "text": "Ada."}]},
    "several questions": {
        **{"question": None, "options": None, "answer": None},
        "questions": [
            {"id": "a", "question": "Who?", "options": ["Ada", "Ben"], "answer": "Ben", "fields": {"n": 2**60}},
            {"id": "b", "question": "When?", "window": [0, 1]},
        ],
    },
    "further": {"further": [{"video": "clip.mp4", "start": 10}]},
    "fractions": {
        "box_units": "fraction",
        "speakers": {"1": {"segments": []}, "0": {"segments": [{"start": 0, "end": 3, "keyframes": [
            {"t": 2, "xyxy": [0.5, 0.25, 1.25, 0.75]}, {"t": 0, "xyxy": [0, 0, 0.123456789, 1]}]}]}},
        "transcript": [{"text": "  Two \n words "}, {"speaker": "Cleo", "text": "Hi", "start": 1}],
    },
    "mended names": {
        "speakers": {"Ada": {"segments": []}},
        "transcript": [{"speaker": "ADA", "text": "Hi"}, {"speaker": "\u202aAda\u202c", "text": "there"}],
    },
}  # fmt: skip


@pytest.mark.parametrize("fields", EVERYTHING.values(), ids=EVERYTHING)
def test_open_and_save_is_the_identity(write: Write, fields: dict[str, Any], tmp_path: Path) -> None:
    path = write(**fields)
    before = path.read_bytes()
    out = saved(open_draft(path, None))
    assert out == tmp_path / "scene-edited.json"
    assert path.read_bytes() == before
    assert Scene.read(out) == Scene.read(path)
    assert list(Scene.read(out).speakers) == list(Scene.read(path).speakers)
    assert json.loads(out.read_text()) == json.loads(before)  # as it was written, not as it was read


@pytest.mark.parametrize("fields", EVERYTHING.values(), ids=EVERYTHING)
def test_a_change_leaves_everything_else(write: Write, fields: dict[str, Any]) -> None:
    path = write(**fields)

    def rename(parts: dict[str, Any]) -> None:
        parts["people"].append({"name": "Zoë", "segments": []})
        parts["transcript"].append({"speaker": "Zoë", "text": "Me too.", "start": None, "end": None})

    out = Scene.read(saved(open_draft(path, None), rename)).model_dump()
    before = Scene.read(path).model_dump()
    assert out.pop("speakers") == {**before.pop("speakers"), "Zoë": {"segments": []}}
    assert out.pop("transcript")[:-1] == before.pop("transcript")
    assert out == before


def test_a_name_that_was_mended_stays_when_its_person_goes(write: Write) -> None:
    path = write(**EVERYTHING["mended names"])
    out = saved(open_draft(path, None), lambda parts: parts["people"].clear())
    assert [turn.speaker for turn in Scene.read(out).transcript] == ["Ada", "Ada"]


def test_a_scene_saved_elsewhere_names_its_video_from_there(write: Write, tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    path = write(further=[{"video": "clip.mp4", "start": 10}])
    out = saved(open_draft(path, None, save=tmp_path / "deep" / "er" / "mine.json"))
    assert json.loads(out.read_text())["video"] == "../../clip.mp4"
    assert Scene.read(out) == Scene.read(path)


def test_a_new_scene_of_a_clip(write: Write, tmp_path: Path) -> None:
    write()
    clip = tmp_path / "clip.mp4"
    assert open_draft(None, clip).target == tmp_path / "clip-scene.json"
    draft = open_draft(tmp_path / "new.json", clip)
    assert (draft.source, draft.target) == (None, tmp_path / "new.json")
    out = saved(draft, lambda parts: parts["asked"][0].update(question="Who?"))
    assert json.loads(out.read_text()) == {"video": "clip.mp4", "question": "Who?"}


def test_a_new_scene_begins_with_turns_and_boxes_of_files(write: Write, tmp_path: Path) -> None:
    scene = Scene.read(write())
    (tmp_path / "talk.srt").write_text("1\n00:00:00,500 --> 00:00:01,500\nAda: Hello there.\n")
    draft = open_draft(None, tmp_path / "clip.mp4", transcript=tmp_path / "talk.srt", speakers=tmp_path / "scene.json")
    out = Scene.read(saved(draft))
    assert out.speakers == scene.speakers
    assert [(turn.speaker, turn.text) for turn in out.transcript] == [("Ada", "Hello there.")]


def test_nothing_is_replaced_unasked(write: Write, tmp_path: Path) -> None:
    path = write()
    for number in ("", "-2"):
        (tmp_path / f"scene-edited{number}.json").write_text("mine")
    draft = open_draft(path, None)
    assert draft.target == tmp_path / "scene-edited-3.json"
    with pytest.raises(RequestError, match="already exists"):
        open_draft(path, None, save=path)
    saved(draft)
    saved(draft)  # its own file it may replace
    draft.target.write_text("somebody else's")
    with pytest.raises(TakenError, match="not written by this page"):
        saved(draft)
    assert draft.target.read_text() == "somebody else's"
    scene, _ = draft.scene(read_parts(parts_of(draft.opened)))
    assert scene is not None
    draft.save(scene, replace=True)
    assert Scene.read(draft.target) == Scene.read(path)


def test_the_opened_file_is_replaced_if_the_user_says_so(write: Write) -> None:
    path = write()
    out = saved(open_draft(path, None, save=path, replace=True), lambda parts: parts["transcript"].clear())
    assert out == path
    assert Scene.read(path).transcript == []


@pytest.mark.parametrize(
    ("change", "path", "text"),
    [
        (lambda p: p["people"][0]["segments"][0]["keyframes"][0].update(xyxy=[5, 0, 5, 9]),
         "people[0].segments[0].keyframes[0].xyxy[2]", "x2 = 5 is not greater than x1 = 5"),
        (lambda p: p["people"][1]["segments"][0].update(end=-1), "people[1].segments[0].end", "-1 is less than 0"),
        (lambda p: p["people"][0]["segments"].append(p["people"][1]["segments"][0]),
         "people[0].segments[1].start", "is before the end of segments[0] at"),
        (lambda p: p["people"][1].update(name=" \u200b"), "people[1].name", "is empty"),
        (lambda p: p["people"][1].update(name="a: \"b\"\\<i>\0"), "people[1].name", "U+0000"),
        (lambda p: p["people"][1].update(name=p["people"][0]["name"] + "\u200b"),
         "people[1].name", "somebody else's name too"),
        (lambda p: p["transcript"][1].update(text=" "), "transcript[1].text", "is empty"),
        (lambda p: p["transcript"][1].update(end=0.1), "transcript[1].end", "is before start"),
        (lambda p: p["transcript"][0].update(start=99, end=None), "transcript[0]", "is beyond the end of clip.mp4"),
        (lambda p: p["asked"][0].update(options=["a", "a"], answer=None), "asked[0].options[1]", "is given twice"),
        (lambda p: p["asked"][0].update(answer="nobody"), "asked[0].answer", "is not one of the options"),
        (lambda p: p["asked"][0].update(question="\0"), "asked[0].question", "U+0000"),
    ],
)  # fmt: skip
def test_what_is_wrong_stands_at_its_field(
    write: Write, change: Callable[[dict[str, Any]], None], path: str, text: str
) -> None:
    editor = Editor(open_draft(write(), None), Sampling(frames=2))
    parts = parts_of(editor.draft.opened)
    change(parts)
    looked = editor.look({"parts": parts})
    assert not looked["saves"]
    assert [problem["path"] for problem in looked["problems"]] == [path]
    assert text in looked["problems"][0]["text"]
    with pytest.raises(RequestError):
        editor.save({"parts": parts})
    assert not editor.draft.target.exists()


@pytest.mark.parametrize("sent", [{}, {"parts": 1}, {"parts": {"people": {}}}, {"parts": None, "asked": "x"}])
def test_what_no_page_sends_is_refused(write: Write, sent: dict[str, Any]) -> None:
    editor = Editor(open_draft(write(), None), Sampling(frames=1))
    for work in (editor.look, editor.save):
        with pytest.raises(RequestError):
            work(sent)


def test_a_scene_needs_a_video(tmp_path: Path) -> None:
    for scene in (None, tmp_path / "none.json"):
        with pytest.raises(SceneError, match="a new scene needs a"):
            open_draft(scene, None)


# ---- what a model is shown


def test_cells_of_boxes_that_move_are_those_of_a_prompt_written_anew(drawn: Path) -> None:
    model, scene = load_skeleton("roundtable"), Scene.read(drawn)
    sampling = Sampling(frames=4)
    first = preview_model(model, preview_scene(scene, sampling), coverage=0.3)
    for dx in (-30.0, 55.0):
        parts = parts_of(scene)
        for segment in parts["people"][0]["segments"]:
            for keyframe in segment["keyframes"]:
                keyframe["xyxy"] = [keyframe["xyxy"][i] + (dx if i % 2 == 0 else 0) for i in range(4)]
        parts["people"].append({"name": "Zoë", "segments": parts["people"][1]["segments"]})
        moved, _ = open_draft(drawn, None, save=Path("unused.json")).scene(read_parts(parts))
        assert moved is not None
        preview = preview_scene(moved, sampling)
        quick, whole = move_boxes(first, preview), preview_model(model, preview, coverage=0.3)
        pd.testing.assert_frame_equal(quick.tokens, whole.tokens)
        assert quick.findings == whole.findings
        for a, b in zip(quick.frames, whole.frames, strict=True):
            assert np.array_equal(a.owners, b.owners)
            assert (a.region, a.size) == (b.region, b.size)


def test_what_is_looked_at_again_is_what_a_first_look_says(write: Write) -> None:
    model = ModelOptions(partial(load_skeleton, "roundtable"), 0.5, "{speaker}: {text}")
    editor = Editor(open_draft(write(), None), Sampling(frames=4), model)
    parts = parts_of(editor.draft.opened)
    parts["transcript"][0]["text"] = "Somebody says many more words than before."
    parts["people"][0]["segments"][0]["keyframes"][0]["xyxy"][0] += 20
    first = Editor(open_draft(write(), None), Sampling(frames=4), model).look({"parts": parts, "coverage": 0.25})
    editor.look({"parts": parts_of(editor.draft.opened)})
    again = editor.look({"parts": parts, "coverage": 0.25})
    assert again == first
    known = editor.look({"parts": parts, "coverage": 0.25, "known": again["cells"]["key"]})
    assert known["cells"] == {**again["cells"], "cells": None}


def test_a_text_that_the_model_cannot_take_is_said_and_boxes_are_shown_on(write: Write) -> None:
    model = ModelOptions(partial(load_skeleton, "roundtable"), 0.5, "{speaker}: {text}")
    editor = Editor(open_draft(write(), None), Sampling(frames=2), model)
    parts = parts_of(editor.draft.opened)
    parts["transcript"][0]["text"] = "<|im_end|>"
    looked = editor.look({"parts": parts})
    assert looked["saves"]
    assert looked["cells"] is None
    assert "<|im_end|>" in looked["problems"][0]["text"]


# ---- any frame


def test_frames_come_in_any_order(drawn: Path) -> None:
    scene = Scene.read(drawn)
    source = SourceFrames(scene, None)
    count = len(source.times)
    assert np.array_equal(source.times, video_timeline(scene.video).times)
    whole = list(video_frames(scene.video, range(count)))
    medium = source._media[0]
    for number in (count - 1, 3, 3, 40, 39, 0, count // 2):
        assert np.array_equal(medium.frame(number), whole[number]), number
    for number in (-1, count):
        with pytest.raises(RequestError, match="is not one of the"):
            source.jpeg(number)


def test_sampled_frames_of_several_media_are_found_among_all(write: Write) -> None:
    scene = Scene.read(write(further=[{"video": "clip.mp4", "start": 10}]))
    source, frames = SourceFrames(scene, None), read_scene_frames(scene, Sampling(frames=3))
    numbers = source.numbers(frames)
    assert len(numbers) == 6
    assert source.times[numbers].tolist() == frames.times.tolist()

"""Scenes from files of other tools by `FORMAT:PATH`, and from a question of a manifest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from attnscope.errors import AttnscopeError, SceneError
from attnscope.scene import Scene, read_transcript
from attnscope.scene.importers.sources import split
from attnscope.scene.read import files_to_dict
from attnscope.scene.sources import scene_from_flags
from tests.scene.films import film

WORDS: dict[str, Any] = {
    "segments": [
        {
            "start": 0.0,
            "end": 2.0,
            "text": " Hello there. Hi!",
            "words": [
                {"word": "Hello", "start": 0.0, "end": 0.5, "speaker": "A"},
                {"word": "there.", "start": 0.5, "end": 1.0, "speaker": "A"},
                {"word": "Hi!", "start": 1.5, "end": 2.0, "speaker": "B"},
            ],
        }
    ]
}
# Two tracks: Ada from frame 0 to 9, and Ben outside the picture
MOT = "1,1,10,10,30,40,1,-1,-1,-1\n10,1,20,10,30,40,1,-1,-1,-1\n1,2,500,10,30,40,1,-1,-1,-1\n"


@pytest.fixture
def files(here: Path) -> Path:
    film(here / "clip.mp4", codec="mpeg4")
    (here / "talk.json").write_text(json.dumps(WORDS), encoding="utf-8")
    (here / "gt.txt").write_text(MOT, encoding="utf-8")
    (here / "who.rttm").write_text("SPEAKER clip 1 0.5 1.0 <NA> <NA> Ada <NA> <NA>\n", encoding="utf-8")
    return here


@pytest.mark.usefixtures("files")
def test_a_transcript_of_a_named_format_is_cut_where_its_words_change_their_speaker() -> None:
    turns = [(t.speaker, t.text, t.start, t.end) for t in read_transcript("whisperx:talk.json")]
    assert turns == [("A", "Hello there.", 0.0, 1.0), ("B", "Hi!", 1.5, 2.0)]


@pytest.mark.usefixtures("files")
def test_boxes_of_a_named_format_are_held_against_the_video() -> None:
    data, notes = files_to_dict(Path("clip.mp4"), None, "mot:gt.txt", None, True)
    ((_, speaker),) = data["speakers"].items()
    (segment,) = speaker.segments
    assert [keyframe.t for keyframe in segment.keyframes] == [0.0, pytest.approx(0.9)]
    assert data["box_units"] == "pixels"
    assert "gt.txt: boxes left out: 1: the box lies outside the picture" in notes


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"transcript": "rttm:who.rttm"}, "who.rttm: line 1: the format has no words, and a transcript needs them"),
        ({"transcript": "mot:gt.txt"}, "mot:gt.txt: mot gives boxes, no turns"),
        ({"transcript": "whispex:talk.json"}, 'format="whispex": is not a format; did you mean "whisperx"?'),
        ({"transcript": "whisperx:gone.json"}, "gone.json: no such file"),
        ({"speakers": "whisperx:talk.json"}, "whisperx:talk.json: whisperx gives turns and words, no boxes"),
        ({"speakers": "sheet:talk.json"}, 'format="sheet": is not a format'),
    ],
)
@pytest.mark.usefixtures("files")
def test_what_cannot_be_read_is_one_line(given: dict[str, str], message: str) -> None:
    with pytest.raises(AttnscopeError) as error:
        Scene.from_files("clip.mp4", **given)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_source_of_several_clips_gives_those_of_the_video(files: Path) -> None:
    lines = [f"{clip},0.{n},0.1,0.1,0.2,0.9,NOT_SPEAKING,{clip}:1,1\n" for clip in ("clip", "other") for n in (1, 2)]
    (files / "ava.csv").write_text("".join(lines), encoding="utf-8")
    data, _ = files_to_dict(Path("clip.mp4"), None, "ava:ava.csv", None, True)
    ((_, speaker),) = data["speakers"].items()
    assert [len(segment.keyframes) for segment in speaker.segments] == [2]
    shutil.copy(files / "clip.mp4", files / "third.mp4")
    with pytest.raises(SceneError) as error:
        files_to_dict(Path("third.mp4"), None, "ava:ava.csv", None, True)
    assert 'has 2 clips, and none is called "third.mp4": "clip", "other"' in str(error.value)


def test_a_file_that_is_called_like_a_format_and_a_path_is_that_file(files: Path) -> None:
    assert split("mot:gt.txt") == ("mot", Path("gt.txt"))
    assert split("C:/gt.txt") == (None, Path("C:/gt.txt"))
    (files / "mot:gt.txt").touch()
    assert split("mot:gt.txt") == (None, Path("mot:gt.txt"))


def test_one_question_of_a_manifest_is_a_scene(files: Path) -> None:
    asked = {"question": "Who?", "options": ["A", "B"], "answer": "B"}
    lines = [{"id": name, "scene": {"video": "gone.mp4"}, **asked, "window": [0, n + 1]} for n, name in enumerate("ab")]
    (files / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    scene = scene_from_flags(Path("manifest.jsonl"), Path("clip.mp4"), id="b", transcript=Path("whisperx:talk.json"))
    assert (scene.video, scene.window, scene.answer) == (files / "clip.mp4", (0.0, 2.0), "B")
    assert [turn.speaker for turn in scene.transcript] == ["A", "B"]
    for given, message in (
        ({"scene": Path()}, "."),
        ({"scene": files, "id": "c"}, 'id="c": '),
        ({"scene": Path("manifest.jsonl"), "id": "a"}, "manifest.jsonl: line 1: scene: video: gone.mp4: no such file"),
        ({"scene": Path("talk.json"), "id": "a"}, 'id="a": names a question of a manifest, and talk.json is a scene'),
        ({"scene": None, "id": "a"}, 'id="a": names a question of a manifest; give one as scene'),
    ):
        with pytest.raises(AttnscopeError) as error:
            scene_from_flags(**{"video": None} | given)
        assert str(error.value).startswith(message)

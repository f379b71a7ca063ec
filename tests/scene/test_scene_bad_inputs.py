"""What is wrong with an input is said in one line that names file, field and value."""

from __future__ import annotations

import json
import socket
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from attnscope.errors import AttnscopeError, MediaError, SceneError
from attnscope.scene import (
    Sampling,
    Scene,
    check_against,
    read_frames,
    read_scene_frames,
    read_speakers,
    read_transcript,
)
from tests.scene.films import bars, film

VIDEO = {"video": "a.mp4"}
NAN, INF = float("nan"), float("inf")


def segment(**fields: Any) -> dict[str, Any]:
    whole = {"start": 0, "end": 2, "keyframes": [{"t": 0, "xyxy": [1, 2, 30, 40]}], **fields}
    return {**VIDEO, "speakers": {"Guest": {"segments": [whole]}}}


def box(*xyxy: Any, t: float = 0) -> dict[str, Any]:
    return segment(keyframes=[{"t": t, "xyxy": list(xyxy)}])


def turns(*turns: Any) -> dict[str, Any]:
    return {**VIDEO, "transcript": list(turns)}


TWICE = [{"t": 1, "xyxy": [1, 2, 30, 40]}] * 2
OVERLAP = [
    {"start": 0, "end": 2, "keyframes": [{"t": 0, "xyxy": [1, 2, 30, 40]}]},
    {"start": 1, "end": 3, "keyframes": [{"t": 2, "xyxy": [1, 2, 30, 40]}]},
]
GUEST = "speakers.Guest.segments[0]"
FIRST = f"{GUEST}.keyframes[0]"

SCENES: list[tuple[object, str]] = [
    ("hello", "not valid JSON: Expecting value at line 1, column 1"),
    ('{"video": "a.mp4",\n "question": }', "not valid JSON: Expecting value at line 2, column 14"),
    ("[" * 5000, "not valid JSON: nested too deeply"),
    ('{"a": ' * 100_000, "not valid JSON: nested too deeply"),
    ('{"video": "a.mp4", "fields": ' + "[" * 300 + "]" * 300 + "}", "fields: " + "[" * 59 + "… is not an object"),
    ("[1, 2]", "[1, 2] is not an object; a scene file is one JSON object"),
    ('{"video": "a.mp4", "frame_rate": ' + "9" * 5000 + "}", "holds a number of more digits than can be read"),
    ('{"video": "a.mp4", "frame_rate": ' + "9" * 400 + "}", "frame_rate: " + "9" * 59 + "… is not a number"),
    ('{"video": "a.mp4", "frame_rate": 1e999}', "frame_rate: inf is not a finite number"),
    ("", "the file is empty"),
    (b'{"question": "caf\xe9"}', "not UTF-8 text (byte 0xe9 at offset 17); save it as UTF-8"),
    ({}, "video: is missing"),
    ({"video": 3}, "video: 3 is not a path"),
    ({"video": "gone.mp4"}, "video: gone.mp4: no such file"),
    ({"video": ""}, "video: is empty"),
    ({"video": " "}, "video: is empty"),
    ({"video": "a\0b"}, r'video: "a\u0000b" is not a path'),
    ({"video": "\ud800"}, "video: holds a lone surrogate, which is half a character"),
    ({"video": "a" * 300}, f"video: {'a' * 300}: cannot be used: the name is longer than the file system allows"),
    ({"video": "a.mp4/b"}, "video: a.mp4/b: no such file"),
    ({**VIDEO, "speakrs": {}}, "speakrs: is not a field of this format"),
    (
        '{"video": "a.mp4", "speakers": {"A": {"segments": []}, "A": {"segments": []}}}',
        "speakers.A: is given twice",
    ),
    (
        {**VIDEO, "speakers": {"A": {"segments": []}, " A": {"segments": []}}},
        'speakers[" A"]: names the same speaker as another entry',
    ),
    ({**VIDEO, "speakers": []}, "speakers: [] is not an object"),
    ({**VIDEO, "speakers": {"": {"segments": []}}}, 'speakers[""]: is empty'),
    ({**VIDEO, "speakers": {"\u200b\u202a": {"segments": []}}}, 'speakers["\u200b\u202a"]: is empty'),
    ({**VIDEO, "speakers": {"\u3164": {"segments": []}}}, "speakers.\u3164: is empty"),
    (
        {**VIDEO, "speakers": {"A": {"segments": []}, "\u202aA\u00ad": {"segments": []}}},
        'speakers["\u202aA\u00ad"]: names the same speaker as another entry',
    ),
    (
        {**VIDEO, "speakers": {"a\x1bb": {"segments": []}}},
        r'speakers["a\u001bb"]: holds the control character U+001B',
    ),
    (
        {**VIDEO, "speakers": {"a" * 256: {"segments": []}}},
        f"speakers.{'a' * 256}: has 256 characters, and a name has at most 255",
    ),
    (
        {**VIDEO, "speakers": {"\ud800": {"segments": []}}},
        r'speakers["\ud800"]: holds a lone surrogate, which is half a character',
    ),
    ({**VIDEO, "speakers": {"Guest": {}}}, "speakers.Guest.segments: is missing"),
    (segment(start=-1), f"{GUEST}.start: -1 is less than 0"),
    (segment(start="0"), f'{GUEST}.start: "0" is not a number'),
    (segment(start=3), f"{GUEST}.end: 2 is before start 3"),
    (segment(keyframes=[]), f"{GUEST}.keyframes: is empty"),
    (segment(keyframes=TWICE), f"{GUEST}.keyframes[1].t: 1 is also the time of keyframes[0]"),
    (box(1, 2, 3, 4, t=9.5), f"{FIRST}.t: 9.5 is outside its segment, 0 to 2"),
    (box(1, 2, NAN, 4), f"{FIRST}.xyxy[2]: nan is not a finite number"),
    (box(1, 2, INF, 4), f"{FIRST}.xyxy[2]: inf is not a finite number"),
    (box(-1e300, 2, 1e300, 4), f"{FIRST}.xyxy[0]: -1e+300 is less than -1e+09 (and 1 more)"),
    (box(1, 2, 10**400, 4), f"{FIRST}.xyxy[2]: 1{'0' * 58}… is not a number"),
    (box(1, 2, "3", 4), f'{FIRST}.xyxy[2]: "3" is not a number'),
    (box(30, 2, 30, 4), f"{FIRST}.xyxy[2]: x2 = 30 is not greater than x1 = 30"),
    (box(1, 5, 3, 4), f"{FIRST}.xyxy[3]: y2 = 4 is not greater than y1 = 5"),
    (box(1, 2, 3), f"{FIRST}.xyxy[3]: is missing"),
    (box(1, 2, 3, 4, 5), f"{FIRST}.xyxy: holds 5 items, at most 4 fit"),
    (box(0.1, 0.1, 0.5, 0.5), 'box_units: is "pixels", but every box lies within 0..1; say "fraction"'),
    (
        {**box(1, 2, 30, 40), "box_units": "fraction"},
        f'{FIRST}.xyxy[3]: 40 is no fraction of the frame (box_units is "fraction")',
    ),
    ({**VIDEO, "box_units": "px"}, "box_units: \"px\" is not one of 'pixels' or 'fraction'"),
    (
        {**VIDEO, "speakers": {"Dr. Who": {"segments": OVERLAP}}},
        'speakers["Dr. Who"].segments[1].start: 1 is before the end of segments[0] at 2',
    ),
    (turns({"text": "a"}, {"text": " "}), "transcript[1].text: is empty"),
    (turns({"speaker": "A"}), "transcript[0].text: is missing"),
    (turns({"text": "a", "speaker": ""}), "transcript[0].speaker: is empty"),
    (turns({"text": "a", "start": 5, "end": 1}), "transcript[0].end: 1 is before start 5"),
    (turns({"text": "a", "end": 1}), "transcript[0].end: 1 is given without a start"),
    (turns({"text": "a", "start": NAN}), "transcript[0].start: nan is not a finite number"),
    (turns({"text": "a", "start": -0.5}), "transcript[0].start: -0.5 is less than 0"),
    (turns({"text": "a", "start": 1e300}), "transcript[0].start: 1e+300 is more than 1e+09"),
    (turns({"text": "\u200b"}), "transcript[0].text: is empty"),
    (turns({"text": "a", "speaker": "\u2060"}), "transcript[0].speaker: is empty"),
    (turns({"text": "a\0"}), "transcript[0].text: holds the character U+0000, which no prompt can hold"),
    (turns({"text": "\ud800"}), "transcript[0].text: holds a lone surrogate, which is half a character"),
    (turns({"text": "a", "start": True}), "transcript[0].start: true is not a number"),
    (turns({"text": "a", "begin": 1}), "transcript[0].begin: is not a field of this format"),
    (turns({"text": 3}, {}), "transcript[0].text: 3 is not text (and 1 more)"),
    ({**VIDEO, "question": " "}, "question: is empty"),
    ({**VIDEO, "options": ["A", ""]}, "options[1]: is empty"),
    ({**VIDEO, "options": ["A", "B", "A"]}, 'options[2]: "A" is given twice'),
    ({**VIDEO, "options": "AB"}, 'options: "AB" is not a list'),
    ({**VIDEO, "options": ["A", "B"], "answer": "a"}, 'answer: "a" is not one of the options "A", "B"'),
    ({**VIDEO, "frame_rate": 0}, "frame_rate: 0 is not greater than 0"),
    ({**VIDEO, "fields": ["who"]}, 'fields: ["who"] is not an object'),
    ({**VIDEO, "fields": {" ": 1}}, 'fields[" "]: is empty'),
    ({**VIDEO, "fields": {"a": 2**63}}, f"fields.a: {2**63} is a whole number of more than 64 bits"),
    ({**VIDEO, "fields": {"a": ["\ud800"]}}, "fields.a[0]: holds a lone surrogate, which is half a character"),
    (
        {**VIDEO, "fields": {"who is": {"a": 1}}},
        'fields["who is"]: {"a": 1} is not text, a number, true or false, or a list of these',
    ),
    (
        {**VIDEO, "fields": {"seats": ["left", None]}},
        'fields.seats: ["left", null] is not text, a number, true or false, or a list of these',
    ),
    (
        '{"video": "a.mp4", "fields": {"x": NaN}}',
        "fields.x: nan is not text, a number, true or false, or a list of these",
    ),
]


def write(path: str, content: object) -> str:
    if isinstance(content, bytes):
        Path(path).write_bytes(content)
    else:
        text = content if isinstance(content, str) else json.dumps(content)
        Path(path).write_text(text, encoding="utf-8")
    return path


def fails(error: type[AttnscopeError], call: Callable[[], object]) -> str:
    with pytest.raises(AttnscopeError) as caught:
        call()
    assert type(caught.value) is error
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize(("content", "message"), SCENES, ids=[message[:60] for _, message in SCENES])
def test_scene_files(here: Path, content: object, message: str) -> None:
    (here / "a.mp4").write_bytes(b"x")
    assert fails(SceneError, lambda: Scene.read(write("scene.json", content))) == f"scene.json: {message}"


def test_scene_files_that_are_not_there(here: Path) -> None:
    assert fails(SceneError, lambda: Scene.read("scene.json")) == "scene.json: no such file"
    (here / "folder").mkdir()
    assert fails(SceneError, lambda: Scene.read("folder")) == "folder: is a folder, a file was expected"
    assert fails(SceneError, lambda: Scene.from_files("a.mp4")) == "a.mp4: no such file"
    assert fails(SceneError, lambda: Scene.from_files("")) == "video: is empty"
    for wrong, why in (("a\0.json", "a NUL character"), ("\ud800.json", "a lone surrogate")):
        for call in (Scene.read, Scene.from_files, read_transcript, read_speakers):
            assert why in fails(SceneError, lambda call=call, wrong=wrong: call(wrong))
    (here / "loop").symlink_to("loop")
    assert fails(SceneError, lambda: Scene.from_files("loop")).endswith("its symbolic links lead in a circle")
    write("scene.json", {})
    assert fails(SceneError, lambda: Scene.read("scene.json", video="b.mp4")) == "b.mp4: no such file"


def test_scenes_made_in_python_fail_in_one_line_too() -> None:
    made = lambda: Scene(video=Path("a.mp4"), options=["A"], answer="B")  # noqa: E731
    assert fails(SceneError, made) == 'scene: answer: "B" is not one of the options "A"'
    assert fails(SceneError, lambda: Scene.from_dict({"video": None})) == "scene: video: null is not a path"


CUE = "1\n00:00:01,000 --> 00:00:02,000\nhi\n"
TRANSCRIPTS = [
    ("a.srt", "", "the file is empty"),
    ("a.srt", "hello", "not a .srt file (it must begin with a cue number and a line of times)"),
    (
        "a.srt",
        CUE + "\n2\n00:00:0x,0 --> 00:00:02,0\nhi\n",
        'line 6: "00:00:0x,0 --> 00:00:02,0" is not a pair of times',
    ),
    (
        "a.srt",
        CUE + "\n2\n00:03,000 -> 00:04,000\nhi\n",
        'line 6: "00:03,000 -> 00:04,000" is not a pair of times',
    ),
    ("a.srt", "1\n00:00:03,000 --> 00:00:02,000\nhi\n", 'line 2: cue "hi": end: 2 is before start 3'),
    ("a.srt", "1\n00:00:01,000 --> 00:00:02,000\n\n", "the transcript holds no words"),
    ("a.srt", CUE.encode("utf-8") + b"caf\xe9", "not UTF-8 text (byte 0xe9 at offset 38); save it as UTF-8"),
    ("a.vtt", CUE, "not a .vtt file (it must begin with WEBVTT)"),
    ("a.vtt", "WEBVTT\n", "the transcript holds no words"),
    (
        "a.vtt",
        "WEBVTT\n\n00:01 --> 00:02.000\nhi\n",
        'line 3: "00:01" has no fraction, and milliseconds have 3 digits',
    ),
    ("a.doc", "x", 'a transcript is .ass, .eaf, .srt, .ssa, .textgrid, .vtt or .json, not ".doc"'),
    ("a.json", "[]", "the transcript holds no words"),
    ("a.json", "3", "transcript: 3 is not a list"),
    ("a.json", '{"turns": []}', "turns: is not a field of this format"),
    ("a.json", '{"video": "a.mp4"}', "transcript: is missing"),
    ("a.json", '[{"speaker": "A"}]', "transcript[0].text: is missing"),
]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("name", "content", "message"), TRANSCRIPTS)
def test_transcripts(name: str, content: object, message: str) -> None:
    assert fails(SceneError, lambda: read_transcript(write(name, content))) == f"{name}: {message}"


SPEAKERS = [
    ("[]", "[] is not an object; a speakers' file maps names to segments"),
    (box(1, 2, NAN, 4)["speakers"], "Guest.segments[0].keyframes[0].xyxy[2]: nan is not a finite number"),
    ({"speakers": box(1, 2, NAN, 4)["speakers"]}, f"{FIRST}.xyxy[2]: nan is not a finite number"),
    ({"speakers": {}, "box_units": "px"}, "box_units: \"px\" is not one of 'pixels' or 'fraction'"),
    ({"speakers": {}, "units": "px"}, "units: is not a field of this format"),
    ({"A": {"segments": []}, "A ": {"segments": []}}, '["A "]: names the same speaker as another entry'),
]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("content", "message"), SPEAKERS)
def test_speakers_files(content: object, message: str) -> None:
    assert fails(SceneError, lambda: read_speakers(write("who.json", content))) == f"who.json: {message}"


SAMPLINGS: list[tuple[dict[str, Any], str]] = [
    ({"frames": 0}, "frames: 0 is less than 1"),
    ({"frames": 10**26}, f"frames: {10**26} is more than 100000"),
    ({"frames": 2.5}, "frames: 2.5 is not a whole number"),
    ({"fps": 0}, "fps: 0 is not greater than 0"),
    ({"fps": -1}, "fps: -1 is not greater than 0"),
    ({"fps": NAN}, "fps: nan is not a finite number"),
    ({"fps": 5000}, "fps: 5000 is more than 1000"),
    ({"fps": 2, "frames": 4}, "fps: 2 is given beside frames = 4; give one of them"),
    ({"start": -1}, "start: -1 is less than 0"),
    ({"start": 3, "end": 3}, "end: 3 is not after start 3"),
    ({"end": 0}, "end: 0 is not after start 0"),
    ({"frame_rate": 0}, "frame_rate: 0 is not greater than 0"),
]


@pytest.mark.parametrize(("how", "message"), SAMPLINGS)
def test_sampling(how: dict[str, Any], message: str) -> None:
    assert fails(SceneError, lambda: Sampling(**how)) == f"sampling: {message}"


def silent_film(path: str) -> None:
    """A Matroska file that announces a video stream and holds sound alone."""
    with av.open(path, "w") as out:
        video = out.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = out.add_stream("aac", rate=16000)
        noise = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        noise.sample_rate, noise.pts = 16000, 0
        out.mux(audio.encode(noise))
        out.mux(audio.encode(None))


def sound(path: str) -> None:
    with wave.open(path, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(bytes(16000))


def picture(path: str, size: tuple[int, int] = (96, 64)) -> None:
    Path(path).parent.mkdir(exist_ok=True)
    Image.fromarray(bars(1, *size)).save(path)


UNREADABLE = "not a video or image that can be read, or cut short (Invalid data found when processing input)"
MEDIA: list[tuple[str, Callable[[], object], dict[str, Any], str]] = [
    ("gone.mp4", lambda: None, {}, "gone.mp4: no such file or folder"),
    ("a.mp4", lambda: write("a.mp4", b""), {}, "a.mp4: the file is empty"),
    ("a.mp4", lambda: write("a.mp4", "hello " * 99), {}, f"a.mp4: {UNREADABLE}"),
    ("a.bin", lambda: write("a.bin", bytes(range(256)) * 99), {}, f"a.bin: {UNREADABLE}"),
    (
        "notes.txt",
        lambda: write("notes.txt", "hello\n" * 99),
        {},
        "notes.txt: not a video or image that can be read (it is text)",
    ),
    ("a.wav", lambda: sound("a.wav"), {}, "a.wav: no video stream in it"),
    ("a.mkv", lambda: silent_film("a.mkv"), {}, "a.mkv: the video stream holds no frame that can be read"),
    ("a.mp4", lambda: film(Path("a.mp4")), {"start": 3}, "a.mp4: start: 3 s is beyond the end at 3 s"),
    (
        "a.mp4",
        lambda: film(Path("a.mp4")),
        {"start": 8, "end": 9},
        "a.mp4: start: 8 s is beyond the end at 3 s",
    ),
    ("a.mp4", lambda: film(Path("a.mp4")), {"end": 3.6}, "a.mp4: end: 3.6 s is beyond the end at 3 s"),
    (
        "a.jpg",
        lambda: write("a.jpg", b"\xff\xd8\xff\xe0 no"),
        {},
        "a.jpg: the image cannot be read (Truncated File Read)",
    ),
    ("a.png", lambda: write("a.png", "hello"), {}, "a.png: the image cannot be read (not an image)"),
    ("a.png", lambda: picture("a.png"), {"end": 2}, "a.png: end: 2 s was given, but an image has no time"),
    ("f", lambda: Path("f").mkdir(), {}, "f: holds no image (.bmp, .jpeg, .jpg, .png, .tif, .tiff, .webp)"),
    ("f", lambda: picture("f/cover.png"), {}, "f/cover.png: the name holds no frame number"),
    (
        "f",
        lambda: [picture("f/1.png"), picture("f/01.jpg")],
        {},
        "f/1.png: has the same frame number as 01.jpg",
    ),
    (
        "f",
        lambda: [picture("f/1.png"), picture("f/2.png", (64, 96))],
        {},
        "f/2.png: is 64x96, but 1.png is 96x64",
    ),
    (
        "f",
        lambda: [picture("f/1.png"), write("f/2.png", "hello")],
        {},
        "f/2.png: the image cannot be read (not an image)",
    ),
    (
        "f",
        lambda: [picture(f"f/{n}.png") for n in range(3)],
        {"start": 4},
        "f: start: 4 s is beyond the end at 3 s",
    ),
]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("name", "make", "how", "message"), MEDIA, ids=[row[3][:60] for row in MEDIA])
def test_media(name: str, make: Callable[[], object], how: dict[str, Any], message: str) -> None:
    make()
    assert fails(MediaError, lambda: read_frames(name, Sampling(**how))) == message


@pytest.mark.usefixtures("here")
def test_a_playlist_does_not_reach_the_network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        write("a.m3u8", f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{address}\n#EXT-X-ENDLIST\n")
        assert fails(MediaError, lambda: read_frames("a.m3u8")).startswith("a.m3u8: ")
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.usefixtures("here")
def test_a_truncated_image_is_refused() -> None:
    picture("a.png", (640, 480))
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (99, 99, 3), dtype=np.uint8)).save("a.png")
    write("a.png", Path("a.png").read_bytes()[:9000])
    message = fails(MediaError, lambda: read_frames("a.png"))
    assert message.startswith("a.png: the image cannot be read (")
    assert "\n" not in message


BEYOND: list[tuple[dict[str, Any], str]] = [
    ({"transcript": [{"text": "a"}, {"text": "b", "start": 1, "end": 9}]}, "transcript[1]: 1 to 9 s is"),
    ({"transcript": [{"text": "b", "start": 3}]}, "transcript[0]: 3 to 3 s is"),
    (
        {"speakers": {"Ann": {"segments": [{"start": 4, "end": 5, "keyframes": [{"t": 4, "xyxy": [0, 0, 9, 9]}]}]}}},
        "speakers.Ann.segments[0].start: 4 s is",
    ),
]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("fields", "message"), BEYOND)
def test_scenes_that_run_past_their_video(fields: dict[str, Any], message: str) -> None:
    film(Path("a.mp4"))
    scene = Scene.read(write("scene.json", {**VIDEO, **fields}))
    expected = f"{message} beyond the end of a.mp4 at 3 s"
    assert fails(SceneError, lambda: read_scene_frames(scene)) == expected


@pytest.mark.usefixtures("here")
def test_a_folder_says_how_it_counts() -> None:
    for number in range(3):
        picture(f"f/{number}.png")
    scene = Scene.read(write("scene.json", {"video": "f", "transcript": [{"text": "a", "start": 7}]}))
    assert fails(SceneError, lambda: read_scene_frames(scene)) == (
        "transcript[0]: 7 to 7 s is beyond the end of f at 3 s (3 frames, 1 a second; see frame_rate)"
    )


@pytest.mark.usefixtures("here")
def test_a_rounded_end_is_no_error() -> None:
    film(Path("a.mp4"))
    scene = Scene.read(write("scene.json", turns({"text": "a", "start": 1, "end": 3.4})))
    check_against(scene, read_frames("a.mp4", Sampling(end=3.4)))

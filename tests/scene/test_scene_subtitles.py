"""Transcripts in every form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from attnscope.scene import read_transcript
from attnscope.scene.importers.speech.subtitles import split_speakers

SRT = """1
00:00:00,500 --> 00:00:02,000
Ann: Are you ready?

2
00:00:02,000 --> 00:00:04,250
- [ben w.]: <i>Nearly</i> &amp; soon,
I think.
- Dr. Carol O'Neil: Go!

3
00:00:03,000 --> 01:00:05,000
{\\an8}It is 10:30
and then: nothing <3

4
00:00:06,000 --> 00:00:07,000
♪
"""

VTT = """WEBVTT - a title

NOTE a comment

STYLE
::cue { color: red }

intro
00:00.500 --> 00:02.000 align:start
<v Ann Lee>Are you <b>ready</b>?</v>

00:00:02.000 --> 00:00:04.250
<v.loud Ben>Nearly,
I think. <v Carol>Go!</v> All: Yes!

01:00:03.000 --> 01:00:05.125
Nobody <00:00:04.000>knows &lt;who&gt;
"""


def rows(path: Path) -> list[tuple[str | None, str, float | None, float | None]]:
    return [(turn.speaker, turn.text, turn.start, turn.end) for turn in read_transcript(path)]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_srt(tmp_path: Path, encoding: str, newline: str) -> None:
    path = tmp_path / "talk.srt"
    path.write_bytes(SRT.replace("\n", newline).encode(encoding))
    assert rows(path) == [
        ("Ann", "Are you ready?", 0.5, 2.0),
        ("ben w.", "Nearly & soon, I think.", 2.0, 4.25),
        ("Dr. Carol O'Neil", "Go!", 2.0, 4.25),
        (None, "It is 10:30 and then: nothing <3", 3.0, 3605.0),
        (None, "♪", 6.0, 7.0),
    ]


def test_vtt(tmp_path: Path) -> None:
    path = tmp_path / "talk.vtt"
    path.write_text(VTT, encoding="utf-8")
    assert rows(path) == [
        ("Ann Lee", "Are you ready?", 0.5, 2.0),
        ("Ben", "Nearly, I think.", 2.0, 4.25),
        ("Carol", "Go!", 2.0, 4.25),
        ("All", "Yes!", 2.0, 4.25),
        (None, "Nobody knows <who>", 3603.0, 3605.125),
    ]


@pytest.mark.parametrize(
    ("cue", "turns"),
    [
        ("Ann: hello", [("Ann", "hello")]),
        ("ANN:\nhello\nthere", [("ANN", "hello there")]),
        ("[Player0]: hello", [("Player0", "hello")]),
        ("[two words]: hello", [("two words", "hello")]),
        (">> Ann: hello\n>> hi", [("Ann", "hello"), (None, "hi")]),
        ("- hello\n- hi", [(None, "hello"), (None, "hi")]),
        ("Ann: hello\nBen: hi", [("Ann", "hello"), ("Ben", "hi")]),
        ("Zoë M.: hello", [("Zoë M.", "hello")]),
        ("王芳: 你好", [("王芳", "你好")]),
        ("so it is: hello", [(None, "so it is: hello")]),
        ("One two three four five: hello", [(None, "One two three four five: hello")]),
        ("See https://example.org", [(None, "See https://example.org")]),
        ("At 10:30 we left", [(None, "At 10:30 we left")]),
        ("[door slams]", [(None, "[door slams]")]),
        ("<v Ann>", []),
        ("<i></i>", []),
        ("<v Ann>Ben: hi", [("Ann", "Ben: hi")]),
    ],
)
def test_speakers_of_a_cue(cue: str, turns: list[tuple[str | None, str]]) -> None:
    assert split_speakers(cue) == turns


def test_json_forms_are_the_same(tmp_path: Path) -> None:
    turns = [{"text": "  Hello\n there ", "speaker": None}, {"speaker": "Ann", "text": "Hi", "start": 1}]
    files = {"list": turns, "object": {"transcript": turns}, "scene": {"video": "a.mp4", "transcript": turns}}
    for name, data in files.items():
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(data))
        assert rows(path) == [(None, "Hello there", None, None), ("Ann", "Hi", 1.0, None)]

"""What files of the wild did to readers: each kind as one small file, and what another reader makes of it."""

from __future__ import annotations

import warnings
from pathlib import Path

import pysubs2
import pytest
from praatio import textgrid as praat

from attnscope.errors import SceneError
from attnscope.scene import read_transcript

A, B = "00:00:01{}000 --> 00:00:02{}000\n", "00:00:03{}000 --> 00:00:04{}000\n"
VTT_A, VTT_B, SRT_A, SRT_B = A.format(".", "."), B.format(".", "."), A.format(",", ","), B.format(",", ",")
EVENTS = "[Script Info]\n[V4+ Styles]\n[Events]\n"


def others(text: str, suffix: str) -> list[str]:
    """The words that pysubs2 reads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [event.plaintext.replace("\n", " ") for event in pysubs2.SSAFile.from_string(text, suffix)]


@pytest.mark.parametrize(
    ("suffix", "text", "right", "other"),
    [
        # words of comments and names of cues are no speech
        (
            "vtt",
            f"WEBVTT\n\n{VTT_A}one\n\nNOTE a comment\n\nintro\n{VTT_B}two\n",
            ["one", "two"],
            ["one  NOTE a comment  intro", "two"],
        ),
        (
            "vtt",
            f"WEBVTT\n\n{VTT_A}one\n\nlost\n\n{VTT_B}two\n",
            'line 6: "lost" belongs to no cue',
            ["one  lost", "two"],
        ),
        ("vtt", "WEBVTT\n\n00:03.05 --> 00:04.500\ntwo\n", 'line 3: "00:03.05" has a fraction of 2 digits', ["two"]),
        # a number that is said, and one that is the cue's
        ("srt", f"1\n{SRT_A}In\n1999\n\n{SRT_B}it was\n1984\n", ["In 1999", "it was 1984"], ["In", "it was"]),
        ("srt", f"1\n{SRT_A}<laughs> Oh <ada@mail.org>\n", ["<laughs> Oh <ada@mail.org>"], [" Oh "]),
        ("srt", f"1\n{SRT_A}one<br/>two\\Nthree\n", ["one two three"], ["onetwo three"]),
        ("srt", "1\n00:01,000 --> 00:02,000\nhi\n\n2\n00:00:03,000 --> 00:00:04,000\nho\n", ["hi", "ho"], ["ho"]),
        (
            "srt",
            f"1\n{SRT_A}from 00:00:01,000 to 00:00:02,000 he sang\n",
            ["from 00:00:01,000 to 00:00:02,000 he sang"],
            ["", ""],
        ),
        (
            "ass",
            f"{EVENTS}Dialogue: 0,0:00:01.00,0:00:02.00,x,,0,0,0,,one\nand two\n",
            'line 5: "and two" belongs',
            ["one"],
        ),
        (
            "ass",
            f"{EVENTS}Format: Layer, Start, End, Style, Name, Text\nDialogue: 0,0:00:01.00,0:00:02.00,x,,one\n",
            "is not the usual Format",
            [""],
        ),
        ("ass", f"{EVENTS}Dialogue: 0,0:00:01.5,0:00:02.00,x,,0,0,0,,one\n", '"0:00:01.5" is not a time', ["one"]),
    ],
)
def test_words_that_other_readers_lose(
    tmp_path: Path, suffix: str, text: str, right: list[str] | str, other: list[str]
) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_text(text)
    assert others(text, suffix) == other, "pysubs2 reads it differently now: see docs/decisions/0048"
    if isinstance(right, str):
        with pytest.raises(SceneError) as caught:
            read_transcript(path)
        assert right in str(caught.value)
    else:
        assert [turn.text for turn in read_transcript(path)] == right


def test_blank_lines_of_spaces_before_the_first_cue(tmp_path: Path) -> None:
    """As a streaming service writes them: lines of spaces do not end a block, and the first cue has a number."""
    path = tmp_path / "a.vtt"
    head = (
        "WEBVTT\n\nNOTE Profile: a\n\nNOTE SegmentIndex\nNOTE Segment=597.080 20887@419 153\n\n     \n\n     \n   \n1\n"
    )
    path.write_text(f"{head}{VTT_A}[Alba] <i>En 1928,</i>\n\n2\n{VTT_B}<i>las mujeres</i>\n<i>eran</i>\n")
    assert [(turn.text, turn.start) for turn in read_transcript(path)] == [
        ("[Alba] En 1928,", 1.0),
        ("las mujeres eran", 3.0),
    ]
    path.write_text(f"{head}lost words\n{VTT_A}hi\n")
    with pytest.raises(SceneError, match=r'line 12: "1" belongs to no cue'):
        read_transcript(path)


def test_times_that_other_readers_guess(tmp_path: Path) -> None:
    long = f"100{SRT_A[2:]}".replace("00:00:02", "100:00:02")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert [e.start for e in pysubs2.SSAFile.from_string(f"1\n{long}hi\n", "srt")] == [1000]
        short = pysubs2.SSAFile.from_string("WEBVTT\n\n00:03.05 --> 00:04.500\ntwo\n", "vtt")
        assert [e.start for e in short] == [3005]
        spoken = pysubs2.SSAFile.from_string(f"1\n{SRT_A}<v Ada>hi</v>\n", "srt")
        assert [e.text for e in spoken] == ["hi"]
    path = tmp_path / "a.srt"
    path.write_text(f"1\n{long}<v Ada>hi</v>\n")
    assert [(turn.speaker, turn.start) for turn in read_transcript(path)] == [("Ada", 360001.0)]


def test_a_label_of_a_textgrid_may_say_anything(tmp_path: Path) -> None:
    """praatio cuts files at such words."""
    text = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 2
tiers? <exists>
size = 1
item []:
    item [1]:
        class = "IntervalTier"
        name = "Ada"
        xmin = 0
        xmax = 2
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 2
            text = "see item [2] of intervals [3]"
"""
    path = tmp_path / "a.TextGrid"
    path.write_text(text)
    assert [(turn.speaker, turn.text) for turn in read_transcript(path)] == [("Ada", "see item [2] of intervals [3]")]
    with pytest.raises(Exception, match=r"xpected|issing"):
        praat.openTextgrid(str(path), False)

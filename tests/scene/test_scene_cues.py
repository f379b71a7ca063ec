"""Every word of a subtitle file is in a turn, or the file is refused with the line."""

from __future__ import annotations

from pathlib import Path

import pytest
import webvtt

from attnscope.errors import SceneError
from attnscope.scene import read_transcript
from attnscope.scene.importers.speech.transcripts import transcript_and_notes

TIMES = "00:01.000 --> 00:02.000\n"
Rows = list[tuple[str | None, str, float | None, float | None]]


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def rows(path: Path) -> Rows:
    return [(turn.speaker, turn.text, turn.start, turn.end) for turn in read_transcript(path)]


LOST = f"WEBVTT\n\n{TIMES}Ada: one\n\nand more words\n\n00:02.500 --> 00:03.000\nBen: two\n"


def test_words_behind_an_empty_line_are_refused_in_vtt_and_kept_in_srt(tmp_path: Path) -> None:
    with pytest.raises(SceneError) as caught:
        read_transcript(write(tmp_path, "a.vtt", LOST))
    assert str(caught.value) == (
        f'{tmp_path}/a.vtt: line 6: "and more words" belongs to no cue; an empty line ends a cue, so take it out, or '
        "write NOTE before a comment"
    )
    srt = LOST.replace("WEBVTT\n\n", "1\n").replace("\n00:02", "\n2\n00:02").replace("words\n\n", "words\n\n\n")
    assert rows(write(tmp_path, "a.srt", srt)) == [("Ada", "one and more words", 1, 2), ("Ben", "two", 2.5, 3)]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"WEBVTT\n\nwords before\n\n{TIMES}hi\n", 3),
        (f"WEBVTT\n\n{TIMES}hi\n\nwords at the end\n", 6),
        (f"WEBVTT\n\n{TIMES}\nhi\n", 5),
        (f"WEBVTT\n\n{TIMES}hi\n\n42\n", 6),
        (f"WEBVTT\n\n{TIMES}hi\n\n42\n\nNOTE x\n\nwords\n", 6),
        (f"WEBVTT\n\nNOTES\nare not a NOTE\n\n{TIMES}hi\n", 3),
        (f"WEBVTT\n\n{TIMES}hi\n\n \n\nwords\n", 8),
        (f"Subtitles by Ann\n\n1\n{TIMES}hi\n", 1),
    ],
)
def test_every_block_belongs_to_a_cue(tmp_path: Path, text: str, line: int) -> None:
    path = write(tmp_path, "a.vtt" if text.startswith("WEBVTT") else "a.srt", text)
    with pytest.raises(SceneError, match=rf"line {line}: .* belongs to no cue"):
        read_transcript(path)


def test_comments_styles_and_regions_are_no_cues(tmp_path: Path) -> None:
    text = f"""WEBVTT - title
Kind: captions

STYLE
::cue {{
 color: red;
}}

REGION
id:bill
width:40%

1 - opening
{TIMES.strip()} region:bill
<v Ada>hi

NOTE
00:00:09.000 to 00:00:10.000
00:00:09.000 -> 00:00:10.000
not a cue

NOTE 00:05.000 --> 00:06.000

NOTE

7

00:02.000-->00:03.000 align:start
<v.loud.happy Ben Bo>hey &lt;x&gt;</v>
from 00:03.000 to 00:04.000
 \t
all of it
100:00:00.000 --> 100:00:01.000
without an empty line
"""
    assert rows(write(tmp_path, "a.vtt", text)) == [
        ("Ada", "hi", 1, 2),
        ("Ben Bo", "hey <x>", 2, 3),
        (None, "from 00:03.000 to 00:04.000 all of it", 2, 3),
        (None, "without an empty line", 360000, 360001),
    ]


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ("00:01.50 --> 00:02.000", 'line 3: "00:01.50" has a fraction of 2 digits, and milliseconds have 3 digits'),
        ("00:01.5 --> 00:02.000", 'line 3: "00:01.5" has a fraction of 1 digit, and milliseconds have 3 digits'),
        ("00:01.000 --> 00:02.0001", 'line 3: "00:02.0001" has a fraction of 4 digits, and milliseconds have 3 digits'),
        ("00:01 --> 00:02", 'line 3: "00:01" has no fraction, and milliseconds have 3 digits'),
        ("00:61.000 --> 00:62.000", 'line 3: "00:61.000" has 61 seconds'),
        ("00:75:00.000 --> 00:76:00.000", 'line 3: "00:75:00.000" has 75 minutes'),
        ("1.000 --> 2.000", 'line 3: "1.000" is not a time, hours:minutes:seconds.milliseconds'),
        ("-00:01.000 --> 00:02.000", 'line 3: "-00:01.000 --> 00:02.000" is not a pair of times'),
        ("00:01.000 -> 00:02.000", 'line 3: "00:01.000 -> 00:02.000" is not a pair of times'),
        ("00:01.000 → 00:02.000", 'line 3: "00:01.000 → 00:02.000" is not a pair of times'),
        ("00:01.000 --> ", 'line 3: "00:01.000 -->" is not a pair of times'),
    ],
)
@pytest.mark.parametrize("kind", ["vtt", "srt"])
def test_times_that_are_wrong(tmp_path: Path, kind: str, times: str, message: str) -> None:
    begin = "WEBVTT\n\n" if kind == "vtt" else "\n1\n"
    path = write(tmp_path, f"a.{kind}", f"{begin}{times}\nhi\n\n2\n00:03.000 --> 00:04.000\nhi\n")
    with pytest.raises(SceneError) as caught:
        read_transcript(path)
    assert str(caught.value) == f"{path}: {message}"


@pytest.mark.parametrize("kind", ["vtt", "srt"])
def test_times_in_every_spelling(tmp_path: Path, kind: str) -> None:
    stamps = ["00:01,500 --> 00:02.000", "1:00:00.000 --> 01:00:01,250", "123:00:00,000 --> 123:00:00,001"]
    text = "".join(f"{number}\n{times}\nhi {number}\n\n" for number, times in enumerate(stamps))
    path = write(tmp_path, f"a.{kind}", "WEBVTT\n\n" * (kind == "vtt") + text)
    expected = [(1.5, 2), (3600, 3601.25), (442800, 442800.001)]
    assert rows(path) == [(None, f"hi {number}", *times) for number, times in enumerate(expected)]


def test_a_note_that_holds_a_cue_is_refused(tmp_path: Path) -> None:
    for comment, line in ((f"NOTE\n{TIMES}hidden\n", 4), (f"NOTE so\nand so\n{TIMES}hidden\n", 5)):
        with pytest.raises(SceneError, match=f'line {line}: a NOTE must not hold "-->"'):
            read_transcript(write(tmp_path, "a.vtt", f"WEBVTT\n\n{comment}\n{TIMES}hi\n"))


def test_srt_in_the_wild(tmp_path: Path) -> None:
    text = """

1
00:00:01,000 --> 00:00:02,000 X1:40 X2:600
- In 1999 --> 2000
1999
2
00:00:02,000 --> 00:00:03,000
no empty line before

00:00:03,000 --> 00:00:04,000
no number

4

00:00:04,000 --> 00:00:05,000
empty line after the number\x1a"""
    with pytest.raises(SceneError, match=r"line 5: .* is not a pair of times"):
        read_transcript(write(tmp_path, "a.srt", text))
    assert rows(write(tmp_path, "a.srt", text.replace("1999 --> 2000", "May --> June"))) == [
        (None, "In May --> June 1999", 1, 2),
        (None, "no empty line before", 2, 3),
        (None, "no number", 3, 4),
        (None, "empty line after the number", 4, 5),
    ]


def test_cues_are_those_of_another_reader(tmp_path: Path) -> None:
    """webvtt-py, on files that both read."""
    cues = [f"{n}\n00:{n:02}:00.000 --> 00:{n:02}:30.250\nline {n}\nand <b>more</b>\n" for n in range(60)]
    vtt = write(tmp_path, "a.vtt", "WEBVTT\n\n" + "\n".join(cues))
    srt = write(tmp_path, "a.srt", "\n".join(cues).replace(".", ","))
    for path in (vtt, srt):
        captions = webvtt.from_srt(str(path)) if path == srt else webvtt.read(str(path))
        expected = [(None, " ".join(c.text.split()), c.start_in_seconds, c.end_in_seconds) for c in captions]
        found = [(s, t, int(a or 0), int(b or 0)) for s, t, a, b in rows(path)]
        assert found == expected


YOUTUBE = """WEBVTT
Kind: captions
Language: en

00:00:00.160 --> 00:00:02.310 align:start position:0%
\x20
hello<00:00:00.480><c> there</c>

00:00:02.310 --> 00:00:02.320 align:start position:0%
hello there
\x20

00:00:02.320 --> 00:00:04.309 align:start position:0%
hello there
how<00:00:02.879><c> are</c><00:00:03.100><c> you</c>

00:00:04.309 --> 00:00:04.319 align:start position:0%
how are you
\x20

00:00:04.319 --> 00:00:06.000 align:start position:0%
how are you
fine<00:00:05.000><c> thanks</c>
"""
ROLL_UP = """1
00:00:01,000 --> 00:00:02,000
>> ADA: one
two

2
00:00:02,000 --> 00:00:03,000
two
three

3
00:00:03,000 --> 00:00:04,000
three
>> BEN: four
"""
GROWING = """1
00:00:01,000 --> 00:00:01,500
so

2
00:00:01,500 --> 00:00:02,000
so it

3
00:00:02,000 --> 00:00:02,500
so it grows

4
00:00:02,500 --> 00:00:03,000
so it grows
and goes
"""


@pytest.mark.parametrize(
    ("name", "text", "repeats", "turns"),
    [
        (
            "youtube.vtt",
            YOUTUBE,
            4,
            [(None, "hello there", 0.16, 2.31), (None, "how are you", 2.32, 4.309), (None, "fine thanks", 4.319, 6)],
        ),
        ("up.srt", ROLL_UP, 2, [("ADA", "one two", 1, 2), ("ADA", "three", 2, 3), ("BEN", "four", 3, 4)]),
        ("grow.srt", GROWING, 3, [(None, "so it grows", 1, 2.5), (None, "and goes", 2.5, 3)]),
    ],
)
def test_rolling_captions_stand_once_in_the_prompt(
    tmp_path: Path, name: str, text: str, repeats: int, turns: Rows
) -> None:
    path = write(tmp_path, name, text)
    assert rows(path) == turns
    assert transcript_and_notes(path, True)[1] == [
        f"{name}: rolling captions: {repeats} lines that repeat the cue before are left out, so that each stands once "
        "in the prompt; merge_rolling=False keeps them"
    ]
    kept, notes = transcript_and_notes(path, False)
    assert len(kept) > len(turns)
    assert notes == [
        f"{name}: rolling captions: {repeats} lines repeat the cue before and stand in the prompt again; "
        "merge_rolling=True leaves them out"
    ]


@pytest.mark.parametrize(
    "cues",
    [
        ["No.", "No.", "No.", "No."],  # said four times
        ["Go!", "Go! Go!", "Stop.", "Why?", "Because.", "Ah."],
        ["Ada: Yes.", "Ben: Yes.", "Ada: Yes.\nOr no.", "Ben: Or no.\nOr yes."],
    ],
)
def test_people_who_repeat_themselves_are_left_alone(tmp_path: Path, cues: list[str]) -> None:
    text = "".join(f"{n}\n00:00:0{n},000 --> 00:00:0{n + 1},000\n{cue}\n\n" for n, cue in enumerate(cues))
    turns, notes = transcript_and_notes(write(tmp_path, "a.srt", text), True)
    assert " ".join(turn.text for turn in turns) == " ".join(cues).replace("Ada: ", "").replace("Ben: ", "").replace(
        "\n", " "
    )
    assert notes == []


def test_a_pause_ends_what_rolls(tmp_path: Path) -> None:
    cues = [("00", "01", "one"), ("05", "06", "one\ntwo"), ("10", "11", "two\nthree")]
    text = "".join(f"1\n00:00:{start},000 --> 00:00:{end},000\n{words}\n\n" for start, end, words in cues)
    assert len(rows(write(tmp_path, "a.srt", text))) == 3

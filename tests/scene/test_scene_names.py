# ruff: noqa: RUF001 (letters that look alike are what is tested)
"""Names of speakers are compared by what can be seen of them, and what differs is said."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from attnscope.errors import SceneError
from attnscope.scene import Scene, read_transcript
from attnscope.scene.mentions import asked_speakers, mentions, question_notes
from attnscope.scene.names import clean_name, find_name, name_key, nearest_name
from attnscope.scene.sources import scene_from_flags
from attnscope.scene.speaking import speaker_notes

BOX = {"segments": [{"start": 0, "end": 1, "keyframes": [{"t": 0, "xyxy": [1, 2, 30, 40]}]}]}
NFD = unicodedata.normalize("NFD", "Zoé")


def scene(*speakers: str, turns: list[str | None], **fields: Any) -> Scene:
    transcript = [{"speaker": name, "text": "hello"} for name in turns]
    return Scene.model_validate(
        {"video": "a.mp4", "speakers": dict.fromkeys(speakers, BOX), "transcript": transcript, **fields}
    )


@pytest.mark.parametrize(
    "written",
    [
        "\u202aAda\u202c",  # embedding and its end
        "\u2067Ada\u2069",  # isolate
        "\u200fAda\u200e",
        "\u200bA\u200bda",  # zero-width spaces
        "A\u00adda",  # soft hyphen
        "\ufeffAda",  # byte order mark
        "A\u2060da",  # word joiner
        "A\u200dd\u200ca",  # joiners
        "Ad\ufe0fa",  # variation selector
        "A\u034fda\u3164",  # grapheme joiner, Hangul filler
        "\u3000Ada\u00a0",
    ],
)
def test_what_cannot_be_seen_does_not_tell_names_apart(written: str) -> None:
    assert name_key(written) == "Ada"
    found = scene("Ada", turns=[written])
    assert found.transcript[0].speaker == "Ada"
    assert scene(written, turns=["Ada"]).speaker_names == [clean_name(written)]
    assert speaker_notes(found) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Zoé", NFD),
        ("각", unicodedata.normalize("NFD", "각")),
        ("Ångström", "\u212bngstro\u0308m"),
        ("Jean Luc", "Jean\u00a0Luc"),
        ("Jean Luc", "Jean \u2003 Luc"),
        ("Jean Luc", "Jean\u3000Luc"),
    ],
)
def test_normal_forms_and_spaces_do_not_tell_names_apart(one: str, other: str) -> None:
    for box, turn in ((one, other), (other, one)):
        found = scene(box, turns=[turn], question=f"What does {turn} say?")
        assert found.speaker_names == [one]
        assert [turn.speaker for turn in found.transcript] == [one]
        assert asked_speakers(found) == [one]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Jean-Luc", "Jean\u2011Luc"),
        ("Jean-Luc", "Jean\u2010Luc"),
        ("O'Neil", "O\u2019Neil"),
        ("O'Neil", "O\u02bcNeil"),
    ],
)
def test_hyphens_and_apostrophes_that_look_alike_are_one(one: str, other: str) -> None:
    for box, turn in ((one, other), (other, one)):
        found = scene(box, turns=[turn], question=f"What does {turn} say?")
        assert found.speaker_names == [box]  # as the boxes spell it
        assert [turn.speaker for turn in found.transcript] == [box]
        assert asked_speakers(found) == [box]
        assert speaker_notes(found) == []


def test_joiners_stay_where_a_name_needs_them() -> None:
    persian, emoji = "علی\u200cرضا", "👩\u200d🚀"
    found = scene(persian, emoji, turns=["علیرضا", "\u200d" + emoji])
    assert [turn.speaker for turn in found.transcript] == found.speaker_names == [persian, emoji]


def test_two_entries_of_one_name_are_refused() -> None:
    with pytest.raises(SceneError, match="names the same speaker as another entry"):
        scene("Zoé", NFD, turns=[])


def test_a_question_is_shown_as_written_and_its_names_are_where_they_stand() -> None:
    question = f"Does {NFD}\u200b or A\u00ada\u0308da\u00a0 Lee answer? No Zoés, no Zo."
    found = scene("Zoé", "Aäda Lee", turns=[], question=question)
    assert found.question == question
    spans = mentions(found)
    assert [name for _, _, name in spans] == ["Zoé", "Aäda Lee"]
    assert [name_key(question[start:end]) for start, end, _ in spans] == ["Zoé", "Aäda Lee"]
    assert question[spans[0][0] : spans[0][1]] == NFD


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("王芳在说什么？", ["王芳"]),
        ("小明和王芳是谁？", ["小明", "王芳"]),
        ("国王是谁？", []),  # one letter is too little to go by
        ("รวิพูดอะไร", ["รวิ"]),
        ("रवि क्या कहता है?", ["रवि"]),
        ("रविवार", []),
        ("What will Anna do?", []),
    ],
)
def test_names_in_questions_of_every_script(question: str, names: list[str]) -> None:
    people = ["王芳", "小明", "王", "รวิ", "रवि", "Ann", "Will"]
    assert asked_speakers(scene(*people, turns=[], question=question)) == names


def test_a_question_in_another_letter_case_is_said() -> None:
    asked = scene("Bernard", "Ann Lee", turns=[], question="do bernard and ANN  LEE talk?")
    assert asked_speakers(asked) == []
    assert question_notes(asked) == [
        "the question names no speaker; letter case aside it names Bernard, Ann Lee",
    ]
    assert question_notes(scene("Will", "Ann", turns=[], question="What will Ann do?")) == []


def test_an_answer_is_an_option_in_any_normal_form() -> None:
    found = scene("Zoé", turns=[], options=["Zoé", "Ben"], answer=NFD)
    assert found.answer == "Zoé"
    with pytest.raises(SceneError, match="is given twice"):
        scene(turns=[], options=["Zoé", NFD])


def test_letter_case_alone_makes_no_second_speaker_and_is_said() -> None:
    found = scene("Bernard", "Zoé", turns=["BERNARD", "Bernard", "ZOÉ", None], video="/a.mp4")
    assert [turn.speaker for turn in found.transcript] == ["Bernard", "Bernard", "Zoé", None]
    assert found.notes == ["names that differ in letter case alone are one speaker: BERNARD is Bernard, ZOÉ is Zoé"]
    assert speaker_notes(found) == ["1 of 4 turns has no speaker"]
    again = Scene.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again == found
    assert again.notes == []


def test_letter_case_tells_people_with_boxes_apart() -> None:
    found = scene("Ann", "ann", turns=["ann", "Ann"])
    assert [turn.speaker for turn in found.transcript] == ["ann", "Ann"]
    assert found.notes == []
    with pytest.raises(SceneError, match=r'^scene: transcript\[0\]\.speaker: "ANN" may be "Ann" or "ann"$'):
        scene("Ann", "ann", turns=["ANN"])


@pytest.mark.parametrize(
    ("written", "names", "near"),
    [
        ("Zoe", ["Zoé", "Ann"], "Zoé"),
        ("ZOE", ["Zoé", "Ann"], "Zoé"),
        ("Bernard.", ["Bernard"], "Bernard"),
        ("BERNARD (V.O.)", ["Bernard", "Ben"], "Bernard"),
        ("Bernhard", ["Bernard", "Ben"], "Bernard"),
        ("Ｂｅｒｎａｒｄ", ["Bernard"], "Bernard"),
        ("रवी", ["रवि"], None),
        ("Ann", ["Ben", "Cleo"], None),
        ("Zoe", ["Zoé", "Zoë"], None),
        ("...", ["Ann"], None),
    ],
)
def test_near_misses(written: str, names: list[str], near: str | None) -> None:
    assert nearest_name(written, names) == near
    assert find_name(written, names) is None


def test_turns_and_boxes_that_do_not_meet_are_said() -> None:
    found = scene("Zoé", "Ann", "Ben", turns=["Zoe", "Ann", None, None, "Guest"])
    assert speaker_notes(found) == [
        "2 of 5 turns have no speaker",
        "Zoe (did you mean Zoé?) and Guest speak and have no box",
        "Zoé and Ben have boxes and no turn",
    ]
    assert speaker_notes(scene("Ann", turns=[])) == []
    heard = Scene.model_validate(
        {"video": "a.mp4", "speakers": {"Ann": {"segments": []}}, "transcript": [{"speaker": "Ann", "text": "hi"}]}
    )
    assert speaker_notes(heard) == []  # the scene says itself that nobody sees her


def test_a_recorded_scene_keeps_the_names_of_its_tokens() -> None:
    recorded = {
        "video": "a.mp4",
        "speakers": {"Bernard": BOX},
        "transcript": [{"speaker": "BERNARD", "text": "hello"}, {"speaker": "\u202aAda\u202c", "text": "hi"}],
    }
    assert Scene.from_dict(recorded).speaker_names == ["Bernard", "BERNARD", "\u202aAda\u202c"]


def test_files_of_two_spellings_meet_in_one_scene(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "talk.srt").write_text(
        f"1\n00:00:00,000 --> 00:00:01,000\n\u202aBERNARD: hi\u202c\n\n2\n00:00:01,000 --> 00:00:02,000\n{NFD}：yes\n",
        encoding="utf-8",
    )
    (tmp_path / "boxes.json").write_text(json.dumps({"Bernard": BOX, "Zoé": BOX}))
    found = scene_from_flags(
        None, tmp_path / "a.mp4", transcript=tmp_path / "talk.srt", speakers=tmp_path / "boxes.json"
    )
    assert [(turn.speaker, turn.text) for turn in found.transcript] == [("Bernard", "hi"), ("Zoé", "yes")]
    assert found.notes == ["names that differ in letter case alone are one speaker: BERNARD is Bernard"]
    (tmp_path / "scene.json").write_text(json.dumps({"video": "a.mp4", "speakers": {"Bernard": BOX}}))
    both = scene_from_flags(tmp_path / "scene.json", None, transcript=tmp_path / "talk.srt", question="Who?")
    assert both.notes == found.notes
    assert speaker_notes(both) == ["Zoé speaks and has no box"]


UNICODE = """1
00:00:01,000 --> 00:00:02,000
\u202aAda: hi\u202c

2
00:00:02,000 --> 00:00:03,000
\u200fעדה: שלום

3
00:00:03,000 --> 00:00:04,000
小明：你好

4
00:00:04,000 --> 00:00:05,000
Jean-Luc\u00a0: bonjour

5
00:00:05,000 --> 00:00:06,000
【小红】：你好

6
00:00:06,000 --> 00:00:07,000
\u200bAda\u00a0Lee: zero width

7
00:00:07,000 --> 00:00:08,000
रवि: नमस्ते

8
00:00:08,000 --> 00:00:09,000
史蒂夫·乔布斯：你好

9
00:00:09,000 --> 00:00:10,000
BERNARD (V.O.): off

9
00:00:09,000 --> 00:00:10,000
小明：3点了

10
00:00:10,000 --> 00:00:11,000
At 10：30 we left

11
00:00:11,000 --> 00:00:12,000
&lrm;Ada&nbsp;Lee: entities
"""


def test_subtitles_name_speakers_in_every_script(tmp_path: Path) -> None:
    path = tmp_path / "talk.srt"
    path.write_text(UNICODE, encoding="utf-8")
    assert [(turn.speaker, turn.text) for turn in read_transcript(path)] == [
        ("Ada", "hi"),
        ("עדה", "שלום"),
        ("小明", "你好"),
        ("Jean-Luc", "bonjour"),
        ("小红", "你好"),
        ("Ada Lee", "zero width"),
        ("रवि", "नमस्ते"),
        ("史蒂夫·乔布斯", "你好"),
        ("BERNARD", "off"),
        ("小明", "3点了"),
        (None, "At 10：30 we left"),
        ("Ada Lee", "entities"),
    ]

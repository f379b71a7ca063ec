"""A few invented lines of each data set, and by hand what must come of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import attnscope.scene.importers.datasets  # noqa: F401 - registers them
from attnscope.errors import SceneError
from attnscope.scene import BoxRecord, LeftOut, Note, QuestionRecord, SampleRecord, SpeechRecord
from attnscope.scene.importers.registry import IMPORTERS

DATA = Path(__file__).parents[1] / "data"


def read(name: str, path: str, **options: Any) -> list[Any]:
    return list(IMPORTERS[name](DATA / path, **options))


def left(records: list[Any]) -> list[tuple[str, str, str]]:
    return [(record.what, record.where, record.reason) for record in records if isinstance(record, LeftOut)]


def samples(records: list[Any]) -> list[SampleRecord]:
    return [record for record in records if isinstance(record, SampleRecord)]


def noted(records: list[Any]) -> list[str]:
    return [record.text for record in records if isinstance(record, Note)]


def test_tvqa() -> None:
    records = read("tvqa", "tvqa")
    first, second = samples(records)
    assert (first.clip, first.id, first.window) == ("s01e01_seg02_clip_03", "7", (1.5, 5.25))
    assert (first.options[1], first.answer) == ("Ben gave it to Ada .", "Ben gave it to Ada .")
    assert first.fields == {"dataset": "TVQA+", "task": "VideoQA", "people": 2, "question type": "who"}
    # frames 4, 10 and 16 are at 1, 3 and 5 s: each box counts for one second around its own frame, and on frame 10,
    # which is annotated with nobody, nobody is seen; of two boxes of Ada the larger one counts, in any letter case
    assert first.scene["box_units"] == "fraction"
    assert first.scene["speakers"] == {
        "ADA": {
            "segments": [
                {"start": 0.0, "end": 2.0, "keyframes": [{"t": 1.0, "xyxy": [0.0, 0.0, 0.5, 1.0]}]},
                {"start": 4.0, "end": 6.0, "keyframes": [{"t": 5.0, "xyxy": [0.5, 0.1, 0.6, 1.0]}]},
            ]
        },
        "Ben": {"segments": [{"start": 0.0, "end": 2.0, "keyframes": [{"t": 1.0, "xyxy": [0.8, 0.25, 1.0, 1.0]}]}]},
    }
    assert first.scene["frame_rate"] == 3  # of a folder of frames; a video has its own
    assert first.scene["transcript"] == [
        {"speaker": "ADA", "text": "That 's my cup .", "start": 0.955, "end": 3.825},
        {"speaker": "Ben", "text": "Is it ?", "start": 3.825, "end": 5.5},
        {"speaker": None, "text": "and then : nothing", "start": 5.5, "end": 7.0},
    ]
    assert (second.window, second.scene["speakers"], second.scene["transcript"]) == (None, {}, [])
    assert left(records) == [
        ("box", "[0].bbox.4[1]", "the label is a thing, not a person (things=true keeps it)"),
        ("box", "[0].bbox.4[2]", "a larger box of the same name is in the same frame"),
        ("sample", "[2]", "has no right answer (the test set is published without)"),
    ]
    assert sorted(noted(records)) == [
        "tvqa_plus_val.json: boxes reach out of the picture and are cut off at its edge: 1",
        "tvqa_plus_val.json: questions have no box of a person: 1",
        "tvqa_plus_val.json: questions have no span (ts), or an empty one, and are about the whole clip: 1",
        "tvqa_plus_val.json: subtitles without words are no turns: 1",
    ]


def test_tvqa_spells_a_speaker_in_one_way(tmp_path: Path) -> None:
    question = {"qid": 1, "q": "Who?", "vid_name": "clip", "answer_idx": "0", **{f"a{i}": f"{i}" for i in range(5)}}
    question["bbox"] = {"1": [{"img_id": 1, "top": 0, "left": 0, "width": 320, "height": 360, "label": "penny"}]}
    (tmp_path / "tvqa_plus_val.json").write_text(json.dumps([question]), encoding="utf-8")
    said = {"sub_text": "Penny : Hi . <eos> PENNY : Bye .", "sub_time": [0, 1]}
    (tmp_path / "tvqa_plus_subtitles.json").write_text(json.dumps({"clip": said}), encoding="utf-8")
    (sample,) = samples(list(IMPORTERS["tvqa"](tmp_path)))
    assert [turn["speaker"] for turn in sample.scene["transcript"]] == ["Penny", "Penny"]
    assert sample.scene["speakers"] == {
        "Penny": {"segments": [{"start": 0.0, "end": 1.0, "keyframes": [{"t": 0.0, "xyxy": [0.0, 0.0, 0.5, 1.0]}]}]}
    }


def test_tvqa_with_things_and_without_subtitles() -> None:
    records = read("tvqa", "tvqa/tvqa_plus_val.json", things=True)
    speakers = samples(records)[0].scene["speakers"]
    assert set(speakers) == {"Ada", "cup", "Ben"}
    assert speakers["cup"]["segments"][0]["keyframes"][0]["xyxy"] == [0.1, 0.2, 0.15, 0.3]
    assert samples(records)[0].fields["people"] == 2
    assert samples(records)[0].scene["transcript"] == []
    assert any("without subtitles" in text for text in noted(records))


def mmsi(tmp_path: Path, **options: Any) -> list[Any]:
    """Frames at 5 a second; Player1 stands still, and a fourth person is no player."""
    points = [100.0, 50.0, 0.9, 200.0, 250.0, 0.8, 600.0, 350.0, 0.1] + [0.0] * 42
    frames = np.empty(30, dtype=object)
    for number in range(30):
        frames[number] = [{"idx": 1, "keypoints": points}, {"idx": 3, "keypoints": points}] if number >= 20 else []
    np.save(tmp_path / "Night 3_Game2.npy", frames, allow_pickle=True)
    given = {"labelled": DATA / "mmsi/labelled", "meta": DATA / "mmsi/meta", "keypoints": tmp_path, "shuffle": False}
    return read("mmsi", "mmsi/plain", **(given | options))


def test_mmsi(tmp_path: Path) -> None:
    records = mmsi(tmp_path, size="640x360")
    found = {(record.fields["task"], record.fields["speaker"], record.answer) for record in samples(records)}
    assert found == {
        ("STI", "Player2", "Player1"),
        ("MPP", "Player2", "Player1"),
        ("PCR", "Player1", "Player2"),
        ("PCR", "Player1", "Player0"),
    }
    target, mentioned, first, second = samples(records)
    assert target.question == "Which player is the speaker talking to in the sentence with (To [MASK]) by Player2?"
    assert target.options == ("Player0", "Player1", "Player2")
    assert (target.clip, target.window, target.fields["people"]) == ("Night 3_Game2", (4.0, 7.2), 3)
    assert target.scene["transcript"] == [
        {"speaker": "Player0", "text": "Who was it?", "start": 2.0, "end": 4.0},
        {"speaker": "Audio", "text": "Everyone, close your eyes.", "start": 4.0, "end": 5.0},
        {"speaker": "Player2", "text": "I think you moved, [Player1]. (To [MASK])", "start": 5.0, "end": 9.0},
        {"speaker": "Player1", "text": "No, she's lying. It was him.", "start": 9.0},
    ]
    assert mentioned.scene["transcript"][2]["text"] == "I think you moved, [MASK]."
    assert first.scene["transcript"][3]["text"] == "No, [MASK]'s lying. It was him."
    assert second.scene["transcript"][3]["text"] == "No, she's lying. It was [MASK]."
    # frames 20 to 29 (4 s on) of 20 to 35: those past the end are the last one; 100 x 200 pixels and a tenth around
    segments = target.scene["speakers"]["Player1"]["segments"]
    assert [segment["keyframes"][0]["t"] for segment in segments] == [round(0.2 * i, 6) for i in range(20, 30)]
    assert segments[0] == {
        "start": 3.9, "end": 4.1, "keyframes": [{"t": 4.0, "xyxy": [0.140625, 0.083333, 0.328125, 0.75]}]
    }  # fmt: skip
    assert target.scene["speakers"]["Player0"] == {"segments": []}
    assert set(target.scene["speakers"]) == {"Player0", "Player1", "Player2"}
    # ten frames for each of the two questions at 5 s, and the last frame for each of the two at 9 s
    assert noted(records) == ["plain: boxes around key points are of people who do not play, and are not used: 22"]


def test_mmsi_in_pixels_of_the_video(tmp_path: Path) -> None:
    scene = samples(mmsi(tmp_path))[0].scene
    assert scene["box_units"] == "pixels"
    assert scene["speakers"]["Player1"]["segments"][0]["keyframes"][0]["xyxy"] == [90.0, 30.0, 210.0, 270.0]


def test_mmsi_gives_the_players_other_numbers_everywhere_at_once(tmp_path: Path) -> None:
    plain, shuffled = samples(mmsi(tmp_path)), samples(mmsi(tmp_path, shuffle=True, seed=3))
    assert samples(mmsi(tmp_path, shuffle=True, seed=3)) == shuffled
    assert any(a.answer != b.answer for a, b in zip(plain, shuffled, strict=True))
    for before, after in zip(plain, shuffled, strict=True):
        turns = zip(before.scene["transcript"], after.scene["transcript"], strict=True)
        numbers = {a["speaker"]: b["speaker"] for a, b in turns if a["speaker"] != "Audio"}
        assert sorted(numbers) == sorted(numbers.values()) == ["Player0", "Player1", "Player2"]
        assert after.answer == numbers[str(before.answer)]
        assert after.fields["speaker"] == numbers[before.fields["speaker"]]
        assert str(after.fields["speaker"]) in after.question
        place = after.scene["speakers"][numbers["Player1"]]
        assert place == before.scene["speakers"]["Player1"]
        assert list(after.scene["speakers"]) == ["Player0", "Player1", "Player2"]
        text = after.scene["transcript"][2]["text"]
        assert "[MASK]." in text or f"[{numbers['Player1']}]" in text


def test_mmsi_of_one_split_and_task(tmp_path: Path) -> None:
    splits = tmp_path / "split.json"
    splits.write_text('{"test": ["Night 3_Game2", "Lost_Game1"], "train": []}', encoding="utf-8")
    records = mmsi(tmp_path, split_file=splits, tasks="PCR")
    assert [record.fields["task"] for record in samples(records)] == ["PCR", "PCR"]
    assert left(records) == [("sample", "Lost_Game1.txt", "its transcript is missing or cannot be read")]


def test_mmsi_names_with_spaces(tmp_path: Path) -> None:
    """`#` stands for a space in the names of transcripts."""
    for name in ("plain", "labelled"):
        text = (DATA / f"mmsi/{name}/Night 3_Game2.txt").read_bytes()
        (tmp_path / name).mkdir()
        (tmp_path / name / "Night#3_Game2.txt").write_bytes(text)
    records = IMPORTERS["mmsi"](tmp_path / "plain", labelled=tmp_path / "labelled", meta=DATA / "mmsi/meta")
    assert {record.clip for record in records if isinstance(record, SampleRecord)} == {"Night 3_Game2"}


def test_mmsi_needs_its_other_folders() -> None:
    with pytest.raises(SceneError, match="labelled: is missing; give the folder with labelled=FOLDER"):
        read("mmsi", "mmsi/plain")


def test_online_mmsi() -> None:
    (sample,) = samples(read("online-mmsi", "online-mmsi", task="STI"))
    assert sample.question == (
        "In the video, the red, blue, and green colors correspond to Player0, Player1, and Player2, respectively. "
        "Identify which player the speaker is talking to in the sentence with (To [MASK]) by Player2?"
    )
    assert (sample.options, sample.answer) == (("Player0", "Player1", "Player2"), "Player1")
    assert sample.fields == {"dataset": "OnlineMMSI", "task": "STI", "people": 3, "speaker": "Player2"}
    assert sample.scene["transcript"] == [
        {"speaker": "Player2", "text": "Did you move?"},
        {"speaker": "Player1", "text": "No. That was [Player0], I think."},
        {"speaker": "Player2", "text": "Is this you? (To [MASK])"},
    ]
    assert sample.clip == "night 3_Game2 5.mp4"


def test_online_mmsi_asks_for_what_comes_next_if_told() -> None:
    (sample,) = samples(read("online-mmsi", "online-mmsi/test/metadata.csv", task="STI", forecast=True))
    assert sample.question.endswith("by Player2? Predict the upcoming conversations.")


def test_online_mmsi_without_a_task() -> None:
    assert left(read("online-mmsi", "online-mmsi")) == [
        ("sample", "line 3", "its task is not known (task=STI, PCR or MPP says it)")
    ]


def test_werewolf() -> None:
    records = read("werewolf", "werewolf")
    found = [(record.id, record.answer, record.window) for record in samples(records)]
    assert found == [
        ("Night 3_Game2-1-strategy", "Identity Declaration", (7.0, 9.0)),
        ("Night 3_Game2-0-vote", "Bob", None),
        ("Night 3_Game2-1-vote", "Ann", None),
        ("0a1b_Game1-1-strategy", "No Strategy", None),
        ("0a1b_Game1-1-vote", "Fay", None),
        ("0a1b_Game1-2-vote", "Eva", None),
        ("0a1b_Game1-3-vote", "Eva", None),
    ]
    assert left(records) == [
        ("sample", "Youtube/test.json[0]: Rec_Id 2", "has several strategies, and a question has one answer"),
        ("sample", "Youtube/test.json[0]: Rec_Id 3", "its speaker does not play"),
        ("sample", "Youtube/test.json[0]: votingOutcome[2]", "the vote is not known, or for nobody"),
        ("sample", "Ego4D/test.json[0]: votingOutcome[0]", "the player is the moderator, who does not vote"),
    ]
    vote = samples(records)[1]
    assert vote.question == "For whom does Ann vote at the end of the game?"
    assert vote.options == ("Bob", "Cam")
    assert vote.fields == {"dataset": "Werewolf Among Us", "task": "vote", "people": 3, "subset": "YouTube"}
    assert vote.scene["transcript"][1:] == [
        {"speaker": "Bob", "text": "Are you? It is Cam!", "start": 9.0, "end": 3732.0},
        {"speaker": "Game Audio", "text": "Vote now.", "start": 3732.0},
    ]


def test_friends_mmc() -> None:
    records = read("friends-mmc", "friends-mmc")
    first, last = samples(records)
    assert (first.clip, first.question, first.answer) == ("s03e01-000120.jpg", 'Who says "Where is he?"?', "ada")
    assert first.options == ("ada", "ben")
    box = {"t": 0.0, "xyxy": [0.5, 0.5, 1.0, 1.0]}
    assert first.scene["speakers"]["ben"] == {"segments": [{"start": 0.0, "end": 0.0, "keyframes": [box]}]}
    assert first.scene["speakers"]["ada"]["segments"][0]["keyframes"][0]["xyxy"] == [0.1, 0.1, 0.2, 0.25]
    assert [turn["speaker"] for turn in first.scene["transcript"]] == [None, None, None]
    assert (first.fields["speaker is seen"], last.fields["speaker is seen"]) == (True, False)
    assert (last.answer, last.fields["people"], last.fields["season"]) == ("ben", 1, "s03")
    assert left(records) == [("sample", "[0][1]", "its speaker's face is nowhere in the conversation")]
    assert any("that the published accuracy counts as wrong" in text for text in noted(records))


def test_av_speakerbench() -> None:
    records = read("av-speakerbench", "av-speakerbench.jsonl")
    (sample,) = samples(records)
    assert sample.options == ("the man in red", "the woman", "the boy's father", "nobody")
    assert (sample.answer, sample.clip) == ("the boy's father", "av/clip_1.mp4")
    assert sample.fields == {
        "dataset": "AV-SpeakerBench",
        "task": "speaker_recognition",
        "category": "Speaker-centric",
        "sub_category": "Speaker Recognition",
    }
    assert left(records) == [("sample", "line 2", "two of its choices are the same")]
    assert samples(read("av-speakerbench", "av-speakerbench.jsonl", media="silent"))[0].clip == "v/clip_1.mp4"


def test_table_of_questions() -> None:
    records = read("table", "questions.csv", columns="clip=vid, question=q")
    assert records == [
        QuestionRecord(
            where="line 2",
            clip="talk.mp4",
            question="Who is first?",
            options=("Ada", "Ben"),
            answer="Ben",
            fields={"difficulty": "easy"},
            window=(0.5, 2.0),
        ),
        LeftOut(where="line 3", clip="talk.mp4", what="question", reason="its answer is none of its options"),
    ]


def test_table_of_boxes() -> None:
    assert read("table", "boxes.jsonl") == [
        BoxRecord(where="line 1", clip="talk.mp4", name="Ada", xyxy=(10, 20, 40, 60), units="pixels", frame=25),
        LeftOut(where="line 2", clip="talk.mp4", what="box", reason="the box has no area", name="Ben"),
        LeftOut(where="line 3", what="box", reason="the line is not valid JSON"),
    ]


def test_table_of_turns() -> None:
    assert read("table", "turns.tsv") == [
        SpeechRecord(where="line 2", speaker="Ada", start=0.5, end=1.25, text="Yes."),
        SpeechRecord(where="line 3", speaker=None, start=2.0, text="No."),
        LeftOut(where="line 4", what="turn", reason="its start is negative, or its end before it", name="Ben"),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, 'the columns "vid", "q", "option1", "option2", "answer", "start", "end", "difficulty" are of'),
        ({"rows": "films"}, 'rows: "films" is not one of questions, boxes, turns'),
        ({"columns": "question=text"}, 'columns: there is no column "text"'),
        ({"columns": "film=vid"}, 'columns: "film=vid" is none of the form'),
    ],
)
def test_a_table_that_does_not_say_what_it_is(options: dict[str, str], message: str) -> None:
    with pytest.raises(SceneError) as problem:
        read("table", "questions.csv", **options)
    assert message in str(problem.value)


@pytest.mark.parametrize("column", ["video", "Video", "file", "vid_name", "clip_name", "video-id", "File Name"])
def test_a_column_called_like_a_clip_is_the_clip(tmp_path: Path, column: str) -> None:
    path = tmp_path / "q.csv"
    path.write_text(f"{column},question,level\nother.mp4,Who?,1\n,Who else?,2\n", encoding="utf-8")
    note, first, second = IMPORTERS["table"](path)
    assert note == Note(text=f'q.csv: the column "{column}" is the clip')
    assert first == QuestionRecord(where="line 2", clip="other.mp4", question="Who?", fields={"level": "1"})
    assert second == LeftOut(where="line 3", what="question", reason="has no clip")


def test_a_column_called_clip_goes_before_others(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text("clip,video,question\na.mp4,b.mp4,Who?\n", encoding="utf-8")
    assert list(IMPORTERS["table"](path)) == [
        QuestionRecord(where="line 2", clip="a.mp4", question="Who?", fields={"video": "b.mp4"})
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video,file,question\na,b,Who?\n", 'the clip is "file" or "video"? say which: columns=clip=file'),
        ("film,question\nother.MP4,Who?\n", 'line 2: the column "film" looks like the clip, and none is called clip'),
        ("film,question\n,Who?\nx/b.webm,Who?\n", 'line 3: the column "film" looks like the clip'),
        ("where,name,x1,y1,x2,y2,time\na.mov,Ada,1,2,3,4,0\n", 'the column "where" looks like the clip'),
    ],
)
def test_a_clip_that_is_not_clear_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "q.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SceneError) as problem:
        list(IMPORTERS["table"](path))
    assert message in str(problem.value)


def test_a_clip_in_another_column_of_a_later_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('{"question": "Who?"}\n{"question": "Who?", "video": "b"}\n', encoding="utf-8")
    with pytest.raises(SceneError, match='line 2: the column "video" looks like the clip'):
        list(IMPORTERS["table"](path))


def test_the_name_of_a_video_in_a_question_is_no_clip(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text("question,option1,option2,answer\nWhich?,a.mp4,b.mp4,b.mp4\n", encoding="utf-8")
    (record,) = IMPORTERS["table"](path)
    assert isinstance(record, QuestionRecord) and record.options == ("a.mp4", "b.mp4")


@pytest.mark.parametrize(
    "text", ["Question;OPTIONS;Answer\nWho?;Ada|Ben;Ada\n", "question,options,answer\nWho?,Ada|Ben,Ada\n"]
)
def test_a_table_of_a_spreadsheet_in_another_language(tmp_path: Path, text: str) -> None:
    path = tmp_path / "q.csv"
    path.write_text("\ufeff" + text, encoding="utf-8")
    assert list(IMPORTERS["table"](path)) == [
        QuestionRecord(where="line 2", clip="", question="Who?", options=("Ada", "Ben"), answer="Ada")
    ]


def test_a_first_row_that_cannot_be_read_does_not_hide_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text('question,options,answer\nWho, then?,Ada|Ben,Ada\n"Who?",Ada|Ben\n\n,,\n', encoding="utf-8")
    assert list(IMPORTERS["table"](path)) == [
        LeftOut(where="line 2", what="question", reason="the row has more cells than the header"),
        QuestionRecord(where="line 3", clip="", question="Who?", options=("Ada", "Ben")),
        LeftOut(where="line 5", what="question", reason="has no question"),
    ]
    path.write_text("question,answer\nWho, then?,Ada\n", encoding="utf-8")
    with pytest.raises(SceneError, match="no row can be read: line 2: the row has more cells than the header"):
        list(IMPORTERS["table"](path))


def test_friends_mmc_finds_a_speaker_in_any_letter_case(tmp_path: Path) -> None:
    path = tmp_path / "test-metadata.json"
    faces = [[[0, 0, 100, 100], "Monica"], [[200, 0, 300, 100], "Ross"]]
    turn = {"frame": "s03e01-000001", "speaker": "monica", "content": "Hi.", "faces": faces}
    path.write_text(json.dumps([[turn]]), encoding="utf-8")
    (sample,) = samples(list(IMPORTERS["friends-mmc"](path)))
    assert (sample.options, sample.answer) == (("Monica", "Ross"), "Monica")

"""Sources become a folder of scenes and a manifest; every record is counted, and the folder is whole or not there."""

from __future__ import annotations

import csv
import json
import random
import sqlite3
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from attnscope.errors import AttnscopeError, RequestError, RunError, SceneError
from attnscope.evaluate import read_manifest
from attnscope.scene import (
    BoxRecord,
    LeftOut,
    Note,
    QuestionRecord,
    SampleRecord,
    Scene,
    SpeechRecord,
    Word,
    import_scenes,
)
from attnscope.scene.importers.registry import IMPORTERS
from attnscope.scene.importers.sources import options_of, typed
from attnscope.scene.joining import scenes
from tests.scene.joining.conftest import Register


def box(n: int, clip: str = "", name: str = "Ada", **given: Any) -> BoxRecord:
    fields: dict[str, Any] = {"xyxy": (10, 10, 40, 50), "units": "pixels", "frame": n} | given
    return BoxRecord(where=f"box {n}", clip=clip, name=name, **fields)


def question(n: int, clip: str = "", **given: Any) -> QuestionRecord:
    fields: dict[str, Any] = {"question": f"Who is {n}?", "options": ("Ada", "Ben"), "answer": "Ada"} | given
    return QuestionRecord(where=f"question {n}", clip=clip, **fields)


def table(folder: str = "out") -> list[dict[str, str]]:
    with Path(folder, "left-out.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def entries(folder: str = "out") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(folder, "manifest.jsonl").read_text("utf-8").splitlines()]


def scene(path: str, folder: str = "out") -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(folder, path).read_text("utf-8"))
    return document


@pytest.mark.usefixtures("clip")
def test_boxes_turns_words_and_questions_of_one_video_become_a_scene(yields: Register) -> None:
    tracks = yields("tracks", [box(n, "clip") for n in (2, 0, 1)])
    spans = [SpeechRecord(where="1", clip="wave", speaker="ADA", start=0.0, end=2.0)]
    words = [Word(text="Over", start=0.5, end=1.0), Word(text="there.", start=1.0, end=1.5)]
    speech = [SpeechRecord(where="s", text="Over there.", start=0.5, end=1.5, words=tuple(words), speaker="S0")]
    imported = import_scenes(
        "out",
        boxes=tracks,
        turns=yields("who", spans, "turns"),
        words=yields("what", speech, "turns", "words"),
        questions=yields("asks", [question(1, window=(0.5, 2.0), fields={"task": "who"}), question(2)], "questions"),
        video="clip.mp4",
    )
    assert imported.summary() == [
        "boxes: imported 3",
        "turns: imported 2",
        "words: imported 2",
        "questions: imported 2",
    ]
    assert imported.notes == [
        'who:file.who calls its clip "wave"; it is taken for clip.mp4',
        "names that differ in letter case alone are one speaker: ADA is Ada",
        "2 of 2 words go to another speaker than their own source names",
    ]
    assert (imported.clips, imported.scenes, imported.questions) == (1, 1, 2)
    asked = {"question": "Who is 1?", "options": ["Ada", "Ben"], "answer": "Ada", "fields": {"task": "who"}}
    first, second = entries()
    assert first == {"id": "clip, 1", "scene": "scenes/clip.json", **asked, "window": [0.5, 2.0]}
    assert second["id"] == "clip, 2"
    keyframes = [{"t": t, "xyxy": [10, 10, 40, 50]} for t in (0.0, 0.1, 0.2)]
    assert scene("scenes/clip.json") == {
        "video": "../../clip.mp4",
        "speakers": {"Ada": {"segments": [{"start": 0.0, "end": pytest.approx(0.3), "keyframes": keyframes}]}},
        "transcript": [{"speaker": "Ada", "text": "Over there.", "start": 0.5, "end": 1.5}],
        "box_units": "pixels",
    }
    read = read_manifest("out").questions[0].scene
    assert (read.transcript[0].speaker, read.window) == ("Ada", (0.5, 2.0))
    document = json.loads(Path("out/import.json").read_text("utf-8"))
    assert document["counts"]["box"] == {"records": 3, "imported": 3, "left_out": 0, "reasons": {}}
    assert [of["format"] for of in document["sources"]] == ["tracks", "who", "what", "asks"]


def test_clips_are_joined_by_name_and_those_of_one_source_are_listed(yields: Register) -> None:
    boxes = [box(n, name) for n, name in enumerate(["b.mp4", "a.mp4", "b.mp4", "only.mp4"])]
    asked = [question(1, "v/a"), question(2, "b"), question(3, "a"), question(4, "alone")]
    imported = import_scenes("out", boxes=yields("t", boxes), questions=yields("q", asked, "questions"), fps=10)
    assert [(e["id"], e["scene"]) for e in entries()] == [
        ("b, 1", "scenes/b.json"),
        ("a, 1", "scenes/a.json"),
        ("a, 2", "scenes/a.json"),
        ("alone, 1", "scenes/alone.json"),
    ]
    assert imported.notes == [
        "1 clip (only.mp4) is in t:file.t alone",
        "1 clip (alone) is in q:file.q alone",
        "nobody asks about 1 scene (only); only questions are in the manifest",
        "no video was looked for: scenes name theirs as the sources do",
    ]
    assert scene("scenes/a.json")["video"] == "a.mp4"
    assert (imported.clips, imported.scenes, imported.questions) == (4, 4, 4)


def test_scenes_without_questions_make_a_manifest_of_scenes(yields: Register) -> None:
    import_scenes("out", yields("t", [box(0, "b"), box(0, "a")]), fps=10)
    assert entries() == [{"id": "b", "scene": "scenes/b.json"}, {"id": "a", "scene": "scenes/a.json"}]


def sample(n: int, name: str, **given: Any) -> SampleRecord:
    fields: dict[str, Any] = {"scene": {"transcript": [{"text": f"I am {name}."}]}} | given
    asked = {"question": "Who?", "options": ("x", "y"), "answer": "y", "id": f"id {n}"}
    return SampleRecord(where=f"[{n}]", clip="set/clip.mp4", scene_name=name, **asked | fields)


def test_equal_scenes_of_samples_are_written_once_and_unlike_ones_apart(yields: Register) -> None:
    other = {"transcript": [{"text": "No."}]}
    samples = [sample(0, "one"), sample(1, "one"), sample(2, "One?"), sample(3, "one", scene=other), sample(3, "one")]
    imported = import_scenes("out", yields("s", samples, "samples"))
    assert [(e["id"], e["scene"]) for e in entries()] == [
        ("id 0", "scenes/one.json"),
        ("id 1", "scenes/one.json"),
        ("id 2", "scenes/One-2.json"),
        ("id 3", "scenes/one-3.json"),
        ("id 3 (2)", "scenes/one.json"),
    ]
    assert scene("scenes/one-3.json") == {"video": "set/clip.mp4", **other}
    assert imported.summary() == ["samples: imported 5"]


@pytest.mark.usefixtures("clip")
def test_other_sources_replace_what_samples_say(yields: Register) -> None:
    given = {"speakers": {"Cy": {"segments": []}}, "transcript": [{"text": "Yes."}], "box_units": "fraction"}
    import_scenes(
        "out", yields("s", [sample(0, "one", scene=given)], "samples"), boxes=yields("t", [box(0)]), video="clip.mp4"
    )
    written = scene("scenes/one.json")
    assert (list(written["speakers"]), written["box_units"], written["transcript"]) == (
        ["Ada"],
        "pixels",
        [{"text": "Yes."}],
    )


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (question(1, question=" "), "it has no question"),
        (question(1, options=()), "it has fewer than two options"),
        (question(1, options=("Ada", "Ben", "Ada ")), "two of its options are equal"),
        (question(1, answer=None), "it has no answer"),
        (question(1, answer="Cy"), "its answer is none of its options"),
        (question(1, window=(2.0, 1.0)), "its scene is wrong: window[N]: end N is not after start N"),
        (
            question(1, fields={"x": None}),
            "its scene is wrong: fields.x: null is not text, a number, true or false, or a list of these",
        ),
        (sample(1, "s", scene={"transcript": [{"text": ""}]}), "its scene is wrong: transcript[N].text: is empty"),
        (LeftOut(where="w", what="question", reason="its clip is unknown", name="q7"), "its clip is unknown"),
    ],
)
def test_questions_that_cannot_be_asked_are_left_out(yields: Register, wrong: Any, reason: str) -> None:
    imported = import_scenes("out", yields("q", [question(0), wrong], "samples"))
    (row,) = table()
    assert (row["source"], row["where"], row["reason"]) == ("q:file.q", wrong.where, reason)
    assert sum(count["left_out"] for count in imported.counts.values()) == 1
    assert imported.questions == 1


def test_a_thousand_odd_records_add_up(yields: Register, clip: Path) -> None:
    """Each record of each kind is imported or stands in left-out.csv, once."""
    draw = random.Random(7)

    def records() -> Iterator[Any]:
        for n in range(1000):
            where = draw.choice(["clip", "clip.mp4", "x/clip.avi"])
            kind = draw.randrange(6)
            if kind < 3:
                left, top = draw.uniform(-60, 120), draw.uniform(-60, 90)
                yield BoxRecord(
                    where=f"{n}",
                    clip=where,
                    name=draw.choice(["Ada", "ADA", "Ben", "", "person"]),
                    xyxy=(left, top, left + draw.uniform(-5, 50), top + draw.uniform(-1, 40)),
                    units="pixels",
                    frame=draw.randrange(-1, 33),
                    track=str(draw.randrange(4)),
                    keyframe=draw.random() < 0.2,
                    ends=draw.random() < 0.05,
                )
            elif kind == 3:
                start = draw.choice([None, draw.uniform(-0.2, 3.5)])
                text = draw.choice([None, "", "so be it", "no way\0"])
                end = None if start is None else start + draw.uniform(-0.1, 1)
                yield SpeechRecord(
                    where=f"{n}", clip=where, speaker=draw.choice([None, "ada", "Ben"]), start=start, end=end, text=text
                )
            elif kind == 4:
                yield question(n, where, answer=draw.choice(["Ada", "Cy", None]), id=draw.choice([None, "same"]))
            else:
                yield LeftOut(where=f"{n}", clip=where, what=draw.choice(["box", "turn"]), reason="odd")

    every = list(records())
    imported = import_scenes("out", yields("all", every, "boxes", "turns", "questions"), video=clip)
    left = Counter(row["what"] for row in table())
    whole: Counter[str] = Counter(
        record.what
        if isinstance(record, LeftOut)
        else {"B": "box", "S": "turn", "Q": "question"}[type(record).__name__[0]]
        for record in every
    )
    assert sum(whole.values()) == 1000
    for kind, count in imported.counts.items():
        assert count["left_out"] == left[kind] == sum(count["reasons"].values())
        assert count["imported"] + left[kind] == count["records"] == whole[kind]
    assert len({row["where"] for row in table()}) == sum(left.values())
    manifest = read_manifest("out")
    assert len(manifest.questions) == imported.counts["question"]["imported"] == imported.questions
    Scene.read("out/scenes/clip.json")


def test_only_what_a_source_is_given_for_is_taken(yields: Register) -> None:
    mixed = [
        box(0),
        SpeechRecord(where="1", text="Hi."),
        LeftOut(where="2", what="turn", reason="odd"),
        LeftOut(where="3", what="box", reason="odd"),
        Note(text="A note."),
    ]
    imported = import_scenes("out", boxes=yields("m", mixed, "boxes", "turns"), fps=10)
    assert imported.counts == {"box": {"records": 2, "imported": 1, "left_out": 1, "reasons": {"odd": 1}}}
    assert imported.notes[:2] == ["A note.", "m:file.m: 2 records are not boxes, for which it is given"]


def test_videos_are_found_and_clips_without_one_are_left_out(yields: Register, clip: Path) -> None:
    (clip.parent / "films").mkdir()
    clip.rename(clip.parent / "films" / "a.mp4")
    (clip.parent / "films" / "broken.mp4").write_bytes(b"no film")
    records = [box(0, "a"), box(99, "a"), box(0, "gone"), question(1, "gone"), box(0, "broken"), question(2, "a")]
    imported = import_scenes("out", yields("t", records, "boxes", "questions"), videos="films")
    assert scene("scenes/a.json")["video"] == "../../films/a.mp4"
    assert {row["where"] + row["clip"]: row["reason"] for row in table()} == {
        "box 99a": "it is after the end of the video",
        "box 0gone": "its video is not in films",
        "question 1gone": "its video is not in films",
        "box 0broken": "not a video or image that can be read, or cut short (Invalid data found when processing input)",
    }
    assert imported.summary()[1] == "questions: imported 1 of 2, left out 1: 1 its video is not in films"


def test_a_folder_of_frames_has_the_rate_that_is_stated(yields: Register, here: Path) -> None:
    from PIL import Image

    (here / "v" / "frames").mkdir(parents=True)
    for number in range(6):
        Image.new("RGB", (60, 40)).save(here / "v" / "frames" / f"{number}.png")
    import_scenes("out", yields("t", [box(n, "frames") for n in (0, 3, 6)]), videos="v", fps=3)
    written = scene("scenes/frames.json")
    assert (written["frame_rate"], [k["t"] for k in written["speakers"]["Ada"]["segments"][0]["keyframes"]]) == (
        3,
        [0, 1],
    )
    assert table()[0]["reason"] == "it is after the end of the video"


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({}, "import: names no source"),
        ({"boxes": "t:gone.t"}, "gone.t: no such file or folder"),
        ({"boxes": "file.t", "turns": "file.t"}, "file.t: say the format, as FORMAT:PATH"),
        ({"boxes": "trax:file.t"}, 'format="trax": is not a format'),
        ({"questions": "t:file.t"}, "t:file.t: t gives boxes, no questions"),
        ({"boxes": "t:file.t", "video": "gone.mp4"}, "gone.mp4: no such file"),
        ({"boxes": "t:file.t", "videos": "gone"}, "videos=gone: no such folder"),
        ({"boxes": "t:file.t", "fps": 0}, "fps=0: must be above 0"),
        (
            {"boxes": "t:file.t", "settings": ["scal=2"]},
            'settings="scal": is not an option of t; did you mean "scale"?',
        ),
        ({"boxes": "t:file.t", "settings": ["x.scale=2"]}, 'settings="x.scale": x is not a format of these sources'),
        ({"boxes": "t:file.t", "settings": ["scale=wide"]}, 'settings="scale": "wide" is not a number'),
        ({"boxes": "t:file.t", "settings": ["scale"]}, 'settings="scale": is not NAME=VALUE'),
        ({"boxes": "t:file.t"}, "clip: boxes have numbers of frames and no times: state the frames a second"),
    ],
)
def test_wrong_requests_leave_nothing(yields: Register, here: Path, how: dict[str, Any], message: str) -> None:
    yields("t", [box(0, "clip")])
    with pytest.raises(RequestError) as error:
        import_scenes("out", **how)
    assert str(error.value).startswith(message)
    assert sorted(path.name for path in here.iterdir()) == ["file.t"]


def test_options_are_of_the_types_of_the_signature(yields: Register) -> None:
    yields("t", [])
    given = ["scale=2", "mode=b", "rows=none", "t.deep=true", "other.scale=3"]
    assert options_of(IMPORTERS["t"], given) == {"scale": 2.0, "mode": "b", "rows": None, "deep": True}
    assert options_of(IMPORTERS["t"], {"rows": 3, "deep": False}) == {"rows": 3, "deep": False}
    options = IMPORTERS["t"].options
    for name, value in (
        ("rows", "1.5"),
        ("rows", True),
        ("deep", "yes"),
        ("mode", "c"),
        ("scale", None),
        ("rows", 1.5),
    ):
        with pytest.raises(RequestError, match=f'settings="{name}": '):
            typed(name, value, options[name])


def test_the_folder_is_whole_or_as_it_was(yields: Register, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = yields("t", [box(0, "clip")])
    import_scenes("out", source, fps=10)
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    with pytest.raises(RequestError, match="out: is not an empty folder"):
        import_scenes("out", source, fps=10)

    def fails(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(scenes, "place", fails)
        import_scenes("out", source, fps=5, force=True)
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before
    (here / "out" / "mine.txt").write_text("stays")
    import_scenes("out", source, fps=5, force=True)
    names = sorted(path.name for path in (here / "out").iterdir())
    assert names == ["import.json", "left-out.csv", "manifest.jsonl", "mine.txt", "scenes"]
    assert scene("scenes/clip.json")["speakers"]["Ada"]["segments"][0]["end"] == 0.2


def test_a_full_disk_is_said_and_leaves_nothing(yields: Register, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = yields("t", [box(n, "clip") for n in range(100)])
    connect = sqlite3.connect

    def small(*args: Any, **given: Any) -> sqlite3.Connection:
        file = connect(*args, **given)
        file.execute("PRAGMA max_page_count = 3")
        return file

    monkeypatch.setattr(sqlite3, "connect", small)
    with pytest.raises(RunError, match="database or disk is full"):
        import_scenes("out", source, fps=10)
    assert not (here / "out").exists()


def test_nothing_importable_is_an_error_that_counts(yields: Register, here: Path) -> None:
    source = yields("t", [LeftOut(where="1", what="box", reason="odd"), LeftOut(where="2", what="box", reason="odd")])
    with pytest.raises(SceneError) as error:
        import_scenes("out", source)
    assert str(error.value) == "t:file.t: no record can be imported (boxes: imported 0 of 2, left out 2: 2 odd)"
    assert not (here / "out").exists()


def test_clips_of_several_names_need_one_that_is_the_videos(yields: Register, clip: Path) -> None:
    source = yields("t", [box(0, "a"), box(0, "b")])
    with pytest.raises(SceneError) as error:
        import_scenes("out", source, video=clip)
    assert str(error.value) == 't:file.t: none of its 2 clips is called "clip.mp4": "a", "b"'
    other = yields("u", [box(0, "a"), box(0, "clip")])
    import_scenes("out", other, video=clip)
    assert [(row["clip"], row["reason"]) for row in table()] == [("a", "it is of another clip than clip.mp4")]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_source(yields: Register) -> None:
    """Four times as many clips of five hundred boxes each."""

    def records(clips: int) -> Iterator[Any]:
        for n in range(clips * 500):
            yield box(n // clips, f"clip {n % clips}")

    def peak(clips: int) -> int:
        tracemalloc.start()
        import_scenes(f"out {clips}", yields(f"t{clips}", lambda: records(clips)), fps=10)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(2)  # what is imported late
    assert peak(160) < 1.25 * peak(40)


def test_a_plugin_that_fails_is_one_line(yields: Register) -> None:
    def records() -> Iterator[Any]:
        yield box(0)
        raise ValueError("line 2: no number")

    with pytest.raises(AttnscopeError, match=r"file\.t: line 2: no number"):
        import_scenes("out", yields("t", records), fps=10)


def test_one_person_has_one_spelling_in_boxes_and_turns(yields: Register) -> None:
    """Also where the boxes spell it a third way, and where there are no boxes."""
    spans = [
        SpeechRecord(where=f"{n}", clip="x", speaker=name, start=n, end=n + 1) for n, name in enumerate(["Ada", "ada"])
    ]
    words = [SpeechRecord(where=f"w{n}", clip="x", text=f"word {n}", start=n + 0.1, end=n + 0.9) for n in range(2)]
    sources: dict[str, Any] = {"turns": yields("who", spans, "turns"), "words": yields("w", words, "words")}
    imported = import_scenes("out", boxes=yields("t", [box(0, "x", "ADA")]), fps=10, **sources)
    written = scene("scenes/x.json")
    assert imported.notes[0] == "names that differ in letter case alone are one speaker: Ada, ada are ADA"
    assert (list(written["speakers"]), [t["speaker"] for t in written["transcript"]]) == (["ADA"], ["ADA", "ADA"])
    imported = import_scenes("none", **sources)
    assert [t["speaker"] for t in scene("scenes/x.json", "none")["transcript"]] == ["Ada", "Ada"]
    assert "names that differ in letter case alone are one speaker: ada is Ada" in imported.notes


def test_what_the_video_says_otherwise_is_said(yields: Register, clip: Path) -> None:
    """Another rate, a larger picture, and a rate that nothing has use for."""
    far = [box(n, "clip", xyxy=(90, 10, 190, 60)) for n in range(3)]
    imported = import_scenes("out", yields("t", far), video=clip, fps=30)
    assert imported.notes == [
        "3 of 3 boxes reach out of the picture of 96 x 64 pixels by more than a tenth of it: if they were drawn "
        "on a larger one, give its width and height as size",
        "frames are counted at 30 a second, and the video has 10",
    ]
    timed = [box(0, "clip", frame=None, time=0.5, xyxy=(96, 32, 192, 64))]
    imported = import_scenes("sized", yields("u", timed), video=clip, fps=30, size=(192, 128))
    assert imported.notes == [
        "u:file.u: its boxes have times of their own; the 30 frames a second do not count for them"
    ]
    written = scene("scenes/clip.json", "sized")
    assert written["box_units"] == "fraction"
    assert written["speakers"]["Ada"]["segments"][0]["keyframes"][0]["xyxy"] == [0.5, 0.25, 1.0, 0.5]
    with pytest.raises(SceneError) as error:
        import_scenes("small", yields("v", [box(0, "clip", xyxy=(0.1, 0.1, 0.9, 1))]), video=clip)
    assert "v:file.v: every box lies within 0..1, so they are fractions of the picture, not pixels" in str(error.value)


def test_questions_about_parts_that_the_video_does_not_have(yields: Register, clip: Path) -> None:
    asked = [
        question(n, "clip", window=window) for n, window in enumerate([(0.0, 2.0), (2.0, 9.0), (3.0, 4.0), (2.5, 3.2)])
    ]
    turn = {"transcript": [{"text": "Late.", "start": 7.0}]}
    late = SampleRecord(
        where="s", clip="clip", question="Who?", options=("a", "b"), answer="a", scene_name="s", scene=turn
    )
    imported = import_scenes("out", yields("q", [*asked, late], "samples"), video=clip)
    assert [entry["window"] for entry in entries()] == [[0.0, 2.0], [2.0, 3.0], [2.5, 3.2]]
    assert [(row["where"], row["reason"]) for row in table()] == [
        ("question 2", "its part begins after the end of the video"),
        ("s", "its scene is wrong: transcript[N]: N to N s is beyond the end of clip.mp4 at N s"),
    ]
    assert imported.notes == ["the part of 1 question ends after the video, and is cut at its end"]


def test_ids_that_are_taken_are_said(yields: Register) -> None:
    imported = import_scenes("out", yields("q", [question(n, id="7") for n in range(3)], "questions"))
    assert [entry["id"] for entry in entries()] == ["7", "7 (2)", "7 (3)"]
    assert imported.notes[0] == "2 questions have the id of another one, and got a number: 7 (2), 7 (3)"


def test_a_clip_is_looked_for_by_the_name_that_says_most(yields: Register, clip: Path) -> None:
    for folder in ("train", "test"):
        (clip.parent / "v" / folder).mkdir(parents=True)
        (clip.parent / "v" / folder / "1.mp4").write_bytes(clip.read_bytes())
    import_scenes(
        "out", boxes=yields("t", [box(0, "1")]), questions=yields("q", [question(1, "test/1")], "questions"), videos="v"
    )
    assert scene("scenes/1.json")["video"] == "../../v/test/1.mp4"


def test_a_conversation_stands_in_the_order_in_which_it_was_held(yields: Register) -> None:
    """A tier for each person, as ELAN and Praat have them; what has no time stays behind its neighbour."""
    tiers = [
        ("Ada", 0.5, "one"),
        ("Ada", 2.0, "three"),
        ("Ada", None, "four"),
        ("Ben", 1.5, "two"),
        ("Ben", 3.0, "five"),
    ]
    speech = [SpeechRecord(where=text, speaker=name, start=start, text=text) for name, start, text in tiers]
    imported = import_scenes("out", yields("t", speech, "turns"))
    assert [turn["text"] for turn in scene("scenes/file.json")["transcript"]] == ["one", "two", "three", "four", "five"]
    assert imported.notes[0] == "its turns stand in the order of their beginnings, which is not that of the source"


def test_words_that_no_span_overlaps_keep_their_own_speaker(yields: Register) -> None:
    words = [
        SpeechRecord(where=t, text=t, start=s, end=s + 1, speaker=w)
        for t, s, w in (("a", 0.0, "Ada"), ("b", 4.5, "Ben"))
    ]
    spans = [
        SpeechRecord(where="1", speaker="Cy", start=0.0, end=2.0),
        SpeechRecord(where="2", speaker="Di", start=0.5, end=1),
    ]
    imported = import_scenes("out", words=yields("w", words, "words"), turns=yields("s", spans, "turns"))
    clips = {path.stem for path in Path("out/scenes").iterdir()}
    assert clips == {"file"}
    assert [(t["speaker"], t["text"]) for t in scene("scenes/file.json")["transcript"]] == [("Cy", "a"), ("Ben", "b")]
    assert imported.notes[:2] == [
        "1 of 2 words are records whose words have no times, said while several speak; each goes to one as a whole",
        "1 of 2 words go to another speaker than their own source names",
    ]


def test_samples_about_folders_of_frames_need_a_rate(yields: Register, here: Path) -> None:
    from PIL import Image

    (here / "v" / "clip").mkdir(parents=True)
    for number in range(6):
        Image.new("RGB", (60, 40)).save(here / "v" / "clip" / f"{number}.png")
    source = yields("s", [sample(0, "one", window=(0.5, 1.5))], "samples")
    with pytest.raises(SceneError) as error:
        import_scenes("out", source, videos="v")
    assert str(error.value).endswith(
        "clip.mp4: is a folder of frames, which has no clock: state its frames a second with fps"
    )
    import_scenes("out", source, videos="v", fps=3)
    assert (scene("scenes/one.json")["frame_rate"], entries()[0]["window"]) == (3, [0.5, 1.5])
    stated = sample(0, "one", window=(0.5, 9.0), scene={"frame_rate": 2.0, "transcript": []})
    import_scenes("own", yields("t", [stated], "samples"), videos="v")
    assert entries("own")[0]["window"] == [0.5, 3.0]


def test_what_only_samples_leave_out_is_not_counted_as_none_imported(yields: Register) -> None:
    left = LeftOut(where="1", what="box", reason="odd")
    imported = import_scenes("out", yields("s", [sample(0, "one"), left], "samples"))
    assert imported.summary() == ["boxes of samples: left out 1: 1 odd", "samples: imported 1"]


def test_turns_about_a_folder_of_frames_need_a_rate(yields: Register, here: Path) -> None:
    from PIL import Image

    (here / "frames").mkdir()
    for number in range(6):
        Image.new("RGB", (60, 40)).save(here / "frames" / f"{number}.png")
    turns = yields("w", [SpeechRecord(where="1", text="Hi.", start=0.5, end=1.0)], "turns")
    with pytest.raises(SceneError, match="is a folder of frames, which has no clock"):
        import_scenes("out", turns, video="frames")
    import_scenes("out", turns, video="frames", fps=3)
    assert scene("scenes/frames.json")["frame_rate"] == 3

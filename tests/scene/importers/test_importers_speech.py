"""Speech from recognisers, diarisers and annotation tools: hand-worked examples, and a thousand records that add up."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pysubs2
import pytest
from praatio import textgrid as praat

from attnscope.errors import SceneError
from attnscope.scene import LeftOut, Note, SpeechRecord, read_transcript
from attnscope.scene.importers import speech as speech
from attnscope.scene.importers.registry import IMPORTERS, importer
from attnscope.scene.importers.speech.transcripts import transcript_and_notes

DATA = Path(__file__).parent / "data" / "speech"


def read(name: str, path: Path, **options: Any) -> list[Any]:
    return list(IMPORTERS[name](path, **options))


def rows(records: list[Any]) -> list[tuple[Any, ...]]:
    return [(r.speaker, r.start, r.end, r.text) for r in records if isinstance(r, SpeechRecord)]


def left_out(records: list[Any]) -> list[tuple[str, str]]:
    return [(r.where, r.reason) for r in records if isinstance(r, LeftOut)]


def test_rttm() -> None:
    records = read("rttm", DATA / "talk.rttm")
    assert rows(records) == [
        ("speaker_1", 4.5, 5.75, None),
        ("speaker_0", 0.5, 4.6, None),
        (None, 0.0, 2.0, None),
    ]
    assert [r.clip for r in records if isinstance(r, SpeechRecord)] == ["talk", "talk", "other"]
    assert left_out(records) == [
        ("line 6", "a line of type NON-SPEECH says nothing of speakers"),
        ("line 7", "start or duration is no number"),
        ("line 8", "the line has fewer than 8 values"),
        ("line 9", "the line has more than 10 values (a name with spaces?)"),
        ("line 10", "the type is unknown"),
    ]


def test_whisperx() -> None:
    records = read("whisperx", DATA / "whisperx.json")
    assert rows(records) == [
        ("SPEAKER_00", 0.5, 2.25, "Did you bring the 2 tickets?"),
        (None, 4.0, 4.5, "Yes."),
    ]
    words = [(w.text, w.start, w.end, w.speaker) for w in records[0].words]
    assert words == [
        ("Did", 0.5, 0.7, "SPEAKER_00"),
        ("you", 0.75, 0.9, "SPEAKER_00"),
        ("2", None, None, None),
        ("tickets?", 1.5, 2.25, "SPEAKER_01"),
    ]
    assert left_out(records) == [
        ("segments[1]", "the segment holds no words"),
        ("segments[3]", "the segment is not an object with text and times"),
    ]


@pytest.mark.parametrize(
    "data",
    [
        {"text": " Yes.", "segments": [{"id": 0, "start": 1.5, "end": 2, "text": " Yes.", "tokens": [1]}]},
        [{"id": 1, "seek": 0, "start": 1.5, "end": 2.0, "text": " Yes.", "words": None}],
        {"transcription": [{"offsets": {"from": 1500, "to": 2000}, "text": " Yes."}], "model": {"type": "base"}},
        {
            "segments": [{"start": 1.5, "end": 2.0, "text": " Yes.", "avg_logprob": float("nan")}]
        },  # no JSON, but written
        [{"start": 1.5, "end": 2.0, "text": " Yes.", "score": float("-inf")}],
        {"chunks": [{"timestamp": [1.5, 2.0], "text": " Yes."}], "text": " Yes."},
    ],
)
def test_other_recognisers_of_the_kind(tmp_path: Path, data: Any) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(data))
    assert rows(read("whisperx", path)) == [(None, 1.5, 2.0, "Yes.")]


def test_times_of_recognisers_that_are_no_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(
        '{"segments": [{"start": NaN, "end": 1, "text": "a"}, {"start": NaN, "end": NaN, "text": "b"}, '
        '{"start": "x", "end": 2, "text": "c"}, {"start": 1e400, "end": 2, "text": "d"}, '
        '{"start": null, "end": null, "text": "e"}, {"end": 2, "text": "f"}, '
        '{"start": 1, "end": 2, "text": "g h", "words": [{"word": "g", "start": NaN, "end": NaN}, {"word": "h"}]}]}'
    )
    records = read("whisperx", path)
    assert rows(records) == [(None, None, None, "e"), (None, 1.0, 2.0, "g h")]
    wrong = "start or end is no number"
    assert [reason for _, reason in left_out(records)] == [wrong] * 4 + ["the segment has an end and no start"]
    assert [r.text for r in records if isinstance(r, Note)] == [
        "a.json: words whose times are no numbers count as words without times: 1"
    ]


def test_half_a_character_leaves_its_segment_out(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(
        '{"segments": [{"start": 1, "end": 2, "text": "\\ud800 x"}, {"start": 3, "end": 4, "text": "yes"}]}'
    )
    records = read("whisperx", path)
    assert rows(records) == [(None, 3.0, 4.0, "yes")]
    assert left_out(records) == [("segments[0]", "its text holds half a character (a lone surrogate)")]
    path.write_text('{"segments": [{"start": 1, "end": 2, "text": "\\\\ud800 \\ud83d\\ude00"}]}')
    assert rows(read("whisperx", path)) == [(None, 1.0, 2.0, "\\ud800 \U0001f600")]


@pytest.mark.parametrize(
    ("text", "is_speech"),
    [
        *((mark, False) for mark in ("[BLANK_AUDIO]", "[MUSIC]", "(upbeat music)", "*laughs*", "[ Silence ]")),
        *((words, True) for words in ("(Thank you.)", "[MUSIC] Hello", "music", "[Ada]")),
    ],
)
def test_a_mark_of_sound_alone_is_no_turn(tmp_path: Path, text: str, is_speech: bool) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"transcription": [{"offsets": {"from": 0, "to": 9}, "text": f" {text}"}]}))
    records = read("whisperx", path)
    assert rows(records) == ([(None, 0.0, 0.009, text)] if is_speech else [])
    assert len(records) == 1


def captions(path: Path, *texts: str) -> Path:
    stamps = [f"00:00:{at:02},000 --> 00:00:{at:02},900" for at in range(len(texts))]
    path.write_text(
        "".join(f"{at}\n{stamp}\n{text}\n\n" for at, (stamp, text) in enumerate(zip(stamps, texts, strict=True)))
    )
    return path


def test_cues_without_words_are_left_out(tmp_path: Path) -> None:
    path = captions(tmp_path / "a.srt", "one", "<i></i>", "two", "  ", "{\\an8}")
    assert left_out(read("subtitles", path)) == [(f"line {n}", "it holds no words") for n in (6, 14, 18)]
    assert transcript_and_notes(path, True)[1] == ["a.srt: left out 3: it holds no words"]


def test_manners_and_places_in_brackets_are_no_names(tmp_path: Path) -> None:
    heads = ("Excitedly", "Nervous", "On TV", "In French", "Over Radio")
    path = captions(tmp_path / "a.srt", *(f"({head}) words" for head in heads for _ in range(2)))
    assert {r.speaker for r in read("subtitles", path) if isinstance(r, SpeechRecord)} == {None}
    path = captions(tmp_path / "a.srt", "(Emily) yes", "(Ben) no", "(Emily) why", "(Ben) so")
    assert {r.speaker for r in read("subtitles", path) if isinstance(r, SpeechRecord)} == {"Emily", "Ben"}


def test_words_before_a_colon_that_are_no_names(tmp_path: Path) -> None:
    path = captions(
        tmp_path / "a.srt", "The answer is: yes", "At 10: 30 we go", "Warning: do not", "so it is", "and on", "we go"
    )
    records = read("subtitles", path)
    assert [r.speaker for r in records if isinstance(r, SpeechRecord)] == [None, None, "Warning", None, None, None]
    assert [r.text for r in records if isinstance(r, Note)] == [
        "a.srt: most lines name no speaker, and these names stand once, before a colon: Warning"
    ]
    usual = captions(tmp_path / "b.srt", "Ada: yes", "Speaker 1: no", "Dr. To: so", "and on")
    records = read("subtitles", usual)
    assert [r.speaker for r in records if isinstance(r, SpeechRecord)] == ["Ada", "Speaker 1", "Dr. To", None]
    assert not any(isinstance(r, Note) for r in records)


TEXTGRID = [("Ada", 0.5, 2.25, 'She said "intervals [9]: and 3 more".'), ("Ben", 2.5, 3.0, "Yes")]


def short_form(text: str) -> str:
    """The same file in the short form, written by hand for this file alone."""
    kept = [line.split("= ", 1)[-1].strip() for line in text.split("\n")]
    quoted, lines = False, []
    for before, line in zip(text.split("\n"), kept, strict=True):
        is_data = quoted or "= " in before or before.startswith("and 3") or "<exists>" in before
        if is_data and "item [" not in before:
            lines.append("<exists>" if "<exists>" in before else line)
    return "\n".join([lines[0], lines[1], "", *lines[2:]])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("form", ["long", "short"])
def test_textgrid(tmp_path: Path, form: str, encoding: str) -> None:
    text = (DATA / "long.TextGrid").read_text()
    path = tmp_path / "a.TextGrid"
    path.write_text(text if form == "long" else short_form(text), encoding=encoding)
    records = read("textgrid", path)
    assert rows(records) == TEXTGRID
    assert [(w.text, w.start, w.end) for w in records[2].words] == [("Yes", 2.5, 3.0)]
    assert left_out(records) == [
        ('tier "Ada" 3', "the label is a mark of silence"),
        ('tier "Ben - phones" 1', "the tier holds phones, no words"),
        ('tier "events" 1', "a point is no stretch of speech"),
    ]
    assert [(t.speaker, t.text) for t in read_transcript(path)] == [(r[0], r[3]) for r in TEXTGRID]


def test_textgrid_tiers_and_labels(tmp_path: Path) -> None:
    path = DATA / "long.TextGrid"
    assert rows(read("textgrid", path, tiers="Ben - phones")) == [("Ben", 2.5, 2.6, "j")]
    assert rows(read("textgrid", path, tiers="Ben - words", labels="speakers")) == [("Yes", 2.5, 3.0, None)]
    with pytest.raises(SceneError, match=r'long.TextGrid: there is no tier "Eve"'):
        read("textgrid", path, tiers="Ada, Eve")
    cut = tmp_path / "a.TextGrid"
    cut.write_text(path.read_text()[:700])
    with pytest.raises(
        SceneError, match=r"a.TextGrid: (the file ends where a .* was expected|line \d+: a text begins)"
    ):
        read("textgrid", cut)
    cut.write_text("ooBinaryFile\x08TextGrid")
    with pytest.raises(SceneError, match=r"a.TextGrid: line 1: is no TextGrid in text form"):
        read("textgrid", cut)


def test_textgrid_is_read_as_another_reader_does(tmp_path: Path) -> None:
    """praatio, on files that both read."""
    rng = random.Random(3)
    tiers, at = [], 0.0
    for name in ("Ada", "Ben"):
        entries, at = [], 0.0
        for number in range(40):
            at += rng.uniform(0.01, 2)
            end = at + rng.uniform(0.1, 3)
            entries.append((at, end, rng.choice(['say "it"', "3 of <them>", f"word {number}", "é 你好"])))
            at = end
        tiers.append(praat.IntervalTier(name, entries, 0, 400))
    grid = praat.Textgrid(0, 400)
    for tier in tiers:
        grid.addTier(tier)
    for form in ("long_textgrid", "short_textgrid"):
        path = tmp_path / f"{form}.TextGrid"
        grid.save(str(path), format=form, includeBlankSpaces=True)
        expected = [
            (tier.name, entry.start, entry.end, entry.label)
            for tier in praat.openTextgrid(str(path), False).tiers
            for entry in tier.entries
        ]
        assert rows(read("textgrid", path)) == expected


def test_elan() -> None:
    path = DATA / "talk.eaf"
    records = read("elan", path)
    assert rows(records) == [("Ada", 0.5, 2.25, "Did you bring the tickets?"), ("Ben", 3.0, 3.5, "Yes.")]
    assert {r.clip for r in records if not isinstance(r, Note)} == {"my talk.mp4"}
    assert left_out(records) == [
        (f'tier "A-{t}" a{n}', "the tier hangs on another one") for t, n in (("words", 2), ("words", 3), ("French", 4))
    ]
    assert rows(read("elan", path, tiers="A-words, A-French")) == [
        ("Ada", 0.5, None, "Did"),  # the slot between the words has no time
        ("Ada", None, None, "you"),
        ("A-French", 0.5, 2.25, "Tu as les billets ?"),
    ]
    with pytest.raises(SceneError, match=r'talk.eaf: there is no tier "B"'):
        read("elan", path, tiers="B")


def test_elan_moves_times_by_the_origin_of_the_video(tmp_path: Path) -> None:
    path = tmp_path / "a.eaf"
    text = (DATA / "talk.eaf").read_text()
    path.write_text(text.replace('MIME_TYPE="video/mp4"', 'MIME_TYPE="video/mp4" TIME_ORIGIN="1500"'))
    records = read("elan", path)
    assert [r[1:3] for r in rows(records)] == [(2.0, 3.75), (4.5, 5.0)]
    assert [r.text for r in records if isinstance(r, Note)] == [
        "a.eaf: tiers are taken for speakers: Ada, Ben; tiers= names those to read",
        "a.eaf: times are moved by TIME_ORIGIN of the video, 1.5 s",
    ]
    path.write_text(text.replace('TIME_UNITS="milliseconds"', 'TIME_UNITS="PAL-frames"'))
    with pytest.raises(SceneError, match=r'a.eaf: TIME_UNITS: "PAL-frames" is not milliseconds'):
        read("elan", path)


def test_substation() -> None:
    records = read("subtitles", DATA / "talk.ass")
    assert rows(records) == [
        ("Ada", 0.5, 2.25, "Did you bring the tickets, (Ben)?"),
        ("Ben", 2.5, 3.0, "2 < 3 &amp; so on"),
        ("ADA", 3.0, 4.0, "look at this"),  # a name of the file, letter case aside
    ]
    assert left_out(records) == [("line 12", "a comment, which players do not show"), ("line 15", "it holds no words")]
    subtitles = pysubs2.load(str(DATA / "talk.ass"))
    times = [(e.start / 1000, e.end / 1000) for e in subtitles if e.is_text]
    assert times[:2] == [r[1:3] for r in rows(records)][:2]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Ben: 2 < 3", "Ben: 2 < 3\nand 4", 'line 15: "and 4 &amp; so on" belongs to no event'),
        ("0:00:02.50", "0:00:02.5", 'line 14: "0:00:02.5" is not a time, hours:minutes:seconds.hundredths'),
        ("0:00:02.50", "0:00:62.50", 'line 14: "0:00:62.50" has 62 seconds'),
        (",Default,,0,0,0,,Ben", "", "line 14: the event has 3 fields, and 10 are needed"),
        ("Start, End, Style", "End, Start, Style", "line 11: "),
        ("[Events]", "[Extra]", "line 12: an event stands outside [Events]"),
    ],
)
def test_words_of_substation_are_not_lost(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "a.ass"
    path.write_text((DATA / "talk.ass").read_text().replace(old, new, 1))
    with pytest.raises(SceneError) as caught:
        read_transcript(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def cues(*texts: str) -> str:
    return "".join(f"{n}\n00:00:{n:02},000 --> 00:00:{n:02},900\n{text}\n\n" for n, text in enumerate(texts))


@pytest.mark.parametrize(
    ("texts", "names", "turns"),
    [
        # labels of a diariser
        (("[SPEAKER_00] hi", "[SPEAKER_01]\nhello"), "", [("SPEAKER_00", "hi"), ("SPEAKER_01", "hello")]),
        (("(spk1) hi",), "", [("spk1", "hi")]),
        # names that the file writes with a colon, as a voice span, or that are known otherwise
        (("Ada: hi", "(ADA) hello", "(door closes)"), "", [("Ada", "hi"), ("ADA", "hello"), (None, "(door closes)")]),
        (("<v Ada>hi", "[Ada] hello"), "", [("Ada", "hi"), ("Ada", "hello")]),
        (("[Ada] hello", "(music) la"), "", [(None, "[Ada] hello"), (None, "(music) la")]),
        (("[Ada] hello", "(music) la"), "Ben, Ada", [("Ada", "hello"), (None, "(music) la")]),
        (("[Ada] hello", "[Ada]\nagain"), "Ada", [("Ada", "hello"), ("Ada", "again")]),
        # a file that labels its lines
        (
            ("[Ada] hi", "[Ben] yes", "[Ada] so", "[Ben] no", "[Laughs] ha", "[LAUGHS] ha"),
            "",
            [("Ada", "hi"), ("Ben", "yes"), ("Ada", "so"), ("Ben", "no"), (None, "[Laughs] ha"), (None, "[LAUGHS] ha")],
        ),
        # sounds and manners: repeated, before words, alone
        (
            ("(laughs) Oh no!", "What?", "(laughs) Stop.", "[MUSIC]", "Why?", "(door closes)\nWho?"),
            "",
            [
                (None, "(laughs) Oh no!"),
                (None, "What?"),
                (None, "(laughs) Stop."),
                (None, "[MUSIC]"),
                (None, "Why?"),
                (None, "(door closes) Who?"),
            ],
        ),
        (("[Applause] Thanks", "[Applause] Thanks"), "", [(None, "[Applause] Thanks")] * 2),
        (("[Bad take] a", "[Bad take] b"), "", [(None, "[Bad take] a"), (None, "[Bad take] b")]),  # one label of a kind
        (
            ("(Thunder) hi", "(Thunder) ho", "(Thunder)"),
            "",
            [(None, "(Thunder) hi"), (None, "(Thunder) ho"), (None, "(Thunder)")],
        ),
        (("(Kim) hi", "(Kim) ho", "(Kim)"), "", [(None, "(Kim) hi"), (None, "(Kim) ho"), (None, "(Kim)")]),
        (("(sotto voce) hi", "(sotto voce) ho"), "", [(None, "(sotto voce) hi"), (None, "(sotto voce) ho")]),
        # where a voice comes from is no part of a name, what else stands in a bracket is
        (("ADA (OFF): hi", "ADA: ho", "Ada (V.O., on phone): hm"), "", [("ADA", "hi"), ("ADA", "ho"), ("Ada", "hm")]),
        (("Ada (CONT'D): hi", "Ada (mother): ho"), "", [("Ada", "hi"), ("Ada (mother)", "ho")]),
    ],
)
def test_names_in_brackets_need_evidence(
    tmp_path: Path, texts: tuple[str, ...], names: str, turns: list[tuple[str | None, str]]
) -> None:
    path = tmp_path / "a.srt"
    path.write_text(cues(*texts))
    records = read("subtitles", path, names=names)
    assert [(r.speaker, r.text) for r in records if isinstance(r, SpeechRecord)] == turns
    said = " ".join(r.text for r in records if isinstance(r, Note))
    assert ("names in brackets before words" in said) == any(
        text.startswith(("[", "(")) and speaker for text, (speaker, _) in zip(texts, turns, strict=True)
    )


def test_what_was_decided_about_names_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    path.write_text(cues("[SPEAKER_00] hi", "ADA (OFF): ho"))
    assert [r.text for r in read("subtitles", path) if isinstance(r, Note)] == [
        "a.srt: names in brackets before words are those of speakers: SPEAKER_00",
        "a.srt: a bracket that says where a voice comes from is no part of a name: ADA (OFF)",
    ]


def write_rttm(path: Path, spans: list[dict[str, Any]]) -> None:
    lines = [
        f"SPEAKER a 1 {s['start']} {s['end'] - s['start'] if s['good'] else 'x'} <NA> <NA> {s['who']} <NA>"
        for s in spans
    ]
    path.write_text("\n".join(lines))


def write_whisperx(path: Path, spans: list[dict[str, Any]]) -> None:
    segments = [
        {"start": s["start"], "end": s["end"], "speaker": s["who"], "text": f" {s['text']}" if s["good"] else " "}
        for s in spans
    ]
    path.write_text(json.dumps({"segments": segments}))


def write_textgrid(path: Path, spans: list[dict[str, Any]]) -> None:
    names = sorted({s["who"] for s in spans})
    with path.open("w", encoding="utf-16") as file:
        file.write(f'"ooTextFile"\n"TextGrid"\n0 999\n<exists>\n{len(names)}\n')
        for name in names:
            own = [s for s in spans if s["who"] == name]
            file.write(f'"IntervalTier" "{name}" 0 999 {len(own)}\n')
            for s in own:
                label = s["text"].replace('"', '""') if s["good"] else "sil"
                file.write(f'{s["start"]} {s["end"]} "{label}"\n')


def write_elan(path: Path, spans: list[dict[str, Any]]) -> None:
    with path.open("w") as file:
        file.write("<ANNOTATION_DOCUMENT><HEADER TIME_UNITS='milliseconds'/><TIME_ORDER>")
        for n, s in enumerate(spans):
            for key in ("start", "end"):
                file.write(f"<TIME_SLOT TIME_SLOT_ID='{key}{n}' TIME_VALUE='{round(1000 * s[key])}'/>")
        file.write("</TIME_ORDER>")
        for name in sorted({s["who"] for s in spans}):
            for good in (True, False):
                parent = "" if good else "PARENT_REF='x'"
                file.write(f"<TIER TIER_ID='{name}{good}' PARTICIPANT='{name}' {parent}>")
                for n, s in enumerate(spans):
                    if (s["who"], s["good"]) == (name, good):
                        file.write(
                            f"<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID='a{n}' TIME_SLOT_REF1='start{n}' "
                            f"TIME_SLOT_REF2='end{n}'><ANNOTATION_VALUE>{s['text']}</ANNOTATION_VALUE>"
                            "</ALIGNABLE_ANNOTATION></ANNOTATION>"
                        )
                file.write("</TIER>")
        file.write("</ANNOTATION_DOCUMENT>")


def stamp(seconds: float) -> str:
    return f"{int(seconds) // 3600}:{int(seconds) // 60 % 60:02}:{int(seconds) % 60:02}.{round(seconds * 100) % 100:02}"


def write_substation(path: Path, spans: list[dict[str, Any]]) -> None:
    with path.open("w") as file:
        file.write("[Script Info]\n[Events]\n")
        for s in spans:
            kind = "Dialogue" if s["good"] else "Comment"
            file.write(f"{kind}: 0,{stamp(s['start'])},{stamp(s['end'])},x,{s['who']},0,0,0,,{s['text']}\n")


WRITERS = {
    "rttm": ("a.rttm", write_rttm),
    "whisperx": ("a.json", write_whisperx),
    "textgrid": ("a.TextGrid", write_textgrid),
    "elan": ("a.eaf", write_elan),
    "subtitles": ("a.ass", write_substation),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_thousand_records_add_up(tmp_path: Path, name: str) -> None:
    """Unsorted, overlapping, some without length, names that differ in case alone; a tenth cannot be read."""
    rng = random.Random(5)
    people = ["Ada", "ada", "Ben_2", "SPEAKER_00"]
    spans = [
        {
            "start": (start := round(rng.uniform(0, 900), 2)),
            "end": round(start + rng.choice([0, 0.5, 3.25]), 2),
            "who": rng.choice(people),
            "text": rng.choice(["yes", 'so "it" goes', "and then: nothing", "(laughs) oh"]),
            "good": at % 10 != 9,
        }
        for at in range(1000)
    ]
    file, write = WRITERS[name]
    write(tmp_path / file, spans)
    records = read(name, tmp_path / file)
    counts = Counter(type(r).__name__ for r in records)
    assert (counts["SpeechRecord"], counts["LeftOut"]) == (900, 100)
    good = [s for s in spans if s["good"]]

    def shown(who: str, start: float, end: float, text: str | None) -> tuple[Any, ...]:
        return who, round(start, 2), round(end, 2), text if name != "rttm" else None

    found = Counter(shown(*row) for row in rows(records))
    assert found == Counter(shown(s["who"], s["start"], s["end"], s["text"]) for s in good)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("rttm", "hello there\n", 'line 1: "hello" is no type of an RTTM file'),
        ("whisperx", '{"a": 1}', "has none of segments, transcription, speakers, chunks"),
        ("whisperx", "[1]", "[0]: is no segment of speech"),
        ("whisperx", "{", "not valid JSON"),
        ("textgrid", "hello\n", "is no TextGrid in text form"),
        ("elan", "<a/>", "begins with <a>, and <ANNOTATION_DOCUMENT> was expected"),
        ("elan", "", "not valid XML"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / "a.x"
    path.write_text(text)
    with pytest.raises(SceneError) as caught:
        read(name, path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_second_0_is() -> None:
    of = {name: IMPORTERS[name].counts_from for name in IMPORTERS if IMPORTERS[name].counts_from != "picture"}
    assert of == {
        **dict.fromkeys(["rttm", "whisperx", "elan", "textgrid"], "sound"),
        **dict.fromkeys(["subtitles", "talknet"], "file"),
    }
    with pytest.raises(ValueError, match="counts_from='start' is none of picture, sound, file"):
        importer(name="a", yields=("turns",), counts_from="start")  # type: ignore[arg-type]

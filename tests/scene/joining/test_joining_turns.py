"""Words become turns, and get their speakers from who speaks when; each expectation is worked by hand."""

from __future__ import annotations

from typing import Any

import pytest

from attnscope.scene import SpeechRecord, Word
from attnscope.scene.joining.turns import turns


def said(text: str, *times: float | None, speaker: str | None = None, words: Any = ()) -> SpeechRecord:
    start, end = (*times, None, None)[:2]
    return SpeechRecord(where=text, text=text, start=start, end=end, speaker=speaker, words=tuple(words))


def span(speaker: str | None, start: float | None, end: float | None) -> SpeechRecord:
    return SpeechRecord(where=f"{speaker} {start}", speaker=speaker, start=start, end=end)


def timed(text: str, start: float, step: float = 0.5, speaker: str | None = None) -> list[Word]:
    """A word each half second."""
    times = [start + step * number for number in range(len(text.split()))]
    return [Word(text=w, start=t, end=t + step, speaker=speaker) for w, t in zip(text.split(), times, strict=True)]


def short(result: Any) -> list[tuple[Any, ...]]:
    return [(t.get("speaker"), t["text"], t.get("start"), t.get("end")) for t in result.turns]


def reasons(result: Any) -> list[tuple[str, str]]:
    return [(record.where, reason) for record, reason in result.rejected]


def test_without_who_speaks_when_a_record_is_a_turn() -> None:
    result = turns([said("Hi  there.", 0.5, 1.0, speaker="Ada"), said("Oh!"), said("Well", 2.0)])
    assert short(result) == [("Ada", "Hi there.", 0.5, 1.0), (None, "Oh!", None, None), (None, "Well", 2.0, None)]
    assert (result.imported, result.words, result.rejected) == (3, 0, [])


def test_a_record_is_cut_where_its_words_change_their_speaker() -> None:
    words = [
        *timed("Yes, we do.", 0.0, speaker="A"),
        *timed("Who? Me?", 1.5, speaker="B"),
        Word(text="Ha", speaker="B"),
    ]
    result = turns([said("Yes, we do. Who? Me? Ha...", 0.0, 3.0, words=words)])
    assert short(result) == [("A", "Yes, we do.", 0.0, 1.5), ("B", "Who? Me? Ha...", 1.5, 2.5)]
    assert (result.imported, result.words) == (1, 6)


def test_each_word_goes_to_the_speaker_that_it_overlaps_most() -> None:
    text = "one two three four five"
    spoken = said(text, 0.0, 2.5, speaker="S0", words=timed(text, 0.0))
    result = turns([spoken], [span("Ben", 1.2, 3.0), span("Ada", 0.0, 1.2)])  # of "three", 0.2 s are Ada's
    assert short(result) == [("Ada", "one two", 0.0, 1.0), ("Ben", "three four five", 1.0, 2.5)]
    assert (result.imported, result.rejected) == (3, [])


def test_several_spans_of_one_speaker_count_together() -> None:
    word = said("well", 0.0, 1.0)
    result = turns([word], [span("Ben", 0.0, 0.4), span("Ada", 0.4, 0.75), span("Ada", 0.75, 1.0)])
    assert short(result) == [("Ada", "well", 0.0, 1.0)]
    assert reasons(result) == [("Ben 0.0", "no words fall into it"), ("Ada 0.75", "no words fall into it")]


def test_words_of_two_records_in_one_span_are_one_turn_and_a_pause_makes_two() -> None:
    spoken = [said("First part,", 0.0, 1.0), said("second part.", 1.0, 2.0), said("Later.", 5.0, 6.0)]
    result = turns(spoken, [span("Ada", 0.0, 2.2), span("Ada", 4.9, 6.0)])
    assert short(result) == [("Ada", "First part, second part.", 0.0, 2.0), ("Ada", "Later.", 5.0, 6.0)]


def test_ties_go_to_who_began_and_words_outside_have_nobody() -> None:
    text = "so yes then"
    spoken = [said(text, 0.0, 1.5, words=timed(text, 0.0)), said("late", 8.0, 9.0), said("when?")]
    result = turns(spoken, [span("Ben", 0.5, 1.0), span("Ada", 0.0, 1.5)])
    assert short(result) == [("Ada", "so yes then", 0.0, 1.5), (None, "late", 8.0, 9.0), (None, "when?", None, None)]
    assert result.notes == [
        "1 of 5 words are said while several speak alike, and go to the one who began first",
        "2 of 5 words are said while nobody speaks, or have no time, and have no speaker",
    ]
    assert reasons(result) == [("Ben 0.5", "no words fall into it")]


def test_a_word_without_a_time_goes_with_its_neighbours() -> None:
    words = [
        Word(text="In"),
        Word(text="2014", start=0.5, end=1.0),
        Word(text="we"),
        Word(text="won", start=3.0, end=3.5),
    ]
    result = turns([said("In 2014 we won", 0.0, 4.0, words=words)], [span("Ada", 0.0, 2.0), span("Ben", 2.0, 4.0)])
    assert short(result) == [("Ada", "In 2014 we", 0.5, 1.0), ("Ben", "won", 3.0, 3.5)]


def test_a_word_whose_time_is_none_has_none() -> None:
    words = [Word(text="Oh", start=float("nan"), end=-1.0), Word(text="no", start=0.5, end=1.0)]
    result = turns([said("Oh no", 0.0, 1.0, words=words)], [span("Ada", 0.0, 2.0)])
    assert short(result) == [("Ada", "Oh no", 0.0, 1.0)]


def test_words_that_are_not_those_of_the_text_count_as_one() -> None:
    result = turns([said("Hello", 0.0, 1.0, speaker="Ada", words=timed("Good bye", 0.0, speaker="Ben"))])
    assert short(result) == [("Ada", "Hello", 0.0, 1.0)]
    assert result.words == 0
    (note,) = result.notes
    assert note.startswith("1 record has words that are not those of their text in its order")


def test_spans_without_any_words_are_left_out() -> None:
    result = turns([], [span("Ada", 0.0, 1.0)])
    assert reasons(result) == [("Ada 0.0", "it has no words, and no other source has them")]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (said("", 0.0, 1.0), "it has no words"),
        (said(" \n", 0.0, 1.0), "it has no words"),
        (said("x", 2.0, 1.0), "it ends before it begins"),
        (said("x", -1.0, 1.0), "it begins before the first frame"),
        (said("x", None, 1.0), "it has an end and no start"),
        (said("x", float("nan"), 1.0), "a time is no number of seconds"),
        (said("x", 10.0, 11.0), "it begins after the end of the video"),
        (said("a\0b", 0.0, 1.0), "text: holds the character U+0000, which no prompt can hold"),
    ],
)
def test_what_cannot_be_a_turn_is_left_out_with_the_reason(record: SpeechRecord, reason: str) -> None:
    result = turns([said("Yes.", 0.0, 1.0), record], duration=10.0)
    assert reasons(result) == [(record.where, reason)]
    assert result.imported == 1


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (span(None, 0.0, 1.0), "it does not say who speaks"),
        (span("Ada", None, 1.0), "it does not say when"),
        (span("Ada", 1.0, 1.0), "it lasts no time"),
        (span("Ada", 1.0, 0.5), "it ends before it begins"),
    ],
)
def test_what_cannot_say_who_speaks_is_left_out_with_the_reason(record: SpeechRecord, reason: str) -> None:
    result = turns([said("Yes.", 0.0, 1.0)], [record, span("Ben", 0.0, 1.0)])
    assert reasons(result) == [(record.where, reason)]
    assert short(result) == [("Ben", "Yes.", 0.0, 1.0)]


def test_turns_end_with_the_video() -> None:
    result = turns([said("a", 8.0, 10.5), said("b", 9.0, 10.6)], duration=10.0)
    assert short(result) == [(None, "a", 8.0, 10.5), (None, "b", 9.0, 10.0)]
    assert result.notes == ["1 of 2 turns end after the video, and are cut at its end"]


def test_many_words_find_the_spans_that_a_plain_search_finds() -> None:
    import random

    draw = random.Random(5)
    whose = [span(draw.choice("ABC"), t := draw.uniform(0, 50), t + draw.uniform(0.1, 8)) for _ in range(60)]
    starts = sorted(draw.uniform(0, 60) for _ in range(200))
    result = turns([said(f"w{n}", t, t + 0.3) for n, t in enumerate(starts)], whose)
    by_word = {word: turn.get("speaker") for turn in result.turns for word in turn["text"].split()}
    for number, start in enumerate(starts):
        seconds = dict.fromkeys("ABC", 0.0)
        for one in whose:
            seconds[one.speaker] += max(0.0, min(start + 0.3, one.end) - max(start, one.start))
        most = max(seconds.values())
        chosen = by_word[f"w{number}"]
        assert chosen is None if most == 0 else seconds[chosen] == pytest.approx(most)
